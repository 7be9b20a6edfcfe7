//! Route tables: the longest prefix decides, then who made the route.

use super::names::{hash, link};
use super::router::{Hop, Router, Routes};
use crate::Network;
use crate::id::{InterfaceId, VpcId};
use crate::network::{
    Endpoint, EndpointKind, Origin, PeeringStatus, Route, RouteDestination, Subnet, Target, Vpc,
};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Numbers that the kernel has its own tables at (rt_tables: unspec, default, main, local).
const KERNELS: [u32; 4] = [0, 253, 254, 255];

/// Adds a table and returns its number, which is made of what is in the table.
pub(super) fn add(router: &mut Router, routes: Routes) -> u32 {
    let mut text = String::new();
    for (net, hop) in &routes {
        // Cannot fail: it is a string.
        let _ = write!(text, "{net} {hop:?};");
    }
    let mut number = hash(text.as_bytes()) as u32;
    while KERNELS.contains(&number)
        || router.tables.get(&number).is_some_and(|other| *other != routes)
    {
        number = number.wrapping_add(1);
    }
    router.tables.insert(number, routes);
    number
}

/// What is never forwarded, whatever the routes say: link-local, loopback, multicast, unspecified
/// and reserved addresses (RFC 6890), and AWS's own.
const NEVER_V4: [(Ipv4Addr, u8); 4] = [
    (Ipv4Addr::UNSPECIFIED, 8),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(224, 0, 0, 0), 3),
];
const NEVER_V6: [Ipv6Net; 4] = [
    Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 127),
    LINK_LOCAL,
    SERVICES_V6,
    Ipv6Net::new_assert(Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8),
];
/// What AWS keeps for its resolver, metadata and the like (VPC User Guide, "Subnet route tables").
pub(crate) const SERVICES_V6: Ipv6Net =
    Ipv6Net::new_assert(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0), 32);
/// Addresses of a link (RFC 4291, 2.5.6).
pub(super) const LINK_LOCAL: Ipv6Net =
    Ipv6Net::new_assert(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10);

/// What each table has: the VPC's own blocks, and nothing else. What comes from outside goes by
/// this one, so that no VPC is a way to another place (VPC Peering Guide, "no transitive peering").
pub(super) fn local(vpc: &Vpc) -> Routes {
    let own = vpc.cidrs.iter().map(|c| (c.block, Hop::Local));
    let mut all: Routes = own.collect();
    never(&mut all);
    all
}

fn never(all: &mut Routes) {
    for net in [IpNet::V4(Ipv4Net::default()), IpNet::V6(Ipv6Net::default())] {
        all.entry(net).or_insert(Hop::Blackhole);
    }
    let v4 = NEVER_V4.map(|(a, length)| IpNet::V4(Ipv4Net::new_assert(a, length)));
    let v6 = NEVER_V6.map(IpNet::V6);
    let never: Vec<IpNet> = v4.into_iter().chain(v6).collect();
    // A longer prefix would win.
    all.retain(|net, _| !never.iter().any(|n| n.contains(net)));
    all.extend(never.into_iter().map(|net| (net, Hop::Blackhole)));
}

