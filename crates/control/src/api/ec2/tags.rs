//! Tags: of what is made, of what there is, and all of them.

use super::listing::{Filters, Listing};
use super::request::missing_parameter;
use crate::network::error::{self, invalid, refused};
use crate::network::{Draft, Tags, Topology};
use crate::service::{Caller, Service};
use belljar_aws::AwsError;
use belljar_vpc::Description;
use belljar_vpc::id::ResourceId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Characters of a key (EC2 User Guide, "Tag restrictions").
const MAX_KEY: usize = 128;
/// Characters of a value.
const MAX_VALUE: usize = 256;

/// `TagSpecification`.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(crate) struct TagSpecification {
    resource_type: Option<String>,
    #[serde(default)]
    tags: Vec<Tag>,
}

/// One tag.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(crate) struct Tag {
    key: Option<String>,
    value: Option<String>,
}

/// The tags for a resource of a type that is made.
///
/// # Errors
/// If they are for another type, a key is there twice, or one is too long.
pub(crate) fn of(
    specifications: &[TagSpecification],
    kind: &str,
) -> Result<BTreeMap<String, String>, AwsError> {
    let mut all = Vec::new();
    for specification in specifications {
        match specification.resource_type.as_deref() {
            Some(of) if of == kind => all.extend_from_slice(&specification.tags),
            Some(other) => {
                let text =
                    format!("'{other}' is not a valid taggable resource type for this operation.");
                return Err(invalid(text));
            }
            None => return Err(invalid("Tag specification resource type must have a value")),
        }
    }
    checked(&all)
}

fn checked(tags: &[Tag]) -> Result<BTreeMap<String, String>, AwsError> {
    let mut read = BTreeMap::new();
    for tag in tags {
        let key = tag.key.clone().filter(|key| !key.is_empty());
        let key = key.ok_or_else(|| invalid("Tag key cannot be null or empty."))?;
        let value = tag.value.clone().unwrap_or_default();
        if key.chars().count() > MAX_KEY {
            let text = format!("Tag key exceeds the maximum length of {MAX_KEY} characters");
            return Err(invalid(text));
        }
        if value.chars().count() > MAX_VALUE {
            let text = format!("Tag value exceeds the maximum length of {MAX_VALUE} characters");
            return Err(invalid(text));
        }
        if read.insert(key.clone(), value).is_some() {
            return Err(invalid(format!("Duplicate tag key '{key}' specified.")));
        }
    }
    Ok(read)
}

/// The tags of a resource as `Tags`; nothing if it has none.
pub(crate) fn shown(tags: &Tags, id: &str) -> Value {
    let list = |tags: &Arc<BTreeMap<String, String>>| {
        tags.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect()
    };
    tags.get(id).map_or(Value::Null, list)
}

macro_rules! kinds {
    ($($field:ident, $name:literal;)*) => {
        /// The type of a resource, as EC2 names it for tags, if it is there.
        fn kind(d: &Description, notes: &crate::network::Notes, id: &str) -> Option<String> {
            $(if id.parse().is_ok_and(|id| d.$field.contains_key(&id)) {
                return Some($name.to_owned());
            })*
            if let Ok(rule) = id.parse()
                && d.groups.values().any(|group| group.rules.contains_key(&rule))
            {
                return Some("security-group-rule".to_owned());
            }
            // A note that is a resource has the type as its kind.
            let note = notes.keys().find(|(kind, of)| of == id && kind.starts_with("network-insights-"));
            note.map(|(kind, _)| kind.clone())
        }
    };
}

kinds! {
    vpcs, "vpc";
    subnets, "subnet";
    groups, "security-group";
    acls, "network-acl";
    route_tables, "route-table";
    internet_gateways, "internet-gateway";
    nat_gateways, "natgateway";
    addresses, "elastic-ip";
    interfaces, "network-interface";
    endpoints, "vpc-endpoint";
    prefix_lists, "prefix-list";
    peerings, "vpc-peering-connection";
    dhcp_options, "dhcp-options";
    flow_logs, "vpc-flow-log";
}

