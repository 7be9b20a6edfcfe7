//! From a VPC's records to its router: links, addresses, routing tables, sets and chains, as data.
//!
//! The same records give the same router, and every record that matters is in it. A packet meets,
//! in this order: the check of its source; its route; the check of its destination; the network
//! ACLs of the subnets whose boundary it crosses, whichever way it goes; the internet gateway's
//! demand for a public address; and, if it begins a connection, the sender's security groups and
//! then the receiver's. Each of these is a hook of its own: what one accepts, the next one sees.
//!
//! What grows with the number of interfaces is elements of sets and maps: a further interface in a
//! subnet and with groups that are in use adds elements and nothing else.

mod acl;
mod boxes;
mod changed;
mod groups;
mod internet;
mod links;
pub(crate) mod names;
mod router;
mod routes;
mod rules;
mod shared;
#[cfg(test)]
mod tests;
mod tracking;

pub use names::link as link_name;
pub use router::{
    DENIED_GROUP, DENIED_SNAP_LENGTH, End, Hop, Link, NEXT_V4, NEXT_V6, Name, ROUTER_MAC, Router,
    Routes,
};
pub(crate) use routes::SERVICES_V6;
pub use rules::{
    Action, Chain, Family, Field, Holds, Hook, Kind, Layer, Match, Part, Rule, Set, State, Value,
};
pub use shared::{Key, Shared};
pub use tracking::{Cut, untracked};

use crate::Network;
use crate::id::{GroupId, InterfaceId, SubnetId, VpcId};
use crate::network::{Direction, Subnet, Vpc};
use crate::traffic::Traffic;
use changed::{Before, Changed};
use groups::Source;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// The resolver's other address (VPC User Guide, "Amazon DNS server").
pub const RESOLVER: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 253);

/// The router of each VPC.
pub type Routers = BTreeMap<VpcId, Arc<Router>>;

/// The router of a VPC. Of a VPC that is not there, one without anything.
#[must_use]
pub fn compile(network: &Network, id: &VpcId) -> Router {
    let mut router = Router::default();
    let Some(vpc) = network.vpc(id) else { return router };
    own_addresses(&mut router, network, id, vpc);
    links::chains(&mut router, network, id, vpc);
    let tables = subnets(&mut router, network, id);
    for (interface, record) in &network.interfaces {
        let Some(subnet) = network.subnets.get(&record.subnet).filter(|s| s.vpc == *id) else {
            continue;
        };
        let table = tables.get(&record.subnet).copied();
        links::interface(&mut router, network, interface, record, (subnet, table));
    }
    guards(&mut router, Source { network, vpc: id, before: None });
    links::endpoints(&mut router, network, id);
    links::peerings(&mut router, network, id);
    internet::gateway(&mut router, network, id, vpc);
    links::arrivals(&mut router, vpc);
    router
}

/// The routers of all VPCs. They are what [`compile`] makes of each; but what an earlier network and
/// its routers have the same is shared with those, and where only interfaces and groups have
/// changed, only that is compiled which they are in.
#[must_use]
pub fn compile_all(network: &Network, earlier: Option<(&Network, &Routers)>) -> Routers {
    let changed = earlier.map(|(old, _)| Changed::between(old, network));
    let again = |id: &VpcId| {
        let changed = changed.as_ref().filter(|c| c.is_small(id))?;
        let (_, routers) = earlier?;
        let router = routers.get(id)?;
        if !changed.concerns(id) {
            return Some(Arc::clone(router));
        }
        Some(Arc::new(change(network, id, Before { router, changed })?))
    };
    let all = network.vpcs.keys();
    all.map(|id| (id.clone(), again(id).unwrap_or_else(|| Arc::new(compile(network, id)))))
        .collect()
}

/// The router of a VPC in which only interfaces and groups have changed.
fn change(network: &Network, id: &VpcId, before: Before<'_>) -> Option<Router> {
    let vpc = network.vpc(id)?;
    let mut router = before.router.clone();
    for interface in &before.changed.interfaces {
        links::without(&mut router, interface);
    }
    for interface in &before.changed.interfaces {
        let Some(record) = network.interfaces.get(*interface) else { continue };
        let Some(subnet) = network.subnets.get(&record.subnet).filter(|s| s.vpc == *id) else {
            continue;
        };
        let table = table(&mut router, network, id, &record.subnet, subnet);
        links::interface(&mut router, network, interface, record, (subnet, table));
    }
    router.local.clear();
    own_addresses(&mut router, network, id, vpc);
    router.sets.retain(|name, _| !groups::is_of_groups(name));
    router.chains.retain(|name, _| !groups::is_of_groups(name));
    guards(&mut router, Source { network, vpc: id, before: Some(before) });
    internet::public_addresses(&mut router, network, id);
    Some(router)
}

