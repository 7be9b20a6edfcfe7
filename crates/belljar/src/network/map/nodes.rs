//! What is a box on the map.

use crate::network::facts::public;
use belljar_vpc::Network;
use belljar_vpc::id::{
    EndpointId, GroupId, InterfaceId, InternetGatewayId, NatGatewayId, PeeringId, SubnetId, VpcId,
};
use belljar_vpc::network::{EndpointKind, PeeringStatus};
use std::collections::BTreeMap;

/// A box.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    /// Interfaces of which the rules say the same.
    Class(Class),
    /// An internet gateway, and the internet behind it.
    Internet(InternetGatewayId),
    /// A gateway endpoint.
    Endpoint(EndpointId),
    /// A peering connection, and the VPC behind it.
    Peering(PeeringId, VpcId),
}

/// Interfaces of a subnet that have the same groups and the same use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Class {
    pub(super) subnet: SubnetId,
    pub(super) groups: Vec<GroupId>,
    pub(super) role: Role,
    /// Whether they have public addresses.
    pub(super) public: bool,
    /// Whether they have IPv6 addresses.
    pub(super) v6: bool,
    /// At least one.
    pub(super) members: Vec<InterfaceId>,
}

/// What interfaces are there for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    /// Whatever is attached to them.
    Ordinary,
    /// An interface endpoint.
    Endpoint(EndpointId),
    /// A NAT gateway.
    Nat(NatGatewayId),
}

impl Node {
    /// The class that it is.
    pub(super) fn class(&self) -> Option<&Class> {
        match self {
            Self::Class(class) => Some(class),
            _ => None,
        }
    }
}

/// The boxes of a VPC: those in its subnets first.
pub(super) fn of_vpc(network: &Network, vpc: &VpcId) -> Vec<Node> {
    let mut all: Vec<Node> = classes(network, vpc).into_iter().map(Node::Class).collect();
    let attached = network.internet_gateways.iter().filter(|(_, g)| g.vpc.as_ref() == Some(vpc));
    all.extend(attached.map(|(id, _)| Node::Internet(id.clone())));
    let gateway = |kind: &EndpointKind| matches!(kind, EndpointKind::Gateway { .. });
    let endpoints = network.endpoints.iter().filter(|(_, e)| e.vpc == *vpc && gateway(&e.kind));
    all.extend(endpoints.map(|(id, _)| Node::Endpoint(id.clone())));
    all.extend(network.peerings.iter().filter_map(|(id, peering)| {
        let of = [&peering.requester, &peering.accepter];
        let active = peering.status == PeeringStatus::Active && of.contains(&vpc);
        let other = of.into_iter().find(|other| *other != vpc)?;
        active.then(|| Node::Peering(id.clone(), other.clone()))
    }));
    all
}

/// The classes of a VPC, in the order of their subnets' ids.
pub(super) fn classes(network: &Network, vpc: &VpcId) -> Vec<Class> {
    let nat: BTreeMap<_, _> =
        network.nat_gateways.iter().map(|(id, gateway)| (&gateway.interface, id)).collect();
    let mut all: BTreeMap<_, Vec<InterfaceId>> = BTreeMap::new();
    for (id, interface) in &network.interfaces {
        if network.vpc_of(id) != Some(vpc) {
            continue;
        }
        let endpoint = network.endpoint_at(id).map(|e| Role::Endpoint(e.clone()));
        let nat = nat.get(id).map(|id| Role::Nat((*id).clone()));
        let role = endpoint.or(nat).unwrap_or(Role::Ordinary);
        let mut groups = interface.groups.clone();
        groups.sort();
        let has_public = !public(network, id).is_empty();
        let v6 = !interface.addresses_v6.is_empty();
        let key = (interface.subnet.clone(), role, groups, has_public, v6);
        all.entry(key).or_default().push(id.clone());
    }
    let class = |((subnet, role, groups, public, v6), members)| Class {
        subnet,
        groups,
        role,
        public,
        v6,
        members,
    };
    all.into_iter().map(class).collect()
}
