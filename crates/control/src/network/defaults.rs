//! What there is before anybody made anything.

use super::{Draft, vpcs};
use belljar_vpc::id::{DhcpOptionsId, InternetGatewayId, SubnetId, VpcId};
use belljar_vpc::network::{
    DhcpOptions, InternetGateway, Origin, PROVIDED, PrefixList, Route, RouteDestination, Subnet,
    Target,
};
use ipnet::Ipv4Net;
use std::net::Ipv4Addr;
use std::sync::Arc;

/// The default VPC's block (VPC User Guide, "Default VPCs").
const BLOCK: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(172, 31, 0, 0), 16);
/// The length of the prefix of each of its subnets.
const SUBNET: u8 = 20;
/// The addresses of S3: those of its prefix list in `us-east-1`, whatever the region is.
const S3: [Ipv4Net; 3] = [
    Ipv4Net::new_assert(Ipv4Addr::new(3, 5, 0, 0), 19),
    Ipv4Net::new_assert(Ipv4Addr::new(52, 216, 0, 0), 15),
    Ipv4Net::new_assert(Ipv4Addr::new(54, 231, 0, 0), 16),
];

/// AWS's prefix lists for a region, as far as they are not there.
pub(super) fn prefix_lists(draft: &mut Draft, region: &str) {
    let list = PrefixList {
        name: format!("com.amazonaws.{region}.s3"),
        owner: "AWS".into(),
        v6: false,
        max_entries: u16::try_from(S3.len()).unwrap_or(u16::MAX),
        version: 1,
        entries: S3.map(|block| (block.into(), None)).into(),
    };
    if draft.prefix_lists.values().any(|of| of.owner == list.owner && of.name == list.name) {
        return;
    }
    let id = draft.fresh();
    draft.prefix_lists.insert(id, Arc::new(list));
}

/// The region's own set of DHCP options, which each new VPC has: the VPC's resolver, and the region's
/// domain (VPC User Guide, "DHCP option sets").
pub(crate) fn dhcp_options(draft: &mut Draft, region: &str) -> DhcpOptionsId {
    let domain = match region {
        "us-east-1" => "ec2.internal".to_owned(),
        other => format!("{other}.compute.internal"),
    };
    let option = |key: &str, value: String| (key.to_owned(), vec![value]);
    let options =
        [option("domain-name", domain), option("domain-name-servers", PROVIDED.to_owned())].into();
    let own = DhcpOptions { options };
    // A user's set may say the same: the region's own one is older than all of them.
    let same = draft.dhcp_options.iter().filter(|(_, options)| ***options == own);
    if let Some((id, _)) = same.min_by_key(|(id, _)| draft.created(id.as_str())) {
        return id.clone();
    }
    let id: DhcpOptionsId = draft.fresh();
    draft.dhcp_options.insert(id.clone(), Arc::new(own));
    id
}

/// A default VPC: with a subnet in each zone (as far as there is room), whose instances have public
/// addresses, and a way to the internet.
pub(crate) fn default_vpc(draft: &mut Draft, region: &str, zones: &[String]) -> VpcId {
    let made = vpcs::create(draft, BLOCK, true, region);
    for zone in zones {
        if default_subnet(draft, &made.vpc, zone).is_none() {
            break;
        }
    }
    let gateway: InternetGatewayId = draft.fresh();
    let attached = InternetGateway { vpc: Some(made.vpc.clone()) };
    draft.internet_gateways.insert(gateway.clone(), Arc::new(attached));
    if let Some(table) = draft.route_tables.get_mut(&made.table) {
        Arc::make_mut(table).routes.push(Route {
            destination: RouteDestination::Cidr(vpcs::ALL_V4),
            target: Target::Internet(gateway),
            origin: Origin::CreateRoute,
        });
    }
    made.vpc
}

/// A default subnet in a zone of a default VPC, where there is room: the first block of its size that
/// is free. `None` if there is none.
pub(crate) fn default_subnet(draft: &mut Draft, vpc: &VpcId, zone: &str) -> Option<SubnetId> {
    let own = draft.subnets.values().filter(|s| s.vpc == *vpc).map(|s| s.block);
    let taken: Vec<Ipv4Net> = own.collect();
    let is_free = |block: &Ipv4Net| !taken.iter().any(|t| t.contains(block) || block.contains(t));
    let all = draft.vpcs.get(vpc)?.blocks_v4();
    let block = all.filter_map(|b| b.subnets(SUBNET).ok()).flatten().find(is_free)?;
    let subnet = Subnet {
        vpc: vpc.clone(),
        zone: zone.to_owned(),
        block,
        block_v6: None,
        association_v6: None,
        map_public_ip: true,
        assign_v6: false,
        default_for_zone: true,
    };
    vpcs::add_subnet(draft, subnet)
}
