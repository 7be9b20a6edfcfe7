//! Who may reach whom, by `reach` of one interface of each box.

use super::nodes::{Class, Node, Role, classes};
use crate::network::facts::public;
use belljar_vpc::Network;
use belljar_vpc::flow::Flow;
use belljar_vpc::id::{EndpointId, InterfaceId, VpcId};
use belljar_vpc::network::{Interface, RecordId};
use belljar_vpc::reach::{Component, reach};
use belljar_vpc::text::EPHEMERAL;
use belljar_vpc::traffic::{Payload, Transport};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A host on the internet: one of those that no network has (RFC 5737, RFC 3849).
const INTERNET: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
];

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Flows {
    /// From a box to a box, by their places; from one to itself where its members reach each other.
    pub(super) all: BTreeSet<(usize, usize)>,
    /// Pairs that were tried.
    pub(super) tried: usize,
    /// Pairs that there are.
    pub(super) pairs: usize,
}

/// Tries each box with each other, as far as `limit` pairs.
pub(super) fn find(network: &Network, nodes: &[Node], port: u16, limit: usize) -> Flows {
    let mut flows = Flows::default();
    for (from, sender) in nodes.iter().enumerate() {
        for (to, receiver) in nodes.iter().enumerate() {
            let questions = questions(network, (sender, receiver), port);
            if questions.is_empty() {
                continue;
            }
            flows.pairs += 1;
            if flows.tried == limit {
                continue;
            }
            flows.tried += 1;
            if questions.iter().any(|flow| passes_to(network, flow, receiver)) {
                flows.all.insert((from, to));
            }
        }
    }
    flows
}

/// Whether a flow passes, and by what it is drawn to: S3 can also be reached on the internet.
fn passes_to(network: &Network, flow: &Flow, to: &Node) -> bool {
    let answer = reach(network, flow);
    let by = match to {
        Node::Class(_) => return answer.passes(),
        Node::Internet(id) => RecordId::InternetGateway(id.clone()),
        Node::Endpoint(id) => RecordId::Endpoint(id.clone()),
        Node::Peering(id, _) => RecordId::Peering(id.clone()),
    };
    let by = Component::Record(by);
    answer.passes() && answer.forward.iter().any(|hop| hop.component == by)
}

/// Of which one must pass for a box to reach another; none if it is no question.
fn questions(network: &Network, (from, to): (&Node, &Node), port: u16) -> Vec<Flow> {
    let payload =
        Payload::Ports { transport: Transport::Tcp, source: EPHEMERAL, destination: port };
    if let (Node::Internet(_), Node::Class(class)) = (from, to) {
        let [v4, v6] = INTERNET;
        let first = class.members.first();
        let public = first.map(|id| public(network, id)).unwrap_or_default();
        let own = first.and_then(|id| network.interfaces.get(id)).and_then(|i| first_v6(i));
        let by_v4 = public.into_iter().map(|to| Flow::from_internet(v4, to, payload));
        let by_v6 = own.into_iter().map(|to| Flow::from_internet(v6, to, payload));
        return by_v4.chain(by_v6).collect();
    }
    let Some(sender) = from.class().filter(|c| c.role == Role::Ordinary) else { return Vec::new() };
    let Some(id) = sender.members.first() else { return Vec::new() };
    let destinations = match to {
        Node::Class(class) if matches!(class.role, Role::Nat(_)) => Vec::new(),
        Node::Class(class) => other_member(network, class, id),
        Node::Internet(_) => INTERNET.to_vec(),
        Node::Endpoint(endpoint) => behind(network, endpoint).into_iter().collect(),
        Node::Peering(_, other) => first_of_each(network, other),
    };
    destinations.into_iter().map(|to| Flow::from_interface(id.clone(), to, payload)).collect()
}

/// The addresses, of both families, of the first of a class that is not the sender itself.
fn other_member(network: &Network, class: &Class, sender: &InterfaceId) -> Vec<IpAddr> {
    class.members.iter().find(|id| *id != sender).map(|id| both(network, id)).unwrap_or_default()
}

/// An interface's first address of each family.
fn both(network: &Network, id: &InterfaceId) -> Vec<IpAddr> {
    let interface = network.interfaces.get(id);
    let v4 = interface.and_then(|i| i.primary()).map(IpAddr::V4);
    v4.into_iter().chain(interface.and_then(|i| first_v6(i))).collect()
}

fn first_v6(interface: &Interface) -> Option<IpAddr> {
    interface.addresses_v6.first().copied().map(IpAddr::V6)
}

/// An address of the service that a gateway endpoint leads to.
fn behind(network: &Network, endpoint: &EndpointId) -> Option<IpAddr> {
    let service = &network.endpoints.get(endpoint)?.service;
    let list = network.prefix_lists.values().find(|l| l.name == *service && l.owner == "AWS")?;
    list.entries.keys().find_map(|block| block.hosts().next())
}

/// The addresses of one of each class of another VPC.
fn first_of_each(network: &Network, vpc: &VpcId) -> Vec<IpAddr> {
    let ordinary = classes(network, vpc).into_iter().filter(|c| !matches!(c.role, Role::Nat(_)));
    let first = |class: Class| class.members.into_iter().next();
    ordinary.filter_map(first).flat_map(|id| both(network, &id)).collect()
}
