//! Endpoints: what is wanted of them is written down here; the reconciler makes it so.

mod change;
mod create;
mod describe;
mod healthy;

pub(super) use change::{delete, update, update_shares};
pub(super) use create::create;
pub(super) use describe::describe;

use super::kind::{Kind, check_isolation};
use super::list::{List, Listed};
use super::time::seconds;
use super::{configs, failed};
use crate::request::endpoint::Deployed;
use crate::service::{Caller, Capacity, Service};
use belljar_aws::AwsError;
use belljar_domain::endpoint::{Deployment, Endpoint, Variant};
use belljar_store::endpoints;
use belljar_store::list::Order;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Name {
    endpoint_name: String,
}

const LISTED: Listed<Endpoint> = Listed {
    member: "Endpoints",
    order: Order::Descending,
    after_is_from: true,
    statuses: &["Creating", "Updating", "InService", "Failed", "Deleting"],
    page: endpoints::list,
    summary: |endpoint| {
        json!({
            "EndpointName": endpoint.name,
            "EndpointArn": endpoint.arn,
            "CreationTime": seconds(endpoint.created),
            "LastModifiedTime": seconds(endpoint.modified),
            "EndpointStatus": endpoint.progress.status.as_str(),
        })
    },
};

pub(super) async fn list(service: &Service, _: &Caller, input: List) -> Result<Value, AwsError> {
    LISTED.answer(service, input)
}

fn find(service: &Service, name: &str) -> Result<Endpoint, AwsError> {
    let found = service.db().read(|c| endpoints::get(c, name)).map_err(|e| failed(&e))?;
    found.ok_or_else(|| Kind::Endpoint.not_found(service, name))
}

/// What a configuration comes to now: its models may change or go while the endpoint runs.
fn deployment(
    service: &Service,
    (caller, operation): (&Caller, &str),
    config: &str,
) -> Result<Deployment, AwsError> {
    let config = configs::find(service, config)?;
    let Deployed { deployment, too_large } = configs::deployed(service, &config.request)?;
    if !deployment.variants.iter().all(Variant::is_isolated) {
        check_isolation(service, caller, operation)?;
    }
    if service.config.capacity == Capacity::Strict && !too_large.is_empty() {
        let text = format!("This machine is too small: {}.", too_large.join("; "));
        return Err(AwsError::new(400, "ResourceLimitExceeded", text));
    }
    Ok(deployment)
}

#[cfg(test)]
mod tests;
