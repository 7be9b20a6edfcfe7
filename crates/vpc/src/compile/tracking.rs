//! Which connections a change of groups cuts off. AWS does not track a flow that its groups let
//! through from and to everywhere, so there a rule that goes takes the flow along; a tracked flow
//! stays (EC2 User Guide, "Security group connection tracking").

use crate::Network;
use crate::id::{GroupId, InterfaceId, VpcId};
use crate::network::{Chosen, Direction, GroupRule, Peer, Target, differing};
use crate::reach;
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
    rules(network, interface).any(there)
        && rules(network, interface).any(all_back)
        && !always_tracked(network, interface, direction, header)
}

/// Whether a connection is tracked whatever the groups say: one through a NAT gateway, and one of an
/// interface endpoint ("Automatically tracked connections").
fn always_tracked(
    network: &Network,
    interface: &InterfaceId,
    direction: Direction,
    header: &Header,
) -> bool {
    let other = across(direction, header);
    let Some(vpc) = network.vpc_of(interface) else { return false };
    let near = network.vpcs.keys().filter(|v| *v == vpc || network.peering(vpc, v).is_some());
    let mut theirs = near.filter_map(|v| network.interface_at(v, other));
    let special = |i: &InterfaceId| network.endpoint_at(i).is_some() || network.nat_at(i).is_some();
    network.endpoint_at(interface).is_some()
        || theirs.any(special)
        || (direction == Direction::Egress && by_nat(network, interface, other))
}

/// Who is at the other end, as seen from an interface.
fn across(direction: Direction, header: &Header) -> IpAddr {
    match direction {
        Direction::Egress => header.destination,
        Direction::Ingress => header.source,
    }
}

/// Whether an interface's subnet sends what is for an address to a NAT gateway.
fn by_nat(network: &Network, interface: &InterfaceId, to: IpAddr) -> bool {
    let subnet = network.interfaces.get(interface).map(|i| &i.subnet);
    let Some((_, table)) = subnet.and_then(|s| network.route_table(s)) else { return false };
    let list = |id: &_| network.prefix_lists.get(id).map(AsRef::as_ref);
    let chosen = network.vpc(&table.vpc).and_then(|vpc| table.choose(vpc, list, to));
    matches!(chosen, Some(Chosen::Route(r)) if matches!(r.target, Target::Nat(_)))
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
    let other = across(direction, header);
    let Some(vpc) = network.vpc_of(interface) else { return false };
    rules(network, interface).any(|r| {
        r.direction == direction
            && r.traffic.matches(&header.payload)
            && reach::is_peer(network, vpc, r, other)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    const REGION: &str = "vpc vpc-a 10.0.0.0/16\nvpc vpc-b 10.1.0.0/16\n\
        subnet subnet-a vpc-a us-east-1a 10.0.1.0/24\nsubnet subnet-b vpc-b us-east-1a 10.1.1.0/24\n\
        group sg-b vpc-b\neni eni-b subnet-b 10.1.1.10 sg-b\neni eni-a subnet-a 10.0.1.10 sg-a\n";

    fn network(more: &str) -> Network {
        Network::new(sample::read(&format!("{REGION}{more}")).unwrap()).unwrap()
    }

    fn cuts(old: &str, new: &str) -> bool {
        let vpc = "vpc-a".parse().unwrap();
        let (old, new) = (network(old), network(new));
        let payload =
            Payload::Ports { transport: Transport::Tcp, source: 50_000, destination: 443 };
        let (source, destination) = ([10, 1, 1, 10].into(), [10, 0, 1, 10].into());
        let cut = Cut { vpc: &vpc, old: &old, new: &new };
        cut.may() && cut.cuts(&Header { source, destination, payload })
    }

    const OPEN: &str = "group sg-a vpc-a\n  ingress tcp 443 0.0.0.0/0\n  egress all 0.0.0.0/0\n\
        peering pcx-a vpc-a vpc-b active\n";

    #[test]
    fn case_02_an_untracked_flow_goes_with_its_rule_and_a_tracked_one_stays() {
        let closed = OPEN.replace("  ingress tcp 443 0.0.0.0/0\n", "");
        assert!(cuts(OPEN, &closed));
        // What answers may go nowhere but back: so it is tracked.
        let tracked = OPEN.replace("egress all", "egress tcp 443");
        assert!(!cuts(&tracked, &tracked.replace("  ingress tcp 443 0.0.0.0/0\n", "")));
        // Another rule lets it through.
        assert!(!cuts(OPEN, &OPEN.replace("0.0.0.0/0\n  egress", "10.1.0.0/16\n  egress")));
        assert!(!cuts(OPEN, &OPEN.replace("0.0.0.0/0\n  egress", "sg-b\n  egress")));
    }

    #[test]
    fn case_02_what_goes_by_a_nat_gateway_or_to_an_interface_endpoint_is_always_tracked() {
        const OUT: &str = "group sg-a vpc-a\n  ingress all 0.0.0.0/0\n  egress tcp 443 0.0.0.0/0\n\
            subnet subnet-n vpc-a us-east-1a 10.0.9.0/24\neni eni-n subnet-n 10.0.9.10 -\n\
            nat nat-a subnet-n eni-n\neni eni-e subnet-n 10.0.9.20 sg-a\n\
            eni eni-x subnet-n 10.0.9.30 sg-a\n\
            interface vpce-l vpc-a com.amazonaws.us-east-1.logs eni-e private\n";
        let cuts = |more: &str, from: &str, to: &str| {
            let closed = OUT.replace("  egress tcp 443 0.0.0.0/0\n", "");
            let old = network(&format!("{OUT}{more}"));
            let new = network(&format!("{closed}{more}"));
            let vpc = "vpc-a".parse().unwrap();
            let payload =
                Payload::Ports { transport: Transport::Tcp, source: 50_000, destination: 443 };
            let (source, destination) = (from.parse().unwrap(), to.parse().unwrap());
            let cut = Cut { vpc: &vpc, old: &old, new: &new };
            cut.may() && cut.cuts(&Header { source, destination, payload })
        };
        let by = |target: &str| format!("table rtb-a vpc-a subnet-a\n  0.0.0.0/0 {target}\n");
        assert!(cuts(&by("igw-a"), "10.0.1.10", "8.8.8.8"));
        assert!(!cuts(&by("nat-a"), "10.0.1.10", "8.8.8.8"));
        assert!(cuts("", "10.0.1.10", "10.0.9.30"));
        assert!(!cuts("", "10.0.1.10", "10.0.9.20"));
        // By a peering connection, too.
        let peer = "group sg-b vpc-b\n  ingress all 0.0.0.0/0\n  egress all 0.0.0.0/0\n\
            interface vpce-p vpc-b com.amazonaws.us-east-1.logs eni-b private\n\
            peering pcx-a vpc-a vpc-b active\n";
        assert!(!cuts(peer, "10.0.1.10", "10.1.1.10"));
        let plain =
            peer.replace("interface vpce-p vpc-b com.amazonaws.us-east-1.logs eni-b private\n", "");
        assert!(cuts(&plain, "10.0.1.10", "10.1.1.10"));
    }

    #[test]
    fn case_03_a_stale_reference_keeps_nothing() {
        let stale = OPEN.replace("0.0.0.0/0\n  egress", "sg-b\n  egress");
        assert!(cuts(OPEN, &stale.replace("active", "pending")));
    }
}
