//! One try of a request at one instance: through its containers to the head of the last one's
//! answer.

use super::failure::{Failure, Fault};
use super::forward::Request;
use super::limits::{Limits, MAX_BODY, MAX_MESSAGE};
use super::multi::{self, Hold, LoadError};
use super::pool::{self, Outgoing, Reply, SendError};
use super::read::{self, ReadError};
use super::table::{Container, Outstanding, Table, VariantRoutes};
use belljar_domain::serving::PORT;
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderValue, Method, Uri};
use http_body_util::Full;
use std::sync::Arc;
use tokio::time::{Instant, timeout_at};

/// What containers are called; nothing resolves it.
pub(super) const HOST_NAME: HeaderValue = HeaderValue::from_static("localhost:8080");
const _: () = assert!(PORT == 8080, "HOST_NAME says it");

/// Why a try came to nothing.
#[derive(Debug)]
pub(super) enum Miss {
    /// No container has seen the request: another instance may.
    Unsent,
    /// It is the request's end.
    Failed(Failure),
}

/// The head of an answer, and what must live until its end.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) variant: String,
    pub(super) container: Arc<Container>,
    pub(super) reply: Reply,
    pub(super) held: Held,
}

/// What a request holds until its answer's end.
#[derive(Debug)]
pub(super) struct Held {
    _outstanding: Outstanding,
    _model: Option<Hold>,
}

/// The containers that a request goes through.
///
/// # Errors
/// [`Failure::Refused`] if the request does not fit the variant.
pub(super) fn containers(
    variant: &VariantRoutes,
    all: &[Arc<Container>],
    request: &Request,
) -> Result<Vec<Arc<Container>>, Failure> {
    let refuse = |text: String| Err(Failure::Refused(text));
    let chosen = match (&request.container, variant.direct) {
        (None, false) => all.to_vec(),
        (Some(_), false) => {
            return refuse(format!(
                "TargetContainerHostname is for endpoints whose containers are invoked directly; those of variant {} are not.",
                variant.name
            ));
        }
        (None, true) => {
            return refuse(format!(
                "TargetContainerHostname is required: the containers of variant {} are invoked directly.",
                variant.name
            ));
        }
        (Some(name), true) => match all.iter().find(|c| c.name == *name) {
            Some(container) => vec![container.clone()],
            None => {
                return refuse(format!("Variant {} has no container {name}.", variant.name));
            }
        },
    };
    match (&request.model, chosen.iter().any(|c| c.models)) {
        (None, true) => {
            refuse(format!("TargetModel is required: variant {} has several models.", variant.name))
        }
        (Some(_), false) => refuse(format!(
            "TargetModel is for multi-model endpoints; variant {} has one model.",
            variant.name
        )),
        _ => Ok(chosen),
    }
}

/// Sends a request through an instance's containers: each gets what the one before it answered.
pub(super) async fn run(
    table: &Table,
    variant: &VariantRoutes,
    outstanding: Outstanding,
    request: &Request,
    deadline: Instant,
) -> Result<Head, Miss> {
    let limits = &table.limits;
    let all = &outstanding.instance().containers;
    let chosen = containers(variant, all, request).map_err(Miss::Failed)?;
    let (mut body, mut content_type) = (request.body.clone(), None);
    let last = chosen.len().saturating_sub(1);
    for (at, container) in chosen.into_iter().enumerate() {
        let step = Step { request, body, content_type, last: at == last };
        let passed = pass(&container, &step, limits, deadline).await;
        let (reply, hold) = passed.map_err(|miss| once_sent(miss, at, &container))?;
        if at == last {
            let held = Held { _outstanding: outstanding, _model: hold };
            return Ok(Head { variant: variant.name.clone(), container, reply, held });
        }
        content_type = reply.response.headers().get(CONTENT_TYPE).cloned();
        body = whole(table, &container, reply, deadline).await.map_err(Miss::Failed)?;
    }
    // An instance without containers.
    Err(Miss::Unsent)
}

/// What a container is to be sent.
struct Step<'a> {
    request: &'a Request,
    body: Bytes,
    /// In place of the client's.
    content_type: Option<HeaderValue>,
    last: bool,
}

/// One container's part, its model loaded first.
async fn pass(
    container: &Arc<Container>,
    step: &Step<'_>,
    limits: &Limits,
    deadline: Instant,
) -> Result<(Reply, Option<Hold>), Miss> {
    let mut again = true;
    loop {
        let hold = loaded(container, step.request, limits, deadline).await?;
        let sent = exchange(container, outgoing(step, hold.as_ref()), limits, deadline).await;
        match (sent, hold) {
            (Ok(reply), hold) => return Ok((reply, hold)),
            // A container that lacks the model has not carried the request out.
            (Err(miss), Some(hold)) if again && is_not_found(&miss) => {
                again = false;
                if !timeout_at(deadline, multi::is_gone(&hold)).await.unwrap_or(false) {
                    return Err(miss);
                }
            }
            (Err(miss), _) => return Err(miss),
        }
    }
}

