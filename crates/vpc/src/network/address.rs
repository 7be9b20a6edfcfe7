//! Elastic addresses.

use crate::id::{AddressAssociationId, InterfaceId};
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

/// A public address that the account holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ElasticAddress {
    /// The address.
    pub public: Ipv4Addr,
    /// Whose it is: the association, the interface, and which of its private addresses.
    pub association: Option<(AddressAssociationId, InterfaceId, Ipv4Addr)>,
}
