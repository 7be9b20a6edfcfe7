//! Network ACLs: what a subnet lets out and in, of every packet.

use super::Code;
use super::answer::{Component, Leg, Reason};
use super::fix::Edit;
use super::groups::narrowest;
use super::mended::Mended;
use super::walk::{Check, Failure};
use crate::id::{AclId, SubnetId};
use crate::network::{AclEntry, Direction, NetworkAcl, RecordId};
use crate::traffic::{Header, Payload, Traffic};
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The highest number of an entry (EC2 API Reference, `CreateNetworkAclEntry`).
const LAST: u16 = 32766;
/// Ports of answers: a NAT gateway's, which hold those of Linux (VPC User Guide, "Ephemeral
/// ports").
const EPHEMERAL: u16 = 1024;

impl NetworkAcl {
    /// The first entry that is about a packet; with none it is denied.
    #[must_use]
    pub fn decide(&self, direction: Direction, header: &Header) -> Option<(u16, &AclEntry)> {
        let peer = peer(direction, header);
        let is = |e: &AclEntry| e.block.contains(&peer) && e.traffic.matches(&header.payload);
        let mut entries = self.entries(direction).iter();
        entries.find(|(_, e)| is(e)).map(|(number, e)| (*number, e))
    }
}

const fn peer(direction: Direction, header: &Header) -> IpAddr {
    match direction {
        Direction::Ingress => header.source,
        Direction::Egress => header.destination,
    }
}

/// The entry of a subnet's ACL that lets a packet across the subnet's boundary.
pub(super) fn check(
    net: &Mended<'_>,
    subnet: &SubnetId,
    direction: Direction,
    header: &Header,
    leg: Leg,
) -> Check {
    let Some((id, acl)) = net.acl(subnet) else {
        // Every subnet of a checked network has one.
        return Check::Passes(Component::Record(RecordId::Subnet(subnet.clone())), Reason::NoGroup);
    };
    let component = Component::Record(RecordId::Acl(id.clone()));
    let decided = acl.decide(direction, header);
    let by = match decided {
        Some((number, entry)) if entry.allow => {
            return Check::Passes(component, Reason::AclEntry(direction, number));
        }
        Some((number, _)) => format!("its entry {number} denies it"),
        None => "no entry allows it".to_owned(),
    };
    let (way, verb, of) = match direction {
        Direction::Ingress => ("inbound", "from", "into"),
        Direction::Egress => ("outbound", "to", "out of"),
    };
    let text = format!(
        "network ACL {id} does not let the {leg} ({way} {} {verb} {}) {of} {subnet}: {by}",
        header.payload,
        peer(direction, header)
    );
    let (entry, id) = (entry(direction, header, leg), id.clone());
    let denying = decided.map(|(number, _)| number);
    Check::Fails(Box::new(Failure::mended(
        Code::SubnetAclRestriction,
        component,
        text,
        move |net| edits(net, &id, direction, denying, entry),
    )))
}

/// The least that lets the packet pass; of an answer, whose port the next conversation will not
/// have, all ephemeral ports.
fn entry(direction: Direction, header: &Header, leg: Leg) -> AclEntry {
    let traffic = match (leg, header.payload) {
        (Leg::Reply, Payload::Ports { transport, destination, .. }) if destination >= EPHEMERAL => {
            Traffic::Ports { transport, from: EPHEMERAL, to: u16::MAX }
        }
        (_, payload) => narrowest(&payload),
    };
    AclEntry { traffic, block: IpNet::from(peer(direction, header)), allow: true }
}

/// Puts an entry before the one that denies, which makes room if it must.
fn edits(
    net: &Mended<'_>,
    id: &AclId,
    direction: Direction,
    denying: Option<u16>,
    entry: AclEntry,
) -> Option<Vec<Edit>> {
    let entries = net.acl_by_id(id)?.entries(direction);
    let set = |number, entry| Edit::SetAclEntry(id.clone(), direction, number, entry);
    let Some(denying) = denying else {
        return Some(vec![set(behind(entries)?, entry)]);
    };
    let free = |number: &u16| !entries.contains_key(number);
    if let Some(number) = (1..denying).rev().find(free) {
        return Some(vec![set(number, entry)]);
    }
    // Every number before it is taken: it and those behind it move up by one.
    let room = (denying..=LAST).find(free)?;
    let moved = (denying..room).rev();
    let mut edits: Vec<Edit> =
        moved.filter_map(|n| Some(set(n + 1, entries.get(&n)?.clone()))).collect();
    edits.push(set(denying, entry));
    Some(edits)
}

/// The next ten behind all entries, or else the highest number that is free.
fn behind(entries: &BTreeMap<u16, AclEntry>) -> Option<u16> {
    let last = entries.keys().next_back().copied().unwrap_or_default();
    let next = last.saturating_add(10) / 10 * 10;
    let free = |number: &u16| !entries.contains_key(number);
    if next <= LAST { Some(next) } else { (1..=LAST).rev().find(free) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_behind_all_is_found_whatever_the_last_is() {
        let entry = || AclEntry {
            traffic: Traffic::All,
            block: IpNet::from(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)),
            allow: true,
        };
        let with = |last: u16| behind(&BTreeMap::from([(last, entry())]));
        assert_eq!(behind(&BTreeMap::new()), Some(10));
        assert_eq!([with(10), with(99), with(32760)], [Some(20), Some(100), Some(32766)]);
        assert_eq!(with(u16::MAX), Some(32766));
    }
}
