//! `IpPermission`: several rules of a security group in one, from requests and for answers.

use super::{block, group, places, traffic};
use crate::network::Topology;
use crate::network::error::{self, invalid, refused};
use crate::service::Service;
use belljar_aws::AwsError;
use belljar_vpc::id::{GroupId, PeeringId, PrefixListId, VpcId};
use belljar_vpc::network::{Direction, GroupRule, Peer, Peering, PeeringStatus};
use belljar_vpc::{Description, Traffic};
use ipnet::IpNet;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Rules about the same traffic.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase", default)]
pub(super) struct IpPermission {
    ip_protocol: Option<String>,
    from_port: Option<i64>,
    to_port: Option<i64>,
    ip_ranges: Vec<IpRange>,
    ipv6_ranges: Vec<Ipv6Range>,
    prefix_list_ids: Vec<PrefixList>,
    user_id_group_pairs: Vec<GroupPair>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct IpRange {
    cidr_ip: Option<String>,
    description: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Ipv6Range {
    cidr_ipv6: Option<String>,
    description: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct PrefixList {
    prefix_list_id: Option<String>,
    description: Option<String>,
}

/// A group. Its VPC and peering connection are what `DescribeSecurityGroups` says of it, which may
/// be sent back; they follow from the group.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase", default)]
struct GroupPair {
    group_id: Option<String>,
    group_name: Option<String>,
    user_id: Option<String>,
    description: Option<String>,
    #[serde(rename = "VpcId")]
    _vpc_id: Option<String>,
    #[serde(rename = "VpcPeeringConnectionId")]
    _vpc_peering_connection_id: Option<String>,
    #[serde(rename = "PeeringStatus")]
    _peering_status: Option<String>,
}

/// The members that a request has besides `IpPermissions`, for one rule.
#[derive(Debug, Clone, Default)]
pub(super) struct Flat {
    pub(super) protocol: Option<String>,
    pub(super) from: Option<i64>,
    pub(super) to: Option<i64>,
    pub(super) cidr: Option<String>,
    pub(super) group_name: Option<String>,
    pub(super) owner: Option<String>,
}

impl Flat {
    /// The one rule, if there is one.
    pub(super) fn permission(self) -> Option<IpPermission> {
        if [&self.protocol, &self.cidr, &self.group_name].iter().all(|of| of.is_none()) {
            return None;
        }
        let range = |cidr| IpRange { cidr_ip: Some(cidr), description: None };
        let pair = |name| GroupPair {
            group_name: Some(name),
            user_id: self.owner,
            ..GroupPair::default()
        };
        // A group alone stands for all its traffic.
        let alone = self.group_name.is_some() && self.protocol.is_none();
        Some(IpPermission {
            ip_protocol: self.protocol.or_else(|| alone.then(|| "-1".to_owned())),
            from_port: self.from,
            to_port: self.to,
            ip_ranges: self.cidr.map(range).into_iter().collect(),
            user_id_group_pairs: self.group_name.map(pair).into_iter().collect(),
            ..IpPermission::default()
        })
    }
}

/// Which rules are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    /// New ones: what they name must be there, and within reach.
    New,
    /// Those that there are. What they name may be gone meanwhile: AWS keeps them, as stale ones.
    Kept,
}

/// Reads permissions of a group of `vpc` as rules.
///
/// # Errors
/// If one is not valid, or names what is not there.
pub(super) fn read(
    service: &Service,
    d: &Description,
    (vpc, direction): (&VpcId, Direction),
    permissions: &[IpPermission],
    which: Which,
) -> Result<Vec<GroupRule>, AwsError> {
    let mut rules = Vec::new();
    for permission in permissions {
        let protocol = permission.ip_protocol.as_deref();
        let protocol = protocol.ok_or_else(|| super::request::missing_parameter("ipProtocol"))?;
        let numbers = match (permission.from_port, permission.to_port) {
            // Of ICMPv6 they may be left out (API Reference, `IpPermission`): all types and codes.
            (None, None) if ["icmpv6", "58"].contains(&protocol) => (Some(-1), Some(-1)),
            given => given,
        };
        let traffic = traffic::read(protocol, numbers.0, numbers.1)?;
        let peers = permission.peers(service, d, vpc, which)?;
        if peers.is_empty() {
            return Err(refused("MissingParameter", "Source group ID missing."));
        }
        for (peer, description) in peers {
            if let Some(text) = &description {
                group::check_text("description", "rule description", text)?;
            }
            rules.push(GroupRule { direction, traffic, peer, description });
        }
    }
    if rules.is_empty() {
        return Err(super::request::missing_parameter("ipPermissions"));
    }
    Ok(rules)
}

impl IpPermission {
    fn peers(
        &self,
        service: &Service,
        d: &Description,
        vpc: &VpcId,
        which: Which,
    ) -> Result<Vec<(Peer, Option<String>)>, AwsError> {
        let mut peers = Vec::new();
        for range in &self.ip_ranges {
            let text = range.cidr_ip.as_deref().unwrap_or_default();
            peers.push((cidr(text, false)?, range.description.clone()));
        }
        for range in &self.ipv6_ranges {
            let text = range.cidr_ipv6.as_deref().unwrap_or_default();
            peers.push((cidr(text, true)?, range.description.clone()));
        }
        for list in &self.prefix_list_ids {
            let text = list.prefix_list_id.as_deref().unwrap_or_default();
            let peer = match which {
                Which::New => prefix_list(d, text)?,
                Which::Kept => Peer::PrefixList(error::id(text)?),
            };
            peers.push((peer, list.description.clone()));
        }
        for pair in &self.user_id_group_pairs {
            if pair.user_id.as_deref().is_some_and(|of| of != places::account(service)) {
                let text = "Belljar does not serve groups of other accounts.";
                return Err(refused("UnsupportedOperation", text));
            }
            let peer = match (which, pair.group_id.as_deref()) {
                (Which::Kept, Some(id)) => Peer::Group(error::id(id)?),
                (_, id) => reachable(d, vpc, group::find(d, id, pair.group_name.as_deref())?)?,
            };
            peers.push((peer, pair.description.clone()));
        }
        Ok(peers)
    }
}

/// Addresses of a family.
///
/// # Errors
/// If the text is no block of it.
pub(super) fn cidr(text: &str, v6: bool) -> Result<Peer, AwsError> {
    let block = block::any(text)?;
    if matches!(block, IpNet::V6(_)) == v6 {
        return Ok(Peer::Cidr(block));
    }
    Err(invalid(format!("CIDR block {text} is malformed")))
}

/// A prefix list that is there.
///
/// # Errors
/// If it is not.
pub(super) fn prefix_list(d: &Description, text: &str) -> Result<Peer, AwsError> {
    Ok(Peer::PrefixList(error::named::<PrefixListId, _>(&d.prefix_lists, text)?.0))
}

/// A group that rules of a VPC's groups may name: one of this VPC, or of one that is peered.
///
/// # Errors
/// If it is another's.
pub(super) fn reachable(d: &Description, vpc: &VpcId, id: GroupId) -> Result<Peer, AwsError> {
    let other = &error::get(&d.groups, &id)?.vpc;
    if other == vpc || peering(d, vpc, other).is_some() {
        return Ok(Peer::Group(id));
    }
    let text = "You have specified two resources that belong to different networks.";
    Err(refused("InvalidGroup.NotFound", text))
}

/// What joins two VPCs.
pub(super) fn peering<'a>(
    d: &'a Description,
    one: &VpcId,
    other: &VpcId,
) -> Option<(&'a PeeringId, &'a Peering)> {
    let joins = |p: &Peering| {
        p.status == PeeringStatus::Active
            && ((p.requester == *one && p.accepter == *other)
                || (p.requester == *other && p.accepter == *one))
    };
    d.peerings.iter().map(|(id, p)| (id, p.as_ref())).find(|(_, p)| joins(p))
}

/// Rules of a group of `vpc` as permissions: those about the same traffic in one.
pub(super) fn shown<'a>(
    service: &Service,
    now: &Topology,
    vpc: &VpcId,
    rules: impl Iterator<Item = &'a GroupRule>,
) -> Vec<Value> {
    let mut by_traffic: BTreeMap<Traffic, Vec<&GroupRule>> = BTreeMap::new();
    for rule in rules {
        by_traffic.entry(rule.traffic).or_default().push(rule);
    }
    by_traffic.iter().map(|(traffic, rules)| one(service, now, vpc, traffic, rules)).collect()
}

