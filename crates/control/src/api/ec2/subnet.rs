//! Subnets.

use super::listing::{Filters, Listing};
use super::tags::{self, TagSpecification};
use super::vpc::Flag;
use super::{block, places};
use crate::network::error::{self, dependency, invalid, refused};
use crate::network::{Draft, Topology, interfaces, quotas, vpcs};
use crate::service::{Caller, Service};
use belljar_aws::AwsError;
use belljar_vpc::id::{SubnetId, VpcId};
use belljar_vpc::network::{Subnet, Vpc};
use ipnet::{IpNet, Ipv6Net};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Create {
    vpc_id: String,
    cidr_block: Option<String>,
    ipv6_cidr_block: Option<String>,
    availability_zone: Option<String>,
    availability_zone_id: Option<String>,
    #[serde(default)]
    tag_specifications: Vec<TagSpecification>,
}

pub(super) async fn create(
    service: &Service,
    _: &Caller,
    input: Create,
) -> Result<Value, AwsError> {
    let tags = tags::of(&input.tag_specifications, "subnet")?;
    let text = input.cidr_block.ok_or_else(|| super::request::missing_parameter("cidrBlock"))?;
    let cidr = block::of_subnet(&text)?;
    let v6 = input.ipv6_cidr_block.as_deref().map(v6_block).transpose()?;
    let named = (input.availability_zone.as_deref(), input.availability_zone_id.as_deref());
    let zone = places::zone(service, named)?;
    let edit = service.network.edit(|draft| {
        let (vpc, record) = error::named(&draft.vpcs, &input.vpc_id)?;
        if draft.subnets.values().filter(|s| s.vpc == vpc).count() >= quotas::SUBNETS {
            let text = "The maximum number of subnets has been reached.";
            return Err(refused("SubnetLimitExceeded", text));
        }
        fits(draft, (&vpc, record), cidr.into(), None)?;
        v6.map_or(Ok(()), |block| fits(draft, (&vpc, record), block.into(), None))?;
        let subnet = Subnet {
            vpc,
            zone,
            block: cidr,
            block_v6: v6,
            association_v6: v6.map(|_| association_v6()),
            map_public_ip: false,
            assign_v6: false,
            default_for_zone: false,
        };
        let id = vpcs::add_subnet(draft, subnet).ok_or_else(AwsError::internal)?;
        draft.tag(id.as_str(), tags);
        Ok(id)
    });
    let (id, now) = edit.await?;
    let counts = interfaces::counts(&now);
    Ok(json!({"Subnet": shown(service, (&now, &counts), &id, error::get(&now.subnets, &id)?)}))
}

fn association_v6() -> String {
    format!("subnet-cidr-assoc-{:017x}", fastrand::u128(..) >> (128 - 68))
}

fn v6_block(text: &str) -> Result<Ipv6Net, AwsError> {
    let block = block::v6(text, "ipv6CidrBlock")?;
    if block.prefix_len() == 64 {
        return Ok(block);
    }
    Err(refused("InvalidSubnet.Range", format!("The CIDR '{block}' is invalid.")))
}

