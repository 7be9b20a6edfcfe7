//! The way of a packet, for a person: place by place, with the rule that decided there.

use super::answer::Path;
use crate::doctor::wrap;
use crate::network::facts::{target_id, works};
use crate::network::names::Names;
use belljar_vpc::network::{Direction, RecordId};
use belljar_vpc::reach::{Blocker, Component, Hop, Leg, Reason};
use belljar_vpc::traffic::{Header, Payload};
use owo_colors::OwoColorize;
use std::fmt::Write;
use std::net::SocketAddr;

/// Columns of the place at which something was decided, at most.
const PLACE: usize = 48;
/// Columns that are left for what was decided there, at least.
const DECIDED: usize = 40;

/// Both ways of an interface's packets. (Writing into a `String` cannot fail.)
pub(super) fn write(out: &mut String, names: &Names<'_>, path: &Path, columns: usize) {
    let hops = path.reach.forward.iter().chain(&path.reach.backward);
    let width = hops.map(|hop| component(names, &hop.component).chars().count()).max();
    let width = width.unwrap_or(0).min(PLACE).min(columns.saturating_sub(DECIDED));
    let blockers = &path.reach.blockers;
    let mut left: Vec<(usize, &Blocker)> = (1..).zip(blockers).collect();
    for (leg, hops) in [(Leg::Request, &path.reach.forward), (Leg::Reply, &path.reach.backward)] {
        let Some(first) = hops.first() else { continue };
        let _ = writeln!(
            out,
            "\n  {} {}",
            format!("{:8}", leg.to_string()).bold(),
            ends(&first.header).dimmed()
        );
        let mut before = first.header;
        for hop in hops {
            let at = component(names, &hop.component);
            let (mark, mut said) = match hop.reason {
                Reason::Mended => (cross(), see(&mut left, leg, hop)),
                _ => (tick(), reason(names, hop)),
            };
            if (hop.header.source, hop.header.destination) != (before.source, before.destination) {
                said = format!("{said}, now {}", ends(&hop.header));
            }
            before = hop.header;
            let _ = writeln!(out, "  {mark} {}", line(&at, &said, width, columns));
        }
        let lost = left.iter().filter(|(_, b)| b.direction == leg && b.fix.is_none());
        for (number, blocker) in lost {
            let at = component(names, &blocker.component);
            let said = format!("see {number}: here it ends");
            let _ = writeln!(out, "  {} {}", cross(), line(&at, &said, width, columns));
        }
    }
}

/// A place and what was decided there, which has a column of its own, also where it is long.
fn line(at: &str, said: &str, width: usize, columns: usize) -> String {
    let long = at.chars().count();
    if 4 + long.max(width) + 2 + said.chars().count() <= columns {
        return format!("{at:width$}  {said}");
    }
    let indent = " ".repeat(4 + width + 2);
    let said = wrap(said, &indent, columns);
    match long > width {
        true => format!("{at}\n{indent}{said}"),
        false => format!("{at:width$}  {said}"),
    }
}

/// Which of the blockers stops the packet at a place.
fn see(left: &mut Vec<(usize, &Blocker)>, leg: Leg, hop: &Hop) -> String {
    let here = |(_, b): &(usize, &Blocker)| b.direction == leg && b.component == hop.component;
    match left.iter().position(here) {
        Some(place) => format!("see {}", left.remove(place).0),
        None => "what mends the rest mends this, too".to_owned(),
    }
}

/// What it is, by name.
pub(super) fn component(names: &Names<'_>, component: &Component) -> String {
    match component {
        Component::Record(id) => {
            let kind = match id {
                RecordId::Acl(_) => "ACL ",
                RecordId::RouteTable(_) => "routes ",
                _ => "",
            };
            format!("{kind}{}", names.label(id.as_str()))
        }
        Component::Router(vpc) => format!("router of {}", names.short(vpc.as_str())),
        Component::Internet => "the internet".to_owned(),
    }
}

/// Why it went on there. A rule that is not in the network is one that a fix makes.
fn reason(names: &Names<'_>, hop: &Hop) -> String {
    let network = names.network;
    match &hop.reason {
        Reason::Sends => "sends it".to_owned(),
        Reason::Receives => "receives it".to_owned(),
        Reason::Forwards => "forwards it".to_owned(),
        Reason::NoGroup => "has no group: nothing is filtered".to_owned(),
        Reason::Translates => "puts in its own address".to_owned(),
        Reason::Established => "lets a reply through".to_owned(),
        Reason::Mended => String::new(),
        Reason::Local(block) => format!("local route {block}"),
        Reason::GroupRule(id) => {
            let Component::Record(RecordId::Group(group)) = &hop.component else {
                return id.to_string();
            };
            let rule = network.groups.get(group).and_then(|g| g.rules.get(id));
            let said = rule.map(|rule| {
                let (way, word) = direction(rule.direction);
                format!("{way} rule: {} {word} {}", rule.traffic, names.peer(&rule.peer))
            });
            said.unwrap_or_else(|| "by a rule that is new".to_owned())
        }
        Reason::AclEntry(way, number) => {
            let Component::Record(RecordId::Acl(acl)) = &hop.component else {
                return number.to_string();
            };
            let entry = network.acls.get(acl).and_then(|a| a.entries(*way).get(number));
            let said = entry.map(|entry| {
                let (way, word) = direction(*way);
                format!("{way} entry {number}: {} {word} {}", entry.traffic, entry.block)
            });
            said.unwrap_or_else(|| "by an entry that is new".to_owned())
        }
        Reason::Route(destination) => {
            let Component::Record(RecordId::RouteTable(table)) = &hop.component else {
                return names.destination(destination);
            };
            let table = network.route_tables.get(table);
            let mut routes = table.into_iter().flat_map(|t| &t.routes);
            let to = routes.find(|r| r.destination == *destination && works(network, &r.target));
            let to = to.map(|r| format!(" → {}", names.label(target_id(&r.target))));
            let to = to.unwrap_or_else(|| ", a route that is new".to_owned());
            format!("{}{to}", names.destination(destination))
        }
    }
}

const fn direction(direction: Direction) -> (&'static str, &'static str) {
    match direction {
        Direction::Ingress => ("ingress", "from"),
        Direction::Egress => ("egress", "to"),
    }
}

/// From where to where a packet goes.
fn ends(header: &Header) -> String {
    match header.payload {
        Payload::Ports { source, destination, .. } => format!(
            "{} → {}",
            SocketAddr::new(header.source, source),
            SocketAddr::new(header.destination, destination)
        ),
        _ => format!("{} → {}", header.source, header.destination),
    }
}

pub(super) fn tick() -> String {
    "✓".green().to_string()
}

pub(super) fn cross() -> String {
    "✗".red().bold().to_string()
}
