//! Private hosted zones (Route 53).

use crate::id::VpcId;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A private hosted zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct HostedZone {
    /// Its domain, in lower case and with the dot at its end: `corp.example.com.`.
    pub name: String,
    /// `CallerReference`, once.
    pub caller_reference: String,
    /// `Comment`.
    pub comment: Option<String>,
    /// The VPCs in which it is asked.
    pub vpcs: BTreeSet<VpcId>,
    /// Its record sets, by owner name (as `name`) and type.
    pub records: BTreeMap<String, BTreeMap<RecordType, RecordSet>>,
}

/// Types of records that are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum RecordType {
    /// IPv4 address.
    A,
    /// IPv6 address.
    Aaaa,
    /// Another name.
    Cname,
    /// Text.
    Txt,
    /// Name servers, of the zone itself.
    Ns,
    /// Start of authority, of the zone itself.
    Soa,
}

/// The records of one name and type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct RecordSet {
    /// Seconds that an answer may be kept.
    pub ttl: u32,
    /// Values in presentation format, checked.
    pub values: Vec<String>,
}