/// Whether a subnet may have a block: it is in its VPC's, and in no other subnet's.
fn fits(
    draft: &Draft,
    (id, vpc): (&VpcId, &Vpc),
    block: IpNet,
    own: Option<&SubnetId>,
) -> Result<(), AwsError> {
    if !vpc.cidrs.iter().any(|c| c.block.contains(&block)) {
        return Err(refused("InvalidSubnet.Range", format!("The CIDR '{block}' is invalid.")));
    }
    let others = draft.subnets.iter().filter(|(of, s)| s.vpc == *id && Some(*of) != own);
    for (_, other) in others {
        let blocks = [Some(other.block.into()), other.block_v6.map(IpNet::from)];
        if blocks.iter().flatten().any(|of| block::overlap(of, &block)) {
            let text = format!("The CIDR '{block}' conflicts with another subnet");
            return Err(refused("InvalidSubnet.Conflict", text));
        }
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Named {
    subnet_id: String,
}

pub(super) async fn delete(service: &Service, _: &Caller, input: Named) -> Result<Value, AwsError> {
    let edit = service.network.edit(|draft| {
        let (id, _) = error::named(&draft.subnets, &input.subnet_id)?;
        if draft.interfaces.values().any(|interface| interface.subnet == id) {
            let text = format!("The subnet '{id}' has dependencies and cannot be deleted.");
            return Err(dependency(text));
        }
        draft.subnets.remove(&id);
        for acl in draft.acls.values_mut().filter(|a| a.associations.contains_key(&id)) {
            Arc::make_mut(acl).associations.remove(&id);
        }
        for table in draft.route_tables.values_mut().filter(|t| t.associations.contains_key(&id)) {
            Arc::make_mut(table).associations.remove(&id);
        }
        Ok(())
    });
    edit.await?;
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Modify {
    subnet_id: String,
    map_public_ip_on_launch: Option<Flag>,
    assign_ipv6_address_on_creation: Option<Flag>,
}

pub(super) async fn modify(
    service: &Service,
    _: &Caller,
    input: Modify,
) -> Result<Value, AwsError> {
    let edit = service.network.edit(|draft| {
        let id = error::id(&input.subnet_id)?;
        let subnet = error::get_mut(&mut draft.subnets, &id)?;
        match (input.map_public_ip_on_launch, input.assign_ipv6_address_on_creation) {
            (Some(flag), None) => subnet.map_public_ip = flag.value,
            (None, Some(flag)) if flag.value && subnet.block_v6.is_none() => {
                return Err(invalid(format!("The subnet '{id}' has no IPv6 CIDR block.")));
            }
            (None, Some(flag)) => subnet.assign_v6 = flag.value,
            (None, None) => return Err(super::request::missing_parameter("attribute")),
            (Some(_), Some(_)) => {
                let text = "Fields for multiple attribute types specified: \
                            assignIpv6AddressOnCreation, mapPublicIpOnLaunch";
                return Err(refused("InvalidParameterCombination", text));
            }
        }
        Ok(())
    });
    edit.await?;
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Associate {
    subnet_id: String,
    ipv6_cidr_block: Option<String>,
}

pub(super) async fn associate(
    service: &Service,
    _: &Caller,
    input: Associate,
) -> Result<Value, AwsError> {
    let text = input.ipv6_cidr_block;
    let text = text.ok_or_else(|| super::request::missing_parameter("ipv6CidrBlock"))?;
    let block = v6_block(&text)?;
    let edit = service.network.edit(|draft| {
        let (id, subnet) = error::named(&draft.subnets, &input.subnet_id)?;
        if subnet.block_v6.is_some() {
            let text = format!("The subnet '{id}' already has an IPv6 CIDR block.");
            return Err(refused("SubnetCidrLimitExceeded", text));
        }
        let vpc = error::get(&draft.vpcs, &subnet.vpc)?;
        fits(draft, (&subnet.vpc, vpc), block.into(), Some(&id))?;
        let subnet = error::get_mut(&mut draft.subnets, &id)?;
        subnet.block_v6 = Some(block);
        subnet.association_v6 = Some(association_v6());
        Ok(subnet_v6(subnet, "associated"))
    });
    let (association, _) = edit.await?;
    Ok(json!({"SubnetId": input.subnet_id, "Ipv6CidrBlockAssociation": association}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Disassociate {
    association_id: String,
}

pub(super) async fn disassociate(
    service: &Service,
    _: &Caller,
    input: Disassociate,
) -> Result<Value, AwsError> {
    let of = Some(input.association_id.as_str());
    let edit = service.network.edit(|draft| {
        let found = draft.subnets.iter().find(|(_, s)| s.association_v6.as_deref() == of);
        let id = found.map(|(id, _)| id.clone()).ok_or_else(|| {
            let text = format!(
                "The subnet CIDR block association ID '{}' does not exist",
                input.association_id
            );
            refused("InvalidSubnetCidrBlockAssociationID.NotFound", text)
        })?;
        if draft.interfaces.values().any(|i| i.subnet == id && !i.addresses_v6.is_empty()) {
            let text = format!("The IPv6 CIDR block of the subnet '{id}' is in use.");
            return Err(dependency(text));
        }
        let subnet = error::get_mut(&mut draft.subnets, &id)?;
        let association = subnet_v6(subnet, "disassociated");
        subnet.block_v6 = None;
        subnet.association_v6 = None;
        subnet.assign_v6 = false;
        Ok((id, association))
    });
    let ((id, association), _) = edit.await?;
    Ok(json!({"SubnetId": id.as_str(), "Ipv6CidrBlockAssociation": association}))
}

fn subnet_v6(subnet: &Subnet, state: &str) -> Value {
    json!({
        "AssociationId": subnet.association_v6,
        "Ipv6CidrBlock": subnet.block_v6,
        "Ipv6CidrBlockState": {"State": state},
        "IpSource": "amazon",
    })
}

const FILTERS: Filters = &[
    ("availability-zone", "AvailabilityZone"),
    ("availabilityZone", "AvailabilityZone"),
    ("availability-zone-id", "AvailabilityZoneId"),
    ("available-ip-address-count", "AvailableIpAddressCount"),
    ("cidr-block", "CidrBlock"),
    ("cidr", "CidrBlock"),
    ("cidrBlock", "CidrBlock"),
    ("customer-owned-ipv4-pool", "CustomerOwnedIpv4Pool"),
    ("default-for-az", "DefaultForAz"),
    ("defaultForAz", "DefaultForAz"),
    ("enable-dns64", "EnableDns64"),
    ("enable-lni-at-device-index", "EnableLniAtDeviceIndex"),
    ("ipv6-cidr-block-association.association-id", "Ipv6CidrBlockAssociationSet.AssociationId"),
    ("ipv6-cidr-block-association.ipv6-cidr-block", "Ipv6CidrBlockAssociationSet.Ipv6CidrBlock"),
    ("ipv6-cidr-block-association.state", "Ipv6CidrBlockAssociationSet.Ipv6CidrBlockState.State"),
    ("ipv6-native", "Ipv6Native"),
    ("map-customer-owned-ip-on-launch", "MapCustomerOwnedIpOnLaunch"),
    ("map-public-ip-on-launch", "MapPublicIpOnLaunch"),
    ("outpost-arn", "OutpostArn"),
    ("owner-id", "OwnerId"),
    (
        "private-dns-name-options-on-launch.enable-resource-name-dns-a-record",
        "PrivateDnsNameOptionsOnLaunch.EnableResourceNameDnsARecord",
    ),
    (
        "private-dns-name-options-on-launch.enable-resource-name-dns-aaaa-record",
        "PrivateDnsNameOptionsOnLaunch.EnableResourceNameDnsAAAARecord",
    ),
    (
        "private-dns-name-options-on-launch.hostname-type",
        "PrivateDnsNameOptionsOnLaunch.HostnameType",
    ),
    ("state", "State"),
    ("subnet-arn", "SubnetArn"),
    ("subnet-id", "SubnetId"),
    ("vpc-id", "VpcId"),
];

pub(super) async fn describe(
    service: &Service,
    _: &Caller,
    listing: Listing,
) -> Result<Value, AwsError> {
    let now = service.network.current();
    let counts = interfaces::counts(&now);
    listing.of("Subnets", ("SubnetIds", &now.subnets), FILTERS, |id, subnet| {
        shown(service, (&now, &counts), id, subnet)
    })
}

pub(super) fn shown(
    service: &Service,
    (now, counts): (&Topology, &BTreeMap<&SubnetId, usize>),
    id: &SubnetId,
    subnet: &Subnet,
) -> Value {
    let used = counts.get(id).copied().unwrap_or_default();
    let v6: Vec<Value> = subnet.block_v6.iter().map(|_| subnet_v6(subnet, "associated")).collect();
    json!({
        "SubnetId": id.as_str(),
        "SubnetArn": places::arn(service, "subnet", id.as_str()),
        "VpcId": subnet.vpc.as_str(),
        "OwnerId": places::account(service),
        "AvailabilityZone": subnet.zone,
        "AvailabilityZoneId": places::zone_id(service, &subnet.zone),
        "AvailableIpAddressCount": subnet.capacity().saturating_sub(used),
        "CidrBlock": subnet.block,
        "Ipv6CidrBlockAssociationSet": v6,
        "AssignIpv6AddressOnCreation": subnet.assign_v6,
        "DefaultForAz": subnet.default_for_zone,
        "MapPublicIpOnLaunch": subnet.map_public_ip,
        "MapCustomerOwnedIpOnLaunch": false,
        "EnableDns64": false,
        "Ipv6Native": false,
        // What the names of EC2's instances would be made of; there are none.
        "PrivateDnsNameOptionsOnLaunch": {
            "HostnameType": "ip-name",
            "EnableResourceNameDnsARecord": false,
            "EnableResourceNameDnsAAAARecord": false,
        },
        "State": "available",
        "Tags": tags::shown(&now.tags, id.as_str()),
    })
}
