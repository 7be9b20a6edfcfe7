//! Network interfaces (ENIs).

use crate::id::{AttachmentId, GroupId, SubnetId};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Interface {
    /// Its subnet, for its life.
    pub subnet: SubnetId,
    /// Its IPv4 addresses, the primary one first.
    pub addresses: Vec<PrivateAddress>,
    /// Its IPv6 addresses.
    pub addresses_v6: Vec<Ipv6Addr>,
    /// Its security groups, which hold together: what one allows is allowed. Those of a NAT
    /// gateway and a gateway's own have none, and nothing is filtered there.
    pub groups: Vec<GroupId>,
    /// Whether packets must be from or to itself.
    pub source_dest_check: bool,
    /// Ethernet address, `02:…`.
    pub mac: String,
    /// What somebody wrote beside it.
    pub description: String,
    /// `InterfaceType`: `interface`, `natGateway`, `vpc_endpoint`.
    pub kind: String,
    /// Whether a service made it, which alone may delete it.
    pub requester_managed: bool,
    /// What it is attached to.
    pub attachment: Option<Attachment>,
}

/// One private IPv4 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PrivateAddress {
    /// The address, of the subnet's block.
    pub address: Ipv4Addr,
    /// A public one that it was given when it was made (not an elastic one).
    pub public: Option<Ipv4Addr>,
}

/// What an interface is attached to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Attachment {
    /// Its id.
    pub id: AttachmentId,
    /// Whose instance it is: the ARN of a training job or endpoint and its instance, or a
    /// service's name.
    pub owner: String,
}

impl Interface {
    /// The primary IPv4 address.
    #[must_use]
    pub fn primary(&self) -> Option<Ipv4Addr> {
        self.addresses.first().map(|a| a.address)
    }
    /// Whether an address is one of its private ones, IPv6 included.
    #[must_use]
    pub fn owns(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(v4) => self.addresses.iter().any(|a| a.address == v4),
            IpAddr::V6(v6) => self.addresses_v6.contains(&v6),
        }
    }

    /// Its first address of a family.
    #[must_use]
    pub fn first(&self, v6: bool) -> Option<IpAddr> {
        if v6 {
            return self.addresses_v6.first().copied().map(IpAddr::V6);
        }
        self.primary().map(IpAddr::V4)
    }
}
