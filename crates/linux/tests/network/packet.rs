//! Packets as bytes, with a mark to know them again.

use belljar_vpc::traffic::{Header, Payload, Transport};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where in a conversation a packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The first one.
    Open,
    /// The answer to it.
    Answer,
    /// A later one of who began.
    More,
    /// A later answer.
    MoreAnswer,
}

/// Sequence numbers that both sides of a TCP connection begin at.
const SEQUENCES: [u32; 2] = [1000, 5000];

/// A packet's bytes from its IP header on; two of them if it is sent in fragments. `echo` is the
/// number of an ICMP echo.
pub(crate) fn build(
    header: &Header,
    phase: Phase,
    (tag, echo): (u64, u16),
    fragments: bool,
) -> Vec<Vec<u8>> {
    let body = transport(header, phase, tag, echo);
    match (header.source, header.destination) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let protocol = header.payload.protocol();
            if !fragments {
                return vec![ipv4(from, to, protocol, 0, &body)];
            }
            // At a border of eight bytes, behind the mark, and with more of it to come.
            let (first, rest) = body.split_at(48.min(body.len() & !7));
            vec![
                ipv4(from, to, protocol, 0x2000, first),
                ipv4(from, to, protocol, (first.len() / 8) as u16, rest),
            ]
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let protocol = header.payload.protocol();
            if !fragments {
                return vec![ipv6(from, to, protocol, &body)];
            }
            let (first, rest) = body.split_at(48.min(body.len() & !7));
            let fragment = |at: usize, part: &[u8]| {
                // RFC 8200, 4.5: what follows, where it belongs and whether there is more of it.
                let more = u16::from(at == 0);
                let mut p = vec![protocol, 0];
                p.extend((at as u16 | more).to_be_bytes());
                p.extend((tag as u32).to_be_bytes());
                p.extend(part);
                ipv6(from, to, FRAGMENT, &p)
            };
            vec![fragment(0, first), fragment(first.len(), rest)]
        }
        _ => Vec::new(),
    }
}

/// Routers that a packet lives through. What goes round ends there.
pub(crate) const LIFE: u8 = 24;
/// The header of a fragment of IPv6 (RFC 8200, 4.5).
const FRAGMENT: u8 = 44;

fn ipv6(from: Ipv6Addr, to: Ipv6Addr, next: u8, body: &[u8]) -> Vec<u8> {
    let mut p = vec![0x60, 0, 0, 0];
    p.extend((body.len() as u16).to_be_bytes());
    p.extend([next, LIFE]);
    p.extend(from.octets());
    p.extend(to.octets());
    p.extend(body);
    p
}

fn ipv4(from: Ipv4Addr, to: Ipv4Addr, protocol: u8, fragment: u16, body: &[u8]) -> Vec<u8> {
    let mut p = vec![0x45, 0];
    p.extend((20 + body.len() as u16).to_be_bytes());
    // All fragments of one packet must have one number, and no two packets on their way.
    p.extend([0x12, body.first().map_or(0, |_| 0x34)]);
    p.extend(fragment.to_be_bytes());
    p.extend([LIFE, protocol, 0, 0]);
    p.extend(from.octets());
    p.extend(to.octets());
    let sum = checksum(&p, 0);
    p[10..12].copy_from_slice(&sum.to_be_bytes());
    p.extend(body);
    p
}

