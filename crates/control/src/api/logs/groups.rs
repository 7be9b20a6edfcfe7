//! Groups, their retention and their tags.

use super::{group_arn, group_of_arn, invalid, refusal, token, without_nulls};
use crate::service::{Caller, Service};
use belljar_aws::AwsError;
use belljar_store::StoreError;
use belljar_store::logs::{self, LogError};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Groups of one answer, if the request says nothing.
const DEFAULT_LIMIT: usize = 50;
/// Tags of one group (`CreateLogGroup`).
const MAX_TAGS: usize = 50;
/// Days that `PutRetentionPolicy` takes.
const RETENTIONS: [u32; 22] = [
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922,
    3288, 3653,
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Create {
    log_group_name: String,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    log_group_class: Option<String>,
    #[serde(default)]
    deletion_protection_enabled: bool,
}

pub(super) async fn create(
    service: &Service,
    _: &Caller,
    input: Create,
) -> Result<Value, AwsError> {
    if let Some(class) = input.log_group_class.filter(|class| class != "STANDARD") {
        return Err(invalid(format!("Belljar does not serve the logGroupClass {class}.")));
    }
    if input.deletion_protection_enabled {
        return Err(invalid("Belljar does not serve deletionProtectionEnabled of CreateLogGroup."));
    }
    let (name, now) = (input.log_group_name, service.now());
    let tags: Vec<_> = input.tags.into_iter().collect();
    few_enough(tags.len())?;
    let made = service.db().write(move |c| logs::create_group(c, &name, &tags, now));
    made.await.map_err(refusal)?;
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Named {
    log_group_name: String,
}

pub(super) async fn delete(service: &Service, _: &Caller, input: Named) -> Result<Value, AwsError> {
    let deleted = service.db().write(move |c| logs::delete_group(c, &input.log_group_name));
    deleted.await.map_err(refusal)?;
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Describe {
    log_group_name_prefix: Option<String>,
    log_group_name_pattern: Option<String>,
    log_group_class: Option<String>,
    next_token: Option<String>,
    limit: Option<usize>,
    #[serde(default)]
    include_linked_accounts: bool,
}

pub(super) async fn describe(
    service: &Service,
    caller: &Caller,
    input: Describe,
) -> Result<Value, AwsError> {
    if input.include_linked_accounts {
        return Err(invalid("Belljar does not serve includeLinkedAccounts of DescribeLogGroups."));
    }
    if input.log_group_name_prefix.is_some() && input.log_group_name_pattern.is_some() {
        return Err(invalid(
            "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.",
        ));
    }
    if input.log_group_class.is_some_and(|class| class != "STANDARD") {
        return Ok(json!({"logGroups": []}));
    }
    let prefix = input.log_group_name_prefix.unwrap_or_default();
    let pattern = input.log_group_name_pattern.unwrap_or_default();
    let after: String = token::open(input.next_token.as_deref())?.unwrap_or_default();
    let limit = input.limit.unwrap_or(DEFAULT_LIMIT);
    let mut groups = service
        .db()
        .read(|c| logs::list_groups(c, &prefix, &pattern, &after, limit + 1))
        .map_err(|e| crate::api::failed(&e))?;
    let more = groups.len() > limit;
    groups.truncate(limit);
    let next = groups.last().filter(|_| more).map(|group| token::seal(&group.name));
    let groups: Vec<_> = groups.iter().map(|group| shown(caller, group)).collect();
    Ok(without_nulls(json!({"logGroups": groups, "nextToken": next})))
}

fn shown(caller: &Caller, group: &logs::Group) -> Value {
    let arn = group_arn(caller, &group.name);
    without_nulls(json!({
        "logGroupName": group.name,
        "creationTime": group.created.millis(),
        "retentionInDays": group.retention,
        "metricFilterCount": 0,
        "arn": format!("{arn}:*"),
        "logGroupArn": arn,
        "storedBytes": group.bytes,
        "logGroupClass": "STANDARD",
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct PutRetention {
    log_group_name: String,
    retention_in_days: u32,
}

pub(super) async fn put_retention(
    service: &Service,
    _: &Caller,
    input: PutRetention,
) -> Result<Value, AwsError> {
    let days = input.retention_in_days;
    if !RETENTIONS.contains(&days) {
        let all = RETENTIONS.map(|days| days.to_string()).join(", ");
        return Err(invalid(format!(
            "1 validation error detected: Value '{days}' at 'retentionInDays' failed to satisfy \
             constraint: Member must satisfy enum value set: [{all}]"
        )));
    }
    set_retention(service, input.log_group_name, Some(days)).await
}

pub(super) async fn delete_retention(
    service: &Service,
    _: &Caller,
    input: Named,
) -> Result<Value, AwsError> {
    set_retention(service, input.log_group_name, None).await
}

async fn set_retention(
    service: &Service,
    name: String,
    days: Option<u32>,
) -> Result<Value, AwsError> {
    let set = service.db().write(move |c| logs::set_retention(c, &name, days));
    set.await.map_err(refusal)?;
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Tag {
    resource_arn: String,
    tags: BTreeMap<String, String>,
}

pub(super) async fn tag(service: &Service, caller: &Caller, input: Tag) -> Result<Value, AwsError> {
    let Tag { resource_arn, tags } = input;
    change_tags(service, caller, &resource_arn, move |all| all.extend(tags)).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Untag {
    resource_arn: String,
    tag_keys: Vec<String>,
}

pub(super) async fn untag(
    service: &Service,
    caller: &Caller,
    input: Untag,
) -> Result<Value, AwsError> {
    let Untag { resource_arn, tag_keys } = input;
    change_tags(service, caller, &resource_arn, move |all| {
        all.retain(|key, _| !tag_keys.contains(key));
    })
    .await
}

/// Why tags were not changed.
enum Tagging {
    TooMany(AwsError),
    Log(LogError),
}

impl From<LogError> for Tagging {
    fn from(e: LogError) -> Self {
        Self::Log(e)
    }
}

impl From<StoreError> for Tagging {
    fn from(e: StoreError) -> Self {
        Self::Log(e.into())
    }
}

async fn change_tags(
    service: &Service,
    caller: &Caller,
    arn: &str,
    change: impl FnOnce(&mut BTreeMap<String, String>) + Send + 'static,
) -> Result<Value, AwsError> {
    let name = group_of_arn(caller, arn)?;
    let changed = service.db().write(move |c| {
        let mut tags: BTreeMap<_, _> = logs::get_group(c, &name)?.tags.into_iter().collect();
        change(&mut tags);
        few_enough(tags.len()).map_err(Tagging::TooMany)?;
        let tags: Vec<_> = tags.into_iter().collect();
        Ok(logs::set_group_tags(c, &name, &tags)?)
    });
    changed.await.map_err(|e| match e {
        Tagging::TooMany(e) => e,
        Tagging::Log(e) => refusal(e),
    })?;
    Ok(json!({}))
}

fn few_enough(tags: usize) -> Result<(), AwsError> {
    if tags > MAX_TAGS {
        let message = format!("A log group can have at most {MAX_TAGS} tags, and this is {tags}.");
        return Err(AwsError::new(400, "TooManyTagsException", message));
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct ListTags {
    resource_arn: String,
}

pub(super) async fn list_tags(
    service: &Service,
    caller: &Caller,
    input: ListTags,
) -> Result<Value, AwsError> {
    let name = group_of_arn(caller, &input.resource_arn)?;
    let group = service.db().read(|c| logs::get_group(c, &name)).map_err(refusal)?;
    let tags: BTreeMap<_, _> = group.tags.into_iter().collect();
    Ok(json!({"tags": tags}))
}
