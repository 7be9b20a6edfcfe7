//! `CreateEndpoint`.

use super::super::kind::{Kind, unfit};
use super::deployment;
use crate::request::endpoint;
use crate::service::{Caller, Service};
use belljar_aws::AwsError;
use belljar_domain::endpoint::{Endpoint, EndpointProgress};
use belljar_store::endpoints;
use serde_json::{Value, json};

pub(in super::super) async fn create(
    service: &Service,
    caller: &Caller,
    input: Value,
) -> Result<Value, AwsError> {
    let asked = endpoint::create(&input).map_err(unfit)?;
    let (name, now) = (asked.name, service.now());
    let deployment = deployment(service, (caller, "CreateEndpoint"), &asked.config)?;
    let mut progress = EndpointProgress::creating(deployment, now);
    if let Some(first) = &mut progress.next {
        asked.rollout.apply(first);
    }
    let arn = Kind::Endpoint.arn(service, &name);
    let endpoint =
        Endpoint { name: name.clone(), arn: arn.clone(), created: now, modified: now, progress };
    let tags = asked.tags;
    let kept = service.db().write(move |c| endpoints::create(c, &endpoint, &tags)).await;
    kept.map_err(|e| Kind::Endpoint.refusal(service, &name, &e))?;
    service.wanted.notify_one();
    Ok(json!({"EndpointArn": arn}))
}
