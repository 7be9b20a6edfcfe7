//! Whether a flow passes, by which way and rules, and all that must be mended if it does not.
//!
//! What is taken for granted, and holds of the packets in the kernel too:
//! - A conversation begins with a packet that a connection tracker takes for a beginning: any TCP,
//!   UDP or other protocol, but of ICMP only what asks something (see [`Payload::opens`]).
//! - Groups are asked for the first packet, at each interface that it passes; its answer is part
//!   of an established conversation everywhere. Network ACLs are asked for every packet that
//!   crosses a subnet's boundary: from an interface of one to an interface of another, or to or
//!   from a gateway, whatever the addresses say.
//! - The route table is that of the subnet of the interface that a packet leaves, not that of its
//!   source address. Inside a subnet no table is asked. What comes from a gateway is only
//!   delivered to interfaces, never forwarded.
//! - A destination in the VPC's blocks where nobody is, is dropped silently; so is what a
//!   blackhole takes, though a shorter route would do. An interface's own address is itself.
//! - A rule that names a group is about packets that pass straight between the owners of their
//!   addresses.
//!
//! **Invariant**: with the fixes of all blockers carried out the flow passes; with one left out it
//! does not (unless one has no fix).

mod acls;
mod addresses;
mod all;
mod answer;
mod bits;
#[cfg(test)]
mod cases;
mod code;
mod edit;
mod fix;
mod gateways;
mod groups;
mod internet;
mod mended;
#[cfg(test)]
mod proofs;
mod repair;
mod routes;
mod sealed;
mod service;
mod walk;

pub use all::{Pairs, reach_all};
pub use answer::{Blocker, Component, Hop, Leg, Reach, Reason};
pub use code::{Code, DetailCode};
pub use fix::{Edit, Fix};
pub use sealed::reach_sealed;
pub use service::{Call, reach_service};

use crate::flow::{Flow, Source};
use crate::id::{InterfaceId, VpcId};
use crate::network::{GroupRule, Network, RecordId};
use crate::traffic::{Header, Payload};
use edit::Names;
use mended::Mended;
use std::net::IpAddr;
use walk::{End, Entrance, Failure, Lost, Place, Walk};

/// How often a way may change by its own fixes.
const MAX_ROUNDS: usize = 4;

/// Explains a flow.
#[must_use]
pub fn reach(network: &Network, flow: &Flow) -> Reach {
    let mut answer = explain(&mut Mended::new(network), flow);
    if !answer.passes() && answer.blockers.iter().all(|b| b.fix.is_some()) {
        settle(network, flow, &mut answer);
    }
    spell(network, &mut answer);
    answer
}

/// Writes the lines of all fixes so that they can be carried out one after the other in one shell:
/// what one makes, those behind it call by the same variable. In sentences it has no name yet.
fn spell(network: &Network, answer: &mut Reach) {
    let (mut net, mut names) = (Mended::new(network), Names::default());
    for blocker in &mut answer.blockers {
        blocker.text = names.told(std::mem::take(&mut blocker.text));
        if let Some(fix) = &mut blocker.fix {
            *fix = net.mend_behind(std::mem::take(&mut fix.edits), &mut names);
        }
    }
}

/// Whether a rule of a VPC's group is about an address, as things are.
pub(crate) fn is_peer(network: &Network, vpc: &VpcId, rule: &GroupRule, address: IpAddr) -> bool {
    groups::is_peer(&Mended::new(network), Some(vpc), rule, address)
}

/// Whether a flow passes, and by which way; of what is in the way only what one walk finds.
pub(crate) fn walked(network: &Network, flow: &Flow) -> Reach {
    explain(&mut Mended::new(network), flow)
}

