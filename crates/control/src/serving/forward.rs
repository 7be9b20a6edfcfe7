//! A request to an endpoint, without the wire that it came by: pick, send, and where nothing was
//! sent, try another.

use super::attempt::{self, Head, Held, Miss};
use super::choose;
use super::failure::Failure;
use super::multi::model_name;
use super::pool::Connection;
use super::table::{Container, Routes, Table, VariantRoutes};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};
use hyper::body::{Body, Incoming};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// The header with which a client and a container talk past the service.
pub const CUSTOM_ATTRIBUTES: HeaderName =
    HeaderName::from_static("x-amzn-sagemaker-custom-attributes");

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
    Ok(Stream {
        variant: head.variant,
        content_type,
        custom_attributes,
        body: head.reply.response.into_body(),
        deadline: Box::pin(tokio::time::sleep_until(deadline)),
        rest: Some(Rest {
            connection: head.reply.connection,
            container: head.container,
            idle: table.limits.idle,
            _held: head.held,
        }),
    })
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
                let begun = instance.begin();
                match attempt::run(table, variant, begun, request, deadline).await {
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

/// An answer that is passed on as it comes. Whoever drops it drops the container's connection.
#[derive(Debug)]
pub struct Stream {
    /// The variant.
    pub variant: String,
    /// `Content-Type`.
    pub content_type: Option<HeaderValue>,
    /// [`CUSTOM_ATTRIBUTES`].
    pub custom_attributes: Option<HeaderValue>,
    body: Incoming,
    deadline: Pin<Box<Sleep>>,
    /// Gone with the answer's end.
    rest: Option<Rest>,
}

#[derive(Debug)]
struct Rest {
    connection: Connection,
    container: Arc<Container>,
    idle: Duration,
    _held: Held,
}

/// Why a stream ends early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// It takes too long.
    #[error("the answer takes too long")]
    TimedOut,
    /// The container broke it off.
    #[error("the answer broke off")]
    Broken,
}

impl Stream {
    /// The next bytes; `None` at the end.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, StreamError>>> {
        if self.rest.is_none() {
            return Poll::Ready(None);
        }
        loop {
            let error = match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(bytes) if !bytes.is_empty() => return Poll::Ready(Some(Ok(bytes))),
                    _ => continue,
                },
                Poll::Ready(None) => {
                    if let Some(rest) = self.rest.take() {
                        rest.container.idle.put(rest.connection, rest.idle);
                    }
                    return Poll::Ready(None);
                }
                Poll::Ready(Some(Err(_))) => StreamError::Broken,
                Poll::Pending if self.deadline.as_mut().poll(cx).is_ready() => {
                    StreamError::TimedOut
                }
                Poll::Pending => return Poll::Pending,
            };
            self.rest = None;
            return Poll::Ready(Some(Err(error)));
        }
    }
}
