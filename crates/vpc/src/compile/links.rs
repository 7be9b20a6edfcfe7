//! What is at the ends of a router's links, and the hooks' chains that know one link from another.

use super::names::{link, mac};
use super::router::{End, Link, Name, Router};
use super::rules::{
    Action, Chain, Family, Field, Holds, Hook, Kind, Layer, Match, Part, Rule, Set, State, Value,
};
use super::shared::Key;
use super::{acl, addresses, groups, routes};
use crate::Network;
use crate::id::{InterfaceId, SubnetId, VpcId};
use crate::network::{Direction, EndpointKind, Interface, PeeringStatus, Subnet, Vpc};
use crate::rules::{ICMP, ICMPV6, TCP};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::collections::BTreeMap;
use std::net::Ipv6Addr;

/// Links that may send what is not from them.
const SENDERS: &str = "senders";
/// Links that are given what is not for them.
const RECEIVERS: &str = "receivers";
/// Links that are no interface's.
const OUTSIDE: &str = "outside";
/// Those of NAT gateways, of gateway endpoints and of peering connections.
const NATS: &str = "nats";
const ENDPOINTS: &str = "endpoints";
const PEERINGS: &str = "peerings";
/// Which table the packets of a link go by.
const TABLES: &str = "tables";
/// The chain of those who never begin a connection.
const SILENT: &str = "silent";

const fn own(family: Family) -> &'static str {
    match family {
        Family::V4 => "own-v4",
        Family::V6 => "own-v6",
    }
}

/// What is behind links that lead to other networks.
fn behind(family: Family) -> Name {
    format!("behind-{}", family.name()).into()
}

const fn guards(direction: Direction) -> &'static str {
    match direction {
        Direction::Egress => "guards-egress",
        Direction::Ingress => "guards-ingress",
    }
}

fn put(router: &mut Router, set: &str, key: impl Into<Key>, value: Value) {
    if let Some(set) = router.sets.get_mut(set) {
        set.elements.insert(key.into(), value);
    }
}

fn take(router: &mut Router, set: &str, key: &[Part]) {
    // What is shared is copied when it is changed, and only then.
    if let Some(set) = router.sets.get_mut(set)
        && set.elements.contains_key(key)
    {
        set.elements.remove(key);
    }
}

pub(super) fn rule(matches: Vec<Match>, action: Action) -> Rule {
    Rule::new(matches, action)
}

fn is_in(fields: &[Field], set: Name) -> Vec<Match> {
    vec![Match::In(fields.to_vec(), set)]
}

