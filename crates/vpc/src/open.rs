//! The network of a container in a VPC that is not isolated: `lo`, and the interface, whose router
//! decides what passes.
//!
//! The one thing that is decided here is what is link-local (RFC 3927): those addresses are the
//! container's own, or the VPC's resolver, or nobody's. What looks for a metadata service where
//! there is none is refused and recorded, instead of waiting.

use crate::compile::RESOLVER;
use crate::rules::{Action, Match, Rule, Ruleset};
use crate::sealed::{GROUP, SNAP_LENGTH};
use ipnet::Ipv4Net;
use std::net::Ipv4Addr;

/// Where a container gets its role's credentials (Amazon ECS Developer Guide, "Task IAM role"; the
/// AWS SDKs have it built in).
pub const CREDENTIALS: Ipv4Addr = Ipv4Addr::new(169, 254, 170, 2);
/// Where an instance's metadata are (EC2 User Guide, "Use the Instance Metadata Service").
pub const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);

/// The rules of the output hook.
#[must_use]
pub fn output_rules() -> Ruleset {
    let to = |net, action| Rule { matches: Some(Match::Destination(net)), action };
    let host = |address| Ipv4Net::new_assert(address, 32).into();
    let link_local = Ipv4Net::new_assert(Ipv4Addr::new(169, 254, 0, 0), 16).into();
    let mut rules: Vec<Rule> = [CREDENTIALS, METADATA, RESOLVER]
        .into_iter()
        .map(|address| to(host(address), Action::Accept))
        .collect();
    rules.push(to(link_local, Action::Record { group: GROUP, snap_length: SNAP_LENGTH }));
    rules.push(to(link_local, Action::RejectWithReset));
    rules.push(to(link_local, Action::RejectUnreachable));
    rules.push(Rule { matches: None, action: Action::Accept });
    Ruleset { rules }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{Packet, TCP, UDP, Verdict};

    #[test]
    fn only_what_is_link_local_is_decided_here() {
        let decide = |to: &str, protocol| {
            let packet = Packet { destination: to.parse().unwrap(), protocol };
            let decision = output_rules().interpret(&packet);
            (decision.verdict, decision.recorded)
        };
        for open in ["169.254.170.2", "169.254.169.254", "169.254.169.253", "10.0.0.2", "8.8.8.8"] {
            assert_eq!(decide(open, TCP), (Verdict::Accept, false), "{open}");
        }
        assert_eq!(decide("fe80::1", UDP), (Verdict::Accept, false));
        assert_eq!(decide("169.254.169.123", UDP), (Verdict::Unreachable, true));
        assert_eq!(decide("169.254.170.3", TCP), (Verdict::Reset, true));
    }
}
