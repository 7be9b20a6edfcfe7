//! `InvokeEndpoint`, and what it has in common with the one that streams.

use super::{VARIANT, error, invalid};
use crate::service::{Body, Service};
use crate::serving::{self, CUSTOM_ATTRIBUTES, Request, Routes};
use belljar_aws::AwsError;
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use std::sync::Arc;

/// Members that stand for features that are not served.
const REFUSED: [&str; 4] =
    ["EnableExplanations", "InferenceComponentName", "SessionId", "PrefixAwareId"];

pub(super) async fn invoke(
    service: &Service,
    input: Value,
    headers: &HeaderMap,
    body: Bytes,
) -> Result<Response<Body>, AwsError> {
    let (name, routes) = find(service, &input)?;
    let request = request(input, headers, ACCEPT, body)?;
    let answer = serving::forward(&service.endpoints, &name, &request).await;
    let answer =
        answer.map_err(|failure| error::of(&failure, service, &name, routes.as_deref()))?;
    let mut response = Response::new(whole(answer.body));
    head(response.headers_mut(), &answer.variant, answer.custom_attributes);
    if let Some(value) = answer.content_type {
        response.headers_mut().insert(CONTENT_TYPE, value);
    }
    Ok(response)
}

fn whole(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

/// What both answers say in their heads.
pub(super) fn head(headers: &mut HeaderMap, variant: &str, attributes: Option<HeaderValue>) {
    if let Ok(value) = HeaderValue::from_str(variant) {
        headers.insert(VARIANT, value);
    }
    if let Some(value) = attributes {
        headers.insert(CUSTOM_ATTRIBUTES, value);
    }
}

/// The endpoint's name, and where its requests go.
pub(super) fn find(
    service: &Service,
    input: &Value,
) -> Result<(String, Option<Arc<Routes>>), AwsError> {
    let name = input.get("EndpointName").and_then(Value::as_str).unwrap_or_default().to_owned();
    let routes = service.endpoints.get(&name);
    if routes.as_ref().is_some_and(|routes| routes.asynchronous.is_some()) {
        return Err(invalid(format!(
            "Endpoint {name} has an AsyncInferenceConfig: it is invoked by InvokeEndpointAsync."
        )));
    }
    Ok((name, routes))
}

/// What goes to the container; `accept` is the header that says what the client accepts.
pub(super) fn request(
    mut input: Value,
    headers: &HeaderMap,
    accept: HeaderName,
    body: Bytes,
) -> Result<Request, AwsError> {
    if let Some(member) = REFUSED.iter().find(|member| input.get(**member).is_some()) {
        return Err(invalid(format!("Belljar does not serve {member} of invocations.")));
    }
    let mut text = |member: &str| match input.get_mut(member).map(Value::take) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    };
    Ok(Request {
        headers: serving::passed(headers, accept),
        body,
        variant: text("TargetVariant"),
        container: text("TargetContainerHostname"),
        model: text("TargetModel"),
        time: None,
    })
}