fn one(
    service: &Service,
    now: &Topology,
    vpc: &VpcId,
    traffic: &Traffic,
    rules: &[&GroupRule],
) -> Value {
    let mut shown = json!({
        "IpProtocol": traffic::name(traffic),
        "IpRanges": [], "Ipv6Ranges": [], "PrefixListIds": [], "UserIdGroupPairs": [],
    });
    traffic::put_numbers(&mut shown, traffic, false);
    for rule in rules {
        let text = &rule.description;
        let (set, peer) = match &rule.peer {
            Peer::Cidr(block @ IpNet::V4(_)) => {
                ("IpRanges", json!({"CidrIp": block.to_string(), "Description": text}))
            }
            Peer::Cidr(block @ IpNet::V6(_)) => {
                ("Ipv6Ranges", json!({"CidrIpv6": block.to_string(), "Description": text}))
            }
            Peer::PrefixList(id) => {
                ("PrefixListIds", json!({"PrefixListId": id.as_str(), "Description": text}))
            }
            Peer::Group(id) => {
                let mut pair = json!({
                    "GroupId": id.as_str(),
                    "UserId": places::account(service),
                    "Description": text,
                });
                put_peering(now, vpc, id, &mut pair);
                ("UserIdGroupPairs", pair)
            }
        };
        if let Value::Array(items) = &mut shown[set] {
            items.push(peer);
        }
    }
    shown
}

/// What is said of a group in another VPC.
pub(super) fn put_peering(d: &Description, vpc: &VpcId, group: &GroupId, shown: &mut Value) {
    let Some(other) = d.groups.get(group).map(|group| &group.vpc) else { return };
    if other == vpc {
        return;
    }
    shown["VpcId"] = other.as_str().into();
    match peering(d, vpc, other) {
        Some((id, _)) => {
            shown["VpcPeeringConnectionId"] = id.as_str().into();
            shown["PeeringStatus"] = "active".into();
        }
        None => shown["PeeringStatus"] = "deleted".into(),
    }
}
