//! The network of a sealed instance that has peers: `lo`, and one interface that leads to the
//! other instances of its job and nowhere else.
//!
//! As for a single instance ([`crate::sealed`]) the rules are the witness: what is not for the
//! instance itself or one of its peers is recorded and refused at once. The wall is that the
//! interface's other end is a namespace in which there is nothing but the other instances' ends,
//! or a WireGuard device that has no peer but them.

use crate::rules::{Action, Match, Rule, Ruleset};
use crate::sealed;
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr};

/// The one interface that is not `lo`, as in the Developer Guide's example of
/// `network_interface_name`.
pub const INTERFACE: &str = "eth0";
/// Length of the prefix that an instance's address is in. No route goes by it: each peer has one
/// of its own.
pub const PREFIX: u8 = 24;
/// Instances of a job, at most.
pub const MAX_INSTANCES: u8 = 20;

/// The address of the `number`-th instance (from 1). The range is from RFC 6598, which belongs to
/// no network at the edge; every job has the same, because none can see another's.
#[must_use]
pub const fn address(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(100, 127, 7, number)
}

/// The rules of the output hook of an instance with these addresses, its own and its peers'.
#[must_use]
pub fn output_rules(own: Ipv4Addr, peers: &[Ipv4Addr]) -> Ruleset {
    let accept = |address: &Ipv4Addr| Rule {
        matches: Some(Match::Destination(IpNet::new_assert(IpAddr::V4(*address), 32))),
        action: Action::Accept,
    };
    let mut rules: Vec<Rule> = std::iter::once(&own).chain(peers).map(accept).collect();
    rules.extend(sealed::output_rules().rules);
    Ruleset { rules }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{Packet, TCP, UDP, Verdict};

    fn decide(to: &str, protocol: u8) -> (Verdict, bool) {
        let rules = output_rules(address(1), &[address(2), address(3)]);
        let d = rules.interpret(&Packet { destination: to.parse().unwrap(), protocol });
        (d.verdict, d.recorded)
    }

    #[test]
    fn itself_and_its_peers_are_reachable() {
        for own in ["100.127.7.1", "100.127.7.2", "100.127.7.3", "127.0.0.1"] {
            assert_eq!(decide(own, TCP), (Verdict::Accept, false), "{own}");
            assert_eq!(decide(own, UDP), (Verdict::Accept, false), "{own}");
        }
    }

    #[test]
    fn nobody_else_is_not_even_in_the_same_prefix() {
        for other in ["100.127.7.4", "100.127.7.255", "100.127.7.0", "169.254.169.254", "8.8.8.8"] {
            assert_eq!(decide(other, TCP), (Verdict::Reset, true), "{other}");
            assert_eq!(decide(other, UDP), (Verdict::Unreachable, true), "{other}");
        }
    }
}
