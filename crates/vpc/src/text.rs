//! Traffic, rules and routes as text, so that tests and commands read as one would say it:
//! `tcp 443`, `egress tcp 443 10.0.0.0/16`, `100 allow tcp 1024-65535 0.0.0.0/0`.

use crate::id::GroupId;
use crate::network::{
    AclEntry, Direction, GroupRule, Origin, Peer, Route, RouteDestination, Target,
};
use crate::traffic::{Payload, Traffic, Transport};
use ipnet::IpNet;
use std::fmt;
use std::str::FromStr;

/// Why a text is not what it was given for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{value}' is not {what}")]
pub struct TextError {
    /// The text.
    pub value: String,
    /// What it was to be, with an example.
    pub what: &'static str,
}

fn wrong(value: &str, what: &'static str) -> TextError {
    TextError { value: value.to_owned(), what }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        })
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ports { transport, destination, .. } => {
                write!(f, "{transport} port {destination}")
            }
            Self::Icmp { v6: false, kind, code } => write!(f, "ICMP type {kind} code {code}"),
            Self::Icmp { v6: true, kind, code } => write!(f, "ICMPv6 type {kind} code {code}"),
            Self::Other { number } => write!(f, "IP protocol {number}"),
        }
    }
}

impl fmt::Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Ports { transport, from, to } => {
                let name = if *transport == Transport::Tcp { "tcp" } else { "udp" };
                if from == to {
                    write!(f, "{name} {from}")
                } else {
                    write!(f, "{name} {from}-{to}")
                }
            }
            Self::Icmp { v6, kind, code } => {
                f.write_str(if *v6 { "icmpv6" } else { "icmp" })?;
                let (Some(kind), code) = (kind, code) else { return Ok(()) };
                write!(f, " {kind}")?;
                code.map_or(Ok(()), |code| write!(f, "/{code}"))
            }
            Self::Protocol { number } => write!(f, "protocol {number}"),
        }
    }
}

impl FromStr for Traffic {
    type Err = TextError;

    /// `all`, `tcp`, `tcp 443`, `udp 0-65535`, `icmp`, `icmp 8`, `icmp 3/4`, `icmpv6 128`,
    /// `protocol 50`.
    fn from_str(value: &str) -> Result<Self, TextError> {
        const WHAT: &str = "traffic, such as 'all', 'tcp 443', 'icmp 8' or 'protocol 50'";
        let err = || wrong(value, WHAT);
        let (name, rest) = value.split_once(' ').unwrap_or((value, ""));
        let number = |text: &str| text.parse().map_err(|_| err());
        match name {
            "all" if rest.is_empty() => Ok(Self::All),
            "tcp" | "udp" => {
                let transport = if name == "tcp" { Transport::Tcp } else { Transport::Udp };
                let port = |text: &str| text.parse::<u16>().map_err(|_| err());
                let (from, to) = match rest.split_once('-') {
                    None if rest.is_empty() => (0, u16::MAX),
                    None => (port(rest)?, port(rest)?),
                    Some((from, to)) => (port(from)?, port(to)?),
                };
                if from <= to { Ok(Self::Ports { transport, from, to }) } else { Err(err()) }
            }
            "icmp" | "icmpv6" => {
                let (kind, code) = match rest.split_once('/') {
                    None if rest.is_empty() => (None, None),
                    None => (Some(number(rest)?), None),
                    Some((kind, code)) => (Some(number(kind)?), Some(number(code)?)),
                };
                Ok(Self::Icmp { v6: name == "icmpv6", kind, code })
            }
            "protocol" => Ok(Self::Protocol { number: number(rest)? }),
            _ => Err(err()),
        }
    }
}

impl FromStr for Payload {
    type Err = TextError;

    /// `tcp 443` (from port 49152), `tcp 2000 443`, `icmp 8`, `icmpv6 128`, `protocol 50`.
    fn from_str(value: &str) -> Result<Self, TextError> {
        const WHAT: &str = "the head of a packet, such as 'tcp 443', 'icmp 8' or 'protocol 50'";
        let err = || wrong(value, WHAT);
        let words: Vec<&str> = value.split(' ').collect();
        if let [name @ ("tcp" | "udp"), source, destination] = words[..] {
            let transport = if name == "tcp" { Transport::Tcp } else { Transport::Udp };
            let port = |text: &str| text.parse().map_err(|_| err());
            return Ok(Self::Ports {
                transport,
                source: port(source)?,
                destination: port(destination)?,
            });
        }
        match value.parse::<Traffic>().map_err(|_| err())? {
            Traffic::Ports { transport, from, to } if from == to => {
                Ok(Self::Ports { transport, source: EPHEMERAL, destination: to })
            }
            Traffic::Icmp { v6, kind: Some(kind), code } => {
                Ok(Self::Icmp { v6, kind, code: code.unwrap_or(0) })
            }
            Traffic::Protocol { number } => Ok(Self::Other { number }),
            _ => Err(err()),
        }
    }
}

/// A port that a conversation begins from: the first of IANA's dynamic ones, which is among
/// Linux's, too.
pub const EPHEMERAL: u16 = 49152;

/// Splits the last word off.
fn last(value: &str) -> Option<(&str, &str)> {
    value.rsplit_once(' ')
}

