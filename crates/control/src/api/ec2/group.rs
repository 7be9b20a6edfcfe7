//! Security groups. Their rules are in `group_rule` and `permission`.

use super::listing::{Filters, Listing};
use super::tags::{self, TagSpecification};
use super::{permission, places};
use crate::network::error::{self, dependency, invalid, refused};
use crate::network::{Draft, Topology, quotas, vpcs};
use crate::service::{Caller, Service};
use belljar_aws::AwsError;
use belljar_vpc::Description;
use belljar_vpc::id::{GroupId, VpcId};
use belljar_vpc::network::{Direction, EndpointKind, Peer, SecurityGroup};
use ipnet::IpNet;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// Characters of a name or a description.
const MAX_TEXT: usize = 255;
/// What is in a description besides letters and digits (API reference, `CreateSecurityGroup`).
const PUNCTUATION: &str = " ._-:/()#,@[]+=&;{}!$*";

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Create {
    group_name: String,
    description: String,
    vpc_id: Option<String>,
    #[serde(default)]
    tag_specifications: Vec<TagSpecification>,
}

pub(super) async fn create(
    service: &Service,
    _: &Caller,
    input: Create,
) -> Result<Value, AwsError> {
    let tags = tags::of(&input.tag_specifications, "security-group")?;
    let name = input.group_name.trim().to_owned();
    check_name(&name)?;
    if input.description.is_empty() {
        return Err(super::request::missing_parameter("GroupDescription"));
    }
    check_text("GroupDescription", "security group description", &input.description)?;
    let edit = service.network.edit(|draft| {
        let vpc = match &input.vpc_id {
            Some(id) => error::named(&draft.vpcs, id)?.0,
            None => default_vpc(draft)?,
        };
        if draft.groups.values().any(|g| g.vpc == vpc && g.name == name) {
            let text = format!("The security group '{name}' already exists for VPC '{vpc}'");
            return Err(refused("InvalidGroup.Duplicate", text));
        }
        if draft.groups.len() >= quotas::GROUPS {
            let text = "The maximum number of security groups has been reached.";
            return Err(refused("SecurityGroupLimitExceeded", text));
        }
        Ok(insert(draft, (vpc, name, input.description), tags))
    });
    let (id, now) = edit.await?;
    Ok(json!({
        "GroupId": id.as_str(),
        "SecurityGroupArn": places::arn(service, "security-group", id.as_str()),
        "Tags": tags::shown(&now.tags, id.as_str()),
    }))
}

/// A group that allows nothing in, and all out.
fn insert(
    draft: &mut Draft,
    (vpc, name, description): (VpcId, String, String),
    tags: std::collections::BTreeMap<String, String>,
) -> GroupId {
    let id: GroupId = draft.fresh();
    let record = draft.vpcs.get(&vpc);
    let v6 = record.is_some_and(|v| v.cidrs.iter().any(|c| matches!(c.block, IpNet::V6(_))));
    let all = [Some(vpcs::ALL_V4), v6.then_some(vpcs::ALL_V6)].into_iter().flatten();
    let egress = all.map(|block| vpcs::rule(Direction::Egress, Peer::Cidr(block)));
    let rules = egress.map(|rule| (draft.fresh(), rule)).collect();
    let group = SecurityGroup { vpc, name, description, rules };
    draft.groups.insert(id.clone(), Arc::new(group));
    draft.tag(id.as_str(), tags);
    id
}

fn check_name(name: &str) -> Result<(), AwsError> {
    if name == vpcs::DEFAULT_GROUP {
        return Err(invalid(format!("Cannot use reserved security group name: {name}")));
    }
    if name.starts_with("sg-") {
        let text = format!(
            "Value ({name}) for parameter GroupName is invalid. Group names may not be in the \
             format sg-*."
        );
        return Err(invalid(text));
    }
    if name.is_empty() {
        return Err(super::request::missing_parameter("groupName"));
    }
    check_text("GroupName", "security group name", name)
}

/// Whether a text is one that EC2 takes beside a group or a rule.
///
/// # Errors
/// If it is not.
pub(super) fn check_text(parameter: &str, what: &str, text: &str) -> Result<(), AwsError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || PUNCTUATION.contains(c);
    if text.chars().count() <= MAX_TEXT && text.chars().all(allowed) {
        return Ok(());
    }
    Err(invalid(format!(
        "Value ({text}) for parameter {parameter} is invalid. Invalid {what}. Valid values are \
         strings less than 256 characters from the following set: a-zA-Z0-9{PUNCTUATION}"
    )))
}

pub(super) fn default_vpc(d: &Description) -> Result<VpcId, AwsError> {
    let found = d.vpcs.iter().find(|(_, vpc)| vpc.is_default).map(|(id, _)| id.clone());
    found.ok_or_else(|| refused("VPCIdNotSpecified", "No default VPC for this user."))
}

/// The group that an id names, or a name in the default VPC.
///
/// # Errors
/// If there is none.
pub(super) fn find(
    d: &Description,
    id: Option<&str>,
    name: Option<&str>,
) -> Result<GroupId, AwsError> {
    match (id, name) {
        (Some(id), _) => Ok(error::named(&d.groups, id)?.0),
        (None, Some(name)) => by_name(d, name),
        (None, None) => Err(super::request::missing_parameter("GroupName or GroupId")),
    }
}

