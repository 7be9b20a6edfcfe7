//! The requests of nodes. They are answered over TLS only: each carries a secret.

use super::{folder_of, relay, work};
use crate::reconcile::folder;
use crate::service::{Service, body};
use belljar_aws::AwsError;
use belljar_domain::node::{Beat, MAX_CHUNK, MAX_MESSAGE, PREFIX, Place, Received};
use belljar_domain::{NodeName, Report};
use belljar_store::identity::{self, Owner};
use belljar_store::nodes;
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use ring::digest::{SHA256, digest};
use serde::Serialize;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long an answer is held back while there is nothing to tell, and how often it is looked.
const LONG_POLL: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long the next part of a long body may take.
const SILENCE: Duration = Duration::from_secs(60);

/// Why a request is refused.
#[derive(Debug)]
struct Refusal(StatusCode, String);

impl Refusal {
    fn internal(e: &dyn std::error::Error) -> Self {
        tracing::error!(error = %crate::chain(e), "a node's request cannot be answered");
        Self(StatusCode::INTERNAL_SERVER_ERROR, "the service failed; its log says how".to_owned())
    }
}

type Answer = Result<Response<Bytes>, Refusal>;

/// Answers a request whose path begins with [`PREFIX`].
pub(crate) async fn answer(
    service: &Service,
    request: Request<Incoming>,
    secure: bool,
) -> Response<Bytes> {
    let answered = match secure {
        true => route(service, request).await,
        false => Err(Refusal(StatusCode::FORBIDDEN, "nodes are answered over TLS only".to_owned())),
    };
    answered.unwrap_or_else(|Refusal(status, text)| {
        tracing::debug!(status = status.as_u16(), text, "a node's request was refused");
        whole(status, Bytes::from(text))
    })
}

async fn route(service: &Service, request: Request<Incoming>) -> Answer {
    let path = request.uri().path().strip_prefix(PREFIX).unwrap_or_default().to_owned();
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let method = request.method().clone();
    match (method, parts.as_slice()) {
        (Method::POST, ["nodes", node]) => beat(service, node, request).await,
        (method, ["instances", job, generation, host, rest @ ..]) => {
            let place = place(job, generation, host).ok_or_else(not_found)?;
            let folder = admitted(service, request.headers(), &place)?;
            match (method, rest) {
                (Method::POST, ["out", from]) => out(folder, from, request).await,
                (Method::GET, ["in", from]) => told(folder, from).await,
                (Method::PUT, ["left"]) => left(folder, request.into_body()).await,
                (Method::PUT, ["report"]) => report(folder, &place, request).await,
                (Method::PUT, ["lost"]) => lost(folder).await,
                _ => Err(not_found()),
            }
        }
        _ => Err(not_found()),
    }
}

fn not_found() -> Refusal {
    Refusal(StatusCode::NOT_FOUND, "there is no such place".to_owned())
}

fn place(job: &str, generation: &str, host: &str) -> Option<Place> {
    Some(Place {
        job: job.parse().ok()?,
        generation: generation.parse().ok()?,
        host: host.parse().ok()?,
    })
}

