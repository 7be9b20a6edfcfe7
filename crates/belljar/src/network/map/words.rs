//! What is written in a box.

use super::nodes::{Class, Node, Role};
use crate::network::facts::public;
use crate::network::names::Names;
use belljar_vpc::id::InterfaceId;
use belljar_vpc::network::service;

/// Members that a box's full text names.
const MAX_NAMED: usize = 40;

/// The two lines of a box.
pub(super) fn of_node(names: &Names<'_>, node: &Node) -> (String, String) {
    match node {
        Node::Class(class) => of_class(names, class),
        Node::Internet(id) => ("the internet".to_owned(), names.label(id.as_str())),
        Node::Endpoint(id) => {
            let name = names.network.endpoints.get(id).map(|e| e.service.as_str());
            let short = name.and_then(service).map_or(name.unwrap_or_default(), |(_, s)| s);
            (format!("gateway endpoint {short}"), id.to_string())
        }
        Node::Peering(id, other) => {
            (format!("VPC {}", names.short(other.as_str())), format!("peering {id}"))
        }
    }
}

fn of_class(names: &Names<'_>, class: &Class) -> (String, String) {
    let groups: Vec<String> = class.groups.iter().map(|g| names.short(g.as_str())).collect();
    let groups = if groups.is_empty() { "no group".to_owned() } else { groups.join(", ") };
    match &class.role {
        Role::Ordinary => {
            let public = if class.public { ", public" } else { "" };
            let v6 = if class.v6 { ", IPv6" } else { "" };
            (groups, format!("{}{public}{v6}", count(names, class)))
        }
        Role::Endpoint(id) => {
            let name = names.network.endpoints.get(id).map(|e| e.service.as_str());
            let short = name.and_then(service).map_or(name.unwrap_or_default(), |(_, s)| s);
            (format!("endpoint {short}"), groups)
        }
        Role::Nat(id) => {
            let public = class.members.first().map(|m| public(names.network, m));
            let address = public.and_then(|p| p.first().map(|a| format!("as {a}")));
            (format!("NAT gateway {}", names.short(id.as_str())), address.unwrap_or_default())
        }
    }
}

/// How many, and whose.
fn count(names: &Names<'_>, class: &Class) -> String {
    let all = class.members.len();
    let mut of: Vec<String> = class.members.iter().map(|id| of_whom(names, id)).collect();
    of.sort();
    of.dedup();
    match of.as_slice() {
        [one] => format!("{all} × {one}"),
        [first, rest @ ..] => format!("{all} × {first} and {} more", rest.len()),
        [] => all.to_string(),
    }
}

fn of_whom(names: &Names<'_>, id: &InterfaceId) -> String {
    names.network.interfaces.get(id).map(|i| names.of_whom(i)).unwrap_or_default()
}

/// All that there is to be said of a box, for who points at it.
pub(super) fn all_of_node(names: &Names<'_>, node: &Node) -> String {
    let (first, second) = of_node(names, node);
    let Node::Class(class) = node else { return format!("{first}\n{second}") };
    let mut lines = vec![first, names.groups(&class.groups)];
    for id in class.members.iter().take(MAX_NAMED) {
        let interface = names.network.interfaces.get(id);
        let address = interface.and_then(|i| i.primary()).map(|a| a.to_string());
        let address = address.unwrap_or_default();
        let whose = interface.map(|i| names.whose(i)).unwrap_or_default();
        lines.push(format!("{} {address} {}", names.label(id.as_str()), whose));
    }
    if class.members.len() > MAX_NAMED {
        lines.push(format!("and {} more", class.members.len() - MAX_NAMED));
    }
    lines.join("\n")
}

/// How wide a character is at most, of 12 px: in thousandths of a pixel. Which font there is, is not
/// known; these are those of a wide one.
const WIDE: (u64, u64, u64) = (6_600, 7_600, 12_500);

/// As much of a text of 12 px as there is room for, with an ellipsis where something is left out.
pub(super) fn fitting(text: &str, room: i32, bold: bool) -> String {
    let of = |c: char| match (c, bold) {
        (c, _) if c >= '\u{1100}' => WIDE.2,
        (_, true) => WIDE.1,
        (_, false) => WIDE.0,
    };
    let room = u64::try_from(room).unwrap_or(0) * 1000;
    if text.chars().map(of).sum::<u64>() <= room {
        return text.to_owned();
    }
    let mut left = room.saturating_sub(of('.') * 2);
    let kept = text.chars().take_while(|c| match left.checked_sub(of(*c)) {
        Some(less) => {
            left = less;
            true
        }
        None => false,
    });
    format!("{}…", kept.collect::<String>().trim_end())
}
