//! `UpdateEndpoint`, `UpdateEndpointWeightsAndCapacities`, `DeleteEndpoint`.

use super::super::failed;
use super::super::kind::{Kind, unfit};
use super::{Name, deployment};
use crate::request::endpoint;
use crate::service::{Caller, Service};
use belljar_aws::AwsError;
use belljar_domain::endpoint::{Endpoint, EndpointProgress, EndpointStatus, Fleet};
use belljar_store::endpoints;
use serde_json::{Value, json};

pub(in super::super) async fn update(
    service: &Service,
    caller: &Caller,
    input: Value,
) -> Result<Value, AwsError> {
    let asked = endpoint::update(&input).map_err(unfit)?;
    let name = asked.name.clone();
    // What is wrong with the endpoint is said before what is wrong with its configuration.
    in_service(&super::find(service, &name)?)?;
    let deployment = deployment(service, (caller, "UpdateEndpoint"), &asked.config)?;
    let now = service.now();
    let endpoint = change(service, name, move |progress| {
        let mut next = Fleet::new(progress.next_number(), deployment, now);
        if let Some(current) = &progress.current {
            asked.apply(current, &mut next);
        }
        progress.next = Some(next);
        Ok(())
    });
    Ok(json!({"EndpointArn": endpoint.await?}))
}

pub(in super::super) async fn update_shares(
    service: &Service,
    _: &Caller,
    input: Value,
) -> Result<Value, AwsError> {
    let asked = endpoint::shares(&input).map_err(unfit)?;
    let endpoint =
        change(service, asked.name.clone(), move |progress| match &mut progress.current {
            Some(current) => asked.apply(current).map_err(unfit),
            None => Ok(()),
        });
    Ok(json!({"EndpointArn": endpoint.await?}))
}

/// Has an endpoint that is in service go over to something else; its ARN.
async fn change(
    service: &Service,
    name: String,
    change: impl FnOnce(&mut EndpointProgress) -> Result<(), AwsError> + Send + 'static,
) -> Result<String, AwsError> {
    let (now, which) = (service.now(), name.clone());
    let write = service.db().write(move |c| {
        let Some(endpoint) = endpoints::get(c, &which)? else { return Ok(None) };
        let mut progress = endpoint.progress.clone();
        let allowed = in_service(&endpoint).and_then(|()| change(&mut progress));
        if allowed.is_ok() {
            progress.status = EndpointStatus::Updating;
            progress.failure_reason = None;
            endpoints::update(c, &which, now, |kept| {
                *kept = progress;
                true
            })?;
        }
        Ok(Some(allowed.map(|()| endpoint.arn)))
    });
    let found = write.await.map_err(|e| failed(&e))?;
    let arn = found.ok_or_else(|| Kind::Endpoint.not_found(service, &name))??;
    service.wanted.notify_one();
    Ok(arn)
}

fn in_service(endpoint: &Endpoint) -> Result<(), AwsError> {
    let arn = &endpoint.arn;
    let text = match endpoint.progress.status {
        EndpointStatus::InService => return Ok(()),
        EndpointStatus::Failed => {
            format!("Cannot update endpoint \"{arn}\": it is Failed, and can only be deleted.")
        }
        EndpointStatus::Creating | EndpointStatus::Updating | EndpointStatus::Deleting => {
            format!("Cannot update in-progress endpoint \"{arn}\".")
        }
    };
    Err(AwsError::validation(text))
}

/// At any time: nothing is gained by waiting for what is not wanted any more.
pub(in super::super) async fn delete(
    service: &Service,
    _: &Caller,
    input: Name,
) -> Result<Value, AwsError> {
    let (name, now) = (input.endpoint_name, service.now());
    let which = name.clone();
    let write = service.db().write(move |c| {
        endpoints::update(c, &which, now, |progress| {
            let first = progress.status != EndpointStatus::Deleting;
            progress.status = EndpointStatus::Deleting;
            first
        })
    });
    let found = write.await.map_err(|e| failed(&e))?;
    found.ok_or_else(|| Kind::Endpoint.not_found(service, &name))?;
    service.wanted.notify_one();
    Ok(json!({}))
}
