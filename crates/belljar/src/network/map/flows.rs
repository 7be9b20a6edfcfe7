//! Who may reach whom, by `reach` of one interface of each box.

use super::nodes::{Class, Node, Role, classes};
use crate::network::facts::public;
use belljar_vpc::Network;
use belljar_vpc::flow::Flow;
use belljar_vpc::id::{EndpointId, InterfaceId, VpcId};
use belljar_vpc::network::RecordId;
use belljar_vpc::reach::{Component, reach};
use belljar_vpc::text::EPHEMERAL;
use belljar_vpc::traffic::{Payload, Transport};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

/// A host on the internet: one of those that no network has (RFC 5737).
const INTERNET: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));

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
        let first = class.members.first().map(|id| public(network, id)).unwrap_or_default();
        return first.into_iter().map(|a| Flow::from_internet(INTERNET, a, payload)).collect();
    }
    let Some(sender) = from.class().filter(|c| c.role == Role::Ordinary) else { return Vec::new() };
    let Some(id) = sender.members.first() else { return Vec::new() };
    let destinations = match to {
        Node::Class(class) if matches!(class.role, Role::Nat(_)) => Vec::new(),
        Node::Class(class) => other_member(network, class, id).into_iter().collect(),
        Node::Internet(_) => vec![INTERNET],
        Node::Endpoint(endpoint) => behind(network, endpoint).into_iter().collect(),
        Node::Peering(_, other) => first_of_each(network, other),
    };
    destinations.into_iter().map(|to| Flow::from_interface(id.clone(), to, payload)).collect()
}

/// The address of the first of a class that is not the sender itself.
fn other_member(network: &Network, class: &Class, sender: &InterfaceId) -> Option<IpAddr> {
    let other = class.members.iter().find(|id| *id != sender)?;
    network.interfaces.get(other)?.primary().map(IpAddr::V4)
}

/// An address of the service that a gateway endpoint leads to.
fn behind(network: &Network, endpoint: &EndpointId) -> Option<IpAddr> {
    let service = &network.endpoints.get(endpoint)?.service;
    let list = network.prefix_lists.values().find(|l| l.name == *service && l.owner == "AWS")?;
    list.entries.keys().find_map(|block| block.hosts().next())
}

/// An address of each class of another VPC.
fn first_of_each(network: &Network, vpc: &VpcId) -> Vec<IpAddr> {
    let ordinary = classes(network, vpc).into_iter().filter(|c| !matches!(c.role, Role::Nat(_)));
    let address = |class: Class| {
        let first = network.interfaces.get(class.members.first()?)?;
        first.primary().map(IpAddr::V4)
    };
    ordinary.filter_map(address).collect()
}