/// The routes of a subnet. On equal prefixes a static route comes before one of a prefix list, and
/// that before a propagated one; the local one is before all, and what is propagated is never more
/// specific than it (VPC User Guide, "Route priority"). Within the subnet no route is asked.
pub(super) fn all(network: &Network, id: &VpcId, subnet: &Subnet, routes: &[Route]) -> Routes {
    let Some(vpc) = network.vpc(id) else { return Routes::new() };
    let mut best: BTreeMap<IpNet, (u8, &Route)> = BTreeMap::new();
    let own = |net: &IpNet| {
        let within = |block: IpNet| block.contains(net);
        within(subnet.block.into()) || subnet.block_v6.is_some_and(|b| within(b.into()))
    };
    for route in routes {
        let (rank, nets) = match &route.destination {
            RouteDestination::Cidr(net) => (0, vec![*net]),
            RouteDestination::PrefixList(list) => {
                let entries = network.prefix_lists.get(list).map(|l| &l.entries);
                (1, entries.map(|e| e.keys().copied().collect()).unwrap_or_default())
            }
        };
        let rank = if route.origin == Origin::Propagated { 2 } else { rank };
        for net in nets {
            let inside = vpc.cidrs.iter().any(|c| c.block.contains(&net));
            let local = vpc.cidrs.iter().any(|c| c.block == net);
            if local || own(&net) || (rank == 2 && inside) {
                continue;
            }
            let this = (rank, route);
            let kept = best.entry(net).or_insert(this);
            if (rank, &route.destination) < (kept.0, &kept.1.destination) {
                *kept = this;
            }
        }
    }
    let mut all = local(vpc);
    all.extend(best.into_iter().map(|(net, (_, r))| (net, hop(network, id, &r.target))));
    let blocks = [Some(subnet.block.into()), subnet.block_v6.map(IpNet::V6)];
    all.extend(blocks.into_iter().flatten().map(|net| (net, Hop::Local)));
    never(&mut all);
    all
}

/// Where a target is. One that is gone is a blackhole.
fn hop(network: &Network, vpc: &VpcId, target: &Target) -> Hop {
    let here = match target {
        Target::Internet(id) => {
            let gateway = network.internet_gateways.get(id);
            gateway.is_some_and(|g| g.vpc.as_ref() == Some(vpc)).then_some(id.as_str())
        }
        Target::Nat(id) => {
            let gateway = network.nat_gateways.get(id).filter(|g| g.available);
            let interface = gateway.map(|g| &g.interface);
            interface.filter(|i| network.vpc_of(i) == Some(vpc)).map(InterfaceId::as_str)
        }
        Target::Endpoint(id) => {
            let endpoint = network.endpoints.get(id).filter(|e| e.vpc == *vpc);
            let is_gateway = |e: &Endpoint| matches!(e.kind, EndpointKind::Gateway { .. });
            endpoint.is_some_and(|e| is_gateway(e)).then_some(id.as_str())
        }
        Target::Peering(id) => {
            let active = network.peerings.get(id).is_some_and(|p| {
                p.status == PeeringStatus::Active && (p.requester == *vpc || p.accepter == *vpc)
            });
            active.then_some(id.as_str())
        }
        Target::Interface(id) => (network.vpc_of(id) == Some(vpc)).then_some(id.as_str()),
    };
    here.map_or(Hop::Blackhole, |id| Hop::Via(link(id)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn what_is_never_forwarded_has_no_longer_route() {
        let text = "vpc vpc-a 10.0.0.0/16\nsubnet subnet-a vpc-a us-east-1a 10.0.1.0/24\n\
            igw igw-a vpc-a\nlist pl-x ours 1 127.0.0.0/9\n\
            table rtb-a vpc-a subnet-a\n  0.0.0.0/0 igw-a\n  169.254.128.0/17 igw-a\n  pl-x igw-a\n";
        let network = Network::new(sample::read(text).unwrap()).unwrap();
        let vpc = "vpc-a".parse().unwrap();
        let (subnet, table) = (&network.subnets[&"subnet-a".parse().unwrap()], "rtb-a".parse());
        let routes = all(&network, &vpc, subnet, &network.route_tables[&table.unwrap()].routes);
        let never = |net: &IpNet| {
            let of = |(a, length): &(Ipv4Addr, u8)| Ipv4Net::new_assert(*a, *length).into();
            NEVER_V4.iter().any(|n| IpNet::contains(&of(n), net))
        };
        let wrong: Vec<_> =
            routes.iter().filter(|(net, hop)| never(net) && **hop != Hop::Blackhole).collect();
        assert_eq!(wrong, []);
        assert!(matches!(routes[&"0.0.0.0/0".parse().unwrap()], Hop::Via(_)));
    }
}