/// A group of the default VPC.
pub(super) fn by_name(d: &Description, name: &str) -> Result<GroupId, AwsError> {
    let vpc = default_vpc(d)?;
    let found = d.groups.iter().find(|(_, group)| group.vpc == vpc && group.name == name);
    found.map(|(id, _)| id.clone()).ok_or_else(|| {
        let text = format!("The security group '{name}' does not exist in default VPC '{vpc}'");
        refused("InvalidGroup.NotFound", text)
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Named {
    group_id: Option<String>,
    group_name: Option<String>,
}

pub(super) async fn delete(service: &Service, _: &Caller, input: Named) -> Result<Value, AwsError> {
    let edit = service.network.edit(|draft| {
        let id = find(draft, input.group_id.as_deref(), input.group_name.as_deref())?;
        let group = Arc::clone(&draft.groups[&id]);
        if group.name == vpcs::DEFAULT_GROUP {
            let text = format!(
                "the specified group: \"{id}\" name: \"{}\" cannot be deleted by a user",
                group.name
            );
            return Err(refused("CannotDelete", text));
        }
        if in_use(draft, &id, &group.vpc) {
            return Err(dependency(format!("resource {id} has a dependent object")));
        }
        draft.groups.remove(&id);
        for rule in group.rules.keys() {
            draft.tags.remove(rule.as_str());
        }
        Ok(id)
    });
    let (id, _) = edit.await?;
    Ok(json!({"Return": true, "GroupId": id.as_str()}))
}

/// Whether something has a group, or another group of its VPC speaks of it. (Rules of peered VPCs
/// become stale.)
fn in_use(d: &Description, id: &GroupId, vpc: &VpcId) -> bool {
    let named = |group: &SecurityGroup| {
        group.rules.values().any(|rule| matches!(&rule.peer, Peer::Group(of) if of == id))
    };
    let guards = |kind: &EndpointKind| matches!(kind, EndpointKind::Interface { groups, .. } if groups.contains(id));
    d.interfaces.values().any(|interface| interface.groups.contains(id))
        || d.endpoints.values().any(|endpoint| guards(&endpoint.kind))
        || d.groups.iter().any(|(of, group)| of != id && group.vpc == *vpc && named(group))
}

const FILTERS: Filters = &[
    ("description", "Description"),
    ("egress.ip-permission.cidr", "IpPermissionsEgress.IpRanges.CidrIp"),
    ("egress.ip-permission.from-port", "IpPermissionsEgress.FromPort"),
    ("egress.ip-permission.group-id", "IpPermissionsEgress.UserIdGroupPairs.GroupId"),
    ("egress.ip-permission.ipv6-cidr", "IpPermissionsEgress.Ipv6Ranges.CidrIpv6"),
    ("egress.ip-permission.prefix-list-id", "IpPermissionsEgress.PrefixListIds.PrefixListId"),
    ("egress.ip-permission.protocol", "IpPermissionsEgress.IpProtocol"),
    ("egress.ip-permission.to-port", "IpPermissionsEgress.ToPort"),
    ("egress.ip-permission.user-id", "IpPermissionsEgress.UserIdGroupPairs.UserId"),
    ("group-id", "GroupId"),
    ("group-name", "GroupName"),
    ("ip-permission.cidr", "IpPermissions.IpRanges.CidrIp"),
    ("ip-permission.from-port", "IpPermissions.FromPort"),
    ("ip-permission.group-id", "IpPermissions.UserIdGroupPairs.GroupId"),
    ("ip-permission.ipv6-cidr", "IpPermissions.Ipv6Ranges.CidrIpv6"),
    ("ip-permission.prefix-list-id", "IpPermissions.PrefixListIds.PrefixListId"),
    ("ip-permission.protocol", "IpPermissions.IpProtocol"),
    ("ip-permission.to-port", "IpPermissions.ToPort"),
    ("ip-permission.user-id", "IpPermissions.UserIdGroupPairs.UserId"),
    ("owner-id", "OwnerId"),
    ("vpc-id", "VpcId"),
];

pub(super) async fn describe(
    service: &Service,
    _: &Caller,
    mut listing: Listing,
) -> Result<Value, AwsError> {
    let now = service.network.current();
    let names: Vec<String> = listing.take("GroupNames")?;
    if names.is_empty() {
        let of = ("GroupIds", &now.groups);
        return listing
            .of("SecurityGroups", of, FILTERS, |id, group| shown(service, &now, id, group));
    }
    let mut ids: Vec<GroupId> = listing.ids("GroupIds", &now.groups)?;
    for name in &names {
        ids.push(by_name(&now, name)?);
    }
    let items = ids.iter().map(|id| (id.to_string(), shown(service, &now, id, &now.groups[id])));
    listing.answer("SecurityGroups", items, FILTERS)
}

fn shown(service: &Service, now: &Topology, id: &GroupId, group: &SecurityGroup) -> Value {
    let permissions = |of| {
        let rules = group.rules.values().filter(|rule| rule.direction == of);
        permission::shown(service, now, &group.vpc, rules)
    };
    json!({
        "GroupId": id.as_str(),
        "GroupName": group.name,
        "Description": group.description,
        "VpcId": group.vpc.as_str(),
        "OwnerId": places::account(service),
        "SecurityGroupArn": places::arn(service, "security-group", id.as_str()),
        "IpPermissions": permissions(Direction::Ingress),
        "IpPermissionsEgress": permissions(Direction::Egress),
        "Tags": tags::shown(&now.tags, id.as_str()),
    })
}
