//! Elastic addresses.

use super::listing::{Filters, Listing};
use super::places;
use super::tags::{self, TagSpecification};
use crate::network::error::{self, invalid, refused};
use crate::network::{Draft, Topology, quotas};
use crate::service::{Caller, Service};
use belljar_aws::AwsError;
use belljar_vpc::Description;
use belljar_vpc::id::{AddressAssociationId, AllocationId, InterfaceId};
use belljar_vpc::network::ElasticAddress;
use serde::Deserialize;
use serde_json::{Value, json};
use std::net::Ipv4Addr;
use std::sync::Arc;

/// Where elastic addresses are taken from: one of the blocks for documentation (RFC 5737), which
/// are nobody's on the internet.
const POOL: ipnet::Ipv4Net = ipnet::Ipv4Net::new_assert(Ipv4Addr::new(203, 0, 113, 0), 24);

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Allocate {
    domain: Option<String>,
    public_ipv4_pool: Option<String>,
    network_border_group: Option<String>,
    #[serde(default)]
    tag_specifications: Vec<TagSpecification>,
}

pub(super) async fn allocate(
    service: &Service,
    _: &Caller,
    input: Allocate,
) -> Result<Value, AwsError> {
    let tags = tags::of(&input.tag_specifications, "elastic-ip")?;
    for (given, only, what) in [
        (&input.domain, "vpc", "Domain"),
        (&input.public_ipv4_pool, "amazon", "PublicIpv4Pool"),
        (&input.network_border_group, places::region(service), "NetworkBorderGroup"),
    ] {
        if let Some(other) = given.as_ref().filter(|given| *given != only) {
            let text = format!("Belljar does not serve {what} {other} of AllocateAddress.");
            return Err(refused("UnsupportedOperation", text));
        }
    }
    let edit = service.network.edit(|draft| {
        if draft.addresses.len() >= quotas::ELASTIC_ADDRESSES {
            let text = "The maximum number of addresses has been reached.";
            return Err(refused("AddressLimitExceeded", text));
        }
        let none = || refused("InsufficientAddressCapacity", "There is no free address.");
        let public = free(draft).ok_or_else(none)?;
        let id: AllocationId = draft.fresh();
        let address = ElasticAddress { public, association: None };
        draft.addresses.insert(id.clone(), Arc::new(address));
        draft.tag(id.as_str(), tags);
        Ok((id, public))
    });
    let ((id, public), _) = edit.await?;
    Ok(json!({
        "AllocationId": id.as_str(),
        "PublicIp": public,
        "PublicIpv4Pool": "amazon",
        "NetworkBorderGroup": places::region(service),
        "Domain": "vpc",
    }))
}

/// An address of the pool that nobody has.
fn free(d: &Description) -> Option<Ipv4Addr> {
    let elastic = d.addresses.values().map(|a| a.public);
    let given = d.interfaces.values().flat_map(|i| i.addresses.iter().filter_map(|a| a.public));
    let taken: Vec<Ipv4Addr> = elastic.chain(given).collect();
    POOL.hosts().find(|address| !taken.contains(address))
}

