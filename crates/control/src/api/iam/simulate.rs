//! `SimulatePrincipalPolicy`: what a role's policies would allow, were they enforced.

use super::document::{Document, Verdict};
use super::page::Wanted;
use super::{invalid, managed, refusal};
use crate::service::{Caller, Service};
use belljar_aws::AwsError;
use belljar_store::identity::{self, IdentityError};
use serde::Deserialize;
use serde_json::{Value, json};

/// Results of one request, however many pages it takes.
const MAX_RESULTS: usize = 10_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Simulate {
    policy_source_arn: String,
    #[serde(default)]
    policy_input_list: Vec<String>,
    action_names: Vec<String>,
    resource_arns: Option<Vec<String>>,
    marker: Option<String>,
    max_items: Option<usize>,
}

pub(super) async fn simulate(
    service: &Service,
    _: &Caller,
    input: Simulate,
) -> Result<Value, AwsError> {
    let wanted = Wanted::new(input.marker.as_deref(), input.max_items)?;
    let arn = input.policy_source_arn;
    let (inline, attached) = service
        .db()
        .read(|c| {
            let role = identity::find_by_arn(c, &arn)?.ok_or_else(|| {
                IdentityError::NoRole(arn.rsplit('/').next().unwrap_or(&arn).to_owned())
            })?;
            Ok((identity::list_policies(c, &role.name)?, identity::attached(c, &role.name)?))
        })
        .map_err(refusal)?;
    let mut documents = Vec::new();
    for arn in attached {
        documents.push(managed::find(&arn).ok_or_else(|| {
            invalid(format!("Belljar does not know what the managed policy {arn} allows."))
        })?);
    }
    for text in inline.iter().map(|(_, text)| text).chain(&input.policy_input_list) {
        documents.push(Document::of_permissions(text)?);
    }
    let resources = input.resource_arns.unwrap_or_else(|| vec!["*".into()]);
    if input.action_names.len() * resources.len() > MAX_RESULTS {
        return Err(invalid(format!("Belljar does not serve more than {MAX_RESULTS} results.")));
    }
    let mut results = Vec::new();
    for action in &input.action_names {
        if !action.contains(':') {
            return Err(invalid(format!("Invalid Action Name: {action}")));
        }
        for resource in &resources {
            results.push((format!("{:05}", results.len()), decide(&documents, action, resource)?));
        }
    }
    Ok(wanted.answer_of_all("EvaluationResults", results, |r| &r.0, |r| r.1.clone()))
}

fn decide(documents: &[Document], action: &str, resource: &str) -> Result<Value, AwsError> {
    let mut verdict = Verdict::default();
    for document in documents {
        document.decide(action, resource, &mut verdict)?;
    }
    let decision = verdict.decision().ok_or_else(|| {
        invalid(format!(
            "Belljar does not serve Condition in SimulatePrincipalPolicy, and whether {action} on \
             {resource} is allowed depends on one."
        ))
    })?;
    Ok(json!({
        "EvalActionName": action,
        "EvalResourceName": resource,
        "EvalDecision": decision,
        "MatchedStatements": [],
        "MissingContextValues": [],
    }))
}
