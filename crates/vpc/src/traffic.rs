//! What rules match besides addresses, and the head of a packet that they are held against.

use serde::{Deserialize, Serialize};
use std::net::IpAddr;

use crate::rules::{ICMP, ICMPV6, TCP, UDP};

/// TCP or UDP: the protocols whose ports rules can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Transport {
    /// Its IP protocol number.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => TCP,
            Self::Udp => UDP,
        }
    }
}

/// Which packets a rule of a security group or a network ACL is about, addresses apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", tag = "kind")]
pub enum Traffic {
    /// Every protocol and port (`-1`).
    All,
    /// Destination ports of TCP or UDP, from and to included.
    Ports {
        /// Which of both.
        transport: Transport,
        /// The first port.
        from: u16,
        /// The last port.
        to: u16,
    },
    /// ICMP (1), or with `v6` ICMPv6 (58).
    Icmp {
        /// Whether it is ICMPv6.
        v6: bool,
        /// The type; `None` is any (`-1`).
        #[serde(rename = "type")]
        kind: Option<u8>,
        /// The code; `None` is any (`-1`).
        code: Option<u8>,
    },
    /// Another protocol, by its number.
    Protocol {
        /// IANA's number.
        number: u8,
    },
}

/// What a packet says behind its addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", tag = "kind")]
pub enum Payload {
    /// TCP or UDP.
    Ports {
        /// Which of both.
        transport: Transport,
        /// Source port.
        source: u16,
        /// Destination port.
        destination: u16,
    },
    /// ICMP, or with `v6` ICMPv6.
    Icmp {
        /// Whether it is ICMPv6.
        v6: bool,
        /// Type.
        #[serde(rename = "type")]
        kind: u8,
        /// Code.
        code: u8,
    },
    /// Another protocol.
    Other {
        /// IANA's number.
        number: u8,
    },
}

/// The head of a packet, as far as rules look at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Header {
    /// Where it comes from.
    pub source: IpAddr,
    /// Where it goes. Of the same family.
    pub destination: IpAddr,
    /// The rest.
    pub payload: Payload,
}

impl Payload {
    /// IP protocol number.
    #[must_use]
    pub const fn protocol(&self) -> u8 {
        match self {
            Self::Ports { transport, .. } => transport.number(),
            Self::Icmp { v6: false, .. } => ICMP,
            Self::Icmp { v6: true, .. } => ICMPV6,
            Self::Other { number } => *number,
        }
    }

    /// What answers it: ports exchanged, an echo's reply; `None` of an ICMP message that nobody
    /// answers.
    #[must_use]
    pub const fn reply(&self) -> Option<Self> {
        match *self {
            Self::Ports { transport, source, destination } => {
                Some(Self::Ports { transport, source: destination, destination: source })
            }
            Self::Icmp { v6: false, kind: 8, code } => {
                Some(Self::Icmp { v6: false, kind: 0, code })
            }
            Self::Icmp { v6: true, kind: 128, code } => {
                Some(Self::Icmp { v6: true, kind: 129, code })
            }
            Self::Icmp { .. } => None,
            other @ Self::Other { .. } => Some(other),
        }
    }
}

impl Header {
    /// The head of the answer, if there is one.
    #[must_use]
    pub fn reply(&self) -> Option<Self> {
        let payload = self.payload.reply()?;
        Some(Self { source: self.destination, destination: self.source, payload })
    }
}

impl Traffic {
    /// Whether a packet with this payload is meant.
    #[must_use]
    pub fn matches(&self, payload: &Payload) -> bool {
        match (*self, *payload) {
            (Self::All, _) => true,
            (
                Self::Ports { transport, from, to },
                Payload::Ports { transport: of, destination, .. },
            ) => transport == of && (from..=to).contains(&destination),
            (Self::Icmp { v6, kind, code }, Payload::Icmp { v6: of, kind: k, code: c }) => {
                v6 == of && kind.is_none_or(|t| t == k) && code.is_none_or(|t| t == c)
            }
            (Self::Protocol { number }, payload) => number == payload.protocol(),
            _ => false,
        }
    }
}
