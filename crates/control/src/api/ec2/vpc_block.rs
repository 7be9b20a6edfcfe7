//! The blocks of a VPC beside its first.

use super::{block, peering, places};
use crate::network::error::{self, dependency, refused};
use crate::network::{Draft, quotas, vpcs};
use crate::service::{Caller, Service};
use belljar_aws::AwsError;
use belljar_vpc::id::{CidrAssociationId, VpcId};
use belljar_vpc::network::{RouteDestination, VpcCidr};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::Deserialize;
use serde_json::{Value, json};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Where Amazon's IPv6 blocks are from.
const AMAZON: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0x2600, 0x1f00, 0, 0, 0, 0, 0, 0), 24);
/// The length of the prefix of each.
const LENGTH: u8 = 56;

/// The private ranges (RFC 1918), of which a VPC has blocks of one at most.
const PRIVATE: [Ipv4Net; 3] = [
    Ipv4Net::new_assert(Ipv4Addr::new(10, 0, 0, 0), 8),
    Ipv4Net::new_assert(Ipv4Addr::new(172, 16, 0, 0), 12),
    Ipv4Net::new_assert(Ipv4Addr::new(192, 168, 0, 0), 16),
];
/// What cannot be a further block of a VPC whose first one is of some range.
const NEVER: [(Ipv4Net, Ipv4Net); 3] = [
    (
        Ipv4Net::new_assert(Ipv4Addr::new(198, 19, 0, 0), 16),
        Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 0),
    ),
    (
        Ipv4Net::new_assert(Ipv4Addr::new(172, 31, 0, 0), 16),
        Ipv4Net::new_assert(Ipv4Addr::new(172, 16, 0, 0), 12),
    ),
    (
        Ipv4Net::new_assert(Ipv4Addr::new(10, 0, 0, 0), 16),
        Ipv4Net::new_assert(Ipv4Addr::new(10, 0, 0, 0), 15),
    ),
];

/// Gives a VPC an IPv6 block of Amazon's.
///
/// # Errors
/// If it is not there, or has as many as there may be.
pub(super) fn provide_v6(draft: &mut Draft, id: &VpcId) -> Result<VpcCidr, AwsError> {
    let taken = |block: &IpNet| {
        draft.vpcs.values().any(|v| v.cidrs.iter().any(|c| block::overlap(&c.block, block)))
    };
    let mut block = any_v6();
    while taken(&block) {
        block = any_v6();
    }
    let first = !error::get(&draft.vpcs, id)?.cidrs.iter().any(|c| c.block.network().is_ipv6());
    let cidr = add(draft, id, block)?;
    if first {
        vpcs::allow_v6(draft, id);
    }
    Ok(cidr)
}

fn any_v6() -> IpNet {
    let own = fastrand::u128(..) >> AMAZON.prefix_len() >> (128 - LENGTH) << (128 - LENGTH);
    let address = Ipv6Addr::from_bits(AMAZON.network().to_bits() | own);
    IpNet::V6(Ipv6Net::new_assert(address, LENGTH)).trunc()
}

/// Adds an IPv4 block, if it is one that may go with the others (VPC User Guide, "VPC CIDR blocks").
fn add_v4(draft: &mut Draft, id: &VpcId, text: &str) -> Result<VpcCidr, AwsError> {
    let block = block::of_vpc(text)?;
    if error::get(&draft.vpcs, id)?.blocks_v4().next().is_some_and(|first| restricted(first, block))
    {
        let text = format!(
            "The CIDR '{block}' is restricted. Use a CIDR from the same private address range as \
             the current VPC CIDR, or use a publicly-routable CIDR. For additional restrictions, \
             see https://docs.aws.amazon.com/vpc/latest/userguide/vpc-cidr-blocks.html"
        );
        return Err(refused("InvalidVpc.Range", text));
    }
    // The local route of a block that is another route's, or has it within, would take its place.
    let block = IpNet::V4(block);
    let tables = draft.route_tables.iter().filter(|(_, table)| table.vpc == *id);
    let within =
        |to: &RouteDestination| matches!(to, RouteDestination::Cidr(to) if block.contains(to));
    for (table, record) in tables {
        if let Some(route) = record.routes.iter().find(|route| within(&route.destination)) {
            let to = super::route::written(&route.destination);
            let text = format!(
                "The CIDR '{block}' is the same as, or larger than, the route to {to} in {table}."
            );
            return Err(refused("InvalidVpc.Range", text));
        }
    }
    add(draft, id, block)
}

/// Whether a block cannot be added to a VPC whose first one is `first`.
fn restricted(first: Ipv4Net, block: Ipv4Net) -> bool {
    let range = |of: &Ipv4Net| PRIVATE.iter().find(|range| range.contains(of));
    let never =
        |(never, firsts): &(Ipv4Net, Ipv4Net)| firsts.contains(&first) && never.contains(&block);
    (range(&block).is_some() && range(&block) != range(&first)) || NEVER.iter().any(never)
}

