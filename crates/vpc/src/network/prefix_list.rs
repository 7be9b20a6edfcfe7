//! Prefix lists.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A prefix list: the customer's, or one that AWS manages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PrefixList {
    /// `PrefixListName`: `com.amazonaws.us-east-1.s3` of the gateway endpoint's.
    pub name: String,
    /// `OwnerId`: the account, or `AWS`, whose lists nobody edits.
    pub owner: String,
    /// Whether its entries are IPv6; they are all of one family.
    pub v6: bool,
    /// How many entries there may be: what it weighs among a group's rules.
    pub max_entries: u16,
    /// Its edits so far, from 1.
    pub version: u64,
    /// Its entries and what somebody wrote beside each.
    pub entries: BTreeMap<IpNet, Option<String>>,
}
