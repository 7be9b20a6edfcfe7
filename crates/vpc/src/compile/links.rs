//! What is at the ends of a router's links, and the hooks' chains that know one link from another.

use super::names::{link, mac};
use super::router::{End, Link, Name, Router};
use super::rules::{
    Action, Chain, Family, Field, Holds, Hook, Key, Kind, Layer, Match, Part, Rule, Set, State,
    Value,
};
use super::{acl, addresses, groups, routes};
use crate::Network;
use crate::id::{InterfaceId, SubnetId, VpcId};
use crate::network::{Direction, EndpointKind, Interface, PeeringStatus, Subnet, Vpc};
use ipnet::{IpNet, Ipv6Net};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

/// Links that may send what is not from them.
const SENDERS: &str = "senders";
/// Links that are given what is not for them.
const RECEIVERS: &str = "receivers";
/// Which table the packets of a link go by.
const TABLES: &str = "tables";
/// The chain of those who never begin a connection.
const SILENT: &str = "silent";

fn own(family: Family) -> Name {
    format!("own-{}", family.name()).into()
}

/// What is behind links that lead to other networks.
fn behind(family: Family) -> Name {
    format!("behind-{}", family.name()).into()
}

fn guards(direction: Direction) -> Name {
    format!("guards-{}", groups::way(direction).0).into()
}

fn put(router: &mut Router, set: &str, key: Key, value: Value) {
    if let Some(set) = router.sets.get_mut(set) {
        set.elements.insert(key, value);
    }
}

fn rule(matches: Vec<Match>, action: Action) -> Rule {
    Rule::new(matches, action)
}

fn is_in(fields: &[Field], set: Name) -> Vec<Match> {
    vec![Match::In(fields.to_vec(), set)]
}

/// The sets and chains that every router has.
pub(super) fn chains(router: &mut Router, network: &Network, id: &VpcId, vpc: &Vpc) {
    let mut set = |name: Name, key: &[Kind], ranges, holds| {
        router.sets.insert(name, Set::new(key, ranges, holds));
    };
    for family in Family::BOTH {
        let key = [Kind::Link, Kind::Address(family)];
        set(own(family), &key, false, Holds::Members);
        set(behind(family), &key, true, Holds::Members);
    }
    for name in [SENDERS, RECEIVERS] {
        set(name.into(), &[Kind::Link], false, Holds::Members);
    }
    set(TABLES.into(), &[Kind::Link], false, Holds::Marks);
    for way in &acl::WAYS {
        set(acl::map(way), &[Kind::Link], false, Holds::Verdicts);
    }
    for direction in [Direction::Egress, Direction::Ingress] {
        set(guards(direction), &[Kind::Link], false, Holds::Verdicts);
    }
    let gateway = gateway(network, id).map(|g| link(g.as_str()));
    let mut chain = |hook: Hook, rules| {
        router.chains.insert(hook.name().into(), Chain { hook: Some(hook), rules });
    };
    chain(Hook::Source, source_rules(vpc, gateway.as_ref()));
    let mark = rule(vec![], Action::Mark(Field::From, TABLES.into()));
    chain(Hook::Mark, vec![mark]);
    chain(Hook::Destination, destination_rules());
    for way in &acl::WAYS {
        let decide = rule(vec![], Action::Decide(way.own, acl::map(way)));
        chain(way.hook, vec![decide]);
    }
    let established = || rule(vec![Match::State(State::Established)], Action::Accept);
    let invalid = rule(vec![Match::State(State::Invalid)], Action::Deny(Layer::Invalid));
    let sender = rule(vec![], Action::Decide(Field::From, guards(Direction::Egress)));
    chain(Hook::Egress, vec![established(), invalid, sender]);
    let receiver = rule(vec![], Action::Decide(Field::To, guards(Direction::Ingress)));
    chain(Hook::Ingress, vec![established(), receiver]);
    let silent = vec![rule(vec![], Action::Deny(Layer::Egress))];
    router.chains.insert(SILENT.into(), Chain { hook: None, rules: silent });
}

