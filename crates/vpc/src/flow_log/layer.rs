//! What refused a packet, and at whose interface that shows.

use crate::compile;
use serde::{Deserialize, Serialize};

/// What refused a packet. AWS's records do not say it; `${belljar-layer}` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    /// A network ACL.
    Nacl,
    /// Security groups.
    SecurityGroup,
    /// No route, or one that leads nowhere.
    Route,
    /// The check of an interface that packets are from or for itself.
    SourceDestCheck,
    /// The internet gateway, which needs a public address.
    PublicAddress,
    /// The connection that the packet belongs to is not there (any more).
    NoConnection,
}

/// At whose interface a refusal shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The sender's: the packet did not get out.
    From,
    /// The receiver's: it got out there, and not in here.
    To,
}

impl Layer {
    /// As a record has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nacl => "nacl",
            Self::SecurityGroup => "security-group",
            Self::Route => "route",
            Self::SourceDestCheck => "source-dest-check",
            Self::PublicAddress => "public-address",
            Self::NoConnection => "no-connection",
        }
    }

    /// What the chain that dropped a packet is for an observer.
    #[must_use]
    pub const fn of(layer: compile::Layer) -> (Self, Side) {
        match layer {
            compile::Layer::Source => (Self::SourceDestCheck, Side::From),
            compile::Layer::Route => (Self::Route, Side::From),
            compile::Layer::AclOut => (Self::Nacl, Side::From),
            compile::Layer::Public => (Self::PublicAddress, Side::From),
            compile::Layer::Egress => (Self::SecurityGroup, Side::From),
            compile::Layer::Invalid => (Self::NoConnection, Side::From),
            compile::Layer::Destination => (Self::SourceDestCheck, Side::To),
            compile::Layer::AclIn => (Self::Nacl, Side::To),
            compile::Layer::Ingress => (Self::SecurityGroup, Side::To),
        }
    }
}
