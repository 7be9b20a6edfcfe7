//! VPCs, their attributes and their blocks.

use super::listing::{Filters, Listing};
use super::tags::{self, TagSpecification};
use super::{block, places};
use crate::network::error::{self, dependency, invalid, refused};
use crate::network::{Topology, defaults, quotas, vpcs};
use crate::service::{Caller, Service};
use belljar_aws::AwsError;
use belljar_vpc::Description;
use belljar_vpc::id::VpcId;
use belljar_vpc::network::{PeeringStatus, Vpc};
use ipnet::IpNet;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Create {
    cidr_block: Option<String>,
    #[serde(default)]
    amazon_provided_ipv6_cidr_block: bool,
    instance_tenancy: Option<String>,
    #[serde(default)]
    tag_specifications: Vec<TagSpecification>,
}

pub(super) async fn create(
    service: &Service,
    _: &Caller,
    input: Create,
) -> Result<Value, AwsError> {
    let tags = tags::of(&input.tag_specifications, "vpc")?;
    if let Some(other) = input.instance_tenancy.filter(|tenancy| tenancy != "default") {
        let text = format!("Belljar does not serve InstanceTenancy {other} of CreateVpc.");
        return Err(refused("UnsupportedOperation", text));
    }
    let text = input.cidr_block.ok_or_else(|| super::request::missing_parameter("cidrBlock"))?;
    let cidr = block::of_vpc(&text)?;
    let edit = service.network.edit(|draft| {
        check_count(draft)?;
        let made = vpcs::create(draft, cidr, false, &service.config.region);
        if input.amazon_provided_ipv6_cidr_block {
            super::vpc_block::provide_v6(draft, &made.vpc)?;
        }
        draft.tag(made.vpc.as_str(), tags);
        Ok(made.vpc)
    });
    let (id, now) = edit.await?;
    Ok(json!({"Vpc": shown(service, &now, &id, error::get(&now.vpcs, &id)?)}))
}