/// Whether a flow passes with the fixes of some blockers.
fn passes_with<'a>(
    network: &Network,
    flow: &Flow,
    blockers: impl Iterator<Item = &'a Blocker>,
) -> bool {
    let mut net = Mended::new(network);
    for fix in blockers.filter_map(|b| b.fix.as_ref()) {
        net.mend(fix.edits.clone());
    }
    explain(&mut net, flow).passes()
}

/// Leaves out what the fixes of the others mend, too: two interfaces may have one group.
fn prune(network: &Network, flow: &Flow, answer: &mut Reach) {
    let mut place = 0;
    while answer.blockers.len() > 1 && place < answer.blockers.len() {
        let others = answer.blockers.iter().enumerate().filter(|(p, _)| *p != place);
        if passes_with(network, flow, others.map(|(_, b)| b)) {
            answer.blockers.remove(place);
        } else {
            place += 1;
        }
    }
}

/// Makes the fixes do. One may send the packet another way than the one that was walked, where
/// more is to be mended; so what is left with all of them is asked for again.
fn settle(network: &Network, flow: &Flow, answer: &mut Reach) {
    for _ in 0..MAX_ROUNDS {
        let mut net = Mended::new(network);
        for fix in answer.blockers.iter().filter_map(|b| b.fix.as_ref()) {
            net.mend(fix.edits.clone());
        }
        let left = explain(&mut net, flow).blockers;
        if left.is_empty() {
            return prune(network, flow, answer);
        }
        if left.iter().any(|b| b.fix.is_none()) {
            break;
        }
        answer.blockers.extend(left);
    }
    // A reply's fix may take the request's way away, if one route leads both astray: then no fix
    // of single rules does.
    let turns = |b: &Blocker| {
        let edits = b.fix.iter().flat_map(|f| &f.edits);
        b.code == Code::CannotRoute || edits.into_iter().any(|e| matches!(e, Edit::RemoveRoute(..)))
    };
    let last = answer.blockers.len() - 1;
    let place = answer.blockers.iter().rposition(turns).unwrap_or(last);
    answer.blockers[place].fix = None;
}

fn explain(net: &mut Mended<'_>, flow: &Flow) -> Reach {
    let mut answer = Reach::default();
    let Some(source) = source(net.network, flow) else {
        answer.blockers.push(no_source(flow));
        return answer;
    };
    let header = Header { source, destination: flow.destination, payload: flow.payload };
    let mut translations = Vec::new();
    let asker = match &flow.source {
        Source::Internet { address } => Some(*address),
        Source::Interface { .. } => None,
    };
    let mut walk = Walk {
        net,
        leg: Leg::Request,
        header,
        hops: Vec::new(),
        blockers: &mut answer.blockers,
        translations: &mut translations,
        begun: Vec::new(),
        entrance: Entrance::Local,
        asker,
    };
    let begun = begin(&mut walk, flow);
    let end = begun.and_then(|place| walk.run(place));
    let (arrived, entrance) = (walk.header, walk.entrance.clone());
    answer.forward = std::mem::take(&mut walk.hops);
    let Ok(end) = end else { return answer };
    answer.details.extend(zones(net.network, flow, &end));
    let Some(reply) = arrived.reply() else {
        answer.details.push(DetailCode::UnidirectionalPathAnalysisOnly);
        return answer;
    };
    let mut walk = Walk {
        net,
        leg: Leg::Reply,
        header: reply,
        hops: Vec::new(),
        blockers: &mut answer.blockers,
        translations: &mut translations,
        begun: Vec::new(),
        entrance,
        asker,
    };
    let back = return_way(&mut walk, &end);
    if let Ok(back) = back {
        let home = match (&flow.source, &back) {
            (Source::Interface { id, .. }, End::Interface(to)) => id == to,
            (Source::Internet { .. }, End::Internet) => true,
            _ => false,
        };
        if !home || Some(walk.header) != header.reply() {
            let text = format!("the reply to {source} does not come back to who asked");
            let component = Component::Internet;
            let _ = walk.lost(Failure::hopeless(Code::NoPath, component, text));
        }
    }
    answer.backward = std::mem::take(&mut walk.hops);
    answer
}