/// What EC2 says of an id to be tagged that is not there.
fn missing(id: &str) -> AwsError {
    fn of<I: ResourceId>(id: &str) -> Option<AwsError> {
        id.parse::<I>().ok().map(|id| error::not_found(&id))
    }
    use belljar_vpc::id as ids;
    let found = [
        of::<ids::VpcId>,
        of::<ids::SubnetId>,
        of::<ids::GroupRuleId>,
        of::<ids::GroupId>,
        of::<ids::AclId>,
        of::<ids::RouteTableId>,
        of::<ids::InternetGatewayId>,
        of::<ids::NatGatewayId>,
        of::<ids::AllocationId>,
        of::<ids::InterfaceId>,
        of::<ids::EndpointId>,
        of::<ids::PrefixListId>,
        of::<ids::PeeringId>,
        of::<ids::DhcpOptionsId>,
        of::<ids::FlowLogId>,
        of::<ids::InsightsPathId>,
        of::<ids::InsightsAnalysisId>,
    ];
    let shown: String = id.chars().take(64).collect();
    let unknown = || refused("InvalidID", format!("The ID '{shown}' is not valid"));
    found.iter().find_map(|of| of(id)).unwrap_or_else(unknown)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Change {
    resources: Vec<String>,
    tags: Option<Vec<Tag>>,
}

impl Change {
    fn check(&self, draft: &Draft) -> Result<(), AwsError> {
        let known = |id: &&String| kind(draft, &draft.notes, id).is_none();
        self.resources.iter().find(known).map_or(Ok(()), |id| Err(missing(id)))
    }
}

pub(super) async fn create(
    service: &Service,
    _: &Caller,
    input: Change,
) -> Result<Value, AwsError> {
    let tags = checked(input.tags.as_deref().ok_or_else(|| missing_parameter("tagSet"))?)?;
    let edit = service.network.edit(|draft| {
        input.check(draft)?;
        input.resources.iter().for_each(|id| draft.tag(id, tags.clone()));
        Ok(())
    });
    edit.await?;
    Ok(json!({}))
}

/// A tag without a value goes whatever its value is; one with a value only if it has that; without
/// tags, all go.
pub(super) async fn delete(
    service: &Service,
    _: &Caller,
    input: Change,
) -> Result<Value, AwsError> {
    let edit = service.network.edit(|draft| {
        input.check(draft)?;
        for id in &input.resources {
            let Some(has) = draft.tags.get_mut(id) else { continue };
            let goes = |key: &String, value: &String| {
                input.tags.as_ref().is_none_or(|tags| {
                    tags.iter().any(|tag| {
                        tag.key.as_ref() == Some(key)
                            && tag.value.as_ref().is_none_or(|of| of == value)
                    })
                })
            };
            Arc::make_mut(has).retain(|key, value| !goes(key, value));
        }
        Ok(())
    });
    edit.await?;
    Ok(json!({}))
}

const FILTERS: Filters = &[
    ("key", "Key"),
    ("resource-id", "ResourceId"),
    ("resource-type", "ResourceType"),
    ("value", "Value"),
];

pub(super) async fn describe(
    service: &Service,
    _: &Caller,
    listing: Listing,
) -> Result<Value, AwsError> {
    let now = service.network.current();
    listing.answer("Tags", all(&now).into_iter(), FILTERS)
}

fn all(now: &Topology) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    for (id, tags) in &now.tags {
        // Of another service, a hosted zone say, the tags are no matter of EC2's.
        let Some(kind) = kind(now, &now.notes, id) else { continue };
        for (key, value) in tags.iter() {
            let item = json!({
                "ResourceId": id, "ResourceType": kind, "Key": key, "Value": value,
            });
            // A line's end is in no id, so that keys are in the order of ids, then of keys.
            all.push((format!("{id}\n{key}"), item));
        }
    }
    all
}
