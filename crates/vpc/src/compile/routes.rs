//! Route tables: the longest prefix decides, then who made the route.

use super::names::{hash, link};
use super::router::{Hop, NEXT_V4, NEXT_V6, Router, Routes};
use crate::Network;
use crate::id::{InterfaceId, VpcId};
use crate::network::{EndpointKind, Origin, PeeringStatus, Route, RouteDestination, Target, Vpc};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

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

/// What each table has: the VPC's own blocks, and nothing else. What comes from outside goes by
/// this one, so that no VPC is a way to another place (VPC Peering Guide, "no transitive peering").
pub(super) fn local(vpc: &Vpc) -> Routes {
    let nowhere = [
        IpNet::V4(Ipv4Net::default()),
        IpNet::V6(Ipv6Net::default()),
        // Link-local, which no route of AWS's leads out.
        IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(169, 254, 0, 0), 16)),
        IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10)),
    ];
    let own = vpc.cidrs.iter().map(|c| (c.block, Hop::Local));
    nowhere.into_iter().map(|net| (net, Hop::Blackhole)).chain(own).collect()
}

/// The routes of a table of this VPC. On equal prefixes a static route comes before one of a prefix
/// list, and that before a propagated one; the local one is before all (VPC User Guide, "Route
/// priority").
pub(super) fn all(network: &Network, id: &VpcId, vpc: &Vpc, routes: &[Route]) -> Routes {
    let mut best: BTreeMap<IpNet, (u8, String, &Target)> = BTreeMap::new();
    let is_own = |net: &IpNet| vpc.cidrs.iter().any(|c| c.block == *net);
    for route in routes {
        let propagated = route.origin == Origin::Propagated;
        let (rank, name, nets) = match &route.destination {
            RouteDestination::Cidr(net) => (u8::from(propagated) * 2, String::new(), vec![*net]),
            RouteDestination::PrefixList(list) => {
                let entries = network.prefix_lists.get(list).map(|l| &l.entries);
                let nets = entries.map(|e| e.keys().copied().collect()).unwrap_or_default();
                (1, list.to_string(), nets)
            }
        };
        for net in nets {
            let inside = vpc.cidrs.iter().any(|c| c.block.contains(&net));
            if is_own(&net) || (propagated && inside) {
                continue;
            }
            let this = (rank, name.clone(), &route.target);
            let kept = best.entry(net).or_insert_with(|| this.clone());
            if (this.0, &this.1) < (kept.0, &kept.1) {
                *kept = this;
            }
        }
    }
    let mut all = local(vpc);
    all.extend(best.into_iter().map(|(net, (.., target))| (net, hop(network, id, target, &net))));
    all
}

/// Where a target is, for packets of the family of `net`. One that is gone is a blackhole.
fn hop(network: &Network, vpc: &VpcId, target: &Target, net: &IpNet) -> Hop {
    let outside = |id: &str| {
        let next = if matches!(net, IpNet::V4(_)) { NEXT_V4.into() } else { NEXT_V6.into() };
        Hop::Via { link: link(id), next }
    };
    let found = match target {
        Target::Internet(id) => {
            let here =
                |g: &std::sync::Arc<crate::network::InternetGateway>| g.vpc.as_ref() == Some(vpc);
            network.internet_gateways.get(id).filter(|g| here(g)).map(|_| outside(id.as_str()))
        }
        Target::Nat(id) => {
            let gateway = network.nat_gateways.get(id).filter(|g| g.available);
            gateway.and_then(|g| interface(network, vpc, &g.interface, net))
        }
        Target::Endpoint(id) => {
            let here = network
                .endpoints
                .get(id)
                .filter(|e| e.vpc == *vpc && matches!(e.kind, EndpointKind::Gateway { .. }));
            here.map(|_| outside(id.as_str()))
        }
        Target::Peering(id) => {
            let active = network.peerings.get(id).filter(|p| {
                p.status == PeeringStatus::Active && (p.requester == *vpc || p.accepter == *vpc)
            });
            active.map(|_| outside(id.as_str()))
        }
        Target::Interface(id) => interface(network, vpc, id, net),
    };
    found.unwrap_or(Hop::Blackhole)
}

fn interface(network: &Network, vpc: &VpcId, id: &InterfaceId, net: &IpNet) -> Option<Hop> {
    let record = network.interfaces.get(id).filter(|_| network.vpc_of(id) == Some(vpc))?;
    let next = match net {
        IpNet::V4(_) => IpAddr::V4(record.primary()?),
        IpNet::V6(_) => IpAddr::V6(*record.addresses_v6.first()?),
    };
    Some(Hop::Via { link: link(id.as_str()), next })
}
