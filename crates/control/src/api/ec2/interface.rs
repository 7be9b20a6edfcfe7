//! Network interfaces. Their addresses are in `interface_address`, what is shown in
//! `interface_shown`.

use super::interface_shown::{groups, shown};
use super::tags::{self, TagSpecification};
use super::token;
use super::vpc::Flag;
use crate::network::error::{self, invalid, refused};
use crate::network::{Draft, interfaces, vpcs};
use crate::service::{Caller, Service};
use belljar_aws::AwsError;
use belljar_vpc::Description;
use belljar_vpc::id::{GroupId, InterfaceId, SubnetId};
use belljar_vpc::network::Interface;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::net::{Ipv4Addr, Ipv6Addr};

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Create {
    subnet_id: String,
    description: Option<String>,
    #[serde(default)]
    groups: Vec<String>,
    private_ip_address: Option<String>,
    #[serde(default)]
    private_ip_addresses: Vec<Private>,
    secondary_private_ip_address_count: Option<usize>,
    #[serde(default)]
    ipv6_addresses: Vec<V6>,
    ipv6_address_count: Option<usize>,
    #[serde(default)]
    tag_specifications: Vec<TagSpecification>,
    #[serde(skip_serializing)]
    client_token: Option<String>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Private {
    private_ip_address: Option<String>,
    #[serde(default)]
    primary: bool,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct V6 {
    ipv6_address: Option<String>,
}

impl Create {
    /// The IPv4 addresses that are named, the primary one first, and how many more there are to be.
    /// Of those named as secondary, a primary one is any that is free.
    fn addresses(&self) -> Result<(Vec<Ipv4Addr>, usize), AwsError> {
        let mut named = Vec::new();
        let primary = self.private_ip_addresses.iter().filter(|of| of.primary).count();
        if primary + usize::from(self.private_ip_address.is_some()) > 1 {
            return Err(invalid("Only one primary private IP address can be specified."));
        }
        if let Some(text) = &self.private_ip_address {
            named.push(v4(text)?);
        }
        for of in &self.private_ip_addresses {
            let address = v4(of.private_ip_address.as_deref().unwrap_or_default())?;
            if of.primary { named.insert(0, address) } else { named.push(address) }
        }
        if !named.is_empty() && primary == 0 && self.private_ip_address.is_none() {
            let text = "The first private IP address must be named as primary.";
            return Err(invalid(text));
        }
        Ok((named, self.secondary_private_ip_address_count.unwrap_or_default()))
    }
}

pub(super) fn v4(text: &str) -> Result<Ipv4Addr, AwsError> {
    text.parse().map_err(|_| invalid(format!("Invalid IPv4 address: '{text}'")))
}

pub(super) fn v6(text: &str) -> Result<Ipv6Addr, AwsError> {
    text.parse().map_err(|_| invalid(format!("Invalid IPv6 address: '{text}'")))
}

pub(super) async fn create(
    service: &Service,
    _: &Caller,
    input: Create,
) -> Result<Value, AwsError> {
    let tags = tags::of(&input.tag_specifications, "network-interface")?;
    let (addresses, more) = input.addresses()?;
    let v6_of = |of: &V6| v6(of.ipv6_address.as_deref().unwrap_or_default());
    let addresses_v6 = input.ipv6_addresses.iter().map(v6_of).collect::<Result<Vec<_>, _>>()?;
    let token = input.client_token.as_deref();
    let edit = service.network.edit(|draft| {
        token::once(draft, ("CreateNetworkInterface", token), &input, |draft| {
            let (subnet, _) = error::named(&draft.subnets, &input.subnet_id)?;
            let groups = read_groups(draft, &subnet, &input.groups)?;
            let wanted = interfaces::Wanted {
                subnet,
                groups,
                description: input.description.clone().unwrap_or_default(),
                kind: "interface",
                owner: None,
                source_dest_check: true,
                addresses,
                more,
                addresses_v6,
                more_v6: input.ipv6_address_count,
            };
            let id = interfaces::create(draft, wanted)?;
            draft.tag(id.as_str(), tags);
            Ok(id)
        })
    });
    let (id, now) = edit.await?;
    let interface = shown(service, &now, &id, error::get(&now.interfaces, &id)?);
    Ok(json!({"NetworkInterface": interface, "ClientToken": token}))
}

/// The groups that are named; none is the VPC's default one.
fn read_groups(
    d: &Description,
    subnet: &SubnetId,
    texts: &[String],
) -> Result<Vec<GroupId>, AwsError> {
    if texts.is_empty() {
        let vpc = &error::get(&d.subnets, subnet)?.vpc;
        let default = d.groups.iter().find(|(_, g)| g.vpc == *vpc && g.name == vpcs::DEFAULT_GROUP);
        return Ok(default.map(|(id, _)| id.clone()).into_iter().collect());
    }
    texts.iter().map(|text| Ok(error::named(&d.groups, text)?.0)).collect()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Named {
    network_interface_id: String,
}

pub(super) async fn delete(service: &Service, _: &Caller, input: Named) -> Result<Value, AwsError> {
    let edit = service.network.edit(|draft| {
        let (id, interface) = error::named(&draft.interfaces, &input.network_interface_id)?;
        if interface.attachment.is_some() || interface.requester_managed {
            let text = format!("Network interface '{id}' is currently in use.");
            return Err(refused("InvalidParameterValue", text));
        }
        interfaces::delete(draft, &id)
    });
    edit.await?;
    Ok(json!({}))
}

/// An interface that its user may change: not one that a service made for itself.
pub(super) fn own<'a>(
    draft: &'a Draft,
    text: &str,
) -> Result<(InterfaceId, &'a Interface), AwsError> {
    let (id, interface) = error::named(&draft.interfaces, text)?;
    if interface.requester_managed {
        let owner = interface.attachment.as_ref().map_or("a service", |of| of.owner.as_str());
        let text = format!("The network interface '{id}' is managed by {owner}.");
        return Err(refused("OperationNotPermitted", text));
    }
    Ok((id, interface))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Modify {
    network_interface_id: String,
    description: Option<Text>,
    groups: Option<Vec<String>>,
    source_dest_check: Option<Flag>,
}

/// `AttributeValue`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Text {
    #[serde(default)]
    value: String,
}

pub(super) async fn modify(
    service: &Service,
    _: &Caller,
    input: Modify,
) -> Result<Value, AwsError> {
    let given =
        [input.description.is_some(), input.groups.is_some(), input.source_dest_check.is_some()];
    match given.iter().filter(|of| **of).count() {
        0 => return Err(super::request::missing_parameter("attribute")),
        1 => {}
        _ => {
            let text = "Fields for multiple attribute types specified: description, groupSet, \
                        sourceDestCheck";
            return Err(refused("InvalidParameterCombination", text));
        }
    }
    let edit = service.network.edit(|draft| {
        let (id, interface) = own(draft, &input.network_interface_id)?;
        let subnet = interface.subnet.clone();
        let groups = input.groups.as_deref();
        let groups = groups.map(|texts| read_groups(draft, &subnet, texts)).transpose()?;
        if let Some(groups) = &groups {
            interfaces::check_groups(draft, &subnet, groups)?;
        }
        let interface = error::get_mut(&mut draft.interfaces, &id)?;
        if let Some(groups) = groups {
            interface.groups = interfaces::each_once(groups);
        }
        if let Some(text) = input.description {
            interface.description = text.value;
        }
        if let Some(flag) = input.source_dest_check {
            interface.source_dest_check = flag.value;
        }
        Ok(())
    });
    edit.await?;
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Attribute {
    network_interface_id: String,
    attribute: Option<String>,
}

pub(super) async fn attribute(
    service: &Service,
    _: &Caller,
    input: Attribute,
) -> Result<Value, AwsError> {
    let now = service.network.current();
    let (id, interface) = error::named(&now.interfaces, &input.network_interface_id)?;
    let attribute =
        input.attribute.ok_or_else(|| super::request::missing_parameter("attribute"))?;
    let (name, value) = match attribute.as_str() {
        "description" => ("Description", json!({"Value": interface.description})),
        "groupSet" => ("Groups", groups(&now, interface)),
        "sourceDestCheck" => ("SourceDestCheck", json!({"Value": interface.source_dest_check})),
        "attachment" => ("Attachment", super::interface_shown::attachment(&now, &id, interface)),
        // Of an instance's first interface; there are none.
        _ => ("AssociatePublicIpAddress", false.into()),
    };
    Ok(json!({"NetworkInterfaceId": id.as_str(), name: value}))
}
