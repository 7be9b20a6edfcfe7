//! The network of a sealed single container: `lo` alone, where every packet for anywhere else is
//! recorded and refused at once.
//!
//! A default route into `lo` makes the kernel build the packet, so that there is something to
//! record; without it a `connect` fails too, but nobody would know that it was tried. If someone
//! flushed these rules there would still be no interface but `lo`: the rules are the witness, the
//! missing interface is the wall.

use crate::rules::{Action, Match, Rule, Ruleset, TCP};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The NFLOG group that attempts are recorded to.
pub const GROUP: u16 = 9;
/// Bytes of an attempt's packet that are recorded: both IP headers, and a DNS question.
pub const SNAP_LENGTH: u32 = 256;
/// The container's own IPv4 address on `lo`, and the source of its attempts (link-local, RFC
/// 3927, so that it is nobody else's).
pub const ADDRESS_V4: Ipv4Addr = Ipv4Addr::new(169, 254, 7, 2);
/// The container's own IPv6 address on `lo` (unique local, RFC 4193).
pub const ADDRESS_V6: Ipv6Addr = Ipv6Addr::new(0xfd6a, 0x6172, 0, 0, 0, 0, 0, 2);

/// The rules of the output hook.
#[must_use]
pub fn output_rules() -> Ruleset {
    let accept =
        |net: IpNet| Rule { matches: Some(Match::Destination(net)), action: Action::Accept };
    let record = Action::Record { group: GROUP, snap_length: SNAP_LENGTH };
    let mut rules: Vec<Rule> = local_networks().into_iter().map(accept).collect();
    rules.push(Rule { matches: None, action: record });
    rules.push(Rule { matches: Some(Match::Protocol(TCP)), action: Action::RejectWithReset });
    rules.push(Rule { matches: None, action: Action::RejectUnreachable });
    Ruleset { rules }
}

/// What counts as the container itself.
#[must_use]
pub fn local_networks() -> [IpNet; 4] {
    [
        IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8)),
        IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128)),
        IpNet::new_assert(IpAddr::V4(ADDRESS_V4), 32),
        IpNet::new_assert(IpAddr::V6(ADDRESS_V6), 128),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{ICMP, Packet, UDP, Verdict};
    use proptest::prelude::*;

    fn decide(to: &str, protocol: u8) -> (Verdict, bool) {
        let d = output_rules().interpret(&Packet { destination: to.parse().unwrap(), protocol });
        (d.verdict, d.recorded)
    }

    #[test]
    fn itself_is_reachable_and_unrecorded() {
        for own in ["127.0.0.1", "127.255.0.9", "::1", "169.254.7.2", "fd6a:6172::2"] {
            assert_eq!(decide(own, TCP), (Verdict::Accept, false), "{own}");
        }
    }

    #[test]
    fn the_metadata_service_is_not() {
        assert_eq!(decide("169.254.169.254", TCP), (Verdict::Reset, true));
        assert_eq!(decide("8.8.8.8", UDP), (Verdict::Unreachable, true));
        assert_eq!(decide("10.0.0.1", ICMP), (Verdict::Unreachable, true));
    }

    proptest! {
        #[test]
        fn everything_else_is_refused_and_recorded(bits: u128, v4: bool, protocol: u8) {
            let destination = if v4 {
                IpAddr::V4(Ipv4Addr::from_bits((bits & 0xffff_ffff) as u32))
            } else {
                IpAddr::V6(Ipv6Addr::from_bits(bits))
            };
            let own = local_networks().iter().any(|n| n.contains(&destination));
            let d = output_rules().interpret(&Packet { destination, protocol });
            prop_assert_eq!(d.verdict == Verdict::Accept, own);
            prop_assert_eq!(d.recorded, !own);
        }
    }
}
