//! Roles.

use super::document::Document;
use super::page::Wanted;
use super::{invalid, refusal};
use crate::service::{Caller, Service};
use belljar_aws::AwsError;
use belljar_store::identity::{self, DEFAULT_MAX_SESSION, NewRole, Role};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashSet;

/// Tags of one role.
const MAX_TAGS: usize = 50;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Create {
    role_name: String,
    assume_role_policy_document: String,
    path: Option<String>,
    description: Option<String>,
    max_session_duration: Option<i64>,
    #[serde(default)]
    tags: Vec<Tag>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Tag {
    key: String,
    value: String,
}

pub(super) async fn create(
    service: &Service,
    caller: &Caller,
    input: Create,
) -> Result<Value, AwsError> {
    Document::check_trust(&input.assume_role_policy_document)?;
    let tags: Vec<_> = input.tags.into_iter().map(|tag| (tag.key, tag.value)).collect();
    if tags.len() > MAX_TAGS {
        let message = format!("Cannot exceed quota for TagsPerRole: {MAX_TAGS}");
        return Err(AwsError::new(409, "LimitExceeded", message));
    }
    let mut keys = HashSet::new();
    if tags.iter().any(|(key, _)| !keys.insert(key.to_lowercase())) {
        return Err(invalid(
            "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
        ));
    }
    let role = NewRole {
        name: input.role_name,
        path: input.path.unwrap_or_else(|| "/".into()),
        trust: input.assume_role_policy_document,
        description: input.description,
        max_session: input.max_session_duration.unwrap_or(DEFAULT_MAX_SESSION),
        tags,
    };
    let (account, now) = (caller.account.clone(), service.now());
    let made = service.db().write(move |c| identity::create_role(c, &account, role, now));
    Ok(json!({"Role": whole(&made.await.map_err(refusal)?)}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Named {
    role_name: String,
}

pub(super) async fn get(service: &Service, _: &Caller, input: Named) -> Result<Value, AwsError> {
    let role = service.db().read(|c| identity::get_role(c, &input.role_name)).map_err(refusal)?;
    Ok(json!({"Role": whole(&role)}))
}

pub(super) async fn delete(service: &Service, _: &Caller, input: Named) -> Result<Value, AwsError> {
    let deleted = service.db().write(move |c| identity::delete_role(c, &input.role_name));
    deleted.await.map_err(refusal)?;
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct List {
    path_prefix: Option<String>,
    marker: Option<String>,
    max_items: Option<usize>,
}

pub(super) async fn list(service: &Service, _: &Caller, input: List) -> Result<Value, AwsError> {
    let wanted = Wanted::new(input.marker.as_deref(), input.max_items)?;
    let path = input.path_prefix.unwrap_or_else(|| "/".into());
    let roles = service
        .db()
        .read(|c| identity::list_roles(c, &path, &wanted.after, wanted.items + 1))
        .map_err(|e| crate::api::failed(&e))?;
    Ok(wanted.answer("Roles", roles, |role| &role.name, shown))
}

/// A role as lists have it: without tags.
fn shown(role: &Role) -> Value {
    let mut shown = json!({
        "Path": role.path,
        "RoleName": role.name,
        "RoleId": role.id,
        "Arn": role.arn,
        "CreateDate": role.created.millis().div_euclid(1000) as f64,
        "AssumeRolePolicyDocument": encoded(&role.trust),
        "MaxSessionDuration": role.max_session,
    });
    if let Some(description) = &role.description {
        shown["Description"] = description.as_str().into();
    }
    shown
}

fn whole(role: &Role) -> Value {
    let mut shown = shown(role);
    if !role.tags.is_empty() {
        let tags = role.tags.iter().map(|(key, value)| json!({"Key": key, "Value": value}));
        shown["Tags"] = tags.collect();
    }
    shown
}

/// Documents are given back percent-encoded (RFC 3986).
pub(super) fn encoded(document: &str) -> String {
    let mut out = String::with_capacity(document.len() * 2);
    for byte in document.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
