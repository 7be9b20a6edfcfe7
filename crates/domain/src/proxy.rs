//! The head that a connection carries which came by a VPC endpoint: PROXY protocol, version 2
//! (haproxy.org, proxy-protocol.txt), with the endpoint's id in the TLV that AWS's load balancers
//! write for it (Elastic Load Balancing, Network Load Balancers, "Proxy protocol":
//! `PP2_TYPE_AWS` 0xEA, `PP2_SUBTYPE_AWS_VPCE_ID` 0x01).

use belljar_vpc::id::EndpointId;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What it begins with. No request of HTTP does, and no handshake of TLS.
pub const SIGNATURE: [u8; 12] =
    [0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A];
/// Bytes before what has a length of its own: the signature, command, family, and that length.
pub const FIXED: usize = 16;
/// Bytes behind them at most, of those that are read here.
pub const MAX_REST: usize = 512;

/// The head of a connection that came by no endpoint: command LOCAL, and nothing more. Whoever carries
/// for others says it before what is theirs, so that a head which they say themselves is none.
pub const LOCAL: [u8; FIXED] = {
    let mut head = [0; FIXED];
    let mut place = 0;
    while place < SIGNATURE.len() {
        head[place] = SIGNATURE[place];
        place += 1;
    }
    head[12] = 0x20;
    head
};

/// Version 2, command PROXY.
const COMMAND: u8 = 0x21;
/// TCP over IPv4, over IPv6.
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;
const TYPE_AWS: u8 = 0xEA;
const SUBTYPE_ENDPOINT: u8 = 0x01;

/// By which way a connection came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxied {
    /// Who connected.
    pub source: SocketAddr,
    /// To where.
    pub destination: SocketAddr,
    /// The VPC endpoint that took it.
    pub endpoint: EndpointId,
}

