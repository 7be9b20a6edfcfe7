//! A question: may this packet, and what answers it, pass?

use crate::id::InterfaceId;
use crate::traffic::Payload;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// The first packet of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Flow {
    /// Who begins.
    pub source: Source,
    /// Where the packet goes.
    pub destination: IpAddr,
    /// The rest of its head. Its source port is the one that answers come back to.
    pub payload: Payload,
}

/// Who begins a conversation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", tag = "kind")]
pub enum Source {
    /// An interface.
    Interface {
        /// Which one.
        id: InterfaceId,
        /// From which address; `None` is its first one of the destination's family. One that is
        /// not its own is a forged or a forwarded one.
        #[serde(default)]
        address: Option<IpAddr>,
    },
    /// A host on the internet.
    Internet {
        /// Its address.
        address: IpAddr,
    },
}

impl Flow {
    /// From an interface's first address.
    #[must_use]
    pub fn from_interface(id: InterfaceId, destination: IpAddr, payload: Payload) -> Self {
        Self { source: Source::Interface { id, address: None }, destination, payload }
    }

    /// From a host on the internet.
    #[must_use]
    pub fn from_internet(address: IpAddr, destination: IpAddr, payload: Payload) -> Self {
        Self { source: Source::Internet { address }, destination, payload }
    }
}
