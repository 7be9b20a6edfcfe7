//! One request: route → body → signature → input → handler → answer.

use super::front::Way;
use super::via::Via;
use super::{Caller, Service, front, limits, request_id, table};
use crate::api::runtime;
use crate::nodes;
use belljar_aws::sigv4::{self, Expected, Secret};
use belljar_aws::{AwsError, Call, ErrorForm, Service as Aws};
use belljar_domain::{Timestamp, node};
use belljar_store::StoreError;
use belljar_store::identity::{self, Owner};
use bytes::Bytes;
use futures_util::FutureExt;
use http::request::Parts;
use http::{HeaderValue, Request, Response};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use serde_json::{Value, json};
use std::panic::AssertUnwindSafe;
use std::time::Instant;
use time::OffsetDateTime;

/// An answer's body: whole, or (of S3) as it is read.
pub(crate) type Body = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// Answers a request, whatever it is.
pub(super) async fn answer(
    service: &Service,
    request: Request<Incoming>,
    way: &Way,
) -> Response<Body> {
    let begun = Instant::now();
    if request.uri().path().starts_with(node::PREFIX) && way.proxied.is_none() {
        return whole(nodes::answer(service, request, way.secure).await);
    }
    let id = request_id::new();
    let (parts, incoming) = request.into_parts();
    let route = match belljar_aws::route(&parts) {
        Ok(route) => route,
        Err(e) => return whole(belljar_aws::encode_error(ErrorForm::guess(&parts), &e, &id)),
    };
    let via = match via(service, way, route.service) {
        Ok(via) => via,
        Err(e) => return whole(belljar_aws::encode_error(route.service, &e, &id)),
    };
    if route.service == Aws::S3 {
        let mut request = Request::from_parts(parts, incoming);
        if let Some(via) = via {
            request.extensions_mut().insert(via);
        }
        return s3(service, request, &id).await;
    }
    let (operation, result) = match route.service {
        Aws::SageMakerRuntime => invoke(service, (&parts, via.as_ref()), incoming, &id).await,
        other => carry_out(service, other, (&parts, via.as_ref()), incoming, &id).await,
    };
    let code = result.as_ref().err().map(|e| e.code.clone());
    let response =
        result.unwrap_or_else(|e| whole(belljar_aws::encode_error(route.service, &e, &id)));
    tracing::debug!(
        service = ?route.service,
        operation = operation.as_deref().unwrap_or("?"),
        status = response.status().as_u16(),
        code = code.as_deref(),
        micros = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX),
        id,
        "request"
    );
    response
}

/// The VPC endpoint by which a request came, if it is one of the service that is asked for.
fn via(service: &Service, way: &Way, aws: Aws) -> Result<Option<Via>, AwsError> {
    let Some(proxied) = &way.proxied else { return Ok(None) };
    let via = Via::find(service, proxied)?;
    via.serves(aws)?;
    Ok(Some(via))
}

/// A request's head, and the VPC endpoint by which it came.
type Asked<'a> = (&'a Parts, Option<&'a Via>);

/// The operation's name, as far as it is known, and what came of it.
type Outcome = (Option<String>, Result<Response<Body>, AwsError>);

async fn carry_out(
    service: &Service,
    aws: Aws,
    (parts, via): Asked<'_>,
    incoming: Incoming,
    id: &str,
) -> Outcome {
    let body = match front::body(incoming, limits::max_body(aws)).await {
        Ok(body) => body,
        Err(e) => return (None, Err(e)),
    };
    let caller = match verify(service, aws, parts, &body) {
        Ok(caller) => caller,
        Err(e) => return (None, Err(e)),
    };
    by_table(service, aws, &caller, (parts, via), &body, id).await
}

