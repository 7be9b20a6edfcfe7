//! A request to an endpoint, without the wire that it came by: pick, send, and where nothing was
//! sent, try another.

use super::attempt::{self, Head, Miss};
use super::choose;
use super::failure::Failure;
use super::multi::model_name;
use super::stream::Stream;
use super::table::{Routes, Table, VariantRoutes};
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::time::Duration;
use tokio::time::Instant;

/// The header with which a client and a container talk past the service.
pub const CUSTOM_ATTRIBUTES: HeaderName =
    HeaderName::from_static("x-amzn-sagemaker-custom-attributes");

/// What of a client's head reaches a container, beside what the client accepts. Source: Developer
/// Guide, "Use your own inference code with hosting services": others are stripped.
const PASSED: [HeaderName; 4] = [
    CONTENT_TYPE,
    CUSTOM_ATTRIBUTES,
    HeaderName::from_static("x-amzn-sagemaker-inference-id"),
    HeaderName::from_static("x-amzn-sagemaker-target-model"),
];

/// Between two looks for an instance.
const PAUSE: Duration = Duration::from_millis(20);

/// What is asked of an endpoint.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The headers that reach the container, beside `Host` and `Content-Length`.
    pub headers: HeaderMap,
    /// The payload.
    pub body: Bytes,
    /// `TargetVariant`.
    pub variant: Option<String>,
    /// `TargetContainerHostname`.
    pub container: Option<String>,
    /// `TargetModel`.
    pub model: Option<String>,
    /// For the answer, in place of what is usual.
    pub time: Option<Duration>,
}

impl Request {
    /// A payload with its type.
    #[must_use]
    pub fn of(content_type: &'static str, body: impl Into<Bytes>) -> Self {
        let value = HeaderValue::from_static(content_type);
        let headers = [(CONTENT_TYPE, value)].into_iter().collect();
        Self { headers, body: body.into(), ..Self::default() }
    }
}

/// What of a client's head reaches a container, for [`Request::headers`]; `accept` is the header
/// that says what the client accepts.
#[must_use]
pub fn passed(headers: &HeaderMap, accept: HeaderName) -> HeaderMap {
    let mut passed = HeaderMap::with_capacity(8);
    let same = PASSED.into_iter().map(|name| (name.clone(), name));
    for (from, to) in same.chain([(accept, ACCEPT)]) {
        for value in headers.get_all(from) {
            passed.append(to.clone(), value.clone());
        }
    }
    passed
}

/// What it answers.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The variant.
    pub variant: String,
    /// `Content-Type`.
    pub content_type: Option<HeaderValue>,
    /// [`CUSTOM_ATTRIBUTES`].
    pub custom_attributes: Option<HeaderValue>,
    /// The payload.
    pub body: Bytes,
}

/// Has a request answered by an endpoint.
///
/// # Errors
/// See [`Failure`]. A request that a container may have seen is never sent again.
pub async fn forward(table: &Table, endpoint: &str, request: &Request) -> Result<Answer, Failure> {
    let deadline = Instant::now() + request.time.unwrap_or(table.limits.answer);
    let head = find(table, endpoint, request, deadline).await?;
    let Head { variant, container, reply, held } = head;
    let (content_type, custom_attributes) = told(reply.response.headers());
    let body = attempt::whole(table, &container, reply, deadline).await?;
    drop(held);
    Ok(Answer { variant, content_type, custom_attributes, body })
}

/// As [`forward`], with a payload that is passed on as it comes.
///
/// # Errors
/// As [`forward`].
pub async fn open(table: &Table, endpoint: &str, request: &Request) -> Result<Stream, Failure> {
    let deadline = Instant::now() + request.time.unwrap_or(table.limits.stream);
    let head = find(table, endpoint, request, deadline).await?;
    let (content_type, custom_attributes) = told(head.reply.response.headers());
    Ok(Stream::new(head, (content_type, custom_attributes), deadline, table.limits.idle))
}

/// What a container's head says that is the client's.
fn told(headers: &HeaderMap) -> (Option<HeaderValue>, Option<HeaderValue>) {
    (headers.get(CONTENT_TYPE).cloned(), headers.get(CUSTOM_ATTRIBUTES).cloned())
}

/// Finds an instance that gives an answer's head.
async fn find(
    table: &Table,
    endpoint: &str,
    request: &Request,
    deadline: Instant,
) -> Result<Head, Failure> {
    let limits = &table.limits;
    let give_up = deadline.min(Instant::now() + limits.wait);
    let draw = fastrand::f64();
    let model = request.model.as_deref().map(model_name);
    let mut tried = Vec::new();
    loop {
        // They change: an instance that died gets a successor.
        let routes = table.get(endpoint).ok_or(Failure::NoEndpoint)?;
        let variant = variant(&routes, request, draw)?;
        match choose::instance(variant, model.as_deref(), &tried) {
            Some(instance) => {
                let sent = match instance.begin() {
                    Some(begun) => attempt::run(table, variant, begun, request, deadline).await,
                    None => Err(Miss::Unsent),
                };
                match sent {
                    Ok(head) => return Ok(head),
                    Err(Miss::Failed(failure)) => return Err(failure),
                    Err(Miss::Unsent) => {
                        instance.suspect(limits.suspect);
                        tried.push(instance.id.clone());
                    }
                }
            }
            None if Instant::now() >= give_up => return Err(Failure::Unavailable),
            None => {
                tokio::time::sleep(PAUSE).await;
                tried.clear();
            }
        }
    }
}

fn variant<'a>(
    routes: &'a Routes,
    request: &Request,
    draw: f64,
) -> Result<&'a VariantRoutes, Failure> {
    if !routes.in_service {
        return Err(Failure::NotInService);
    }
    match &request.variant {
        None => choose::variant(routes, draw).ok_or(Failure::Unavailable),
        Some(name) => routes.variants.iter().find(|v| v.name == *name).ok_or_else(|| {
            Failure::Refused(format!("Endpoint {} has no variant {name}.", routes.name))
        }),
    }
}
