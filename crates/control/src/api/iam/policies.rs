//! Inline policies of a role.

use super::document::Document;
use super::page::Wanted;
use super::refusal;
use super::roles::encoded;
use crate::service::{Caller, Service};
use belljar_aws::AwsError;
use belljar_store::identity;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Put {
    role_name: String,
    policy_name: String,
    policy_document: String,
}

pub(super) async fn put(service: &Service, _: &Caller, input: Put) -> Result<Value, AwsError> {
    Document::of_permissions(&input.policy_document)?;
    let put = service.db().write(move |c| {
        identity::put_policy(c, &input.role_name, &input.policy_name, &input.policy_document)
    });
    put.await.map_err(refusal)?;
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Named {
    role_name: String,
    policy_name: String,
}

pub(super) async fn get(service: &Service, _: &Caller, input: Named) -> Result<Value, AwsError> {
    let (role, (name, document)) = service
        .db()
        .read(|c| {
            let role = identity::get_role(c, &input.role_name)?.name;
            let policy = identity::get_policy(c, &role, &input.policy_name)?;
            Ok((role, policy))
        })
        .map_err(refusal)?;
    let document = encoded(&document);
    Ok(json!({"RoleName": role, "PolicyName": name, "PolicyDocument": document}))
}

pub(super) async fn delete(service: &Service, _: &Caller, input: Named) -> Result<Value, AwsError> {
    let deleted = service
        .db()
        .write(move |c| identity::delete_policy(c, &input.role_name, &input.policy_name));
    deleted.await.map_err(refusal)?;
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct List {
    role_name: String,
    marker: Option<String>,
    max_items: Option<usize>,
}

pub(super) async fn list(service: &Service, _: &Caller, input: List) -> Result<Value, AwsError> {
    let wanted = Wanted::new(input.marker.as_deref(), input.max_items)?;
    let policies =
        service.db().read(|c| identity::list_policies(c, &input.role_name)).map_err(refusal)?;
    let mut names: Vec<String> = policies.into_iter().map(|(name, _)| name).collect();
    names.sort_unstable();
    Ok(wanted.answer_of_all("PolicyNames", names, String::as_str, |name| name.as_str().into()))
}
