//! An ordered list of rules over the packets that leave a network namespace.

use crate::public::is_public;
use ipnet::IpNet;
use std::fmt;
use std::net::IpAddr;

/// IP protocol number of TCP (IANA "Protocol Numbers").
pub const TCP: u8 = 6;
/// IP protocol number of UDP.
pub const UDP: u8 = 17;
/// IP protocol number of ICMP.
pub const ICMP: u8 = 1;
/// IP protocol number of ICMPv6.
pub const ICMPV6: u8 = 58;

/// What a packet must be for a rule to apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Match {
    /// Its destination lies in the prefix.
    Destination(IpNet),
    /// Its IP protocol has this number.
    Protocol(u8),
    /// It is TCP or UDP for a public address ([`crate::public`]): a way out carries it.
    Outward {
        /// Whether IPv6 is carried too.
        v6: bool,
    },
}

/// What a rule does with a packet that it applies to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Lets it pass; no later rule is asked.
    Accept,
    /// Counts it and hands a copy of its head to the listener of an NFLOG group; goes on.
    Record {
        /// The NFLOG group.
        group: u16,
        /// Bytes of the packet that are copied.
        snap_length: u32,
    },
    /// Answers with a TCP reset. In the output hook only this ends a `connect` at once: an ICMP
    /// error is a soft error there, and TCP goes on trying.
    RejectWithReset,
    /// Answers with ICMP port unreachable, whichever the family.
    RejectUnreachable,
}

/// One rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// `None` applies to every packet.
    pub matches: Option<Match>,
    /// What happens.
    pub action: Action,
}

/// The rules of one hook, in order; what no rule decides is dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruleset {
    /// In order.
    pub rules: Vec<Rule>,
}

/// A packet, as far as rules look at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    /// Where it goes.
    pub destination: IpAddr,
    /// IP protocol number.
    pub protocol: u8,
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It passes.
    Accept,
    /// It is answered with a TCP reset.
    Reset,
    /// It is answered with ICMP port unreachable.
    Unreachable,
    /// It is dropped without an answer.
    Drop,
}

/// A verdict, and whether the packet was recorded on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// What becomes of it.
    pub verdict: Verdict,
    /// Whether a listener was told.
    pub recorded: bool,
}

impl Match {
    fn applies(self, packet: &Packet) -> bool {
        match self {
            Self::Destination(prefix) => prefix.contains(&packet.destination),
            Self::Protocol(number) => packet.protocol == number,
            Self::Outward { v6 } => {
                let to = packet.destination;
                [TCP, UDP].contains(&packet.protocol) && (v6 || to.is_ipv4()) && is_public(to)
            }
        }
    }
}

impl Ruleset {
    /// What these rules do with a packet.
    #[must_use]
    pub fn interpret(&self, packet: &Packet) -> Decision {
        let mut recorded = false;
        for rule in &self.rules {
            if rule.matches.is_some_and(|m| !m.applies(packet)) {
                continue;
            }
            let verdict = match rule.action {
                Action::Record { .. } => {
                    recorded = true;
                    continue;
                }
                Action::Accept => Verdict::Accept,
                // A reset answers TCP only; the kernel's rule carries that guard.
                Action::RejectWithReset if packet.protocol != TCP => continue,
                Action::RejectWithReset => Verdict::Reset,
                Action::RejectUnreachable => Verdict::Unreachable,
            };
            return Decision { verdict, recorded };
        }
        Decision { verdict: Verdict::Drop, recorded }
    }
}

impl fmt::Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Destination(prefix) => write!(f, "to {prefix}"),
            Self::Protocol(number) => write!(f, "protocol {number}"),
            Self::Outward { v6: true } => f.write_str("TCP and UDP to public addresses"),
            Self::Outward { v6: false } => f.write_str("TCP and UDP to public IPv4 addresses"),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.matches {
            Some(m) => write!(f, "{m}: ")?,
            None => f.write_str("all: ")?,
        }
        match self.action {
            Action::Accept => f.write_str("accept"),
            Action::Record { group, snap_length } => {
                write!(f, "record to group {group}, {snap_length} bytes")
            }
            Action::RejectWithReset => f.write_str("reject with tcp reset"),
            Action::RejectUnreachable => f.write_str("reject as unreachable"),
        }
    }
}