/// An operation that a handler carries out, from its body on.
async fn by_table(
    service: &Service,
    aws: Aws,
    caller: &Caller,
    (parts, via): Asked<'_>,
    body: &Bytes,
    id: &str,
) -> Outcome {
    let mut call = match belljar_aws::decode(aws, parts, body) {
        Ok(call) => call,
        Err(e) => return (None, Err(e)),
    };
    let name = call.operation.name().to_owned();
    if (aws, name.as_str()) != (Aws::Sts, "AssumeRole")
        && let Err(e) = own(&caller.owner)
    {
        return (Some(name), Err(e));
    }
    if let Err(e) = belljar_aws::validate(call.operation, &call.input) {
        return (Some(name), Err(in_words_of(aws, e)));
    }
    if let Err(e) = allowed(via, caller, (aws, &name), &call.input) {
        return (Some(name), Err(e));
    }
    let input = call.input.take();
    let result = handle(service, caller, &call, input).await;
    (Some(name), result.map(|output| whole(belljar_aws::encode(call.operation, &output, id))))
}

/// An invocation. Its payload stays what it is: it is hashed for the signature, and not looked at.
async fn invoke(
    service: &Service,
    (parts, via): Asked<'_>,
    incoming: Incoming,
    id: &str,
) -> Outcome {
    let aws = Aws::SageMakerRuntime;
    if limits::is_large(&incoming) && !has_key(service, parts) {
        // The words for what is wrong are the signature's, whatever the payload is.
        let refused = verify(service, aws, parts, &Bytes::new()).and(Err(AwsError::internal()));
        return (None, refused);
    }
    let body = match limits::held(&service.endpoints.requests, incoming).await {
        Ok(body) => body,
        Err(e) => return (None, Err(e)),
    };
    let caller = match verify(service, aws, parts, &body.bytes) {
        Ok(caller) => caller,
        Err(e) => return (None, Err(e)),
    };
    let call = match belljar_aws::decode_head(aws, parts) {
        Ok(call) => call,
        Err(e) => return (None, Err(e)),
    };
    let name = call.operation.name();
    if !runtime::is_direct(name) {
        return by_table(service, aws, &caller, (parts, via), &body.bytes, id).await;
    }
    if let Err(e) = belljar_aws::validate(call.operation, &call.input) {
        return (Some(name.to_owned()), Err(in_words_of(aws, e)));
    }
    if let Err(e) = allowed(via, &caller, (aws, name), &call.input) {
        return (Some(name.to_owned()), Err(e));
    }
    let answer = runtime::answer(service, name, call.input, &parts.headers, body.bytes.clone());
    let result = match AssertUnwindSafe(answer).catch_unwind().await {
        Ok(result) => result,
        Err(_) => Err(panicked(name)),
    };
    let named = result.map(|mut response| {
        if let Ok(id) = HeaderValue::from_str(id) {
            response.headers_mut().insert("x-amzn-requestid", id);
        }
        response
    });
    (Some(name.to_owned()), named)
}

/// Whether the policy of the VPC endpoint, if a request came by one, lets it through.
fn allowed(
    via: Option<&Via>,
    caller: &Caller,
    operation: (Aws, &str),
    input: &Value,
) -> Result<(), AwsError> {
    let Some(via) = via else { return Ok(()) };
    let principal = via.principal(&caller.owner).map_err(|e| {
        tracing::error!(error = %e, "a principal cannot be read");
        AwsError::internal()
    })?;
    via.allows_call(&principal, operation, &caller.region, input)
}

/// Whether a request names a key that there is: for others no room is made.
fn has_key(service: &Service, parts: &Parts) -> bool {
    let key = sigv4::claimed_key(parts);
    key.is_some_and(|id| {
        service.db().read(|c| identity::find_key(c, &id)).is_ok_and(|key| key.is_some())
    })
}

/// The runtime's model has another name for what is not valid than all others have.
fn in_words_of(aws: Aws, e: AwsError) -> AwsError {
    match aws {
        Aws::SageMakerRuntime => aws.error("ValidationError", e.message),
        _ => e,
    }
}

fn panicked(operation: &str) -> AwsError {
    tracing::error!(operation, "a handler panicked: this is a bug in Belljar");
    AwsError::internal()
}

