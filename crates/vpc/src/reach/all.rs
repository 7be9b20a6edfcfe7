//! Who reaches whom, of all interfaces at once.
//!
//! Rules are not asked pair by pair. Each group, ACL and table becomes the set of interfaces that
//! it lets through, once; what an interface sends and what it takes are then unions and cuts of
//! sets, and all pairs are the rows of the one met with the turned columns of the other. Only what
//! a middlebox or a NAT gateway is on the way of is walked.

use super::bits::{Bits, transposed};
use crate::flow::Flow;
use crate::id::{AclId, GroupId, InterfaceId, RouteTableId, SubnetId, VpcId};
use crate::network::{
    Chosen, Direction, Interface, Network, NetworkAcl, Peer, RouteDestination, RouteTable, Target,
};
use crate::traffic::{Header, Payload};
use ipnet::IpNet;
use std::collections::HashMap;
use std::net::IpAddr;

/// Which interfaces reach which on one port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pairs {
    interfaces: Vec<InterfaceId>,
    rows: Vec<Bits>,
}

impl Pairs {
    /// The interfaces, in the order of their VPCs and addresses. Those of NAT gateways, and those
    /// without an address of the family, are not among them.
    #[must_use]
    pub fn interfaces(&self) -> &[InterfaceId] {
        &self.interfaces
    }

    /// Whether the interface at one place reaches that at another.
    #[must_use]
    pub fn passes(&self, from: usize, to: usize) -> bool {
        self.rows[from].has(to)
    }

    /// The places that the interface at one place reaches, itself included.
    pub fn reached(&self, from: usize) -> impl Iterator<Item = usize> + '_ {
        self.rows[from].iter()
    }

    /// How many pairs there are, each with itself included.
    #[must_use]
    pub fn count(&self) -> usize {
        self.rows.iter().map(Bits::count).sum()
    }
}

/// An interface, at its first address.
struct Node<'a> {
    id: &'a InterfaceId,
    interface: &'a Interface,
    vpc: &'a VpcId,
    address: IpAddr,
}

struct Map<'a> {
    network: &'a Network,
    nodes: Vec<Node<'a>>,
    vpcs: Vec<&'a VpcId>,
    payload: Payload,
}

/// Explains all pairs of interfaces for one payload: from the first IPv4 address of each to that
/// of the other, or of ICMPv6 between IPv6 addresses.
#[must_use]
pub fn reach_all(network: &Network, payload: &Payload) -> Pairs {
    let v6 = matches!(payload, Payload::Icmp { v6: true, .. });
    let mut nodes: Vec<Node<'_>> = Vec::with_capacity(network.interfaces.len());
    for (id, interface) in &network.interfaces {
        let address = interface.first(v6).filter(|_| network.nat_at(id).is_none());
        if let (Some(address), Some(vpc)) = (address, network.vpc_of(id)) {
            nodes.push(Node { id, interface, vpc, address });
        }
    }
    nodes.sort_by(|a, b| (a.vpc, a.address).cmp(&(b.vpc, b.address)));
    let vpcs = network.vpcs.keys().collect();
    let map = Map { network, nodes, vpcs, payload: *payload };
    let rows = if payload.opens(v6) { map.rows() } else { vec![map.nobody(); map.nodes.len()] };
    Pairs { interfaces: map.nodes.iter().map(|n| n.id.clone()).collect(), rows }
}

/// Whom a subnet's table leads to.
struct Routed {
    /// By a local route or a peering connection alone.
    plain: Bits,
    /// By what must be walked.
    walked: Bits,
}