/// The sets and chains that every router has.
pub(super) fn chains(router: &mut Router, network: &Network, id: &VpcId, vpc: &Vpc) {
    let mut set = |name: Name, key: &[Kind], ranges, holds| {
        router.sets.insert(name, Set::new(key, ranges, holds).into());
    };
    for family in Family::BOTH {
        let key = [Kind::Link, Kind::Address(family)];
        set(own(family).into(), &key, false, Holds::Members);
        set(behind(family), &key, true, Holds::Members);
    }
    for name in [SENDERS, RECEIVERS, OUTSIDE, NATS, ENDPOINTS, PEERINGS] {
        set(name.into(), &[Kind::Link], false, Holds::Members);
    }
    set(TABLES.into(), &[Kind::Link], false, Holds::Marks);
    for way in &acl::WAYS {
        set(acl::map(way).into(), &[Kind::Link], false, Holds::Verdicts);
    }
    for direction in [Direction::Egress, Direction::Ingress] {
        set(guards(direction).into(), &[Kind::Link], false, Holds::Verdicts);
    }
    let gateway = network.internet_gateway(id).map(|g| link(g.as_str()));
    let mut chain = |hook: Hook, rules| {
        router.chains.insert(hook.name().into(), Chain { hook: Some(hook), rules }.into());
    };
    chain(Hook::Source, source_rules(vpc, gateway.as_ref()));
    // A link-local destination is on the link that it came by, to the kernel, which then takes no
    // route by another one, and so no blackhole either (net/ipv6/route.c, `rt6_need_strict`).
    let block = IpNet::V6(routes::LINK_LOCAL);
    let near = rule(vec![Match::Block { source: false, block }], Action::Drop);
    let mark = rule(vec![], Action::Mark(Field::From, TABLES.into()));
    chain(Hook::Mark, vec![near, mark]);
    let stranger = rule(is_in(&[Field::From], OUTSIDE.into()), Action::Drop);
    let stray = rule(vec![Match::State(State::Invalid)], Action::Drop);
    chain(Hook::Local, vec![stranger, stray, rule(vec![], Action::Accept)]);
    chain(Hook::Destination, destination_rules(vpc, gateway.as_ref()));
    for way in &acl::WAYS {
        let decide = rule(vec![], Action::Decide(way.own, acl::map(way).into()));
        chain(way.hook, vec![decide]);
    }
    let established = || rule(vec![Match::State(State::Established)], Action::Accept);
    let invalid = rule(vec![Match::State(State::Invalid)], Action::Deny(Layer::Invalid));
    let sender = rule(vec![], Action::Decide(Field::From, guards(Direction::Egress).into()));
    chain(Hook::Egress, vec![established(), invalid, sender]);
    let receiver = rule(vec![], Action::Decide(Field::To, guards(Direction::Ingress).into()));
    chain(Hook::Ingress, vec![established(), receiver]);
    let silent = vec![rule(vec![], Action::Deny(Layer::Egress))];
    router.chains.insert(SILENT.into(), Chain { hook: None, rules: silent }.into());
}

/// Who may send what. What comes from outside is not from within.
fn source_rules(vpc: &Vpc, gateway: Option<&Name>) -> Vec<Rule> {
    let mut rules = vec![rule(vec![Match::From("lo".into())], Action::Accept)];
    for family in Family::BOTH {
        let fields = [Field::From, Field::Source(family)];
        rules.push(rule(is_in(&fields, own(family).into()), Action::Accept));
        rules.push(rule(is_in(&fields, behind(family)), Action::Accept));
    }
    // What a kernel says by itself on a link that is up, to nobody: neighbours are known.
    for block in [routes::LINK_LOCAL, Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 128)] {
        let block = IpNet::V6(block);
        rules.push(rule(vec![Match::Block { source: true, block }], Action::Drop));
    }
    rules.push(rule(is_in(&[Field::From], SENDERS.into()), Action::Accept));
    if let Some(gateway) = gateway {
        let from = || Match::From(gateway.clone());
        let own = vpc.cidrs.iter().map(|c| c.block.trunc());
        for block in own.chain(private()) {
            let inside = Match::Block { source: true, block };
            rules.push(rule(vec![from(), inside], Action::Deny(Layer::Source)));
        }
        rules.push(rule(vec![from()], Action::Accept));
    }
    rules.push(rule(vec![], Action::Deny(Layer::Source)));
    rules
}

/// Private and shared addresses, which the internet does not carry (RFC 1918, 4193, 6598).
pub(super) fn private() -> impl Iterator<Item = IpNet> {
    let v4 =
        [([10, 0, 0, 0], 8), ([172, 16, 0, 0], 12), ([192, 168, 0, 0], 16), ([100, 64, 0, 0], 10)];
    let v4 = v4.into_iter().map(|(a, length)| IpNet::V4(Ipv4Net::new_assert(a.into(), length)));
    v4.chain([IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::from_bits(0xfc00 << 112), 7))])
}