fn transport(header: &Header, phase: Phase, tag: u64, echo: u16) -> Vec<u8> {
    let mut p = Vec::with_capacity(64);
    let place = match header.payload {
        Payload::Ports { transport: Transport::Tcp, source, destination } => {
            p.extend(source.to_be_bytes());
            p.extend(destination.to_be_bytes());
            let (own, other, flags) = match phase {
                Phase::Open => (SEQUENCES[0], 0, 0x02),
                Phase::Answer => (SEQUENCES[1], SEQUENCES[0] + 1, 0x12),
                Phase::More => (SEQUENCES[0] + 1, SEQUENCES[1] + 1, 0x10),
                Phase::MoreAnswer => (SEQUENCES[1] + 1, SEQUENCES[0] + 1, 0x10),
            };
            p.extend(own.to_be_bytes());
            p.extend(other.to_be_bytes());
            p.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
            Some(16)
        }
        Payload::Ports { transport: Transport::Udp, source, destination } => {
            p.extend(source.to_be_bytes());
            p.extend(destination.to_be_bytes());
            p.extend((8u16 + PADDED as u16).to_be_bytes());
            p.extend([0, 0]);
            Some(6)
        }
        Payload::Icmp { kind, code, .. } => {
            p.extend([kind, code, 0, 0]);
            p.extend(echo.to_be_bytes());
            p.extend([0, 1]);
            Some(2)
        }
        Payload::Other { .. } => None,
    };
    p.extend(tag.to_be_bytes());
    let end = p.len() + PADDED - 8;
    p.resize(end, 0x5a);
    if let Some(place) = place {
        let mut pseudo = Vec::new();
        if !matches!(header.payload, Payload::Icmp { v6: false, .. }) {
            pseudo_header(header, p.len(), &mut pseudo);
        }
        let sum = checksum(&p, partial(&pseudo, 0));
        p[place..place + 2].copy_from_slice(&sum.to_be_bytes());
    }
    p
}

/// Bytes behind the transport's header: the mark, and enough to be sent in fragments.
const PADDED: usize = 64;

fn pseudo_header(header: &Header, length: usize, out: &mut Vec<u8>) {
    match (header.source, header.destination) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            out.extend(a.octets());
            out.extend(b.octets());
            out.extend([0, header.payload.protocol()]);
            out.extend((length as u16).to_be_bytes());
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            out.extend(a.octets());
            out.extend(b.octets());
            out.extend((length as u32).to_be_bytes());
            out.extend([0, 0, 0, header.payload.protocol()]);
        }
        _ => {}
    }
}

fn partial(bytes: &[u8], start: u32) -> u32 {
    bytes.chunks(2).fold(start, |sum, pair| {
        sum + (u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0)))
    })
}

pub(crate) fn checksum(bytes: &[u8], start: u32) -> u16 {
    let mut sum = partial(bytes, start);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let sum = !(sum as u16);
    // UDP's zero would mean that there is none.
    if sum == 0 { 0xffff } else { sum }
}

/// The head and the mark of a packet; `None` of one that is not ours, or a later fragment.
pub(crate) fn parse(p: &[u8]) -> Option<(Header, u64)> {
    let (source, destination, protocol, rest): (IpAddr, IpAddr, u8, &[u8]) = match p.first()? >> 4 {
        4 => {
            let offset = u16::from_be_bytes([*p.get(6)?, *p.get(7)?]) & 0x1fff;
            if offset != 0 {
                return None;
            }
            let address = |at: usize| -> Option<IpAddr> {
                let octets: [u8; 4] = p.get(at..at + 4)?.try_into().ok()?;
                Some(Ipv4Addr::from(octets).into())
            };
            let rest = p.get(usize::from(p[0] & 15) * 4..)?;
            (address(12)?, address(16)?, *p.get(9)?, rest)
        }
        6 => {
            let address = |at: usize| -> Option<IpAddr> {
                let octets: [u8; 16] = p.get(at..at + 16)?.try_into().ok()?;
                Some(Ipv6Addr::from(octets).into())
            };
            match *p.get(6)? {
                FRAGMENT if u16::from_be_bytes([*p.get(42)?, *p.get(43)?]) & !7 != 0 => {
                    return None;
                }
                FRAGMENT => (address(8)?, address(24)?, *p.get(40)?, p.get(48..)?),
                next => (address(8)?, address(24)?, next, p.get(40..)?),
            }
        }
        _ => return None,
    };
    let word = |at: usize| Some(u16::from_be_bytes([*rest.get(at)?, *rest.get(at + 1)?]));
    let ports =
        |transport| Some(Payload::Ports { transport, source: word(0)?, destination: word(2)? });
    let (payload, at) = match protocol {
        6 => (ports(Transport::Tcp)?, 20),
        17 => (ports(Transport::Udp)?, 8),
        1 | 58 => {
            let (kind, code) = (*rest.first()?, *rest.get(1)?);
            (Payload::Icmp { v6: protocol == 58, kind, code }, 8)
        }
        number => (Payload::Other { number }, 0),
    };
    let tag: [u8; 8] = rest.get(at..at + 8)?.try_into().ok()?;
    Some((Header { source, destination, payload }, u64::from_be_bytes(tag)))
}