fn add(draft: &mut Draft, id: &VpcId, block: IpNet) -> Result<VpcCidr, AwsError> {
    let cidr = VpcCidr { association: draft.fresh(), block };
    if peering::asks(draft, id) {
        let text = format!("The VPC '{id}' has asked for a peering connection, which is pending.");
        return Err(refused("OperationNotPermitted", text));
    }
    if peering::is_peers(draft, id, &block) {
        let text = format!("The CIDR '{block}' is one of a peered VPC.");
        return Err(refused("InvalidVpc.Range", text));
    }
    let vpc = error::get_mut(&mut draft.vpcs, id)?;
    let v6 = matches!(block, IpNet::V6(_));
    let most = if v6 { quotas::BLOCKS_V6 } else { quotas::BLOCKS_V4 };
    if vpc.cidrs.iter().filter(|c| matches!(c.block, IpNet::V6(_)) == v6).count() >= most {
        let text =
            format!("This network '{id}' has met its maximum number of allowed CIDRs: {most}");
        return Err(refused("CidrLimitExceeded", text));
    }
    if let Some(other) = vpc.cidrs.iter().find(|c| block::overlap(&c.block, &block)) {
        let text =
            format!("The CIDR '{block}' conflicts with the CIDR '{}' of the VPC.", other.block);
        return Err(refused("CidrConflict", text));
    }
    vpc.cidrs.push(cidr.clone());
    Ok(cidr)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Associate {
    vpc_id: String,
    cidr_block: Option<String>,
    #[serde(default)]
    amazon_provided_ipv6_cidr_block: bool,
}

pub(super) async fn associate(
    service: &Service,
    _: &Caller,
    input: Associate,
) -> Result<Value, AwsError> {
    let edit = service.network.edit(|draft| {
        let (id, _) = error::named(&draft.vpcs, &input.vpc_id)?;
        match (&input.cidr_block, input.amazon_provided_ipv6_cidr_block) {
            (Some(text), false) => add_v4(draft, &id, text),
            (None, true) => provide_v6(draft, &id),
            (None, false) => Err(super::request::missing_parameter("cidrBlock")),
            (Some(_), true) => {
                let text = "Only one of cidrBlock and amazonProvidedIpv6CidrBlock may be given.";
                Err(refused("InvalidParameterCombination", text))
            }
        }
    });
    let (cidr, _) = edit.await?;
    Ok(answer(service, &input.vpc_id, &cidr))
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
    let edit = service.network.edit(|draft| {
        let association: CidrAssociationId = error::id(&input.association_id)?;
        let place = draft.vpcs.iter().find_map(|(id, vpc)| {
            let at = vpc.cidrs.iter().position(|c| c.association == association)?;
            Some((id.clone(), at))
        });
        let (id, at) = place.ok_or_else(|| error::not_found(&association))?;
        if at == 0 {
            let text = format!(
                "The vpc CIDR block with association ID {association} may not be disassociated. \
                 It is the primary IPv4 CIDR block of the VPC"
            );
            return Err(refused("OperationNotPermitted", text));
        }
        let cidr = error::get_mut(&mut draft.vpcs, &id)?.cidrs.remove(at);
        let inside = |block: IpNet| cidr.block.contains(&block);
        if draft.subnets.values().any(|s| {
            s.vpc == id && (inside(s.block.into()) || s.block_v6.is_some_and(|b| inside(b.into())))
        }) {
            let text = format!("The vpc CIDR block '{}' is in use by subnets.", cidr.block);
            return Err(dependency(text));
        }
        Ok((id, cidr))
    });
    let ((id, cidr), _) = edit.await?;
    let mut answer = answer(service, id.as_str(), &cidr);
    for (set, state) in [
        ("CidrBlockAssociation", "CidrBlockState"),
        ("Ipv6CidrBlockAssociation", "Ipv6CidrBlockState"),
    ] {
        if answer.get(set).is_some() {
            answer[set][state] = json!({"State": "disassociated"});
        }
    }
    Ok(answer)
}

fn answer(service: &Service, vpc: &str, cidr: &VpcCidr) -> Value {
    let set = match cidr.block {
        IpNet::V4(_) => "CidrBlockAssociation",
        IpNet::V6(_) => "Ipv6CidrBlockAssociation",
    };
    json!({"VpcId": vpc, set: shown(service, cidr)})
}

pub(super) fn shown(service: &Service, cidr: &VpcCidr) -> Value {
    let state = json!({"State": "associated"});
    match cidr.block {
        IpNet::V4(block) => json!({
            "AssociationId": cidr.association.as_str(),
            "CidrBlock": block,
            "CidrBlockState": state,
        }),
        IpNet::V6(block) => json!({
            "AssociationId": cidr.association.as_str(),
            "Ipv6CidrBlock": block,
            "Ipv6CidrBlockState": state,
            "Ipv6Pool": "Amazon",
            "IpSource": "amazon",
            "NetworkBorderGroup": places::region(service),
        }),
    }
}