/// What each link takes: an interface what is for it, a gateway what is from this VPC and for what
/// is behind it.
fn destination_rules(vpc: &Vpc, gateway: Option<&Name>) -> Vec<Rule> {
    // Neighbour discovery and its like go no further than a link.
    let mut rules = Vec::new();
    for (first, last) in [(130, 137), (143, 143)] {
        let kind = Match::Between(Field::TypeCode, first << 8, last << 8 | 0xff);
        let matches = vec![Match::Family(Family::V6), Match::Protocol(ICMPV6), kind];
        rules.push(rule(matches, Action::Deny(Layer::Invalid)));
    }
    for family in Family::BOTH {
        let fields = [Field::To, Field::Destination(family)];
        rules.push(rule(is_in(&fields, own(family).into()), Action::Accept));
    }
    let to = |set: &str| Match::In(vec![Field::To], set.into());
    rules.push(rule(vec![to(RECEIVERS)], Action::Accept));
    rules.extend(gateway.map(|g| rule(vec![Match::To(g.clone())], Action::Accept)));
    for one in &vpc.cidrs {
        let family = Family::of(&one.block.addr());
        let from = Match::Block { source: true, block: one.block.trunc() };
        let behind = Match::In(vec![Field::To, Field::Destination(family)], behind(family));
        let mut accept = |set: &str, more: Vec<Match>| {
            let matches = [vec![to(set), from.clone()], more].concat();
            rules.push(rule(matches, Action::Accept));
        };
        accept(PEERINGS, vec![behind.clone()]);
        // Gateway endpoints take TCP, and echo of ICMP (VPC Reachability Analyzer,
        // VPCE_GATEWAY_PROTOCOL_RESTRICTION).
        accept(ENDPOINTS, vec![behind.clone(), Match::Protocol(TCP)]);
        if family == Family::V4 {
            let echo = Match::Between(Field::TypeCode, 0x800, 0x8ff);
            accept(ENDPOINTS, vec![behind, Match::Protocol(ICMP), echo]);
            accept(NATS, vec![]);
        }
    }
    rules.push(rule(vec![], Action::Deny(Layer::Destination)));
    rules
}

/// The link of an interface, and its elements.
pub(super) fn interface(
    router: &mut Router,
    network: &Network,
    id: &InterfaceId,
    record: &Interface,
    (subnet, table): (&Subnet, Option<u32>),
) {
    let name = link(id.as_str());
    let all = addresses(network, id);
    let one = Key::one(Part::Link(name.clone()));
    for address in &all {
        router.hosts.insert(*address, name.clone());
        let set = own(Family::of(address));
        put(router, set, vec![Part::Link(name.clone()), Part::Address(*address)], Value::Member);
    }
    let is_nat = network.nat_at(id).is_some();
    if is_nat || !record.source_dest_check {
        put(router, SENDERS, one.clone(), Value::Member);
    }
    if is_nat {
        put(router, NATS, one.clone(), Value::Member);
    } else if !record.source_dest_check && network.endpoint_at(id).is_none() {
        put(router, RECEIVERS, one.clone(), Value::Member);
    }
    if let Some(number) = table {
        put(router, TABLES, one.clone(), Value::Mark(number));
    }
    put(router, &acl::links(record.subnet.as_str()), one.clone(), Value::Member);
    for way in &acl::WAYS {
        let chain: Name = format!("{}-{}", record.subnet, way.name).into();
        put(router, acl::map(way), one.clone(), Value::Goto(chain));
    }
    let end = End::Interface {
        id: id.clone(),
        subnet: record.subnet.clone(),
        block: subnet.block,
        block_v6: subnet.block_v6,
        addresses: all,
    };
    let mac = mac(&record.mac, id.as_str());
    router.links.insert(name.clone(), Link { name, mac, end });
}

/// Takes an interface's link and its elements out again, if it is there.
pub(super) fn without(router: &mut Router, id: &InterfaceId) {
    let name = link(id.as_str());
    let Some(gone) = router.links.remove(&name) else { return };
    let End::Interface { subnet, addresses, .. } = &gone.end else { return };
    for address in addresses {
        router.hosts.remove(address);
        let key = [Part::Link(name.clone()), Part::Address(*address)];
        take(router, own(Family::of(address)), &key);
    }
    let one = [Part::Link(name)];
    for set in [SENDERS, NATS, RECEIVERS, TABLES] {
        take(router, set, &one);
    }
    take(router, &acl::links(subnet.as_str()), &one);
    for way in &acl::WAYS {
        take(router, acl::map(way), &one);
    }
    for direction in [Direction::Egress, Direction::Ingress] {
        take(router, guards(direction), &one);
    }
}

