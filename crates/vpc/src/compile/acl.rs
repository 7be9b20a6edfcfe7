//! Network ACLs as chains: by the boundary of a subnet, every packet, in the order of the numbers.

use super::router::{Name, Router};
use super::rules::{Action, Chain, Family, Field, Hook, Layer, Match, Rule};
use super::traffic;
use crate::network::{Direction, NetworkAcl};
use crate::traffic::Traffic;
use ipnet::IpNet;

/// The two directions, as hook, field of the interface's own link, of the other one, and layer.
pub(super) struct Way {
    pub(super) hook: Hook,
    pub(super) direction: Direction,
    pub(super) own: Field,
    pub(super) other: Field,
    pub(super) layer: Layer,
    pub(super) name: &'static str,
}

pub(super) const WAYS: [Way; 2] = [
    Way {
        hook: Hook::AclOut,
        direction: Direction::Egress,
        own: Field::From,
        other: Field::To,
        layer: Layer::AclOut,
        name: "out",
    },
    Way {
        hook: Hook::AclIn,
        direction: Direction::Ingress,
        own: Field::To,
        other: Field::From,
        layer: Layer::AclIn,
        name: "in",
    },
];

/// The map that says which subnet's chain an interface's link is for.
pub(super) const fn map(way: &Way) -> &'static str {
    match way.direction {
        Direction::Egress => "subnet-out",
        Direction::Ingress => "subnet-in",
    }
}

/// The set of a subnet's links.
pub(super) fn links(subnet: &str) -> Name {
    format!("{subnet}-links").into()
}

/// The chain of a subnet. What stays within it meets no network ACL.
pub(super) fn subnet(router: &mut Router, way: &Way, subnet: &str, acl: &str) -> Name {
    let name: Name = format!("{subnet}-{}", way.name).into();
    let within = Match::In(vec![way.other], links(subnet));
    let rules = vec![
        Rule::new(vec![within], Action::Accept),
        Rule::new(vec![], Action::Goto(chain_name(way, acl))),
    ];
    router.chains.insert(name.clone(), Chain { hook: None, rules }.into());
    name
}

fn chain_name(way: &Way, acl: &str) -> Name {
    format!("{acl}-{}", way.name).into()
}

/// The chain of a network ACL; several subnets may have it.
pub(super) fn chain(router: &mut Router, way: &Way, id: &str, acl: &NetworkAcl) {
    let mut rules = Vec::new();
    for entry in acl.entries(way.direction).values() {
        if let Traffic::Ports { from, to, .. } = entry.traffic
            && from > to
        {
            // No port is meant; the kernel has no word for that.
            continue;
        }
        let family = match entry.block {
            IpNet::V4(_) => Family::V4,
            IpNet::V6(_) => Family::V6,
        };
        let source = way.direction == Direction::Ingress;
        let mut matches = vec![if entry.block.prefix_len() > 0 {
            Match::Block { source, block: entry.block.trunc() }
        } else {
            Match::Family(family)
        }];
        traffic(&mut matches, &entry.traffic);
        let action = if entry.allow { Action::Accept } else { Action::Deny(way.layer) };
        rules.push(Rule::new(matches, action));
    }
    rules.push(Rule::new(vec![], Action::Deny(way.layer)));
    router.chains.insert(chain_name(way, id), Chain { hook: None, rules }.into());
}