/// Why bytes are not such a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no PROXY protocol head: {0}")]
pub struct ProxyError(&'static str);

impl Proxied {
    /// The head; `None` if its addresses are of two families.
    #[must_use]
    pub fn encode(&self) -> Option<Vec<u8>> {
        let (family, mut rest) = match (self.source.ip(), self.destination.ip()) {
            (IpAddr::V4(s), IpAddr::V4(d)) => (TCP4, [s.octets(), d.octets()].concat()),
            (IpAddr::V6(s), IpAddr::V6(d)) => (TCP6, [s.octets(), d.octets()].concat()),
            _ => return None,
        };
        rest.extend(self.source.port().to_be_bytes());
        rest.extend(self.destination.port().to_be_bytes());
        let id = self.endpoint.as_str().as_bytes();
        rest.push(TYPE_AWS);
        rest.extend(u16::try_from(id.len() + 1).ok()?.to_be_bytes());
        rest.push(SUBTYPE_ENDPOINT);
        rest.extend(id);
        let mut head = SIGNATURE.to_vec();
        head.extend([COMMAND, family]);
        head.extend(u16::try_from(rest.len()).ok()?.to_be_bytes());
        head.extend(rest);
        Some(head)
    }

    /// How many bytes follow the fixed ones.
    ///
    /// # Errors
    /// If they are not the beginning of such a head, or it is too long.
    pub fn rest(fixed: &[u8; FIXED]) -> Result<usize, ProxyError> {
        if fixed[..12] != SIGNATURE {
            return Err(ProxyError("it does not begin like one"));
        }
        if fixed[12] != COMMAND {
            return Err(ProxyError("it is not of version 2, or of no connection"));
        }
        let length = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
        if length > MAX_REST { Err(ProxyError("it is too long")) } else { Ok(length) }
    }

    /// Reads a whole head.
    ///
    /// # Errors
    /// If it is none, or has no VPC endpoint.
    pub fn decode(fixed: &[u8; FIXED], rest: &[u8]) -> Result<Self, ProxyError> {
        if Self::rest(fixed)? != rest.len() {
            return Err(ProxyError("it has another length"));
        }
        let short = ProxyError("it ends early");
        let (source, destination, rest) = match fixed[13] {
            TCP4 => {
                let (addresses, rest) = rest.split_at_checked(8).ok_or(short)?;
                let (s, d) = addresses.split_at(4);
                let ip = |b: &[u8]| <[u8; 4]>::try_from(b).map(|b| IpAddr::V4(Ipv4Addr::from(b)));
                (ip(s).map_err(|_| short)?, ip(d).map_err(|_| short)?, rest)
            }
            TCP6 => {
                let (addresses, rest) = rest.split_at_checked(32).ok_or(short)?;
                let (s, d) = addresses.split_at(16);
                let ip = |b: &[u8]| <[u8; 16]>::try_from(b).map(|b| IpAddr::V6(Ipv6Addr::from(b)));
                (ip(s).map_err(|_| short)?, ip(d).map_err(|_| short)?, rest)
            }
            _ => return Err(ProxyError("it is of another family than TCP's")),
        };
        let (ports, tlvs) = rest.split_first_chunk::<4>().ok_or(short)?;
        let port = |high, low| u16::from_be_bytes([high, low]);
        Ok(Self {
            source: SocketAddr::new(source, port(ports[0], ports[1])),
            destination: SocketAddr::new(destination, port(ports[2], ports[3])),
            endpoint: endpoint(tlvs)?,
        })
    }
}

/// The endpoint among what follows the addresses.
fn endpoint(mut tlvs: &[u8]) -> Result<EndpointId, ProxyError> {
    while let Some((head, rest)) = tlvs.split_first_chunk::<3>() {
        let length = usize::from(u16::from_be_bytes([head[1], head[2]]));
        let (value, rest) = rest.split_at_checked(length).ok_or(ProxyError("it ends early"))?;
        if let (TYPE_AWS, Some((&SUBTYPE_ENDPOINT, id))) = (head[0], value.split_first()) {
            let id = std::str::from_utf8(id).ok().and_then(|id| id.parse().ok());
            return id.ok_or(ProxyError("it names no VPC endpoint"));
        }
        tlvs = rest;
    }
    Err(ProxyError("it names no VPC endpoint"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxied(source: &str, destination: &str) -> Proxied {
        Proxied {
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
            endpoint: "vpce-0123456789abcdef0".parse().unwrap(),
        }
    }

    fn read(bytes: &[u8]) -> Result<Proxied, ProxyError> {
        let (fixed, rest) = bytes.split_first_chunk().unwrap();
        Proxied::decode(fixed, rest)
    }

    #[test]
    fn what_is_written_is_read() {
        for (source, destination) in
            [("10.0.1.10:4711", "52.216.0.1:443"), ("[fd00::1]:1", "[2600::1]:80")]
        {
            let head = proxied(source, destination);
            assert_eq!(read(&head.encode().unwrap()).unwrap(), head);
        }
        assert_eq!(proxied("10.0.0.1:1", "[::1]:1").encode(), None);
    }

    /// The example of AWS's documentation, and two bytes of another kind before it.
    #[test]
    fn other_values_are_passed_over() {
        let mut bytes = proxied("10.0.1.10:4711", "52.216.0.1:443").encode().unwrap();
        bytes.splice(28..28, [0x04, 0, 2, 9, 9]);
        bytes[15] += 5;
        assert_eq!(read(&bytes).unwrap().endpoint.as_str(), "vpce-0123456789abcdef0");
    }

    #[test]
    fn nothing_else_is_taken_for_it() {
        let good = proxied("10.0.1.10:4711", "52.216.0.1:443").encode().unwrap();
        for (place, byte) in [(0, b'G'), (12, 0x20), (13, 0x12), (14, 9), (28, 0xEB), (30, 99)] {
            let mut bad = good.clone();
            bad[place] = byte;
            assert!(read(&bad).is_err(), "{place}");
        }
        for length in FIXED..good.len() {
            let mut cut = good[..length].to_vec();
            assert!(read(&cut).is_err());
            cut[15] = u8::try_from(length - FIXED).unwrap();
            // A shorter id is an id; nothing panics.
            let _ = read(&cut);
        }
    }
}
