//! The explanation, for a person.

use super::answer::{Answer, Path};
use crate::network::facts::{target_id, works};
use crate::network::names::Names;
use crate::terminal::printable;
use belljar_vpc::network::{Direction, RecordId};
use belljar_vpc::reach::{Blocker, Code, Component, DetailCode, Hop, Leg, Reason};
use belljar_vpc::traffic::{Header, Payload};
use owo_colors::OwoColorize;
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

/// Columns of the place at which something was decided.
const PLACE: usize = 44;

/// All of it. (Writing into a `String` cannot fail.)
pub(super) fn text(names: &Names<'_>, answer: &Answer) -> String {
    let mut out = String::new();
    let port = answer.port.map_or_else(String::new, |port| format!(" {port}"));
    let (from, to) = (printable(&answer.from), &answer.to);
    let _ = writeln!(out, "{} → {}  {}{port}", from.bold(), to.bold(), answer.protocol);
    if let Some(sealed) = &answer.sealed {
        isolated(&mut out, sealed, !answer.paths.is_empty());
    }
    match answer.paths.as_slice() {
        [] => {}
        [first, rest @ ..] if rest.iter().all(|other| agree(first, other)) => {
            whole(&mut out, names, first);
            same(&mut out, names, rest);
        }
        several => several.iter().for_each(|path| short(&mut out, names, path)),
    }
    out
}

fn isolated(out: &mut String, sealed: &Blocker, staged: bool) {
    let _ = writeln!(out, "\n{} {}: {}", cross(), sealed.code.bold(), printable(&sealed.text));
    let more = match staged {
        true => {
            "  What is staged for it from and to S3 goes by its interface, and is explained here:"
        }
        false => "  Only what is staged for it goes by its interface, from and to S3 (--to s3).",
    };
    let _ = writeln!(out, "{more}");
}

/// Whether two interfaces' explanations come to the same.
fn agree(one: &Path, other: &Path) -> bool {
    let said = |p: &Path| -> Vec<_> {
        let of = |b: &Blocker| (b.code, b.component.clone(), b.direction, b.fix.clone());
        p.reach.blockers.iter().map(of).collect()
    };
    one.passes == other.passes && said(one) == said(other)
}

/// An interface with its whole way.
fn whole(out: &mut String, names: &Names<'_>, path: &Path) {
    let _ = writeln!(out, "\n{}", place(names, path));
    let mut number = 0;
    for (leg, hops) in [(Leg::Request, &path.reach.forward), (Leg::Reply, &path.reach.backward)] {
        way(out, names, path, leg, hops, &mut number);
    }
    verdict(out, names, path);
}

/// Whose interface, and where it is.
fn place(names: &Names<'_>, path: &Path) -> String {
    let address = path.source.map(|a| a.to_string()).unwrap_or_default();
    let Some(id) = &path.interface else { return format!("from {address}, on the internet") };
    let subnet = names.network.interfaces.get(id).map(|i| names.label(i.subnet.as_str()));
    let subnet = subnet.unwrap_or_default();
    match path.planned {
        true => format!("an interface that it would be given: {address} in {subnet}"),
        false => format!("{} at {address} in {subnet}", names.label(id.as_str())),
    }
}

fn way(
    out: &mut String,
    names: &Names<'_>,
    path: &Path,
    leg: Leg,
    hops: &[Hop],
    number: &mut usize,
) {
    let blockers = path.reach.blockers.iter().filter(|b| b.direction == leg && !is_name(b));
    let mut left = blockers.collect::<Vec<_>>().into_iter();
    let Some(first) = hops.first() else { return };
    *number += usize::from(leg == Leg::Request)
        * path.reach.blockers.iter().filter(|b| is_name(b)).count();
    let _ = writeln!(out, "\n  {:8} {}", leg.to_string().bold(), ends(&first.header).dimmed());
    let mut before = first.header;
    for hop in hops {
        if hop.reason == Reason::Mended {
            left.next();
            *number += 1;
            let at = component(names, &hop.component);
            let _ = writeln!(out, "  {} {}  see {number}", cross(), pad(&at));
            continue;
        }
        let at = component(names, &hop.component);
        let mut said = reason(names, hop, before.destination);
        if (hop.header.source, hop.header.destination) != (before.source, before.destination) {
            said = format!("{said}, now {}", ends(&hop.header));
        }
        before = hop.header;
        let _ = writeln!(out, "  {} {}  {said}", tick(), pad(&at));
    }
    for blocker in left {
        *number += 1;
        let at = component(names, &blocker.component);
        let _ = writeln!(out, "  {} {}  see {number}; here the way ends", cross(), pad(&at));
    }
}

/// Whether a blocker is about a name rather than a packet.
fn is_name(blocker: &Blocker) -> bool {
    matches!(blocker.code, Code::DnsNameUnresolved | Code::PrivateDnsDisabled)
}

fn pad(text: &str) -> String {
    format!("{text:PLACE$}")
}

