//! Which connections a change of groups cuts off. AWS does not track a flow that its groups let
//! through from and to everywhere, so there a rule that goes takes the flow along; a tracked flow
//! stays (EC2 User Guide, "Security group connection tracking").

use crate::Network;
use crate::id::{GroupId, InterfaceId, VpcId};
use crate::network::{Direction, GroupRule, Peer, differing};
use crate::traffic::{Header, Payload, Traffic, Transport};
use std::net::IpAddr;

/// A change of the network, as far as it cuts connections off.
#[derive(Debug, Clone, Copy)]
pub struct Cut<'a> {
    /// The VPC.
    pub vpc: &'a VpcId,
    /// The network before.
    pub old: &'a Network,
    /// The network after.
    pub new: &'a Network,
}

impl Cut<'_> {
    /// Whether there is anything to look for: a rule from or to everywhere is gone, or an interface
    /// has lost a group.
    #[must_use]
    pub fn may(&self) -> bool {
        let lost_rule = |id: &&GroupId| {
            let (old, new) = (self.old.groups.get(*id), self.new.groups.get(*id));
            let kept = |rule: &GroupRule| new.is_some_and(|n| n.rules.values().any(|r| r == rule));
            old.is_some_and(|old| {
                old.vpc == *self.vpc
                    && old.rules.values().any(|r| is_everywhere(r, None) && !kept(r))
            })
        };
        let lost_group = |id: &&InterfaceId| {
            let (old, new) = (self.old.interfaces.get(*id), self.new.interfaces.get(*id));
            old.zip(new).is_some_and(|(o, n)| o.groups.iter().any(|g| !n.groups.contains(g)))
        };
        differing(&self.old.groups, &self.new.groups).iter().any(lost_rule)
            || differing(&self.old.interfaces, &self.new.interfaces).iter().any(lost_group)
    }

    /// Whether a connection that began with this packet (as the interfaces saw it) is cut off.
    #[must_use]
    pub fn cuts(&self, header: &Header) -> bool {
        let ends = [(Direction::Egress, header.source), (Direction::Ingress, header.destination)];
        ends.into_iter().any(|(direction, address)| {
            let Some(interface) = self.old.interface_at(self.vpc, address) else { return false };
            untracked(self.old, interface, direction, header)
                && !allows(self.new, interface, direction, header)
        })
    }
}

/// Whether AWS does not track a connection that began with this packet at one of its ends.
#[must_use]
pub fn untracked(
    network: &Network,
    interface: &InterfaceId,
    direction: Direction,
    header: &Header,
) -> bool {
    let Payload::Ports { transport, .. } = header.payload else { return false };
    let v4 = header.source.is_ipv4();
    let back = match direction {
        Direction::Egress => Direction::Ingress,
        Direction::Ingress => Direction::Egress,
    };
    let there = |r: &GroupRule| {
        r.direction == direction && is_everywhere(r, Some(v4)) && r.traffic.matches(&header.payload)
    };
    let all_back =
        |r: &GroupRule| r.direction == back && is_everywhere(r, Some(v4)) && is_all(r, transport);
    rules(network, interface).any(there) && rules(network, interface).any(all_back)
}

fn is_all(rule: &GroupRule, of: Transport) -> bool {
    match rule.traffic {
        Traffic::All => true,
        Traffic::Ports { transport, from: 0, to: u16::MAX } => transport == of,
        Traffic::Protocol { number } => number == of.number(),
        _ => false,
    }
}

/// Whether a rule is about every address (of a family).
fn is_everywhere(rule: &GroupRule, v4: Option<bool>) -> bool {
    let Peer::Cidr(block) = &rule.peer else { return false };
    block.prefix_len() == 0 && v4.is_none_or(|v4| block.addr().is_ipv4() == v4)
}

fn rules<'a>(network: &'a Network, id: &InterfaceId) -> impl Iterator<Item = &'a GroupRule> {
    let groups = network.interfaces.get(id).into_iter().flat_map(|i| &i.groups);
    groups.filter_map(|g| network.groups.get(g)).flat_map(|g| g.rules.values())
}

/// Whether an interface's groups let a first packet pass.
fn allows(
    network: &Network,
    interface: &InterfaceId,
    direction: Direction,
    header: &Header,
) -> bool {
    let other = match direction {
        Direction::Egress => header.destination,
        Direction::Ingress => header.source,
    };
    let is_peer = |peer: &Peer| match peer {
        Peer::Cidr(block) => block.contains(&other),
        Peer::Group(id) => {
            network.members(id).iter().any(|m| super::addresses(network, m).contains(&other))
        }
        Peer::PrefixList(id) => covers(network, id, other),
    };
    rules(network, interface)
        .any(|r| r.direction == direction && r.traffic.matches(&header.payload) && is_peer(&r.peer))
}

fn covers(network: &Network, list: &crate::id::PrefixListId, address: IpAddr) -> bool {
    network.prefix_lists.get(list).is_some_and(|l| l.entries.keys().any(|n| n.contains(&address)))
}