/// What decides about what an interface sends, or is sent.
pub(super) fn guard(router: &mut Router, link: &Name, direction: Direction, verdict: Value) {
    put(router, guards(direction), Key::one(Part::Link(link.clone())), verdict);
}

/// A link that is no interface's: no subnet's boundary, no group.
pub(super) fn outside(router: &mut Router, id: &str, end: End, egress: Value) {
    let name = link(id);
    let one = Key::one(Part::Link(name.clone()));
    for way in &acl::WAYS {
        put(router, acl::map(way), one.clone(), Value::Accept);
    }
    put(router, guards(Direction::Egress), one.clone(), egress);
    put(router, guards(Direction::Ingress), one.clone(), Value::Accept);
    put(router, OUTSIDE, one, Value::Member);
    router.links.insert(name.clone(), Link { mac: mac("", id), name, end });
}

/// Says that these addresses are behind a link, and are let in from there.
fn are_behind(router: &mut Router, id: &str, blocks: &[IpNet]) {
    for block in IpNet::aggregate(&blocks.to_vec()) {
        let set = behind(Family::of(&block.addr()));
        let key = vec![Part::Link(link(id)), groups::addresses(&block)];
        put(router, &set, key, Value::Member);
    }
}

/// Gateway endpoints: the service answers, and asks nothing.
pub(super) fn endpoints(router: &mut Router, network: &Network, vpc: &VpcId) {
    for (id, endpoint) in network.endpoints.iter().filter(|(_, e)| e.vpc == *vpc) {
        if !matches!(endpoint.kind, EndpointKind::Gateway { .. }) {
            continue;
        }
        put(router, ENDPOINTS, vec![Part::Link(link(id.as_str()))], Value::Member);
        let list = network.list_named(&endpoint.service);
        let prefixes: Vec<IpNet> =
            list.iter().flat_map(|(_, l)| l.entries.keys().copied()).collect();
        are_behind(router, id.as_str(), &prefixes);
        let end = End::Endpoint { id: id.clone(), prefixes };
        outside(router, id.as_str(), end, Value::Goto(SILENT.into()));
    }
}

/// Peered VPCs.
pub(super) fn peerings(router: &mut Router, network: &Network, vpc: &VpcId) {
    for (id, peering) in &network.peerings {
        let peer = match (&peering.requester, &peering.accepter) {
            (one, other) if one == vpc => other,
            (other, one) if one == vpc => other,
            _ => continue,
        };
        let Some(record) = network.vpc(peer).filter(|_| peering.status == PeeringStatus::Active)
        else {
            continue;
        };
        put(router, PEERINGS, vec![Part::Link(link(id.as_str()))], Value::Member);
        let blocks: Vec<IpNet> = record.cidrs.iter().map(|c| c.block).collect();
        are_behind(router, id.as_str(), &blocks);
        let end = End::Peering { id: id.clone(), peer: peer.clone() };
        outside(router, id.as_str(), end, Value::Accept);
    }
}

/// What comes by a link that is no interface's is for this VPC or for nobody.
pub(super) fn arrivals(router: &mut Router, vpc: &Vpc) {
    let is_interface = |l: &Link| matches!(l.end, End::Interface { .. });
    let names: Vec<Name> =
        router.links.values().filter(|l| !is_interface(l)).map(|l| l.name.clone()).collect();
    if names.is_empty() {
        return;
    }
    let number = routes::add(router, routes::local(vpc));
    for name in names {
        put(router, TABLES, vec![Part::Link(name)], Value::Mark(number));
    }
}

/// The routing table of each subnet.
pub(super) type Tables = BTreeMap<SubnetId, u32>;
