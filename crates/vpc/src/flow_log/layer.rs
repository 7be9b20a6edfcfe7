//! What refused a packet, and at whose interface that shows.

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

    /// What the prefix of a router's NFLOG record says: the layer of the chain that dropped the
    /// packet.
    #[must_use]
    pub fn of_prefix(prefix: &str) -> Option<(Self, Side)> {
        Some(match prefix {
            "source" => (Self::SourceDestCheck, Side::From),
            "route" => (Self::Route, Side::From),
            "acl-out" => (Self::Nacl, Side::From),
            "public" => (Self::PublicAddress, Side::From),
            "egress" => (Self::SecurityGroup, Side::From),
            "invalid" => (Self::NoConnection, Side::From),
            "destination" => (Self::SourceDestCheck, Side::To),
            "acl-in" => (Self::Nacl, Side::To),
            "ingress" => (Self::SecurityGroup, Side::To),
            _ => return None,
        })
    }
}