/// Who may send what. What comes from outside is not from within.
fn source_rules(vpc: &Vpc, gateway: Option<&Name>) -> Vec<Rule> {
    let mut rules = vec![rule(vec![Match::From("lo".into())], Action::Accept)];
    for family in Family::BOTH {
        let fields = [Field::From, Field::Source(family)];
        rules.push(rule(is_in(&fields, own(family)), Action::Accept));
        rules.push(rule(is_in(&fields, behind(family)), Action::Accept));
    }
    // What a kernel says by itself on a link that is up, to nobody: neighbours are known.
    for (address, length) in
        [(Ipv6Addr::from_bits(0xfe80 << 112), 10), (Ipv6Addr::UNSPECIFIED, 128)]
    {
        let block = IpNet::V6(Ipv6Net::new_assert(address, length));
        rules.push(rule(vec![Match::Block { source: true, block }], Action::Drop));
    }
    rules.push(rule(is_in(&[Field::From], SENDERS.into()), Action::Accept));
    if let Some(gateway) = gateway {
        let from = || Match::From(gateway.clone());
        for one in &vpc.cidrs {
            let inside = Match::Block { source: true, block: one.block.trunc() };
            rules.push(rule(vec![from(), inside], Action::Deny(Layer::Source)));
        }
        rules.push(rule(vec![from()], Action::Accept));
    }
    rules.push(rule(vec![], Action::Deny(Layer::Source)));
    rules
}

fn destination_rules() -> Vec<Rule> {
    let mut rules = Vec::new();
    for family in Family::BOTH {
        let fields = [Field::To, Field::Destination(family)];
        rules.push(rule(is_in(&fields, own(family)), Action::Accept));
    }
    rules.push(rule(is_in(&[Field::To], RECEIVERS.into()), Action::Accept));
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
    let one = || Part::Link(name.clone());
    for address in &all {
        router.hosts.insert(*address, name.clone());
        let set = own(Family::of(address));
        put(router, &set, vec![one(), Part::Address(*address)], Value::Member);
    }
    if !record.source_dest_check {
        put(router, SENDERS, vec![one()], Value::Member);
        put(router, RECEIVERS, vec![one()], Value::Member);
    }
    if let Some(number) = table {
        put(router, TABLES, vec![one()], Value::Mark(number));
    }
    put(router, &acl::links(record.subnet.as_str()), vec![one()], Value::Member);
    for way in &acl::WAYS {
        let chain: Name = format!("{}-{}", record.subnet, way.name).into();
        put(router, &acl::map(way), vec![one()], Value::Goto(chain));
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

/// What decides about what an interface sends, or is sent.
pub(super) fn guard(router: &mut Router, link: &Name, direction: Direction, verdict: Value) {
    put(router, &guards(direction), vec![Part::Link(link.clone())], verdict);
}

/// A link that is no interface's: no subnet's boundary, no group.
fn outside(router: &mut Router, id: &str, end: End, egress: Value) {
    let name = link(id);
    let one = || vec![Part::Link(name.clone())];
    for way in &acl::WAYS {
        put(router, &acl::map(way), one(), Value::Accept);
    }
    put(router, &guards(Direction::Egress), one(), egress);
    put(router, &guards(Direction::Ingress), one(), Value::Accept);
    put(router, RECEIVERS, one(), Value::Member);
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
        let lists = network.prefix_lists.values().filter(|l| l.name == endpoint.service);
        let prefixes: Vec<IpNet> = lists.flat_map(|l| l.entries.keys().copied()).collect();
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
        let blocks: Vec<IpNet> = record.cidrs.iter().map(|c| c.block).collect();
        are_behind(router, id.as_str(), &blocks);
        let end = End::Peering { id: id.clone(), peer: peer.clone() };
        outside(router, id.as_str(), end, Value::Accept);
    }
}

fn gateway<'a>(network: &'a Network, vpc: &VpcId) -> Option<&'a crate::id::InternetGatewayId> {
    let mut all = network.internet_gateways.iter();
    all.find(|(_, g)| g.vpc.as_ref() == Some(vpc)).map(|(id, _)| id)
}

