//! The head of a packet that was refused, as the kernel handed it over.

use super::crossing::Tuple;
use crate::rules::{TCP, UDP};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::ops::BitOrAssign;

/// TCP flags, of one packet or of several together. ACK counts only beside SYN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Flags(u8);

impl Flags {
    /// The bits of a TCP head that [`Flags::of`] looks at: FIN, SYN, RST and ACK.
    pub const MASK: u8 = 0b1_0111;

    /// Of one packet, by the octet of its TCP head.
    #[must_use]
    pub const fn of(octet: u8) -> Self {
        const SYN: u8 = 2;
        const ACK: u8 = 16;
        Self(if octet & SYN == 0 { octet & Self::MASK & !ACK } else { octet & Self::MASK })
    }

    /// As a record has them.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }
}

impl BitOrAssign for Flags {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// What a packet's head says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Between whom.
    pub tuple: Tuple,
    /// Its length, the IP head included.
    pub length: u64,
    /// Of TCP.
    pub flags: Flags,
}

/// Extension headers that another header follows (RFC 8200): hop-by-hop, routing, destination.
const EXTENSIONS: [u8; 3] = [0, 43, 60];
/// The fragment header.
const FRAGMENT: u8 = 44;

impl Head {
    /// Reads it. `None` of what is no IP packet, or too short to say between whom it is.
    #[must_use]
    pub fn parse(packet: &[u8]) -> Option<Self> {
        match packet.first()? >> 4 {
            4 => Self::v4(packet),
            6 => Self::v6(packet),
            _ => None,
        }
    }

    fn v4(packet: &[u8]) -> Option<Self> {
        let source: [u8; 4] = packet.get(12..16)?.try_into().ok()?;
        let destination: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
        let first = u16_at(packet, 6)? & 0x1fff == 0;
        let rest = packet.get(usize::from(packet[0] & 0xf) * 4..).filter(|_| first);
        let length = u16_at(packet, 2)?.into();
        Some(Self::of(source.into(), destination.into(), packet[9], rest, length))
    }

    fn v6(packet: &[u8]) -> Option<Self> {
        let source: [u8; 16] = packet.get(8..24)?.try_into().ok()?;
        let destination: [u8; 16] = packet.get(24..40)?.try_into().ok()?;
        let (mut next, mut rest) = (packet[6], packet.get(40..));
        while let Some(header) = rest.filter(|h| h.len() >= 8) {
            let length = if EXTENSIONS.contains(&next) {
                (usize::from(header[1]) + 1) * 8
            } else if next == FRAGMENT {
                8
            } else {
                break;
            };
            let first = next != FRAGMENT || u16_at(header, 2)? & 0xfff8 == 0;
            next = header[0];
            rest = header.get(length..).filter(|_| first);
        }
        let length = u64::from(u16_at(packet, 4)?) + 40;
        Some(Self::of(source.into(), destination.into(), next, rest, length))
    }

    fn of(
        source: IpAddr,
        destination: IpAddr,
        protocol: u8,
        rest: Option<&[u8]>,
        length: u64,
    ) -> Self {
        let rest = rest.filter(|_| [TCP, UDP].contains(&protocol)).unwrap_or_default();
        let port = |at| u16_at(rest, at).unwrap_or_default();
        let octet = rest.get(13).filter(|_| protocol == TCP);
        let tuple = Tuple {
            source,
            destination,
            protocol,
            source_port: port(0),
            destination_port: port(2),
        };
        Self { tuple, length, flags: octet.map_or_else(Flags::default, |o| Flags::of(*o)) }
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let two: [u8; 2] = bytes.get(at..at + 2)?.try_into().ok()?;
    Some(u16::from_be_bytes(two))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acknowledgements_count_beside_a_syn_only() {
        let all = |octets: &[u8]| {
            let mut flags = Flags::default();
            octets.iter().for_each(|o| flags |= Flags::of(*o));
            flags.bits()
        };
        // A client's, a server's, and a refusal's: 3, 19 and 4 in AWS's examples.
        assert_eq!(all(&[0x02, 0x10, 0x18, 0x11]), 3);
        assert_eq!(all(&[0x12, 0x10, 0x18, 0x11]), 19);
        assert_eq!(all(&[0x14]), 4);
        assert_eq!(all(&[0x10, 0x18]), 0);
    }

    #[test]
    fn a_fragment_has_no_ports_but_in_its_first() {
        let mut p = vec![0x45, 0, 0, 48, 0, 0, 0x20, 0, 64, TCP, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        p.extend([0x9c, 0x40, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 2]);
        let head = Head::parse(&p).unwrap();
        assert_eq!((head.tuple.source_port, head.tuple.destination_port), (40000, 80));
        assert_eq!((head.length, head.flags.bits()), (48, 2));
        p[7] = 9;
        let head = Head::parse(&p).unwrap();
        assert_eq!((head.tuple.source_port, head.flags.bits()), (0, 0));
    }

    #[test]
    fn extension_headers_are_passed_over() {
        let mut p = vec![0x60, 0, 0, 0, 0, 16, 60, 64];
        p.extend([0xfd; 32]);
        p.extend([UDP, 0, 0, 0, 0, 0, 0, 0]);
        p.extend([0x13, 0x88, 0, 53, 0, 8, 0, 0]);
        let head = Head::parse(&p).unwrap();
        assert_eq!((head.tuple.protocol, head.tuple.source_port), (UDP, 5000));
        assert_eq!((head.tuple.destination_port, head.length), (53, 56));
    }

    #[test]
    fn nothing_short_or_strange_is_read_beyond_its_end() {
        let whole: Vec<u8> = (0..96).collect();
        for first in 0..=255u8 {
            for len in 0..whole.len() {
                let mut p = whole[..len].to_vec();
                if let Some(b) = p.first_mut() {
                    *b = first;
                }
                let _ = Head::parse(&p);
            }
        }
    }
}
