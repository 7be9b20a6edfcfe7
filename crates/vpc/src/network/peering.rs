//! Peering of VPCs.

use crate::id::VpcId;
use serde::{Deserialize, Serialize};

/// A peering connection. It is not transitive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Peering {
    /// Who asked.
    pub requester: VpcId,
    /// Who was asked.
    pub accepter: VpcId,
    /// Whether packets pass.
    pub status: PeeringStatus,
    /// Whether each resolves the other's public names to private addresses.
    pub dns_resolution: bool,
}

/// The state of a peering connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PeeringStatus {
    /// Asked, and not yet accepted.
    PendingAcceptance,
    /// Packets pass.
    Active,
    /// Refused.
    Rejected,
    /// Deleted; it stays to be seen for a while.
    Deleted,
}