/// The internet gateway: one public address for one private one, and none without.
pub(super) fn internet(router: &mut Router, network: &Network, id: &VpcId, vpc: &Vpc) {
    let Some(gateway) = gateway(network, id) else { return };
    let name = link(gateway.as_str());
    let public = public_addresses(router, network);
    let mut private = Set::new(&[Kind::Address(Family::V4)], false, Holds::Members);
    let mut in_map = Set::new(&[Kind::Address(Family::V4)], false, Holds::Addresses);
    let mut out_map = in_map.clone();
    for (inner, outer) in &public {
        private.insert(vec![Part::Address(IpAddr::V4(*inner))]);
        let key = |a: &std::net::Ipv4Addr| vec![Part::Address(IpAddr::V4(*a))];
        in_map.elements.insert(key(outer), Value::Address(*inner));
        out_map.elements.insert(key(inner), Value::Address(*outer));
    }
    router.sets.insert("public".into(), private);
    router.sets.insert("to-private".into(), in_map);
    router.sets.insert("to-public".into(), out_map);
    let (from, to) = (|| Match::From(name.clone()), || Match::To(name.clone()));
    let has = |field| Match::In(vec![field], "public".into());
    let deny = || Action::Deny(Layer::Public);
    let v4 = || Match::Family(Family::V4);
    let demands = vec![
        rule(vec![to(), has(Field::Source(Family::V4))], Action::Accept),
        rule(vec![to(), v4()], deny()),
        rule(vec![from(), has(Field::Destination(Family::V4))], Action::Accept),
        rule(vec![from(), v4()], deny()),
        rule(vec![], Action::Accept),
    ];
    let arrive = rule(vec![from()], Action::ToPrivate("to-private".into()));
    let leave = rule(vec![to()], Action::ToPublic("to-public".into()));
    let hooks = [(Hook::Public, demands), (Hook::Arrive, vec![arrive]), (Hook::Leave, vec![leave])];
    for (hook, rules) in hooks {
        router.chains.insert(hook.name().into(), Chain { hook: Some(hook), rules });
    }
    let blocks_v6 = vpc.cidrs.iter().filter_map(|c| match c.block {
        IpNet::V6(net) => Some(net),
        IpNet::V4(_) => None,
    });
    let end = End::Internet {
        id: gateway.clone(),
        public: public.values().copied().collect(),
        blocks_v6: blocks_v6.collect(),
    };
    outside(router, gateway.as_str(), end, Value::Accept);
}

/// The public address of each private one that has one: an elastic address comes before one that
/// the interface was made with.
fn public_addresses(
    router: &Router,
    network: &Network,
) -> BTreeMap<std::net::Ipv4Addr, std::net::Ipv4Addr> {
    let here = |id: &InterfaceId| router.interface(id).is_some();
    let mut public = BTreeMap::new();
    for (_, record) in network.interfaces.iter().filter(|(id, _)| here(id)) {
        let given = record.addresses.iter().filter_map(|a| Some((a.address, a.public?)));
        public.extend(given);
    }
    for gateway in network.nat_gateways.values().filter(|g| g.available && here(&g.interface)) {
        let elastic = gateway.allocation.as_ref().and_then(|a| network.addresses.get(a));
        let inner = network.interfaces.get(&gateway.interface).and_then(|i| i.primary());
        public.extend(inner.zip(elastic.map(|e| e.public)));
    }
    for address in network.addresses.values() {
        if let Some((_, interface, inner)) = &address.association
            && here(interface)
        {
            public.insert(*inner, address.public);
        }
    }
    public
}

/// What comes by a link that is no interface's is for this VPC or for nobody.
pub(super) fn arrivals(router: &mut Router, vpc: &Vpc) {
    let is_interface = |l: &&Link| matches!(l.end, End::Interface { .. });
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
