//! The internet gateway: who passes it, and by which public addresses.

use super::links::{outside, private, rule};
use super::names::link;
use super::router::{End, Name, Router};
use super::rules::{
    Action, Chain, Family, Field, Holds, Hook, Kind, Layer, Match, Part, Rule, Set, Value,
};
use super::shared::Key;
use crate::Network;
use crate::id::VpcId;
use crate::network::Vpc;
use crate::rules::ICMP;
use ipnet::IpNet;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// The internet gateway: one public address for one private one, and none without.
pub(super) fn gateway(router: &mut Router, network: &Network, id: &VpcId, vpc: &Vpc) {
    let Some(gateway) = network.internet_gateway(id) else { return };
    let name = link(gateway.as_str());
    let (from, to) = (|| Match::From(name.clone()), || Match::To(name.clone()));
    let mut demands = Vec::new();
    for block in private() {
        let matches = vec![to(), Match::Block { source: false, block }];
        demands.push(rule(matches, Action::Deny(Layer::Public)));
    }
    for family in Family::BOTH {
        let set: Name = format!("public-{}", family.name()).into();
        let has = |field| Match::In(vec![field], set.clone());
        demands.push(rule(vec![to(), has(Field::Source(family))], Action::Accept));
        demands.push(rule(vec![from(), has(Field::Destination(family))], Action::Accept));
    }
    demands.push(rule(vec![to()], Action::Deny(Layer::Public)));
    demands.push(rule(vec![from()], Action::Deny(Layer::Public)));
    demands.push(rule(vec![], Action::Accept));
    // Without state: an address that is somebody else's now is so for every packet, and a connection
    // may come by the gateway one way and not the other.
    let (inner, outer): (Name, Name) = ("to-private".into(), "to-public".into());
    let arrive = (Action::ToPrivate(inner.clone()), Action::QuotedToPrivate(inner));
    let leave = (Action::ToPublic(outer.clone()), Action::QuotedToPublic(outer));
    let (arrive, leave) = (translate(&from(), arrive), translate(&to(), leave));
    let hooks = [(Hook::Public, demands), (Hook::Arrive, arrive), (Hook::Leave, leave)];
    for (hook, rules) in hooks {
        router.chains.insert(hook.name().into(), Chain { hook: Some(hook), rules }.into());
    }
    let blocks_v6 = vpc.cidrs.iter().filter_map(|c| match c.block {
        IpNet::V6(net) => Some(net),
        IpNet::V4(_) => None,
    });
    let blocks_v6 = blocks_v6.collect();
    let end = End::Internet { id: gateway.clone(), public: BTreeSet::new(), blocks_v6 };
    outside(router, gateway.as_str(), end, Value::Accept);
    public_addresses(router, network, id);
}

/// Which interfaces the internet gateway, if there is one, knows by which public address.
pub(super) fn public_addresses(router: &mut Router, network: &Network, vpc: &VpcId) {
    let Some(gateway) = network.internet_gateway(vpc) else { return };
    let mut private_v4 = Set::new(&[Kind::Address(Family::V4)], false, Holds::Members);
    let mut private_v6 = Set::new(&[Kind::Address(Family::V6)], false, Holds::Members);
    let mut in_map = Set::new(&[Kind::Address(Family::V4)], false, Holds::Addresses);
    let mut out_map = in_map.clone();
    let mut all_public = BTreeSet::new();
    for (address, name) in &router.hosts {
        let key = Key::one(Part::Address(*address));
        let IpAddr::V4(inner) = *address else {
            private_v6.insert(key);
            continue;
        };
        let Some(End::Interface { id, .. }) = router.links.get(name).map(|l| &l.end) else {
            continue;
        };
        let Some(outer) = network.public_of(id, inner) else { continue };
        private_v4.insert(key.clone());
        out_map.elements.insert(key, Value::Address(outer));
        if network.at_public(outer) == Some((id, inner)) {
            let key = Key::one(Part::Address(IpAddr::V4(outer)));
            in_map.elements.insert(key, Value::Address(inner));
            all_public.insert(outer);
        }
    }
    let sets = [
        ("public-v4", private_v4),
        ("public-v6", private_v6),
        ("to-private", in_map),
        ("to-public", out_map),
    ];
    for (name, set) in sets {
        router.sets.insert(name.into(), set.into());
    }
    if let Some(link) = router.links.get_mut(&link(gateway.as_str()))
        && let End::Internet { public, .. } = &mut link.end
    {
        *public = all_public;
    }
}

/// The rules of a translation: of errors also what they quote, so that the size of a path's packets
/// is found out.
fn translate(by: &Match, (address, quoted): (Action, Action)) -> Vec<Rule> {
    // Destination unreachable, time exceeded, parameter problem (RFC 792).
    let errors = [3u16, 11, 12].map(|kind| {
        let kind = Match::Between(Field::TypeCode, kind << 8, kind << 8 | 0xff);
        let matches = vec![by.clone(), Match::Family(Family::V4), Match::Protocol(ICMP), kind];
        rule(matches, quoted.clone())
    });
    errors.into_iter().chain([rule(vec![by.clone()], address)]).collect()
}
