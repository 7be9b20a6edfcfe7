//! One chain after another, rule by rule.

use crate::compile::{
    Action, Chain, Family, Field, Hook, Key, Layer, Match, Name, Part, Router, Set, State, Value,
};
use crate::traffic::{Header, Payload};
use std::net::IpAddr;

/// A packet on its way through the hooks.
pub(super) struct Packet {
    pub(super) header: Header,
    pub(super) from: Name,
    pub(super) to: Option<Name>,
    pub(super) mark: u32,
    pub(super) state: Option<State>,
}

/// What a hook says.
pub(super) enum Step {
    Pass,
    Drop(Layer),
}

/// Runs a hook's chain.
pub(super) fn run(router: &Router, hook: Hook, packet: &mut Packet) -> Step {
    let Some(chain) = router.chains.get(hook.name()) else { return Step::Pass };
    match walk(router, chain, packet, hook) {
        Some(step) => step,
        None if hook.passes() => Step::Pass,
        None => Step::Drop(hook.layer()),
    }
}

/// `None` if the chain decides nothing.
fn walk(router: &Router, chain: &Chain, packet: &mut Packet, hook: Hook) -> Option<Step> {
    let called = |packet: &mut Packet, name: &Name| {
        router.chains.get(name).and_then(|c| walk(router, c, packet, hook))
    };
    for rule in &chain.rules {
        if !rule.matches.iter().all(|m| applies(router, m, packet)) {
            continue;
        }
        match &rule.action {
            Action::Accept => return Some(Step::Pass),
            Action::Drop => return Some(Step::Drop(hook.layer())),
            Action::Deny(layer) => return Some(Step::Drop(*layer)),
            Action::Jump(name) => {
                if let Some(step) = called(packet, name) {
                    return Some(step);
                }
            }
            Action::Goto(name) => return called(packet, name),
            Action::Decide(field, map) => match held(router, packet, *field, map) {
                Some(Value::Accept) => return Some(Step::Pass),
                Some(Value::Goto(name)) => return called(packet, &name),
                _ => {}
            },
            Action::Mark(field, map) => {
                if let Some(Value::Mark(mark)) = held(router, packet, *field, map) {
                    packet.mark = mark;
                }
            }
            Action::ToPrivate(map) => {
                let field = Field::Destination(Family::V4);
                if let Some(Value::Address(to)) = held(router, packet, field, map) {
                    packet.header.destination = IpAddr::V4(to);
                }
            }
            Action::ToPublic(map) => {
                let field = Field::Source(Family::V4);
                if let Some(Value::Address(to)) = held(router, packet, field, map) {
                    packet.header.source = IpAddr::V4(to);
                }
            }
            // A head says nothing of what is quoted behind it.
            Action::QuotedToPrivate(_) | Action::QuotedToPublic(_) => {}
        }
    }
    None
}

fn held(router: &Router, packet: &Packet, field: Field, map: &Name) -> Option<Value> {
    let set = router.sets.get(map)?;
    found(set, &[value(field, packet)?]).cloned()
}

fn applies(router: &Router, condition: &Match, packet: &Packet) -> bool {
    let header = &packet.header;
    match condition {
        Match::From(name) => packet.from == *name,
        Match::To(name) => packet.to.as_ref() == Some(name),
        Match::Family(family) => Family::of(&header.source) == *family,
        Match::Block { source, block } => {
            block.contains(if *source { &header.source } else { &header.destination })
        }
        Match::Protocol(number) => header.payload.protocol() == *number,
        Match::Between(field, first, last) => match value(*field, packet) {
            Some(Part::Numbers(number, _)) => (*first..=*last).contains(&number),
            _ => false,
        },
        Match::In(fields, name) => {
            let key: Option<Vec<Part>> = fields.iter().map(|f| value(*f, packet)).collect();
            let set = router.sets.get(name);
            key.zip(set).is_some_and(|(key, set)| found(set, &key).is_some())
        }
        Match::State(state) => packet.state == Some(*state),
    }
}

/// What a packet has of a field.
fn value(field: Field, packet: &Packet) -> Option<Part> {
    let number = |n: u16| Some(Part::Numbers(n, n));
    let of_family = |address: IpAddr, family| {
        (Family::of(&address) == family).then_some(Part::Address(address))
    };
    match field {
        Field::From => Some(Part::Link(packet.from.clone())),
        Field::To => packet.to.clone().map(Part::Link),
        Field::Source(family) => of_family(packet.header.source, family),
        Field::Destination(family) => of_family(packet.header.destination, family),
        Field::Protocol => number(packet.header.payload.protocol().into()),
        Field::Port => match packet.header.payload {
            Payload::Ports { destination, .. } => number(destination),
            _ => None,
        },
        Field::TypeCode => match packet.header.payload {
            Payload::Icmp { kind, code, .. } => number(u16::from(kind) << 8 | u16::from(code)),
            _ => None,
        },
    }
}

fn found<'a>(set: &'a Set, key: &[Part]) -> Option<&'a Value> {
    if !set.ranges {
        return set.elements.get(key);
    }
    let covers = |(element, _): &(&Key, &Value)| {
        element.len() == key.len() && element.iter().zip(key).all(|(e, k)| part_covers(e, k))
    };
    set.elements.iter().find(covers).map(|(_, value)| value)
}

fn part_covers(element: &Part, value: &Part) -> bool {
    match (element, value) {
        (Part::Addresses(first, last), Part::Address(a)) => (first..=last).contains(&a),
        (Part::Numbers(first, last), Part::Numbers(n, _)) => (*first..=*last).contains(n),
        (element, value) => element == value,
    }
}
