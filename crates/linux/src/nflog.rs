//! Hears of every packet that a sealed container tried to send.

use crate::error::{During, Result};
use crate::netns::NetNs;

use nlink::netlink::{Connection, Nflog, OwnedEventStream};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;
use tokio_stream::StreamExt;

/// The kernel's queue of records, in bytes: some thousands of them. Where the host allows an
/// ordinary user less, there is less.
const QUEUE_BYTES: usize = 8 << 20;

/// One packet that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Where it was to go.
    pub destination: IpAddr,
    /// IP protocol number.
    pub protocol: u8,
    /// Destination port of TCP and UDP.
    pub port: Option<u16>,
    /// What follows the UDP header, as far as it was copied; empty for other protocols.
    pub payload: Vec<u8>,
}

/// The listener of one NFLOG group in one namespace.
pub struct Listener {
    events: OwnedEventStream<Nflog>,
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listener").finish_non_exhaustive()
    }
}

impl Listener {
    /// Starts listening. There can be one listener a group and namespace.
    ///
    /// # Errors
    /// If the kernel has no NFLOG or the group is taken.
    pub async fn bind(ns: &NetNs, group: u16, snap_length: u32) -> Result<Self> {
        let nflog = Connection::<Nflog>::new_in(ns.as_fd()).during("open an NFLOG socket")?;
        nflog.socket().set_rcvbuf(QUEUE_BYTES).during("enlarge the queue of an NFLOG socket")?;
        nflog.bind_group(group, snap_length).await.during("listen to the NFLOG group")?;
        Ok(Self { events: nflog.into_events().await })
    }

    /// The next packet. `None` at a record that could not be read: the kernel's counter still
    /// has it.
    pub async fn next(&mut self) -> Option<Refused> {
        match self.events.next().await {
            Some(Ok(packet)) => parse(&packet.payload),
            Some(Err(_)) => None,
            None => std::future::pending().await,
        }
    }
}

/// Reads the head of an IP packet. `None` for anything that is not one.
#[must_use]
pub fn parse(packet: &[u8]) -> Option<Refused> {
    let (destination, protocol, rest) = match packet.first()? >> 4 {
        4 => {
            let header = usize::from(packet[0] & 0xf) * 4;
            let to: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
            (IpAddr::V4(Ipv4Addr::from(to)), *packet.get(9)?, packet.get(header..)?)
        }
        6 => {
            let to: [u8; 16] = packet.get(24..40)?.try_into().ok()?;
            (IpAddr::V6(Ipv6Addr::from(to)), *packet.get(6)?, packet.get(40..)?)
        }
        _ => return None,
    };
    let has_ports = matches!(i32::from(protocol), libc::IPPROTO_TCP | libc::IPPROTO_UDP);
    let port = rest.get(2..4).filter(|_| has_ports).map(|p| u16::from_be_bytes([p[0], p[1]]));
    let is_udp = i32::from(protocol) == libc::IPPROTO_UDP;
    let payload = rest.get(8..).filter(|_| is_udp).unwrap_or_default().to_vec();
    Some(Refused { destination, protocol, port, payload })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv4_udp_packet() {
        let mut p = vec![0x45; 1];
        p.resize(20, 0);
        p[9] = 17;
        p[16..20].copy_from_slice(&[8, 8, 8, 8]);
        p.extend([0xab, 0xcd, 0, 53, 0, 9, 0, 0, b'x']);
        let r = parse(&p).unwrap();
        assert_eq!((r.destination, r.port), (IpAddr::from([8, 8, 8, 8]), Some(53)));
        assert_eq!(r.payload, b"x");
    }

    #[test]
    fn nothing_short_or_strange_is_read_beyond_its_end() {
        let whole: Vec<u8> = (0..64).collect();
        for first in 0..=255u8 {
            for len in 0..whole.len() {
                let mut p = whole[..len].to_vec();
                if let Some(b) = p.first_mut() {
                    *b = first;
                }
                let _ = parse(&p);
            }
        }
    }
}
