//! Which addresses a way out may lead to: the public ones. Whoever may reach the internet through
//! the host may not reach the host itself, its neighbours, or the metadata service of the cloud
//! that it is in.
//!
//! Sources: IANA's IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890), RFC 4291. The
//! documentation's blocks (RFC 5737, 3849) are not refused: they lead nowhere.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{IpAddr, Ipv6Addr};

/// What is not public of IPv4.
const REFUSED_V4: [([u8; 4], u8); 13] = [
    // This network, private ones (RFC 1918), those shared behind a carrier's NAT (RFC 6598: also a
    // metadata service), loopback.
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    // Azure's host to its machines ("What is IP address 168.63.129.16?").
    ([168, 63, 129, 16], 32),
    // Link-local: the metadata services of clouds.
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    // Protocol assignments; relays of 6to4, which are no more (RFC 7526).
    ([192, 0, 0, 0], 24),
    ([192, 88, 99, 0], 24),
    ([192, 168, 0, 0], 16),
    // Benchmarks.
    ([198, 18, 0, 0], 15),
    // Multicast; reserved, and broadcast.
    ([224, 0, 0, 0], 4),
    ([240, 0, 0, 0], 4),
];

/// What is not public of IPv6: all but 2000::/3, and what in it carries an IPv4 address (Teredo,
/// 6to4), which could be any.
const REFUSED_V6: [(u128, u8); 5] =
    [(0, 3), (0x4000 << 112, 2), (0x8000 << 112, 1), (0x2001_0000 << 96, 32), (0x2002 << 112, 16)];

/// The addresses that are not public.
pub fn refused() -> impl Iterator<Item = IpNet> {
    let v4 = REFUSED_V4.map(|(a, length)| IpNet::V4(Ipv4Net::new_assert(a.into(), length)));
    let v6 = REFUSED_V6
        .map(|(a, length)| IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::from_bits(a), length)));
    v4.into_iter().chain(v6)
}

/// Whether an address is one of the internet's.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    !refused().any(|net| net.contains(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_somebodys_own_is_not_public() {
        for own in [
            "0.0.0.0",
            "10.1.2.3",
            "100.100.100.200",
            "127.0.0.1",
            "127.255.255.255",
            "168.63.129.16",
            "169.254.169.254",
            "169.254.170.2",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.168.1.1",
            "198.19.255.255",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "ff02::1",
            "2002:7f00:1::",
            "2001:0:1::1",
        ] {
            assert!(!is_public(own.parse().unwrap()), "{own}");
        }
    }

    #[test]
    fn the_rest_is() {
        for public in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.1",
            "168.63.129.17",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.2.1",
            "198.51.100.1",
            "203.0.113.10",
            "223.255.255.255",
            "2000::1",
            "2001:db8::1",
            "2001:4860:4860::8888",
            "2600::1",
            "3fff:ffff::",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }
}