/// An address that is named in one of two ways.
fn named(
    draft: &Draft,
    allocation: Option<&str>,
    public: Option<&str>,
) -> Result<AllocationId, AwsError> {
    match (allocation, public) {
        (Some(id), None) => Ok(error::named(&draft.addresses, id)?.0),
        (None, Some(text)) => {
            let address: Option<Ipv4Addr> = text.parse().ok();
            let address =
                address.ok_or_else(|| invalid(format!("Invalid IPv4 address: {text}")))?;
            let found = draft.addresses.iter().find(|(_, a)| a.public == address);
            let none =
                || refused("InvalidAddress.NotFound", format!("Address '{text}' not found."));
            Ok(found.ok_or_else(none)?.0.clone())
        }
        (None, None) => Err(super::request::missing_parameter("AllocationId")),
        (Some(_), Some(_)) => {
            let text = "You may specify public IP or allocation id, but not both in the same call";
            Err(refused("InvalidParameterCombination", text))
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Release {
    allocation_id: Option<String>,
    public_ip: Option<String>,
    network_border_group: Option<String>,
}

pub(super) async fn release(
    service: &Service,
    _: &Caller,
    input: Release,
) -> Result<Value, AwsError> {
    let group = input.network_border_group.as_ref();
    if let Some(other) = group.filter(|group| *group != places::region(service)) {
        return Err(invalid(format!("The network border group {other} is not the address's.")));
    }
    let edit = service.network.edit(|draft| {
        let id = named(draft, input.allocation_id.as_deref(), input.public_ip.as_deref())?;
        let address = error::get(&draft.addresses, &id)?;
        if address.association.is_some() {
            let text = format!("Address {} is in use.", address.public);
            return Err(refused("InvalidIPAddress.InUse", text));
        }
        draft.addresses.remove(&id);
        Ok(())
    });
    edit.await?;
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Associate {
    allocation_id: Option<String>,
    public_ip: Option<String>,
    network_interface_id: Option<String>,
    private_ip_address: Option<String>,
    allow_reassociation: Option<bool>,
}

pub(super) async fn associate(
    service: &Service,
    _: &Caller,
    input: Associate,
) -> Result<Value, AwsError> {
    let interface = input.network_interface_id.as_deref();
    let interface =
        interface.ok_or_else(|| super::request::missing_parameter("networkInterfaceId"))?;
    let edit = service.network.edit(|draft| {
        let id = named(draft, input.allocation_id.as_deref(), input.public_ip.as_deref())?;
        let (to, record) = error::named(&draft.interfaces, interface)?;
        if record.requester_managed && record.kind != "interface" {
            return Err(managed(&to));
        }
        let private =
            match &input.private_ip_address {
                None => record.primary(),
                Some(text) => {
                    let has = |a: &Ipv4Addr| record.addresses.iter().any(|own| own.address == *a);
                    let given = text.parse().ok().filter(has);
                    Some(given.ok_or_else(|| {
                        invalid(format!("The address {text} is not one of {to}."))
                    })?)
                }
            };
        let private = private.ok_or_else(|| invalid(format!("{to} has no IPv4 address.")))?;
        let again = input.allow_reassociation != Some(false);
        attach(draft, &id, (&to, private), again)
    });
    let (association, _) = edit.await?;
    Ok(json!({"AssociationId": association.as_str()}))
}

/// Gives an elastic address to a private address of an interface.
pub(super) fn attach(
    draft: &mut Draft,
    id: &AllocationId,
    (interface, private): (&InterfaceId, Ipv4Addr),
    again: bool,
) -> Result<AddressAssociationId, AwsError> {
    let of = error::get(&draft.interfaces, interface)?;
    let vpc = &error::get(&draft.subnets, &of.subnet)?.vpc;
    if !draft.internet_gateways.values().any(|gateway| gateway.vpc.as_ref() == Some(vpc)) {
        let text = format!("Network {vpc} is not attached to any internet gateway");
        return Err(refused("Gateway.NotAttached", text));
    }
    let already = |what: &dyn std::fmt::Display, association: &AddressAssociationId| {
        let text = format!("resource {what} is already associated with associate-id {association}");
        refused("Resource.AlreadyAssociated", text)
    };
    if let Some((association, other, _)) = &error::get(&draft.addresses, id)?.association {
        let nat = draft.nat_gateways.values().any(|gateway| gateway.interface == *other);
        if !again || nat {
            return Err(already(id, association));
        }
    }
    let taken = draft.addresses.iter().find(|(other, address)| {
        *other != id
            && address.association.as_ref().is_some_and(|(_, i, p)| i == interface && *p == private)
    });
    if let Some((other, address)) = taken.map(|(other, address)| (other.clone(), address.clone())) {
        if let Some((association, ..)) = address.association.as_ref().filter(|_| !again) {
            return Err(already(interface, association));
        }
        error::get_mut(&mut draft.addresses, &other)?.association = None;
    }
    let association: AddressAssociationId = draft.fresh();
    error::get_mut(&mut draft.addresses, id)?.association =
        Some((association.clone(), interface.clone(), private));
    Ok(association)
}

fn managed(id: &InterfaceId) -> AwsError {
    let text = format!("You do not have permission to access the specified resource: {id}.");
    refused("OperationNotPermitted", text)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Disassociate {
    association_id: Option<String>,
    public_ip: Option<String>,
}

pub(super) async fn disassociate(
    service: &Service,
    _: &Caller,
    input: Disassociate,
) -> Result<Value, AwsError> {
    let edit = service.network.edit(|draft| {
        let id = match (&input.association_id, &input.public_ip) {
            (Some(text), None) => {
                let association: AddressAssociationId = error::id(text)?;
                let has = |a: &ElasticAddress| {
                    a.association.as_ref().is_some_and(|(id, ..)| *id == association)
                };
                let found = draft.addresses.iter().find(|(_, a)| has(a));
                found.ok_or_else(|| error::not_found(&association))?.0.clone()
            }
            (_, public) => named(draft, None, public.as_deref())?,
        };
        let address = error::get(&draft.addresses, &id)?;
        let Some((_, interface, _)) = &address.association else {
            let text = format!("Address '{}' is not associated.", address.public);
            return Err(refused("InvalidAddress.NotFound", text));
        };
        let of_nat = |g: &Arc<belljar_vpc::network::NatGateway>| g.interface == *interface;
        if draft.nat_gateways.values().any(of_nat) {
            return Err(managed(interface));
        }
        error::get_mut(&mut draft.addresses, &id)?.association = None;
        Ok(())
    });
    edit.await?;
    Ok(json!({}))
}

const FILTERS: Filters = &[
    ("allocation-id", "AllocationId"),
    ("association-id", "AssociationId"),
    ("domain", "Domain"),
    ("instance-id", "InstanceId"),
    ("network-border-group", "NetworkBorderGroup"),
    ("network-interface-id", "NetworkInterfaceId"),
    ("network-interface-owner-id", "NetworkInterfaceOwnerId"),
    ("private-ip-address", "PrivateIpAddress"),
    ("public-ip", "PublicIp"),
];

pub(super) async fn describe(
    service: &Service,
    _: &Caller,
    mut listing: Listing,
) -> Result<Value, AwsError> {
    let now = service.network.current();
    let public: Vec<String> = listing.take("PublicIps")?;
    let mut addresses = now.addresses.clone();
    for text in &public {
        if !addresses.values().any(|a| a.public.to_string() == *text) {
            let text = format!("Address '{text}' not found.");
            return Err(refused("InvalidAddress.NotFound", text));
        }
    }
    if !public.is_empty() {
        addresses.retain(|_, a| public.contains(&a.public.to_string()));
    }
    listing.of("Addresses", ("AllocationIds", &addresses), FILTERS, |id, address| {
        shown(service, &now, id, address)
    })
}

fn shown(service: &Service, now: &Topology, id: &AllocationId, address: &ElasticAddress) -> Value {
    let mut shown = json!({
        "AllocationId": id.as_str(),
        "PublicIp": address.public,
        "PublicIpv4Pool": "amazon",
        "NetworkBorderGroup": places::region(service),
        "Domain": "vpc",
        "Tags": tags::shown(&now.tags, id.as_str()),
    });
    if let Some((association, interface, private)) = &address.association {
        shown["AssociationId"] = association.as_str().into();
        shown["NetworkInterfaceId"] = interface.as_str().into();
        shown["NetworkInterfaceOwnerId"] = places::account(service).into();
        shown["PrivateIpAddress"] = json!(private);
    }
    shown
}

/// The names that addresses have in the reverse DNS: none, for there is nothing that gives them any.
pub(super) async fn attribute(
    service: &Service,
    _: &Caller,
    mut listing: Listing,
) -> Result<Value, AwsError> {
    // The model has one attribute, `domain-name`.
    let _: Option<String> = listing.take("Attribute")?;
    let now = service.network.current();
    listing.of(
        "Addresses",
        ("AllocationIds", &now.addresses),
        &[],
        |id, address| json!({"AllocationId": id.as_str(), "PublicIp": address.public}),
    )
}