impl Map<'_> {
    fn nobody(&self) -> Bits {
        Bits::none(self.nodes.len())
    }

    /// Places of a VPC's interfaces in a block; they follow each other.
    fn range(&self, vpc: &VpcId, block: &IpNet) -> (usize, usize) {
        let (first, last) = (block.network(), block.broadcast());
        let from = self.nodes.partition_point(|n| (n.vpc, n.address) < (vpc, first));
        let to = self.nodes.partition_point(|n| (n.vpc, n.address) <= (vpc, last));
        (from, to)
    }

    fn fill(&self, bits: &mut Bits, block: &IpNet) {
        for vpc in &self.vpcs {
            let (from, to) = self.range(vpc, block);
            bits.fill(from, to);
        }
    }

    fn rows(&self) -> Vec<Bits> {
        let out = self.by_groups(Direction::Egress);
        let into = self.by_groups(Direction::Ingress);
        let routed = self.by_tables();
        let (sends, takes) = (self.by_acls(Direction::Egress), self.by_acls(Direction::Ingress));
        let inside = self.by_subnets();
        let end =
            |groups: &HashMap<&[GroupId], Bits>, acls: &HashMap<&AclId, Bits>, node: &Node<'_>| {
                let subnet = &node.interface.subnet;
                let mut bits = self.nobody();
                let acl = self.network.acl(subnet).and_then(|(id, _)| acls.get(id));
                let table = self.network.route_table(subnet).and_then(|(id, _)| routed.get(id));
                if let (Some(acl), Some(table)) = (acl, table) {
                    bits.join(acl);
                    bits.meet(&table.plain);
                }
                let within = inside.get(subnet);
                within.into_iter().for_each(|w| bits.join(w));
                groups.get(node.interface.groups.as_slice()).into_iter().for_each(|g| bits.meet(g));
                bits
            };
        let columns: Vec<Bits> = self.nodes.iter().map(|n| end(&into, &takes, n)).collect();
        let mut rows = transposed(&columns);
        for (place, node) in self.nodes.iter().enumerate() {
            rows[place].meet(&end(&out, &sends, node));
            rows[place].fill(place, place + 1);
        }
        self.walk(&mut rows, &routed, &inside, &out);
        rows
    }

    /// Whom the groups of interfaces let through, by their lists of groups.
    fn by_groups(&self, direction: Direction) -> HashMap<&[GroupId], Bits> {
        let mut by_group: HashMap<&GroupId, Bits> = HashMap::new();
        let mut by_list: HashMap<&[GroupId], Bits> = HashMap::new();
        for node in &self.nodes {
            let list = node.interface.groups.as_slice();
            if by_list.contains_key(list) {
                continue;
            }
            let mut bits =
                if list.is_empty() { Bits::all(self.nodes.len()) } else { self.nobody() };
            for group in list {
                let of = by_group.entry(group).or_insert_with(|| self.by_group(group, direction));
                bits.join(of);
            }
            by_list.insert(list, bits);
        }
        by_list
    }

    fn by_group(&self, id: &GroupId, direction: Direction) -> Bits {
        let mut bits = self.nobody();
        let Some(group) = self.network.groups.get(id) else { return bits };
        let rules = group.rules.values();
        for rule in rules.filter(|r| r.direction == direction && r.traffic.matches(&self.payload)) {
            match &rule.peer {
                Peer::Cidr(block) => self.fill(&mut bits, block),
                Peer::PrefixList(list) => {
                    let list = self.network.prefix_lists.get(list);
                    list.iter()
                        .flat_map(|l| l.entries.keys())
                        .for_each(|b| self.fill(&mut bits, b));
                }
                Peer::Group(other) => self.members(&mut bits, &group.vpc, other),
            }
        }
        bits
    }

    /// The addresses of a group's interfaces, if it is of the VPC or of one that is peered.
    fn members(&self, bits: &mut Bits, vpc: &VpcId, id: &GroupId) {
        let Some(group) = self.network.groups.get(id) else { return };
        if group.vpc != *vpc && self.network.peering(vpc, &group.vpc).is_none() {
            return;
        }
        for member in self.network.members(id) {
            let Some(interface) = self.network.interfaces.get(member) else { continue };
            for address in &interface.addresses {
                self.fill(bits, &IpNet::from(IpAddr::V4(address.address)));
            }
            for address in &interface.addresses_v6 {
                self.fill(bits, &IpNet::from(IpAddr::V6(*address)));
            }
        }
    }

    /// Whom ACLs let a packet and its answer go to, or come from.
    fn by_acls(&self, direction: Direction) -> HashMap<&AclId, Bits> {
        let other = match direction {
            Direction::Ingress => Direction::Egress,
            Direction::Egress => Direction::Ingress,
        };
        let both = |acl: &NetworkAcl| {
            let mut bits = self.by_acl(acl, direction, &self.payload);
            if let Some(reply) = self.payload.reply() {
                bits.meet(&self.by_acl(acl, other, &reply));
            }
            bits
        };
        self.network.acls.iter().map(|(id, acl)| (id, both(acl))).collect()
    }

    fn by_acl(&self, acl: &NetworkAcl, direction: Direction, payload: &Payload) -> Bits {
        let mut bits = self.nobody();
        // From the last entry to the first, so that the first one has the last word.
        for entry in acl.entries(direction).values().rev() {
            if !entry.traffic.matches(payload) {
                continue;
            }
            for vpc in &self.vpcs {
                let (from, to) = self.range(vpc, &entry.block);
                if entry.allow { bits.fill(from, to) } else { bits.clear(from, to) }
            }
        }
        bits
    }

    fn by_subnets(&self) -> HashMap<&SubnetId, Bits> {
        let mut all = HashMap::new();
        for (id, subnet) in &self.network.subnets {
            let mut bits = self.nobody();
            let blocks = [Some(IpNet::V4(subnet.block)), subnet.block_v6.map(IpNet::V6)];
            for block in blocks.into_iter().flatten() {
                let (from, to) = self.range(&subnet.vpc, &block);
                bits.fill(from, to);
            }
            all.insert(id, bits);
        }
        all
    }

    fn by_tables(&self) -> HashMap<&RouteTableId, Routed> {
        self.network.route_tables.iter().map(|(id, table)| (id, self.by_table(table))).collect()
    }

    fn by_table(&self, table: &RouteTable) -> Routed {
        let mut routed = Routed { plain: self.nobody(), walked: self.nobody() };
        let Some(vpc) = self.network.vpc(&table.vpc) else { return routed };
        // Blocks of the VPC, whole, are the common case.
        let crossed = |r: &crate::network::Route| match &r.destination {
            RouteDestination::Cidr(net) => vpc.cidrs.iter().any(|c| c.block.contains(net)),
            RouteDestination::PrefixList(_) => true,
        };
        let whole = !table.routes.iter().any(crossed);
        let leads_on = |r: &crate::network::Route| match r.target {
            Target::Internet(_) => !self.payload_is_v4(),
            Target::Endpoint(_) => false,
            _ => true,
        };
        let beyond = table.routes.iter().any(leads_on);
        let list = |id: &crate::id::PrefixListId| {
            self.network.prefix_lists.get(id).map(std::convert::AsRef::as_ref)
        };
        for (place, node) in self.nodes.iter().enumerate() {
            let own = *node.vpc == table.vpc;
            if own && whole {
                routed.plain.fill(place, place + 1);
                continue;
            }
            if !own && !beyond {
                continue;
            }
            match table.choose(vpc, list, node.address) {
                Some(Chosen::Local(_)) if own => routed.plain.fill(place, place + 1),
                Some(Chosen::Route(r)) => self.route(&mut routed, &table.vpc, place, &r.target),
                _ => {}
            }
        }
        routed
    }

    fn route(&self, routed: &mut Routed, vpc: &VpcId, place: usize, target: &Target) {
        match target {
            Target::Peering(id) => {
                // Of two connections of the same VPCs the reply may take the other one.
                let other = self.nodes[place].vpc;
                if self.network.peering(vpc, other) == Some(id) {
                    routed.plain.fill(place, place + 1);
                } else {
                    routed.walked.fill(place, place + 1);
                }
            }
            Target::Endpoint(_) => {}
            Target::Internet(_) if self.payload_is_v4() => {}
            _ => routed.walked.fill(place, place + 1),
        }
    }

    const fn payload_is_v4(&self) -> bool {
        !matches!(self.payload, Payload::Icmp { v6: true, .. })
    }

    /// Walks what routes lead to by other interfaces or the internet, there or back.
    fn walk(
        &self,
        rows: &mut [Bits],
        routed: &HashMap<&RouteTableId, Routed>,
        inside: &HashMap<&SubnetId, Bits>,
        out: &HashMap<&[GroupId], Bits>,
    ) {
        let of = |node: &Node<'_>| {
            let (id, _) = self.network.route_table(&node.interface.subnet)?;
            routed.get(id).map(|r| &r.walked).filter(|w| !w.is_empty())
        };
        let back: Vec<usize> =
            (0..self.nodes.len()).filter(|p| of(&self.nodes[*p]).is_some()).collect();
        if back.is_empty() {
            return;
        }
        for (from, node) in self.nodes.iter().enumerate() {
            let mut asked = of(node).cloned().unwrap_or_else(|| self.nobody());
            for to in &back {
                if of(&self.nodes[*to]).is_some_and(|w| w.has(from)) {
                    asked.fill(*to, *to + 1);
                }
            }
            // What its groups do not let out at all needs no walk.
            out.get(node.interface.groups.as_slice()).into_iter().for_each(|g| asked.meet(g));
            let near = inside.get(&node.interface.subnet);
            for to in asked.iter().filter(|to| near.is_none_or(|n| !n.has(*to))) {
                rows[from].clear(to, to + 1);
                if self.arrives(node, &self.nodes[to]) {
                    rows[from].fill(to, to + 1);
                }
            }
        }
    }

    /// Whether a flow to an interface's address passes, and to that interface.
    fn arrives(&self, from: &Node<'_>, to: &Node<'_>) -> bool {
        let flow = Flow::from_interface(from.id.clone(), to.address, self.payload);
        let answer = super::walked(self.network, &flow);
        let end = answer.forward.last().map(|h| (&h.component, h.header));
        answer.passes()
            && end.is_some_and(|(c, header): (_, Header)| {
                *c == super::Component::Record(crate::network::RecordId::Interface(to.id.clone()))
                    && header.destination == to.address
            })
    }
}