fn own_addresses(router: &mut Router, network: &Network, id: &VpcId, vpc: &Vpc) {
    for subnet in network.subnets.values().filter(|s| s.vpc == *id) {
        let gateway = subnet.block.network().to_bits().saturating_add(1);
        router.local.insert(Ipv4Addr::from_bits(gateway).into());
        let base = subnet.block_v6.map(|b| b.network().to_bits());
        router.local.extend(base.map(|b| IpAddr::V6(Ipv6Addr::from_bits(b.saturating_add(1)))));
    }
    // There also if nobody answers there: whether the resolver is on is no matter of packets.
    router.local.extend(vpc.resolver().map(IpAddr::V4));
    router.local.insert(RESOLVER.into());
    router.local.retain(|a| network.interface_at(id, *a).is_none());
}

/// The chains of subnets and network ACLs, and the tables of the subnets.
fn subnets(router: &mut Router, network: &Network, id: &VpcId) -> links::Tables {
    let mut tables = links::Tables::new();
    for (subnet, record) in network.subnets.iter().filter(|(_, s)| s.vpc == *id) {
        let links = Set::new(&[Kind::Link], false, Holds::Members);
        router.sets.insert(acl::links(subnet.as_str()), links.into());
        let Some((acl_id, acl)) = network.acl(subnet) else { continue };
        for way in &acl::WAYS {
            acl::subnet(router, way, subnet.as_str(), acl_id.as_str());
            acl::chain(router, way, acl_id.as_str(), acl);
        }
        tables.extend(table(router, network, id, subnet, record).map(|n| (subnet.clone(), n)));
    }
    tables
}

/// The number of a subnet's table, which is there then.
fn table(
    router: &mut Router,
    network: &Network,
    vpc: &VpcId,
    id: &SubnetId,
    subnet: &Subnet,
) -> Option<u32> {
    let (_, table) = network.route_table(id)?;
    let routes = routes::all(network, vpc, subnet, &table.routes);
    Some(routes::add(router, routes))
}

/// What each interface's security groups are, both ways.
fn guards(router: &mut Router, source: Source<'_>) {
    let mut chains: HashMap<&[GroupId], [Value; 2]> = HashMap::new();
    let Source { network, vpc, before } = source;
    for (interface, record) in &network.interfaces {
        if network.subnets.get(&record.subnet).is_none_or(|s| s.vpc != *vpc) {
            continue;
        }
        let both = chains.entry(&record.groups).or_insert_with(|| {
            let groups: BTreeSet<_> = record.groups.iter().collect();
            DIRECTIONS.map(|direction| match groups.is_empty() {
                true => Value::Accept,
                false => Value::Goto(groups::chain(router, source, &groups, direction)),
            })
        });
        // What others have is as it was.
        if before.is_none_or(|b| b.changed.interfaces.contains(interface)) {
            let name = link_name(interface.as_str());
            for (direction, verdict) in DIRECTIONS.into_iter().zip(both) {
                links::guard(router, &name, direction, verdict.clone());
            }
        }
    }
}

const DIRECTIONS: [Direction; 2] = [Direction::Egress, Direction::Ingress];

/// All private addresses of an interface, the primary one first.
fn addresses(network: &Network, id: &InterfaceId) -> Vec<IpAddr> {
    let Some(record) = network.interfaces.get(id) else { return Vec::new() };
    let v4 = record.addresses.iter().map(|a| IpAddr::V4(a.address));
    v4.chain(record.addresses_v6.iter().map(|a| IpAddr::V6(*a))).collect()
}

/// The numbers that type and code together may be.
fn type_codes(kind: Option<u8>, code: Option<u8>) -> (u16, u16) {
    let Some(kind) = kind else { return (0, u16::MAX) };
    let base = u16::from(kind) << 8;
    code.map_or((base, base | 0xff), |c| (base | u16::from(c), base | u16::from(c)))
}

/// What a packet must be to be this traffic.
fn traffic(matches: &mut Vec<Match>, traffic: &Traffic) {
    match *traffic {
        Traffic::All => {}
        Traffic::Protocol { number } => matches.push(Match::Protocol(number)),
        Traffic::Ports { transport, from, to } => {
            matches.push(Match::Protocol(transport.number()));
            matches.push(Match::Between(Field::Port, from, to));
        }
        Traffic::Icmp { v6, kind, code } => {
            let protocol = if v6 { crate::rules::ICMPV6 } else { crate::rules::ICMP };
            matches.push(Match::Protocol(protocol));
            if kind.is_some() {
                let (first, last) = type_codes(kind, code);
                matches.push(Match::Between(Field::TypeCode, first, last));
            }
        }
    }
}