fn check_count(d: &Description) -> Result<(), AwsError> {
    if d.vpcs.len() < quotas::VPCS {
        return Ok(());
    }
    Err(refused("VpcLimitExceeded", "The maximum number of VPCs has been reached."))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

pub(super) async fn create_default(
    service: &Service,
    _: &Caller,
    Nothing {}: Nothing,
) -> Result<Value, AwsError> {
    let edit = service.network.edit(|draft| {
        if let Some((id, _)) = draft.vpcs.iter().find(|(_, vpc)| vpc.is_default) {
            let text =
                format!("A Default VPC already exists for this account in this region: '{id}'.");
            return Err(refused("DefaultVpcAlreadyExists", text));
        }
        check_count(draft)?;
        Ok(defaults::default_vpc(draft, &service.config.region, &service.config.zones))
    });
    let (id, now) = edit.await?;
    Ok(json!({"Vpc": shown(service, &now, &id, error::get(&now.vpcs, &id)?)}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Named {
    vpc_id: String,
}

pub(super) async fn delete(service: &Service, _: &Caller, input: Named) -> Result<Value, AwsError> {
    let edit = service.network.edit(|draft| {
        let (id, _) = error::named(&draft.vpcs, &input.vpc_id)?;
        if in_use(draft, &id) {
            let text = format!("The vpc '{id}' has dependencies and cannot be deleted.");
            return Err(dependency(text));
        }
        draft.vpcs.remove(&id);
        let own = draft.groups.values().filter(|group| group.vpc == id);
        let rules: Vec<String> =
            own.flat_map(|g| g.rules.keys().map(ToString::to_string)).collect();
        draft.tags.retain(|of, _| !rules.contains(of));
        draft.groups.retain(|_, group| group.vpc != id);
        draft.acls.retain(|_, acl| acl.vpc != id);
        draft.route_tables.retain(|_, table| table.vpc != id);
        Ok(())
    });
    edit.await?;
    Ok(json!({}))
}

/// Whether there is something in a VPC besides what it had from its start.
fn in_use(d: &Description, id: &VpcId) -> bool {
    d.subnets.values().any(|s| s.vpc == *id)
        || d.groups.values().any(|g| g.vpc == *id && g.name != vpcs::DEFAULT_GROUP)
        || d.acls.values().any(|a| a.vpc == *id && !a.is_default)
        || d.route_tables.values().any(|t| t.vpc == *id && t.main.is_none())
        || d.internet_gateways.values().any(|g| g.vpc.as_ref() == Some(id))
        || d.endpoints.values().any(|e| e.vpc == *id)
        || d.peerings
            .values()
            .any(|p| p.status == PeeringStatus::Active && (p.requester == *id || p.accepter == *id))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Modify {
    vpc_id: String,
    enable_dns_hostnames: Option<Flag>,
    enable_dns_support: Option<Flag>,
}

/// `AttributeBooleanValue`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Flag {
    #[serde(default)]
    pub(super) value: bool,
}

pub(super) async fn modify(
    service: &Service,
    _: &Caller,
    input: Modify,
) -> Result<Value, AwsError> {
    let edit = service.network.edit(|draft| {
        let id = error::id(&input.vpc_id)?;
        let vpc = error::get_mut(&mut draft.vpcs, &id)?;
        match (input.enable_dns_hostnames, input.enable_dns_support) {
            (Some(flag), None) => vpc.dns_hostnames = flag.value,
            (None, Some(flag)) => vpc.dns_support = flag.value,
            (None, None) => return Err(super::request::missing_parameter("attribute")),
            (Some(_), Some(_)) => {
                let text = "Fields for multiple attribute types specified: enableDnsSupport, \
                            enableDnsHostnames";
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
pub(super) struct Attribute {
    vpc_id: String,
    attribute: String,
}

pub(super) async fn attribute(
    service: &Service,
    _: &Caller,
    input: Attribute,
) -> Result<Value, AwsError> {
    let now = service.network.current();
    let (id, vpc) = error::named(&now.vpcs, &input.vpc_id)?;
    let (name, value) = match input.attribute.as_str() {
        "enableDnsHostnames" => ("EnableDnsHostnames", vpc.dns_hostnames),
        "enableDnsSupport" => ("EnableDnsSupport", vpc.dns_support),
        // There are no such metrics here.
        "enableNetworkAddressUsageMetrics" => ("EnableNetworkAddressUsageMetrics", false),
        other => {
            return Err(invalid(format!("Value ({other}) for parameter attribute is invalid.")));
        }
    };
    Ok(json!({"VpcId": id.as_str(), name: {"Value": value}}))
}

const FILTERS: Filters = &[
    ("cidr", "CidrBlock"),
    ("cidr-block-association.association-id", "CidrBlockAssociationSet.AssociationId"),
    ("cidr-block-association.cidr-block", "CidrBlockAssociationSet.CidrBlock"),
    ("cidr-block-association.state", "CidrBlockAssociationSet.CidrBlockState.State"),
    ("dhcp-options-id", "DhcpOptionsId"),
    ("ipv6-cidr-block-association.association-id", "Ipv6CidrBlockAssociationSet.AssociationId"),
    ("ipv6-cidr-block-association.ipv6-cidr-block", "Ipv6CidrBlockAssociationSet.Ipv6CidrBlock"),
    ("ipv6-cidr-block-association.ipv6-pool", "Ipv6CidrBlockAssociationSet.Ipv6Pool"),
    ("ipv6-cidr-block-association.state", "Ipv6CidrBlockAssociationSet.Ipv6CidrBlockState.State"),
    ("is-default", "IsDefault"),
    ("isDefault", "IsDefault"),
    ("owner-id", "OwnerId"),
    ("state", "State"),
    ("vpc-id", "VpcId"),
];

pub(super) async fn describe(
    service: &Service,
    _: &Caller,
    listing: Listing,
) -> Result<Value, AwsError> {
    let now = service.network.current();
    listing.of("Vpcs", ("VpcIds", &now.vpcs), FILTERS, |id, vpc| shown(service, &now, id, vpc))
}

pub(super) fn shown(service: &Service, now: &Topology, id: &VpcId, vpc: &Vpc) -> Value {
    let of = |v6: bool| -> Vec<Value> {
        let wanted = vpc.cidrs.iter().filter(|c| matches!(c.block, IpNet::V6(_)) == v6);
        wanted.map(|c| super::vpc_block::shown(service, c)).collect()
    };
    let v6 = of(true);
    json!({
        "VpcId": id.as_str(),
        "CidrBlock": vpc.blocks_v4().next(),
        "CidrBlockAssociationSet": of(false),
        "Ipv6CidrBlockAssociationSet": (!v6.is_empty()).then_some(v6),
        "DhcpOptionsId": vpc.dhcp_options.as_ref().map_or("default", |id| id.as_str()),
        "InstanceTenancy": "default",
        "IsDefault": vpc.is_default,
        "OwnerId": places::account(service),
        "State": "available",
        "Tags": tags::shown(&now.tags, id.as_str()),
    })
}