async fn handle(
    service: &Service,
    caller: &Caller,
    call: &Call,
    input: Value,
) -> Result<Value, AwsError> {
    let name = call.operation.name();
    let handler = table::find(call.service, name)
        .ok_or_else(|| AwsError::validation(format!("Belljar does not serve {name}.")))?;
    // A bug in one answer is one answer's failure.
    let output = match AssertUnwindSafe(handler(service, caller, input)).catch_unwind().await {
        Ok(result) => result?,
        Err(_) => return Err(panicked(name)),
    };
    if service.config.check_answers
        && let Err(wrong) = belljar_aws::check_output(call.operation, &completed(name, &output))
    {
        tracing::error!(operation = name, wrong, "an answer is not valid by the model");
        return Err(AwsError::new(500, "InternalFailure", format!("invalid answer: {wrong}")));
    }
    Ok(output)
}

/// An answer with what the model requires and the real service leaves out: the artifacts of a job
/// that has none.
fn completed(operation: &str, output: &Value) -> Value {
    let mut output = output.clone();
    if operation == "DescribeTrainingJob" && output.get("ModelArtifacts").is_none() {
        output["ModelArtifacts"] = json!({"S3ModelArtifacts": "s3://bucket/none"});
    }
    output
}

/// Who signed the request. The key is read each time, so one that is revoked ends at once, whichever
/// process revokes it; one read serves for its owner too.
fn verify(service: &Service, aws: Aws, parts: &Parts, body: &Bytes) -> Result<Caller, AwsError> {
    let now = service.now();
    let account = service.config.account.clone();
    let expected = Expected { service: aws, region: &service.config.region, now: datetime(now) };
    let mut found = None;
    let signed = sigv4::verify(expected, parts, body, |id| {
        let read = service.db().read(|c| {
            let Some(key) = identity::find_key(c, id)? else { return Ok(None) };
            let principal = identity::principal(c, &key, &account)?;
            Ok::<_, StoreError>(Some((key, principal)))
        });
        let read = read.inspect_err(|e| tracing::error!(error = %e, "keys cannot be read"));
        let (key, principal) = read.ok()??;
        let secret = Secret {
            key: key.secret.expose().to_owned(),
            session_token: key.session_token.as_ref().map(|t| t.expose().to_owned()),
            expires: key.expires.map(datetime),
        };
        found = Some((key, principal));
        Some(secret)
    })?;
    let (key, principal) = found.ok_or_else(AwsError::internal)?;
    if aws != Aws::Sts {
        own(&key.owner)?;
    }
    let deleted = || AwsError::access_denied("The role of this session was deleted.");
    let principal = principal.ok_or_else(deleted)?;
    Ok(Caller {
        account,
        region: signed.region,
        arn: principal.arn,
        user_id: principal.user_id,
        access_key_id: key.id,
        owner: key.owner,
    })
}

/// Refuses the key of a warden: it stages what its container was given, assumes the container's
/// role, and nothing else.
fn own(owner: &Owner) -> Result<(), AwsError> {
    let Owner::Job { name, .. } = owner else { return Ok(()) };
    let text = format!("The key of {name} is for S3, and to assume its execution role, only.");
    Err(AwsError::access_denied(text))
}

fn datetime(at: Timestamp) -> OffsetDateTime {
    let nanos = i128::from(at.millis()) * 1_000_000;
    OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

async fn s3(service: &Service, request: Request<Incoming>, id: &str) -> Response<Body> {
    if let Some(outside) = &service.config.outside_s3 {
        let text = format!("Belljar does not serve S3 here: it uses {}.", outside.endpoint);
        let e = AwsError::new(501, "NotImplemented", text);
        return whole(belljar_aws::encode_error(Aws::S3, &e, id));
    }
    let (method, begun) = (request.method().clone(), Instant::now());
    let response = service.s3.call(request.map(s3s::Body::from)).await;
    tracing::debug!(
        service = "S3",
        %method,
        status = response.status().as_u16(),
        micros = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX),
        id,
        "request"
    );
    response.map(BodyExt::boxed_unsync)
}

fn whole(response: Response<Bytes>) -> Response<Body> {
    response.map(|bytes| {
        http_body_util::Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
    })
}

#[cfg(test)]
#[path = "dispatch_tests.rs"]
mod tests;
