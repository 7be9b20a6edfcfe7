//! Security groups: for each a chain a direction whose rules are look-ups in sets, so that neither
//! the number of a group's rules nor that of its members costs a packet anything.

use super::boxes::{Boxes, Range, disjoint, merged};
use super::changed::Before;
use super::names::{combined, link};
use super::router::{Name, Router};
use super::rules::{Action, Chain, Family, Field, Holds, Kind, Layer, Match, Part, Rule, Set};
use super::shared::Shared;
use crate::Network;
use crate::id::{GroupId, VpcId};
use crate::network::{Direction, Peer, SecurityGroup};
use crate::rules::{ICMP, ICMPV6};
use crate::traffic::Traffic;
use ipnet::IpNet;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// So many ranges of numbers are asked for one after the other, which is no slower than a set.
const FEW: usize = 3;

/// Which of a packet's numbers a rule of a group looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Ports,
    Types,
    Protocols,
}

impl Class {
    const fn name(self) -> &'static str {
        match self {
            Self::Ports => "ports",
            Self::Types => "types",
            Self::Protocols => "protocols",
        }
    }

    /// The field of its numbers.
    const fn number(self) -> Field {
        match self {
            Self::Ports => Field::Port,
            Self::Types => Field::TypeCode,
            Self::Protocols => Field::Protocol,
        }
    }

    /// The fields of its sets behind the address.
    fn fields(self) -> Vec<Field> {
        match self {
            Self::Ports => vec![Field::Protocol, Field::Port],
            Self::Types => vec![Field::Protocol, Field::TypeCode],
            Self::Protocols => vec![Field::Protocol],
        }
    }

    /// Those parts of an element.
    fn parts(self, protocol: u8, range: Range) -> Vec<Part> {
        let numbers = Part::Numbers(range.0, range.1);
        match self {
            Self::Protocols => vec![numbers],
            _ => vec![Part::Numbers(protocol.into(), protocol.into()), numbers],
        }
    }
}

/// What a rule's traffic is: its class, the protocol and the numbers.
fn classify(traffic: &Traffic) -> (Class, u8, Range) {
    match *traffic {
        Traffic::All => (Class::Protocols, 0, (0, 255)),
        Traffic::Protocol { number } => (Class::Protocols, 0, (number.into(), number.into())),
        Traffic::Ports { transport, from, to } => (Class::Ports, transport.number(), (from, to)),
        Traffic::Icmp { v6, kind, code } => {
            let protocol = if v6 { ICMPV6 } else { ICMP };
            let range = super::type_codes(kind, code);
            (Class::Types, protocol, range)
        }
    }
}

/// A direction's name, hook and layer.
pub(super) const fn way(direction: Direction) -> (&'static str, Layer) {
    match direction {
        Direction::Egress => ("egress", Layer::Egress),
        Direction::Ingress => ("ingress", Layer::Ingress),
    }
}

/// Whether a chain or set is of those that are made here.
pub(super) fn is_of_groups(name: &str) -> bool {
    ["sg-", "pl-", "egress-", "ingress-"].iter().any(|p| name.starts_with(p))
}

/// What chains and sets are made of.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) network: &'a Network,
    pub(super) vpc: &'a VpcId,
    /// What there is of them already.
    pub(super) before: Option<Before<'a>>,
}

/// The chain of all who have just these groups, made if it is not there. What none of them allows
/// is denied.
pub(super) fn chain(
    router: &mut Router,
    source: Source<'_>,
    groups: &BTreeSet<&GroupId>,
    direction: Direction,
) -> Name {
    let (prefix, layer) = way(direction);
    let name = combined(prefix, groups.iter().map(|g| g.as_str()));
    if router.chains.contains_key(&name) {
        return name;
    }
    let mut rules = Vec::new();
    for id in groups {
        let of_group: Name = format!("{id}-{prefix}").into();
        rules.push(Rule::new(vec![], Action::Jump(of_group.clone())));
        if router.chains.contains_key(&of_group) {
            continue;
        }
        if let Some(before) = source.before
            && let Some(kept) = before.rules_of(id, &of_group)
        {
            keep(router, source, before, kept);
            router.chains.insert(of_group, kept.clone());
        } else if let Some(group) = source.network.groups.get(*id) {
            let rules = group_rules(router, source, id, group, direction);
            router.chains.insert(of_group, Chain { hook: None, rules }.into());
        }
    }
    rules.push(Rule::new(vec![], Action::Deny(layer)));
    router.chains.insert(name.clone(), Chain { hook: None, rules }.into());
    name
}

