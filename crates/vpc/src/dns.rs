//! What the resolver of a VPC answers.
//!
//! In this order, as the most specific zone wins: private hosted zones and the private names of
//! interface endpoints (both need `enableDnsSupport` and `enableDnsHostnames`), names of endpoints
//! and of instances, services that a gateway endpoint could lead to, and others at [`SERVICES`] where
//! there is an internet gateway. All else is not the VPC's to
//! know: it is forwarded where there is an internet gateway, and is else a name that does not exist.
//! (AWS forwards always; so names can be a way out of a VPC that has no other.)
//!
//! Sources: VPC User Guide, "DNS attributes for your VPC"; AWS PrivateLink Guide, "Access an AWS
//! service through an interface endpoint"; Route 53 Developer Guide, "Working with private hosted
//! zones"; RFC 1034 and 4592.

mod names;
mod zones;

pub use names::{host_of, is_regional, service_of};

use crate::id::VpcId;
use crate::network::{Network, PROVIDED, RecordType};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr};

/// What the resolver answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Answer {
    /// These records: CNAMEs first, in the order in which they were followed.
    Records(Vec<Record>),
    /// The name exists and has no record of the type (NODATA), after these CNAMEs.
    NoData(Vec<Record>),
    /// The name does not exist (NXDOMAIN), after these CNAMEs.
    NoName(Vec<Record>),
    /// This last name is not the VPC's to know, after these CNAMEs: it is asked of whoever is
    /// upstream, or does not exist.
    Forward(String, Vec<Record>),
    /// CNAMEs lead in a circle (SERVFAIL).
    Circle,
    /// The VPC has no resolver: `enableDnsSupport` is off.
    NoResolver,
}

/// One record of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Record {
    /// Its owner, with the dot at its end.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: RecordType,
    /// Seconds that it may be kept.
    pub ttl: u32,
    /// In presentation format.
    pub value: String,
}

/// Whom the interfaces of a VPC ask, by its DHCP options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Servers {
    /// The VPC's resolver, at this address.
    Provided(Ipv4Addr),
    /// Other servers, by address.
    Others(Vec<IpAddr>),
    /// Nobody.
    None,
}

/// Where AWS's services are on the internet, but for those that have a prefix list. It is nobody's
/// address (RFC 5737); whoever is at the other side of an internet gateway leads it to the service.
pub const SERVICES: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// CNAMEs that are followed for one question.
const MAX_CHAIN: usize = 8;

impl Answer {
    /// The addresses in it.
    #[must_use]
    pub fn addresses(&self) -> Vec<IpAddr> {
        let Self::Records(records) = self else { return vec![] };
        let of = |r: &&Record| matches!(r.kind, RecordType::A | RecordType::Aaaa);
        records.iter().filter(of).filter_map(|r| r.value.parse().ok()).collect()
    }

    /// Puts CNAMEs that led here before it.
    fn behind(self, mut chain: Vec<Record>) -> Self {
        let mut with = |records: Vec<Record>| {
            chain.extend(records);
            std::mem::take(&mut chain)
        };
        match self {
            Self::Records(records) => Self::Records(with(records)),
            Self::NoData(records) => Self::NoData(with(records)),
            Self::NoName(records) => Self::NoName(with(records)),
            Self::Forward(name, records) => Self::Forward(name, with(records)),
            other => other,
        }
    }
}

/// Whom the interfaces of a VPC ask.
#[must_use]
pub fn servers(network: &Network, vpc: &VpcId) -> Servers {
    let Some(record) = network.vpc(vpc) else { return Servers::None };
    let options = record.dhcp_options.as_ref().and_then(|id| network.dhcp_options.get(id));
    let Some(named) = options.and_then(|o| o.options.get("domain-name-servers")) else {
        // No options at all is `default`: the VPC's resolver. A set without servers names nobody.
        let provided = if options.is_none() { record.resolver() } else { None };
        return provided.map_or(Servers::None, Servers::Provided);
    };
    if named.iter().any(|n| n.eq_ignore_ascii_case(PROVIDED)) {
        return record.resolver().map_or(Servers::None, Servers::Provided);
    }
    Servers::Others(named.iter().filter_map(|n| n.parse().ok()).collect())
}

/// What the resolver of a VPC answers, whoever asks it. Whether the VPC's interfaces ask it at
/// all, [`servers`] says.
#[must_use]
pub fn resolve(network: &Network, vpc: &VpcId, name: &str, kind: RecordType) -> Answer {
    let Some(record) = network.vpc(vpc).filter(|v| v.dns_support) else {
        return Answer::NoResolver;
    };
    let mut name = canonical(name);
    let mut chain: Vec<Record> = Vec::new();
    for _ in 0..=MAX_CHAIN {
        let private = record.dns_hostnames;
        let zone = private.then(|| zones::of(network, vpc, &name)).flatten();
        let answer = match names::endpoint(network, vpc, &name, kind).filter(|_| private) {
            // The more specific one of both; of equal ones the customer's.
            Some((apex, answer)) if zone.is_none_or(|z| z.name.len() < apex) => answer,
            _ => match zone {
                Some(zone) => match zones::look_up(zone, &name, kind) {
                    zones::Found::Alias(alias) => {
                        name = canonical(&alias.value);
                        chain.push(alias);
                        continue;
                    }
                    zones::Found::Answer(answer) => answer,
                },
                None => names::answer(network, vpc, &name, kind)
                    .unwrap_or_else(|| Answer::Forward(name.clone(), vec![])),
            },
        };
        return answer.behind(chain);
    }
    Answer::Circle
}

/// In lower case, with the dot at its end.
fn canonical(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    if name.ends_with('.') { name } else { format!("{name}.") }
}

/// Records of addresses of the type's family; with none there is no data.
fn addresses(name: &str, kind: RecordType, ttl: u32, all: impl Iterator<Item = IpAddr>) -> Answer {
    let of = |a: &IpAddr| match kind {
        RecordType::A => a.is_ipv4(),
        RecordType::Aaaa => a.is_ipv6(),
        _ => false,
    };
    let record = |a: IpAddr| Record { name: name.to_owned(), kind, ttl, value: a.to_string() };
    let records: Vec<Record> = all.filter(of).map(record).collect();
    if records.is_empty() { Answer::NoData(records) } else { Answer::Records(records) }
}

#[cfg(test)]
mod tests;