impl FromStr for Peer {
    type Err = TextError;

    /// `10.0.0.0/16`, `10.0.0.1`, `sg-a`, `pl-a`.
    fn from_str(value: &str) -> Result<Self, TextError> {
        let err = || wrong(value, "a block, a security group or a prefix list");
        if value.starts_with(GroupId::PREFIX) {
            return value.parse().map(Self::Group).map_err(|_| err());
        }
        if let Ok(list) = value.parse() {
            return Ok(Self::PrefixList(list));
        }
        block(value).map(Self::Cidr).ok_or_else(err)
    }
}

fn block(value: &str) -> Option<IpNet> {
    let net = value.parse::<IpNet>().ok();
    net.or_else(|| value.parse::<std::net::IpAddr>().ok().map(IpNet::from)).map(|n| n.trunc())
}

impl FromStr for GroupRule {
    type Err = TextError;

    /// `ingress tcp 443 10.0.0.0/16`, `egress all sg-a`.
    fn from_str(value: &str) -> Result<Self, TextError> {
        let err = || wrong(value, "a group's rule, such as 'ingress tcp 443 10.0.0.0/16'");
        let (way, rest) = value.split_once(' ').ok_or_else(err)?;
        let (traffic, peer) = last(rest).ok_or_else(err)?;
        let direction = match way {
            "ingress" => Direction::Ingress,
            "egress" => Direction::Egress,
            _ => return Err(err()),
        };
        Ok(Self { direction, traffic: traffic.parse()?, peer: peer.parse()?, description: None })
    }
}

impl FromStr for AclEntry {
    type Err = TextError;

    /// `allow tcp 443 10.0.0.0/16`, `deny all 0.0.0.0/0`.
    fn from_str(value: &str) -> Result<Self, TextError> {
        let err = || wrong(value, "an ACL's entry, such as 'allow tcp 443 10.0.0.0/16'");
        let (action, rest) = value.split_once(' ').ok_or_else(err)?;
        let (traffic, net) = last(rest).ok_or_else(err)?;
        let allow = match action {
            "allow" => true,
            "deny" => false,
            _ => return Err(err()),
        };
        Ok(Self { traffic: traffic.parse()?, block: block(net).ok_or_else(err)?, allow })
    }
}

impl FromStr for Target {
    type Err = TextError;

    /// `igw-a`, `nat-a`, `vpce-a`, `pcx-a`, `eni-a`.
    fn from_str(value: &str) -> Result<Self, TextError> {
        let internet = || value.parse().map(Self::Internet).ok();
        let nat = || value.parse().map(Self::Nat).ok();
        let endpoint = || value.parse().map(Self::Endpoint).ok();
        let peering = || value.parse().map(Self::Peering).ok();
        let interface = || value.parse().map(Self::Interface).ok();
        internet()
            .or_else(nat)
            .or_else(endpoint)
            .or_else(peering)
            .or_else(interface)
            .ok_or_else(|| wrong(value, "a route's target"))
    }
}

impl FromStr for Route {
    type Err = TextError;

    /// `0.0.0.0/0 igw-a`, `pl-a vpce-a`, `10.1.0.0/16 eni-a propagated`.
    fn from_str(value: &str) -> Result<Self, TextError> {
        let err = || wrong(value, "a route, such as '0.0.0.0/0 igw-a'");
        let (text, origin) = match value.strip_suffix(" propagated") {
            Some(text) => (text, Origin::Propagated),
            None => (value, Origin::CreateRoute),
        };
        let (to, target) = text.split_once(' ').ok_or_else(err)?;
        let destination = match to.parse() {
            Ok(list) => RouteDestination::PrefixList(list),
            Err(_) => RouteDestination::Cidr(block(to).ok_or_else(err)?),
        };
        Ok(Self { destination, target: target.parse()?, origin })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traffic_reads_as_it_is_written() {
        for text in
            ["all", "tcp 443", "udp 1-9", "icmp", "icmp 8", "icmp 3/4", "icmpv6 128", "protocol 50"]
        {
            assert_eq!(text.parse::<Traffic>().unwrap().to_string(), text);
        }
        for bad in ["", "tcp x", "tcp 9-1", "tcp 65536", "icmp a", "sctp 1", "all 3"] {
            assert!(bad.parse::<Traffic>().is_err(), "{bad}");
        }
    }

    #[test]
    fn rules_and_routes_read() {
        let rule: GroupRule = "ingress tcp 443 sg-a".parse().unwrap();
        assert_eq!(rule.peer, Peer::Group("sg-a".parse().unwrap()));
        let entry: AclEntry = "deny all 100.68.0.18/18".parse().unwrap();
        assert_eq!(entry.block.to_string(), "100.68.0.0/18");
        let route: Route = "10.1.0.0/16 eni-a propagated".parse().unwrap();
        assert_eq!(route.origin, Origin::Propagated);
        for bad in ["ingress tcp 443", "both all 0.0.0.0/0", "egress all x"] {
            assert!(bad.parse::<GroupRule>().is_err(), "{bad}");
        }
        assert!("0.0.0.0/0 here".parse::<Route>().is_err());
    }
}