fn is_not_found(miss: &Miss) -> bool {
    let Miss::Failed(Failure::Container { fault, .. }) = miss else { return false };
    matches!(fault, Fault::Answered { status: 404, .. })
}

/// Where an earlier container has seen the request, another instance's must not see it again.
fn once_sent(miss: Miss, at: usize, container: &Container) -> Miss {
    match miss {
        Miss::Unsent if at > 0 => failed(container, Fault::Exited),
        miss => miss,
    }
}

fn failed(container: &Container, fault: Fault) -> Miss {
    Miss::Failed(Failure::Container { container: container.name.clone(), fault })
}

async fn loaded(
    container: &Arc<Container>,
    request: &Request,
    limits: &Limits,
    deadline: Instant,
) -> Result<Option<Hold>, Miss> {
    let (true, Some(model)) = (container.models, &request.model) else { return Ok(None) };
    let name = multi::model_name(model);
    match timeout_at(deadline, multi::hold(container, model, &name, limits)).await {
        Ok(Ok(hold)) => Ok(Some(hold)),
        Ok(Err(LoadError::Missing(why))) => {
            Err(Miss::Failed(Failure::NoModel { key: model.clone(), why }))
        }
        Ok(Err(LoadError::Refused { status, message })) => {
            Err(failed(container, Fault::Answered { status, message }))
        }
        Ok(Err(LoadError::Broken(why))) => {
            tracing::warn!(container = container.name, model, why, "a model is not loaded");
            Err(Miss::Unsent)
        }
        Err(_) => Err(Miss::Failed(Failure::NotReady(model.clone()))),
    }
}

/// What a container is sent: of the client's head only what the caller let through.
fn outgoing(step: &Step<'_>, hold: Option<&Hold>) -> Outgoing {
    let body = step.body.clone();
    let mut headers: HeaderMap = step.request.headers.clone();
    headers.insert(HOST, HOST_NAME);
    headers.insert(CONTENT_LENGTH, body.len().into());
    if let Some(value) = &step.content_type {
        headers.insert(CONTENT_TYPE, value.clone());
    }
    if !step.last {
        // What the client accepts is the last one's to give.
        headers.remove(ACCEPT);
    }
    let mut outgoing = Outgoing::new(Full::new(body));
    *outgoing.method_mut() = Method::POST;
    *outgoing.uri_mut() = match hold {
        None => Uri::from_static("/invocations"),
        Some(hold) => hold.invoke_uri(),
    };
    *outgoing.headers_mut() = headers;
    outgoing
}

/// One request to one container, to the head of a successful answer.
async fn exchange(
    container: &Container,
    outgoing: Outgoing,
    limits: &Limits,
    deadline: Instant,
) -> Result<Reply, Miss> {
    let reply = match timeout_at(deadline, pool::send(container, outgoing, limits)).await {
        Ok(Ok(reply)) => reply,
        Ok(Err(SendError::Unsent(e))) => {
            let (container, error) = (&container.name, crate::chain(&e));
            tracing::debug!(container, error, "a container cannot be reached");
            return Err(Miss::Unsent);
        }
        Ok(Err(SendError::Lost(e))) => {
            let fault = if e.is_parse() { Fault::Garbage } else { Fault::Exited };
            return Err(failed(container, fault));
        }
        Err(_) => return Err(failed(container, Fault::TimedOut)),
    };
    let status = reply.response.status();
    if status.is_success() {
        return Ok(reply);
    }
    let words = read::beginning(container, reply, MAX_MESSAGE, limits);
    // A failure that is not told to its end is a failure all the same.
    let message = timeout_at(deadline, words).await.unwrap_or_default();
    Err(failed(container, Fault::Answered { status: status.as_u16(), message }))
}

/// The rest of an answer.
///
/// # Errors
/// If it does not come, or is too long.
pub(super) async fn whole(
    table: &Table,
    container: &Container,
    reply: Reply,
    deadline: Instant,
) -> Result<Bytes, Failure> {
    let reading = read::whole(container, reply, MAX_BODY, &table.limits, &table.answers);
    let fault = match timeout_at(deadline, reading).await {
        Ok(Ok(body)) => return Ok(body),
        Ok(Err(ReadError::NoRoom)) => return Err(Failure::NoRoom),
        Ok(Err(ReadError::TooLong)) => Fault::TooLong,
        Ok(Err(ReadError::Broken(e))) if e.is_parse() => Fault::Garbage,
        Ok(Err(ReadError::Broken(_))) => Fault::Exited,
        Err(_) => Fault::TimedOut,
    };
    Err(Failure::Container { container: container.name.clone(), fault })
}
