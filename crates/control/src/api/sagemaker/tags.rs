//! `AddTags`, `ListTags`, `DeleteTags`.

use super::{failed, refusal, tag_refusal};
use crate::service::{Caller, Service};
use belljar_aws::AwsError;
use belljar_store::jobs::{self, JobError};
use belljar_store::records::{self, Kind};
use belljar_store::{StoreError, endpoints};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// One tag.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Tag {
    key: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Add {
    resource_arn: String,
    tags: Vec<Tag>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct List {
    resource_arn: String,
    next_token: Option<String>,
    /// At least 50, which is as many as there can be: one page holds all.
    #[serde(rename = "MaxResults")]
    _max_results: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Delete {
    resource_arn: String,
    tag_keys: Vec<String>,
}

pub(super) async fn add(service: &Service, _: &Caller, input: Add) -> Result<Value, AwsError> {
    let mut tags = BTreeMap::new();
    for Tag { key, value } in input.tags {
        if tags.contains_key(&key) {
            return Err(AwsError::validation(format!("The tag key '{key}' is given twice.")));
        }
        tags.insert(key, value);
    }
    let arn = input.resource_arn;
    exists(service, &arn)?;
    let added = service.db().write(move |c| {
        jobs::add_tags(c, &arn, &tags)?;
        Ok(jobs::tags(c, &arn)?)
    });
    let all = added.await.map_err(|e| tag_refusal(&e))?;
    Ok(json!({"Tags": shown(all)}))
}

pub(super) async fn list(service: &Service, _: &Caller, input: List) -> Result<Value, AwsError> {
    if input.next_token.is_some() {
        // No answer ever had one.
        return Err(AwsError::validation("The NextToken is not valid for this request."));
    }
    exists(service, &input.resource_arn)?;
    let all = service.db().read(|c| jobs::tags(c, &input.resource_arn));
    Ok(json!({"Tags": shown(all.map_err(|e| failed(&e))?)}))
}

pub(super) async fn delete(
    service: &Service,
    _: &Caller,
    input: Delete,
) -> Result<Value, AwsError> {
    let Delete { resource_arn: arn, tag_keys: keys } = input;
    exists(service, &arn)?;
    let removed = service.db().write(move |c| jobs::remove_tags(c, &arn, &keys)).await;
    removed.map_err(|e| failed(&e))?;
    Ok(json!({}))
}

/// Only what is there has tags.
fn exists(service: &Service, arn: &str) -> Result<(), AwsError> {
    let found = service.db().read(|c| {
        Ok::<_, StoreError>(
            jobs::by_arn(c, arn)?.is_some()
                || endpoints::by_arn(c, arn)?.is_some()
                || records::is_arn(c, Kind::Model, arn)?
                || records::is_arn(c, Kind::EndpointConfig, arn)?,
        )
    });
    match found {
        Ok(true) => Ok(()),
        Ok(false) => Err(refusal(&JobError::NotFound)),
        Err(e) => Err(failed(&e)),
    }
}

fn shown(tags: BTreeMap<String, String>) -> Vec<Value> {
    tags.into_iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect()
}
