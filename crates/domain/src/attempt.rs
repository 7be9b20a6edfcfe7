//! What a sealed container tried to reach.

use crate::Timestamp;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// The protocol of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// A connection.
    Tcp,
    /// A datagram.
    Udp,
    /// ICMP or ICMPv6.
    Icmp,
    /// A question put to the resolver; no packet left for anywhere.
    Dns,
    /// Another IP protocol.
    Other,
}

/// One destination that was tried, with how often. Attempts that agree in all but time are one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Attempt {
    /// How.
    pub protocol: Protocol,
    /// Where to; `None` for a question to Belljar's own resolver.
    pub address: Option<IpAddr>,
    /// Which port; `None` where the protocol has none.
    pub port: Option<u16>,
    /// The name that was asked for, if this was a DNS question (to whichever resolver).
    pub name: Option<String>,
    /// The first time.
    pub first: Timestamp,
    /// The last time.
    pub last: Timestamp,
    /// How often.
    pub count: u64,
}

impl Attempt {
    /// Whether both are tries of the same thing.
    #[must_use]
    pub fn same_target(&self, other: &Self) -> bool {
        (self.protocol, self.address, self.port, &self.name)
            == (other.protocol, other.address, other.port, &other.name)
    }
}

/// The attempts of one container: bounded, in order of first appearance.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Attempts {
    /// Distinct targets, oldest first, at most [`Attempts::MAX_TARGETS`].
    pub targets: Vec<Attempt>,
    /// Attempts at further targets, which are counted only.
    pub beyond: u64,
    /// Records that the kernel had to drop because they came too fast. They failed like the
    /// others; only what they were is not known.
    pub lost: u64,
}

impl Attempts {
    /// Distinct targets that are kept. A scan of every port is one attack, not 65,535 lines.
    pub const MAX_TARGETS: usize = 1000;

    /// Adds one try; returns whether it is a new target that was kept.
    pub fn add(&mut self, attempt: Attempt) -> bool {
        if let Some(known) = self.targets.iter_mut().find(|t| t.same_target(&attempt)) {
            known.count += attempt.count;
            known.last = known.last.max(attempt.last);
            return false;
        }
        if self.targets.len() < Self::MAX_TARGETS {
            self.targets.push(attempt);
            return true;
        }
        self.beyond += attempt.count;
        false
    }

    /// How many tries there were in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.targets.iter().map(|t| t.count).sum::<u64>() + self.beyond + self.lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(port: u16, ms: i64) -> Attempt {
        let t = Timestamp::from_millis(ms);
        Attempt {
            protocol: Protocol::Tcp,
            address: Some([10, 0, 0, 1].into()),
            port: Some(port),
            name: None,
            first: t,
            last: t,
            count: 1,
        }
    }

    #[test]
    fn the_same_target_is_counted() {
        let mut a = Attempts::default();
        assert!(a.add(tcp(443, 1)));
        assert!(!a.add(tcp(443, 5)));
        assert!(a.add(tcp(80, 6)));
        assert_eq!(a.targets[0].count, 2);
        assert_eq!(a.targets[0].last, Timestamp::from_millis(5));
        assert_eq!(a.total(), 3);
    }

    #[test]
    fn a_port_scan_stays_bounded_and_counted() {
        let mut a = Attempts::default();
        for port in 0..5000 {
            a.add(tcp(port, 0));
        }
        assert_eq!(a.targets.len(), Attempts::MAX_TARGETS);
        assert_eq!(a.total(), 5000);
    }
}
