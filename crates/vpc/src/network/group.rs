//! Security groups: stateful, allow only, of an interface.

use crate::id::{GroupId, GroupRuleId, PrefixListId, VpcId};
use crate::network::Direction;
use crate::traffic::Traffic;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A security group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct SecurityGroup {
    /// Its VPC.
    pub vpc: VpcId,
    /// `GroupName`, once a VPC; `default` is the VPC's own.
    pub name: String,
    /// `GroupDescription`.
    pub description: String,
    /// Its rules. What none allows is dropped.
    pub rules: BTreeMap<GroupRuleId, GroupRule>,
}

/// One rule: what it says is allowed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct GroupRule {
    /// Which way.
    pub direction: Direction,
    /// Protocol and ports.
    pub traffic: Traffic,
    /// From or to whom.
    pub peer: Peer,
    /// What somebody wrote beside it.
    pub description: Option<String>,
}

/// Whom a group's rule is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Peer {
    /// Addresses.
    Cidr(IpNet),
    /// The private addresses of a group's interfaces, of this VPC or of one that is peered.
    Group(GroupId),
    /// The addresses of a prefix list.
    PrefixList(PrefixListId),
}
