//! Tags of zones.

use super::{bare, invalid, not_served, zone};
use crate::service::{Caller, Service};
use belljar_aws::AwsError;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Tags of one zone (API Reference, `ChangeTagsForResource`).
const MAX_TAGS: usize = 10;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Change {
    resource_type: String,
    resource_id: String,
    #[serde(default)]
    add_tags: Vec<Tag>,
    #[serde(default)]
    remove_tag_keys: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Tag {
    key: Option<String>,
    #[serde(default)]
    value: String,
}

pub(super) async fn change(
    service: &Service,
    _: &Caller,
    input: Change,
) -> Result<Value, AwsError> {
    of_zones(&input.resource_type)?;
    let added: Option<BTreeMap<String, String>> =
        input.add_tags.into_iter().map(|tag| Some((tag.key?, tag.value))).collect();
    let added = added.ok_or_else(|| invalid("Invalid request: a tag has no key."))?;
    if added.keys().any(|key| key.starts_with("aws:")) {
        return Err(invalid("Invalid request: the prefix aws: of tags is AWS's own."));
    }
    let id = bare(&input.resource_id).to_owned();
    let changed = service.network.edit(|draft| {
        super::zone_mut(draft, &id)?;
        let mut tags = draft.tags.get(&id).map(|tags| tags.as_ref().clone()).unwrap_or_default();
        tags.retain(|key, _| !input.remove_tag_keys.contains(key));
        tags.extend(added);
        if tags.len() > MAX_TAGS {
            let text = format!("Number of tags limit of {MAX_TAGS} exceeded.");
            return Err(invalid(text));
        }
        draft.tags.insert(id, Arc::new(tags));
        Ok(())
    });
    changed.await?;
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct List {
    resource_type: String,
    resource_id: String,
}

pub(super) async fn list(service: &Service, _: &Caller, input: List) -> Result<Value, AwsError> {
    of_zones(&input.resource_type)?;
    let topology = service.network.current();
    let (id, _) = zone(&topology, &input.resource_id)?;
    let tags = topology.tags.get(id.as_str()).into_iter().flat_map(|tags| tags.iter());
    let tags: Vec<Value> = tags.map(|(key, value)| json!({"Key": key, "Value": value})).collect();
    let of = json!({"ResourceType": "hostedzone", "ResourceId": id.as_str(), "Tags": tags});
    Ok(json!({"ResourceTagSet": of}))
}

fn of_zones(kind: &str) -> Result<(), AwsError> {
    if kind == "hostedzone" { Ok(()) } else { Err(not_served(format!("the resource type {kind}"))) }
}