/// The address that a flow comes from.
fn source(network: &Network, flow: &Flow) -> Option<IpAddr> {
    let v6 = flow.destination.is_ipv6();
    let address = match &flow.source {
        Source::Internet { address } => Some(*address),
        Source::Interface { id, address } => {
            let interface = network.interfaces.get(id)?;
            address.or_else(|| interface.first(v6))
        }
    };
    address.filter(|a| a.is_ipv6() == v6)
}

fn no_source(flow: &Flow) -> Blocker {
    let family = if flow.destination.is_ipv6() { "IPv6" } else { "IPv4" };
    let (component, of) = match &flow.source {
        Source::Internet { address } => (Component::Internet, address.to_string()),
        Source::Interface { id, .. } => {
            (Component::Record(RecordId::Interface(id.clone())), id.to_string())
        }
    };
    let text = format!("{of} does not exist or has no {family} address");
    let direction = Leg::Request;
    Blocker { code: Code::NoSourceOrDestination, component, direction, text, fix: None }
}

fn begin(walk: &mut Walk<'_, '_>, flow: &Flow) -> Result<Place, Lost> {
    let (component, place) = match &flow.source {
        Source::Internet { .. } => (Component::Internet, Place::Internet),
        Source::Interface { id, .. } => {
            (Component::Record(RecordId::Interface(id.clone())), Place::Leaves(id.clone()))
        }
    };
    if !flow.payload.opens(flow.destination.is_ipv6()) {
        let text = format!("{} begins no conversation, and is part of none", flow.payload);
        return Err(walk.lost(Failure::hopeless(Code::NoPath, component, text)));
    }
    if matches!(flow.source, Source::Internet { .. }) {
        walk.hop(component, Reason::Sends);
    }
    Ok(place)
}

/// The way of the answer, from where the first packet ended.
fn return_way(walk: &mut Walk<'_, '_>, end: &End) -> Result<End, Lost> {
    let place = match end {
        End::Interface(id) => Place::Leaves(id.clone()),
        End::Internet => {
            walk.hop(Component::Internet, Reason::Sends);
            Place::Internet
        }
        End::Endpoint(id) => Place::Endpoint(id.clone()),
        // The router answers from itself: nothing is asked on this way either.
        End::Router(vpc, id) => {
            walk.hop(Component::Router(vpc.clone()), Reason::Sends);
            walk.record(RecordId::Interface(id.clone()), Reason::Receives);
            return Ok(End::Interface(id.clone()));
        }
    };
    walk.run(place)
}

fn zones(network: &Network, flow: &Flow, end: &End) -> Option<DetailCode> {
    let zone = |id: &InterfaceId| {
        let subnet = &network.interfaces.get(id)?.subnet;
        Some(&network.subnets.get(subnet)?.zone)
    };
    let (Source::Interface { id: from, .. }, End::Interface(to)) = (&flow.source, end) else {
        return None;
    };
    (zone(from)? != zone(to)?).then_some(DetailCode::AvailabilityZoneCrossed)
}

impl Payload {
    /// Whether a packet with it begins a conversation. A connection tracker takes only questions
    /// of ICMP for a beginning: echo, timestamp, information and address mask; of ICMPv6 echo and
    /// node information. All else of ICMP is dropped unless it belongs to one. So is ICMP of the
    /// other family.
    #[must_use]
    pub const fn opens(&self, over_v6: bool) -> bool {
        match *self {
            Self::Icmp { v6, .. } if v6 != over_v6 => false,
            Self::Icmp { v6: false, kind, .. } => matches!(kind, 8 | 13 | 15 | 17),
            Self::Icmp { v6: true, kind, .. } => matches!(kind, 128 | 139),
            Self::Ports { .. } | Self::Other { .. } => true,
        }
    }
}