fn token(headers: &HeaderMap) -> Option<&str> {
    headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

fn refused() -> Refusal {
    // The same whatever is wrong: it says nothing of what is there.
    Refusal(StatusCode::UNAUTHORIZED, "the token is not valid (any more)".to_owned())
}

/// The folder of an instance, if the request carries the key of its attempt, and that is running.
fn admitted(service: &Service, headers: &HeaderMap, place: &Place) -> Result<PathBuf, Refusal> {
    let (id, secret) = token(headers).and_then(|t| t.split_once(':')).ok_or_else(refused)?;
    let key = service.db().read(|c| identity::find_key(c, id));
    let key = key.map_err(|e| Refusal::internal(&e))?.ok_or_else(refused)?;
    let owner = Owner::Job { name: place.job.to_string(), generation: place.generation };
    let attempt = folder::of(&service.config.state, &place.job, place.generation);
    let folder = folder_of(&attempt, place);
    if !same(key.secret.expose(), secret) || key.owner != owner || !folder.is_dir() {
        return Err(refused());
    }
    Ok(folder)
}

/// Compared by digest, so that the time that it takes says nothing of the secret.
fn same(a: &str, b: &str) -> bool {
    let of = |text: &str| digest(&SHA256, text.as_bytes());
    of(a).as_ref() == of(b).as_ref()
}

async fn beat(service: &Service, node: &str, request: Request<Incoming>) -> Answer {
    let node: NodeName = node.parse().map_err(|_| refused())?;
    let token = token(request.headers()).ok_or_else(refused)?;
    let known = service.db().read(|c| nodes::is_token(c, &node, token));
    if !known.map_err(|e| Refusal::internal(&e))? {
        return Err(refused());
    }
    let beat: Beat = json(request, MAX_MESSAGE).await?;
    if !service.nodes.note(&node, &beat) {
        return Err(Refusal(StatusCode::CONFLICT, "a later beat was heard before".to_owned()));
    }
    let orders = work::orders(service, &node, &beat.begun).map_err(|e| Refusal::internal(&e))?;
    tell(&orders)
}

async fn out(folder: PathBuf, from: &str, request: Request<Incoming>) -> Answer {
    let from = from.parse().map_err(|_| not_found())?;
    let chunk = body(request.into_body(), MAX_CHUNK).await.map_err(|e| bad(&e))?;
    let append = move || relay::append_out(&folder, from, &chunk);
    tell(&Received { bytes: blocking(append).await? })
}

async fn told(folder: PathBuf, from: &str) -> Answer {
    let from: u64 = from.parse().map_err(|_| not_found())?;
    let began = Instant::now();
    loop {
        let lines = relay::read_in(&folder, from).map_err(|e| Refusal::internal(&e))?;
        if !lines.is_empty() || began.elapsed() >= LONG_POLL {
            return Ok(whole(StatusCode::OK, lines.into()));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn left(folder: PathBuf, mut body: Incoming) -> Answer {
    let begun = blocking({
        let folder = folder.clone();
        move || relay::begin_left(&folder)
    });
    let mut file = begun.await?;
    loop {
        let frame = tokio::time::timeout(SILENCE, body.frame()).await;
        let frame = frame.map_err(|_| cut_off())?;
        let Some(frame) = frame.transpose().map_err(|_| cut_off())? else { break };
        if let Ok(data) = frame.into_data() {
            file = blocking(move || file.write(&data).map(|()| file)).await?;
        }
    }
    blocking(move || file.finish()).await?;
    Ok(whole(StatusCode::OK, Bytes::new()))
}

fn cut_off() -> Refusal {
    Refusal(StatusCode::BAD_REQUEST, "the request was cut off".to_owned())
}

async fn report(folder: PathBuf, place: &Place, request: Request<Incoming>) -> Answer {
    let report: Report = json(request, MAX_MESSAGE).await?;
    let of =
        Place { job: report.job.clone(), generation: report.generation, host: report.host.clone() };
    if of != *place {
        return Err(Refusal(StatusCode::BAD_REQUEST, "the report is that of another".to_owned()));
    }
    let text = serde_json::to_vec_pretty(&report).map_err(|e| Refusal::internal(&e))?;
    blocking(move || {
        let mut file = relay::Whole::begin(&folder, crate::state::REPORT_FILE)?;
        file.write(&text)?;
        file.finish()
    })
    .await?;
    Ok(whole(StatusCode::OK, Bytes::new()))
}

/// The node's own warden of the instance died.
async fn lost(folder: PathBuf) -> Answer {
    blocking(move || std::fs::write(folder.join(belljar_domain::node::LOST), "")).await?;
    Ok(whole(StatusCode::OK, Bytes::new()))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, Refusal> {
    let done = tokio::task::spawn_blocking(work).await.map_err(|e| Refusal::internal(&e))?;
    done.map_err(|e| Refusal::internal(&e))
}

fn bad(e: &AwsError) -> Refusal {
    Refusal(StatusCode::BAD_REQUEST, e.message.clone())
}

async fn json<T: serde::de::DeserializeOwned>(
    request: Request<Incoming>,
    limit: usize,
) -> Result<T, Refusal> {
    let bytes = body(request.into_body(), limit).await.map_err(|e| bad(&e))?;
    serde_json::from_slice(&bytes).map_err(|e| Refusal(StatusCode::BAD_REQUEST, e.to_string()))
}

fn tell<T: Serialize>(value: &T) -> Answer {
    let text = serde_json::to_vec(value).map_err(|e| Refusal::internal(&e))?;
    Ok(whole(StatusCode::OK, text.into()))
}

fn whole(status: StatusCode, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}