/// The sets of a chain that was there before.
fn keep(router: &mut Router, source: Source<'_>, before: Before<'_>, chain: &Shared<Chain>) {
    for condition in chain.rules.iter().flat_map(|r| &r.matches) {
        let Match::In(_, name) = condition else { continue };
        if router.sets.contains_key(name) {
            continue;
        }
        if let Some(set) = before.set(name) {
            router.sets.insert(name.clone(), set.clone());
        } else if let Some((id, family)) = before.members(name) {
            members(router, source, &Peer::Group(id.clone()), family);
        }
    }
}

/// The name of the set of a group's members.
pub(super) fn members_name(id: &GroupId, family: Family) -> Name {
    format!("{id}-members-{}", family.name()).into()
}

/// Look-ups that a group's rules become.
#[derive(Default)]
struct Lookups {
    blocks: BTreeMap<(Family, Class), Boxes>,
    peers: BTreeMap<Peer, BTreeMap<Class, BTreeMap<u8, Vec<Range>>>>,
}

fn group_rules(
    router: &mut Router,
    source: Source<'_>,
    id: &GroupId,
    group: &SecurityGroup,
    direction: Direction,
) -> Vec<Rule> {
    let mut lookups = Lookups::default();
    for rule in group.rules.values().filter(|r| r.direction == direction) {
        let (class, protocol, range) = classify(&rule.traffic);
        match &rule.peer {
            Peer::Cidr(block) => {
                let family = Family::of(&block.addr());
                let boxes = lookups.blocks.entry((family, class)).or_default();
                boxes.entry((protocol, block.trunc())).or_default().push(range);
            }
            peer => {
                let of_peer = lookups.peers.entry(peer.clone()).or_default();
                of_peer.entry(class).or_default().entry(protocol).or_default().push(range);
            }
        }
    }
    let prefix = format!("{id}-{}", way(direction).0);
    let mut rules = Vec::new();
    for ((family, class), boxes) in &lookups.blocks {
        rules.push(by_block(router, &prefix, direction, *family, *class, boxes));
    }
    for (peer, classes) in &lookups.peers {
        by_peer(router, source, &prefix, direction, (peer, classes), &mut rules);
    }
    rules
}

/// The link to the other side, and the address there.
const fn straight(direction: Direction, family: Family) -> [Field; 2] {
    match direction {
        Direction::Egress => [Field::To, Field::Destination(family)],
        Direction::Ingress => [Field::From, Field::Source(family)],
    }
}

const fn address(direction: Direction, family: Family) -> Field {
    match direction {
        Direction::Egress => Field::Destination(family),
        Direction::Ingress => Field::Source(family),
    }
}

/// The rule for all of a group's blocks: one look-up of address and numbers together.
fn by_block(
    router: &mut Router,
    prefix: &str,
    direction: Direction,
    family: Family,
    class: Class,
    boxes: &Boxes,
) -> Rule {
    let name: Name = format!("{prefix}-{}-{}", family.name(), class.name()).into();
    let mut fields = vec![address(direction, family)];
    fields.extend(class.fields());
    let kinds: Vec<Kind> = fields.iter().map(|f| f.kind()).collect();
    let mut set = Set::new(&kinds, true, Holds::Members);
    for (protocol, block, range) in disjoint(boxes) {
        let mut key = vec![addresses(&block)];
        key.extend(class.parts(protocol, range));
        set.insert(key);
    }
    router.sets.insert(name.clone(), set.into());
    Rule::new(vec![Match::In(fields, name)], Action::Accept)
}

