//! Ways out of a VPC: internet and NAT gateways.

use crate::id::{AllocationId, InterfaceId, SubnetId, VpcId};
use serde::{Deserialize, Serialize};

/// An internet gateway.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct InternetGateway {
    /// The VPC that it is attached to; one VPC has one at most.
    pub vpc: Option<VpcId>,
}

/// A NAT gateway, which has an interface in its subnet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct NatGateway {
    /// Its subnet.
    pub subnet: SubnetId,
    /// Its interface, which has no security group.
    pub interface: InterfaceId,
    /// Its public address; `None` is a private NAT gateway, which leads to no internet.
    pub allocation: Option<AllocationId>,
    /// Whether it works: `available`, not `deleted`, which it stays for an hour.
    pub available: bool,
}
