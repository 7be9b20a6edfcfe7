//! Route tables.

use crate::id::{
    EndpointId, InterfaceId, InternetGatewayId, NatGatewayId, PeeringId, PrefixListId,
    RouteAssociationId, SubnetId, VpcId,
};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A route table. The local routes of its VPC's blocks are always there and not listed in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct RouteTable {
    /// Its VPC.
    pub vpc: VpcId,
    /// Set if it is the VPC's main one, which subnets without one of their own have.
    pub main: Option<RouteAssociationId>,
    /// The subnets that it was given to.
    pub associations: BTreeMap<SubnetId, RouteAssociationId>,
    /// Its routes, each destination once.
    pub routes: Vec<Route>,
}

/// One route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Route {
    /// Where to.
    pub destination: RouteDestination,
    /// By what way. One that is gone makes it a blackhole, which stays.
    pub target: Target,
    /// Who made it.
    pub origin: Origin,
}

/// Where a route leads.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RouteDestination {
    /// Addresses.
    Cidr(IpNet),
    /// The addresses of a prefix list.
    PrefixList(PrefixListId),
}

/// By what way.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Target {
    /// An internet gateway.
    Internet(InternetGatewayId),
    /// A NAT gateway.
    Nat(NatGatewayId),
    /// A gateway endpoint; its route is made and taken away with the endpoint's association.
    Endpoint(EndpointId),
    /// A peering connection.
    Peering(PeeringId),
    /// An interface, which forwards: a NAT instance, a firewall.
    Interface(InterfaceId),
}

/// Who made a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Origin {
    /// `CreateRoute`; also that of a gateway endpoint.
    CreateRoute,
    /// `EnableVgwRoutePropagation`: it gives way to the others of its length.
    Propagated,
}
