//! Invocations of endpoints: AWS's wire around [`crate::serving`]. A payload is never more than
//! bytes here; only heads are decoded.

pub(crate) mod asynchronous;
mod error;
mod invoke;
mod stream;

use crate::service::{Body, Service};
use belljar_aws::{AwsError, Service as Aws};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, Response};
use serde_json::Value;

/// Whether an operation's payload goes straight through.
pub(crate) fn is_direct(operation: &str) -> bool {
    matches!(operation, "InvokeEndpoint" | "InvokeEndpointWithResponseStream")
}

/// An invocation whose input is valid by the model.
pub(crate) async fn answer(
    service: &Service,
    operation: &str,
    input: Value,
    headers: &HeaderMap,
    body: Bytes,
) -> Result<Response<Body>, AwsError> {
    match operation {
        "InvokeEndpoint" => invoke::invoke(service, input, headers, body).await,
        "InvokeEndpointWithResponseStream" => stream::invoke(service, input, headers, body).await,
        _ => Err(AwsError::internal()),
    }
}

/// `ValidationError`, as this service spells it.
fn invalid(text: impl Into<String>) -> AwsError {
    Aws::SageMakerRuntime.error("ValidationError", text)
}

const VARIANT: HeaderName = HeaderName::from_static("x-amzn-invoked-production-variant");

#[cfg(test)]
mod tests;