/// The rules for what a group allows to or from a group or a prefix list: the address is looked up
/// in that one's set, so that whoever joins it is one element. A group's has the links too: what was
/// forwarded on its way is nobody's who has the group.
fn by_peer(
    router: &mut Router,
    source: Source<'_>,
    prefix: &str,
    direction: Direction,
    (peer, classes): (&Peer, &BTreeMap<Class, BTreeMap<u8, Vec<Range>>>),
    rules: &mut Vec<Rule>,
) {
    for family in Family::BOTH {
        let Some((peer_id, members)) = members(router, source, peer, family) else {
            continue;
        };
        for (class, numbers) in classes {
            let fields = match peer {
                Peer::Group(_) => straight(direction, family).to_vec(),
                _ => vec![address(direction, family)],
            };
            let who = Match::In(fields, members.clone());
            if *class == Class::Protocols {
                let ranges = numbers.values().flatten().copied().collect();
                for (first, last) in merged(ranges) {
                    let mut matches = vec![who.clone()];
                    if (first, last) != (0, 255) {
                        matches.push(Match::Between(Field::Protocol, first, last));
                    }
                    rules.push(Rule::new(matches, Action::Accept));
                }
                continue;
            }
            let ranges = numbers.iter().map(|(p, all)| (*p, merged(all.clone())));
            let ranges: Vec<(u8, Range)> =
                ranges.flat_map(|(p, all)| all.into_iter().map(move |r| (p, r))).collect();
            if ranges.len() <= FEW {
                for (protocol, (first, last)) in ranges {
                    let number = Match::Between(class.number(), first, last);
                    let matches = vec![who.clone(), Match::Protocol(protocol), number];
                    rules.push(Rule::new(matches, Action::Accept));
                }
                continue;
            }
            let name: Name = format!("{prefix}-{peer_id}-{}", class.name()).into();
            let fields = class.fields();
            let kinds: Vec<Kind> = fields.iter().map(|f| f.kind()).collect();
            let mut set = Set::new(&kinds, true, Holds::Members);
            for (protocol, range) in ranges {
                set.insert(class.parts(protocol, range));
            }
            router.sets.insert(name.clone(), set.into());
            rules.push(Rule::new(vec![who, Match::In(fields, name)], Action::Accept));
        }
    }
}

/// The set of a peer's addresses, made if it is not there. `None` of a group that is gone or whose
/// VPC is no longer peered, and of a prefix list that is gone: such a rule is stale and allows
/// nobody.
fn members(
    router: &mut Router,
    source: Source<'_>,
    peer: &Peer,
    family: Family,
) -> Option<(String, Name)> {
    let Source { network, vpc, before } = source;
    let kept = |name: &Name| before.and_then(|b| b.set(name)).cloned();
    match peer {
        Peer::Cidr(_) => None,
        Peer::Group(id) => {
            let of = &network.groups.get(id)?.vpc;
            let peering = network.peering(of, vpc).map(|p| link(p.as_str()));
            if of != vpc && peering.is_none() {
                return None;
            }
            let name = members_name(id, family);
            if router.sets.contains_key(&name) {
                // It is made.
            } else if let Some(set) = kept(&name) {
                router.sets.insert(name.clone(), set);
            } else {
                let key = [Kind::Link, Kind::Address(family)];
                let mut set = Set::new(&key, false, Holds::Members);
                for interface in network.members(id) {
                    for address in super::addresses(network, interface) {
                        let by =
                            if of == vpc { router.hosts.get(&address) } else { peering.as_ref() };
                        if Family::of(&address) == family
                            && let Some(by) = by
                        {
                            set.insert(vec![Part::Link(by.clone()), Part::Address(address)]);
                        }
                    }
                }
                router.sets.insert(name.clone(), set.into());
            }
            Some((id.to_string(), name))
        }
        Peer::PrefixList(id) => {
            let list = network.prefix_lists.get(id)?;
            if list.v6 != (family == Family::V6) {
                return None;
            }
            let name: Name = id.as_str().into();
            if router.sets.contains_key(&name) {
                // It is made.
            } else if let Some(set) = kept(&name) {
                router.sets.insert(name.clone(), set);
            } else {
                let mut set = Set::new(&[Kind::Address(family)], true, Holds::Members);
                for block in IpNet::aggregate(&list.entries.keys().copied().collect()) {
                    set.insert(vec![addresses(&block)]);
                }
                router.sets.insert(name.clone(), set.into());
            }
            Some((id.to_string(), name))
        }
    }
}

pub(super) fn addresses(block: &IpNet) -> Part {
    let (first, last): (IpAddr, IpAddr) = (block.network(), block.broadcast());
    if first == last { Part::Address(first) } else { Part::Addresses(first, last) }
}