fn component(names: &Names<'_>, component: &Component) -> String {
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

/// Why it went on there.
fn reason(names: &Names<'_>, hop: &Hop, to: IpAddr) -> String {
    let network = names.network;
    match &hop.reason {
        Reason::Sends => "sends it".to_owned(),
        Reason::Receives => "receives it".to_owned(),
        Reason::Forwards => "forwards it: its source/destination check is off".to_owned(),
        Reason::NoGroup => "filters nothing".to_owned(),
        Reason::Translates => "puts in another address".to_owned(),
        Reason::Established => "a reply, which its groups let through".to_owned(),
        Reason::Mended => String::new(),
        Reason::Local(block) => format!("local route {block}"),
        Reason::GroupRule(id) => {
            let Component::Record(RecordId::Group(group)) = &hop.component else {
                return id.to_string();
            };
            let rule = network.groups.get(group).and_then(|g| g.rules.get(id));
            rule.map_or_else(String::new, |rule| {
                let (way, word) = direction(rule.direction);
                let peer = names.peer(&rule.peer);
                format!("allows {way}: {} {word} {peer}", rule.traffic)
            })
        }
        Reason::AclEntry(way, number) => {
            let Component::Record(RecordId::Acl(acl)) = &hop.component else {
                return number.to_string();
            };
            let entry = network.acls.get(acl).and_then(|a| a.entries(*way).get(number));
            entry.map_or_else(String::new, |entry| {
                let (way, word) = direction(*way);
                format!("allows {way} by entry {number}: {} {word} {}", entry.traffic, entry.block)
            })
        }
        Reason::Route(destination) => {
            let Component::Record(RecordId::RouteTable(table)) = &hop.component else {
                return names.destination(destination);
            };
            let _ = to;
            let table = network.route_tables.get(table);
            let route = table.and_then(|t| t.routes.iter().find(|r| r.destination == *destination));
            let target = route
                .filter(|r| works(network, &r.target))
                .map(|r| names.label(target_id(&r.target)));
            format!("{} → {}", names.destination(destination), target.unwrap_or_default())
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

/// Whether it passes; if not, all that is in the way and what mends it.
fn verdict(out: &mut String, names: &Names<'_>, path: &Path) {
    for detail in &path.reach.details {
        let said = match detail {
            DetailCode::AvailabilityZoneCrossed => {
                "its ends are in two zones, which AWS charges for"
            }
            DetailCode::UnidirectionalPathAnalysisOnly => "nothing answers such a packet",
        };
        let _ = writeln!(out, "\n  {detail}: {said}");
    }
    let blockers = &path.reach.blockers;
    if blockers.is_empty() {
        let _ = writeln!(out, "\n{} {}", tick(), "It passes, request and reply.".green().bold());
        return;
    }
    let _ = writeln!(out, "\n{} {}", cross(), "It does not pass. In the way:".red().bold());
    for (blocker, number) in blockers.iter().zip(1..) {
        self::blocker(out, names, blocker, number);
    }
    let _ = writeln!(out, "\n{}", after(path));
}

fn blocker(out: &mut String, names: &Names<'_>, blocker: &Blocker, number: usize) {
    let at = component(names, &blocker.component);
    let _ = writeln!(
        out,
        "\n  {number}  {}  {} at {at}\n     {}",
        blocker.code.bold(),
        blocker.direction,
        printable(&blocker.text)
    );
    let lines = blocker.fix.iter().flat_map(|fix| &fix.cli);
    for line in lines {
        let _ = writeln!(out, "     {} {}", "$".dimmed(), printable(line).cyan());
    }
}

/// What all fixes together come to.
fn after(path: &Path) -> String {
    let count = path.reach.blockers.len();
    let changes = if count == 1 { "this change" } else { "all of these changes" };
    match path.passes_mended {
        Some(true) => format!("After {changes} it passes."),
        _ if path.reach.blockers.iter().any(|b| b.fix.is_none()) => {
            "No change of the network alone mends that.".to_owned()
        }
        _ => format!("After {changes} it does not pass yet: explain it again then."),
    }
}

/// The other interfaces, of which the same is true.
fn same(out: &mut String, names: &Names<'_>, others: &[Path]) {
    if others.is_empty() {
        return;
    }
    let all: Vec<String> = others.iter().map(|path| place(names, path)).collect();
    let _ = writeln!(out, "\nThe same is true of:\n  {}", all.join("\n  "));
}

/// One of several interfaces that differ.
fn short(out: &mut String, names: &Names<'_>, path: &Path) {
    if path.passes {
        let _ = writeln!(out, "\n{} {}: {}", tick(), place(names, path), "it passes".green());
        return;
    }
    let _ = writeln!(out, "\n{} {}: {}", cross(), place(names, path), "it does not pass".red());
    for (blocker, number) in path.reach.blockers.iter().zip(1..) {
        self::blocker(out, names, blocker, number);
    }
    let _ = writeln!(out, "\n  {}", after(path));
}

fn tick() -> String {
    "✓".green().to_string()
}

fn cross() -> String {
    "✗".red().bold().to_string()
}
