//! A way out: a container that has `lo` alone, and whose TCP and UDP for public addresses is
//! carried by a process outside.
//!
//! The wall is that of a sealed container, the missing interface. What is carried never leaves as
//! packets: the kernel hands it to a socket in the namespace, whatever it was for, and whoever holds
//! that socket, outside, opens another one to there. So nothing of the host's network is changed,
//! and what may be reached is decided twice: by these rules and by who carries.

use crate::rules::{Action, Match, Rule, Ruleset};

/// The mark of packets that are carried, and the number of the routing table by which they reach
/// the socket.
pub const MARK: u32 = 100;
/// The port at which the socket is that they are handed to. It is that of a protocol that is no
/// more (tcpmux, RFC 7805).
pub const PORT: u16 = 1;

/// The rules of the output hook, `sealed` but for what goes out. `v6` is whether IPv6 is carried
/// too: where the host has none it is refused at once, so that programs take IPv4.
#[must_use]
pub fn output_rules(mut sealed: Ruleset, v6: bool) -> Ruleset {
    let is_record = |r: &Rule| matches!(r.action, Action::Record { .. });
    let place = sealed.rules.iter().position(is_record).unwrap_or(sealed.rules.len());
    let carried = Rule { matches: Some(Match::Outward { v6 }), action: Action::Accept };
    sealed.rules.insert(place, carried);
    sealed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{ICMP, Packet, TCP, UDP, Verdict};
    use crate::{public, sealed};
    use proptest::prelude::*;
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    fn decide(v6: bool, to: &str, protocol: u8) -> Verdict {
        let packet = Packet { destination: to.parse().unwrap(), protocol };
        output_rules(sealed::output_rules(), v6).interpret(&packet).verdict
    }

    #[test]
    fn the_internet_is_carried_and_nothing_else() {
        for v6 in [true, false] {
            assert_eq!(decide(v6, "8.8.8.8", TCP), Verdict::Accept);
            assert_eq!(decide(v6, "8.8.8.8", UDP), Verdict::Accept);
            assert_eq!(decide(v6, "8.8.8.8", ICMP), Verdict::Unreachable);
            assert_eq!(decide(v6, "169.254.169.254", TCP), Verdict::Reset);
            assert_eq!(decide(v6, "10.0.0.1", UDP), Verdict::Unreachable);
            assert_eq!(decide(v6, "127.0.0.1", TCP), Verdict::Accept);
        }
        assert_eq!(decide(true, "2600::1", TCP), Verdict::Accept);
        assert_eq!(decide(false, "2600::1", TCP), Verdict::Reset);
    }

    proptest! {
        #[test]
        fn what_is_not_accepted_is_refused_and_recorded_as_if_sealed(bits: u128, v4: bool, protocol: u8) {
            let destination = if v4 {
                IpAddr::V4(Ipv4Addr::from_bits((bits & 0xffff_ffff) as u32))
            } else {
                IpAddr::V6(Ipv6Addr::from_bits(bits))
            };
            let packet = Packet { destination, protocol };
            let plain = sealed::output_rules().interpret(&packet);
            let open = output_rules(sealed::output_rules(), true).interpret(&packet);
            let carried = [TCP, UDP].contains(&protocol) && public::is_public(destination);
            prop_assert_eq!(open == plain, !carried);
            prop_assert_eq!(open.verdict == Verdict::Accept, carried || plain.verdict == Verdict::Accept);
        }
    }
}
