//! The entries of a network ACL.

use super::{block, traffic};
use crate::network::error::{self, invalid, refused};
use crate::network::{Draft, quotas, vpcs};
use crate::service::{Caller, Service};
use belljar_aws::AwsError;
use belljar_vpc::id::AclId;
use belljar_vpc::network::{AclEntry, Direction, NetworkAcl};
use belljar_vpc::{Description, Traffic};
use ipnet::IpNet;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The number of the last entry, which denies all; of IPv6 it is the next one.
const LAST: u32 = 32_767;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Entry {
    network_acl_id: String,
    egress: bool,
    rule_number: i64,
    rule_action: String,
    protocol: String,
    cidr_block: Option<String>,
    ipv6_cidr_block: Option<String>,
    port_range: Option<PortRange>,
    icmp_type_code: Option<IcmpTypeCode>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct PortRange {
    from: Option<i64>,
    to: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct IcmpTypeCode {
    r#type: Option<i64>,
    code: Option<i64>,
}

impl Entry {
    fn read(&self) -> Result<(u16, AclEntry), AwsError> {
        let number = rule_number(self.rule_number)?;
        let block = match (&self.cidr_block, &self.ipv6_cidr_block) {
            (Some(v4), None) => IpNet::V4(block::v4(v4, "cidrBlock")?),
            (None, Some(v6)) => IpNet::V6(block::v6(v6, "ipv6CidrBlock")?),
            (None, None) => return Err(super::request::missing_parameter("cidrBlock")),
            (Some(_), Some(_)) => {
                let text = "Only one of cidrBlock and ipv6CidrBlock may be specified.";
                return Err(refused("InvalidParameterCombination", text));
            }
        };
        let traffic = self.traffic()?;
        let v6 = matches!(block, IpNet::V6(_));
        if matches!(traffic, Traffic::Icmp { v6: of, .. } if of != v6) {
            let text = format!("The protocol {} is not one of the block {block}.", self.protocol);
            return Err(invalid(text));
        }
        Ok((number, AclEntry { traffic, block, allow: self.rule_action == "allow" }))
    }

    fn traffic(&self) -> Result<Traffic, AwsError> {
        let ports = self.port_range.as_ref().map(|range| (range.from, range.to));
        let icmp = self.icmp_type_code.as_ref().map(|icmp| (icmp.r#type, icmp.code));
        let is_icmp = matches!(self.protocol.as_str(), "1" | "58" | "icmp" | "icmpv6");
        let (from, to) = if is_icmp { icmp } else { ports }.unwrap_or_default();
        traffic::read(&self.protocol, from, to)
    }
}

fn rule_number(number: i64) -> Result<u16, AwsError> {
    let read = u16::try_from(number).ok().filter(|n| (1..LAST).contains(&u32::from(*n)));
    read.ok_or_else(|| {
        let text =
            format!("Invalid value '{number}' for ruleNumber. Must be between 1 and {}.", LAST - 1);
        invalid(text)
    })
}

fn entries<'a>(
    draft: &'a mut Draft,
    id: &AclId,
    egress: bool,
) -> Result<&'a mut BTreeMap<u16, AclEntry>, AwsError> {
    let acl = error::get_mut(&mut draft.acls, id)?;
    Ok(if egress { &mut acl.egress } else { &mut acl.ingress })
}

fn missing(number: u16) -> AwsError {
    let text = format!("The network acl entry identified by {number} does not exist");
    refused("InvalidNetworkAclEntry.NotFound", text)
}

pub(super) async fn create(service: &Service, _: &Caller, input: Entry) -> Result<Value, AwsError> {
    let (number, entry) = input.read()?;
    let edit = service.network.edit(|draft| {
        let id = error::id(&input.network_acl_id)?;
        let entries = entries(draft, &id, input.egress)?;
        if entries.contains_key(&number) {
            let text = format!("The network acl entry identified by {number} already exists.");
            return Err(refused("NetworkAclEntryAlreadyExists", text));
        }
        // The last one counts too.
        if entries.len() + 1 >= quotas::ACL_ENTRIES {
            let text = "The maximum number of network acl entries has been reached.";
            return Err(refused("NetworkAclEntryLimitExceeded", text));
        }
        entries.insert(number, entry);
        Ok(())
    });
    edit.await?;
    Ok(json!({}))
}

pub(super) async fn replace(
    service: &Service,
    _: &Caller,
    input: Entry,
) -> Result<Value, AwsError> {
    let (number, entry) = input.read()?;
    let edit = service.network.edit(|draft| {
        let id = error::id(&input.network_acl_id)?;
        let entries = entries(draft, &id, input.egress)?;
        *entries.get_mut(&number).ok_or_else(|| missing(number))? = entry;
        Ok(())
    });
    edit.await?;
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Named {
    network_acl_id: String,
    egress: bool,
    rule_number: i64,
}

pub(super) async fn delete(service: &Service, _: &Caller, input: Named) -> Result<Value, AwsError> {
    let number = rule_number(input.rule_number)?;
    let edit = service.network.edit(|draft| {
        let id = error::id(&input.network_acl_id)?;
        let gone = entries(draft, &id, input.egress)?.remove(&number);
        gone.map(|_| ()).ok_or_else(|| missing(number))
    });
    edit.await?;
    Ok(json!({}))
}

/// All entries, those that deny the rest with them.
pub(super) fn shown(d: &Description, acl: &NetworkAcl) -> Vec<Value> {
    let has_v6 = d
        .vpcs
        .get(&acl.vpc)
        .is_some_and(|vpc| vpc.cidrs.iter().any(|cidr| matches!(cidr.block, IpNet::V6(_))));
    let deny = |block| AclEntry { traffic: Traffic::All, block, allow: false };
    let mut shown = Vec::new();
    for direction in [Direction::Egress, Direction::Ingress] {
        let egress = direction == Direction::Egress;
        for (number, entry) in acl.entries(direction) {
            shown.push(one(u32::from(*number), egress, entry));
        }
        shown.push(one(LAST, egress, &deny(vpcs::ALL_V4)));
        if has_v6 {
            shown.push(one(LAST + 1, egress, &deny(vpcs::ALL_V6)));
        }
    }
    shown
}

fn one(number: u32, egress: bool, entry: &AclEntry) -> Value {
    let mut shown = json!({
        "RuleNumber": number,
        "Egress": egress,
        "Protocol": traffic::protocol(&entry.traffic),
        "RuleAction": if entry.allow { "allow" } else { "deny" },
    });
    let block = match entry.block {
        IpNet::V4(_) => "CidrBlock",
        IpNet::V6(_) => "Ipv6CidrBlock",
    };
    shown[block] = entry.block.to_string().into();
    match (&entry.traffic, traffic::numbers(&entry.traffic)) {
        (Traffic::Icmp { .. }, Some((kind, code))) => {
            shown["IcmpTypeCode"] = json!({"Type": kind, "Code": code});
        }
        (_, Some((from, to))) => shown["PortRange"] = json!({"From": from, "To": to}),
        (_, None) => {}
    }
    shown
}
