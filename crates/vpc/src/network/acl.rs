//! Network ACLs: stateless, ordered, at a subnet's boundary.

use crate::id::{AclAssociationId, SubnetId, VpcId};
use crate::traffic::Traffic;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Which way a rule looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Direction {
    /// Towards the interface, or into the subnet.
    Ingress,
    /// Away from the interface, or out of the subnet.
    Egress,
}

/// A network ACL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct NetworkAcl {
    /// Its VPC.
    pub vpc: VpcId,
    /// Whether it is the VPC's default one.
    pub is_default: bool,
    /// By number (1 to 32766); the first that matches decides, and what none matches is denied.
    pub ingress: BTreeMap<u16, AclEntry>,
    /// As `ingress`, for what leaves.
    pub egress: BTreeMap<u16, AclEntry>,
    /// The subnets that it guards. Each subnet has exactly one.
    pub associations: BTreeMap<SubnetId, AclAssociationId>,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct AclEntry {
    /// Protocol and ports.
    pub traffic: Traffic,
    /// Source of what comes in, destination of what leaves; its host bits zero.
    pub block: IpNet,
    /// Whether it allows; otherwise it denies.
    pub allow: bool,
}

impl NetworkAcl {
    /// The entries of a direction.
    #[must_use]
    pub fn entries(&self, direction: Direction) -> &BTreeMap<u16, AclEntry> {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }
}
