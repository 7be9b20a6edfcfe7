//! What crosses a router, and what each interface on its way sees of that.

use super::layer::{Layer, Side};
use super::packet::Flags;
use crate::compile::End;
use crate::id::InterfaceId;
use crate::network::Direction;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Between whom packets go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Tuple {
    /// Where they come from.
    pub source: IpAddr,
    /// Where they go.
    pub destination: IpAddr,
    /// IANA's number.
    pub protocol: u8,
    /// 0 of what has no ports.
    pub source_port: u16,
    /// 0 of what has no ports.
    pub destination_port: u16,
}

/// What is at a link of a router.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Port {
    /// A network interface.
    Interface(InterfaceId),
    /// A gateway endpoint.
    Endpoint,
    /// The internet gateway.
    Internet,
    /// Another VPC.
    Peering,
}

/// Packets that came by one link of a router for another, and whether they got there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crossing {
    /// By which they came. `None` if it is not known (any more).
    pub from: Option<Port>,
    /// For which they were; `None` also if they never had one.
    pub to: Option<Port>,
    /// Between whom, with the addresses inside the VPC.
    pub tuple: Tuple,
    /// How many.
    pub packets: u64,
    /// Their length, IP heads included.
    pub bytes: u64,
    /// Of TCP, of all of them together.
    pub flags: Flags,
    /// What refused them; `None`: they passed.
    pub refused: Option<(Layer, Side)>,
}

/// What one interface saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// Which.
    pub interface: InterfaceId,
    /// Whether it sent the packets or was sent them.
    pub direction: Direction,
    /// Between whom.
    pub tuple: Tuple,
    /// How many.
    pub packets: u64,
    /// Their length.
    pub bytes: u64,
    /// Of TCP.
    pub flags: Flags,
    /// What refused them here.
    pub refused: Option<Layer>,
    /// `traffic-path`, of what was sent.
    pub path: Option<u8>,
}

impl Port {
    /// What is at the far end of a link.
    #[must_use]
    pub fn of(end: &End) -> Self {
        match end {
            End::Interface { id, .. } => Self::Interface(id.clone()),
            End::Endpoint { .. } => Self::Endpoint,
            End::Internet { .. } => Self::Internet,
            End::Peering { .. } => Self::Peering,
        }
    }

    /// `traffic-path` of what leaves an interface for here.
    const fn path(&self) -> u8 {
        match self {
            Self::Interface(_) => 1,
            Self::Peering => 4,
            Self::Endpoint => 7,
            Self::Internet => 8,
        }
    }
}

impl Crossing {
    /// What the interfaces at both ends saw. What was refused at one's door has left the other's.
    pub fn observations(&self) -> impl Iterator<Item = Observation> + '_ {
        let of = |port: &Option<Port>, direction, refused, path| match port {
            Some(Port::Interface(interface)) => Some(Observation {
                interface: interface.clone(),
                direction,
                tuple: self.tuple,
                packets: self.packets,
                bytes: self.bytes,
                flags: self.flags,
                refused,
                path,
            }),
            _ => None,
        };
        let at = |side| self.refused.filter(|(_, s)| *s == side).map(|(layer, _)| layer);
        let path = self.to.as_ref().map(Port::path);
        let sent = of(&self.from, Direction::Egress, at(Side::From), path);
        let came = of(&self.to, Direction::Ingress, at(Side::To), None);
        sent.into_iter().chain(came.filter(|_| at(Side::From).is_none()))
    }
}
