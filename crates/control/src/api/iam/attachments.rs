//! Managed policies of a role. Only AWS's own exist here: there is no `CreatePolicy`.

use super::page::Wanted;
use super::{managed, refusal};
use crate::service::{Caller, Service};
use belljar_aws::AwsError;
use belljar_store::identity;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Named {
    role_name: String,
    policy_arn: String,
}

pub(super) async fn attach(service: &Service, _: &Caller, input: Named) -> Result<Value, AwsError> {
    let arn = &input.policy_arn;
    if arn.strip_prefix(managed::PREFIX).is_none_or(str::is_empty) {
        let message = format!("Policy {arn} does not exist or is not attachable.");
        return Err(AwsError::new(404, "NoSuchEntity", message));
    }
    let attached =
        service.db().write(move |c| identity::attach(c, &input.role_name, &input.policy_arn));
    attached.await.map_err(refusal)?;
    Ok(json!({}))
}

pub(super) async fn detach(service: &Service, _: &Caller, input: Named) -> Result<Value, AwsError> {
    let detached =
        service.db().write(move |c| identity::detach(c, &input.role_name, &input.policy_arn));
    detached.await.map_err(refusal)?;
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct List {
    role_name: String,
    path_prefix: Option<String>,
    marker: Option<String>,
    max_items: Option<usize>,
}

pub(super) async fn list(service: &Service, _: &Caller, input: List) -> Result<Value, AwsError> {
    let wanted = Wanted::new(input.marker.as_deref(), input.max_items)?;
    let prefix = input.path_prefix.unwrap_or_else(|| "/".into());
    let mut arns =
        service.db().read(|c| identity::attached(c, &input.role_name)).map_err(refusal)?;
    arns.retain(|arn| {
        // The path is what stands between `:policy` and the name.
        arn.split_once(":policy").is_some_and(|(_, path)| path.starts_with(&prefix))
    });
    Ok(wanted.answer_of_all("AttachedPolicies", arns, String::as_str, |arn| {
        let name = arn.rsplit('/').next().unwrap_or(arn);
        json!({"PolicyName": name, "PolicyArn": arn})
    }))
}
