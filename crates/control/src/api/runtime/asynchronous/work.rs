//! One asynchronous invocation: its payload from S3, its answer or its failure to S3.

use super::super::error;
use crate::service::Service;
use crate::serving::{self, CUSTOM_ATTRIBUTES, Failure, Request, Stream};
use belljar_domain::Timestamp;
use belljar_store::StoreError;
use belljar_store::endpoints::async_requests::{self, AsyncRequest};
use belljar_store::objects::{Condition, Meta, ObjectError};
use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of a payload: it is held in memory. (The real service takes 1 GB.)
const MAX_INPUT: u32 = 256 << 20;
/// Bytes of an answer, which is not.
const MAX_OUTPUT: u64 = 1 << 30;
/// Milliseconds until one that no instance could take is tried again.
const AGAIN_MILLIS: u64 = 2_000;

/// Bytes of all payloads together: who comes later waits.
const MAX_INPUTS: usize = 512 << 20;

/// Why there is no answer.
enum Trouble {
    /// In words for the failure's object.
    Failed(String),
    /// No instance has seen it: later.
    Later,
}

/// What becomes of a request's record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// Its outcome is written: it is forgotten.
    Done(String),
    /// It is tried again from then on.
    Later(String, Timestamp),
}

impl End {
    /// Keeps it. It can be done twice.
    pub(super) async fn write(&self, service: &Service) -> Result<(), StoreError> {
        let end = self.clone();
        let write = service.db().write(move |c| match end {
            Self::Done(id) => async_requests::finish(c, &id),
            Self::Later(id, due) => async_requests::put_back(c, &id, due),
        });
        write.await
    }
}

/// What is left for payloads.
pub(super) type Room = Arc<Semaphore>;

/// Room for payloads.
pub(super) fn room() -> Room {
    Arc::new(Semaphore::new(MAX_INPUTS))
}

/// Carries it out, and writes its outcome.
pub(super) async fn carry_out(service: &Service, room: &Room, request: AsyncRequest) -> End {
    match answer(service, room, &request).await {
        Ok(()) => End::Done(request.id),
        Err(Trouble::Later) => {
            let due = service.now().millis().saturating_add_unsigned(AGAIN_MILLIS);
            End::Later(request.id, Timestamp::from_millis(due))
        }
        Err(Trouble::Failed(words)) => {
            tell(service, &request, words).await;
            End::Done(request.id)
        }
    }
}

/// Says of one that it was not carried out.
pub(super) async fn expire(service: &Service, request: AsyncRequest) -> End {
    let words = "The request waited longer than its RequestTTLSeconds.";
    tell(service, &request, words.to_owned()).await;
    End::Done(request.id)
}

async fn answer(service: &Service, room: &Room, request: &AsyncRequest) -> Result<(), Trouble> {
    let (body, _share) = read(service, room, &request.input).await?;
    let asked = Request {
        headers: headers(request),
        body,
        time: Some(Duration::from_secs(request.timeout_seconds)),
        ..Request::default()
    };
    let name = &request.endpoint;
    match serving::open(&service.endpoints, name, &asked).await {
        Ok(stream) => write(service, request, stream).await,
        Err(Failure::Unavailable | Failure::NotInService | Failure::NotReady(_)) => {
            Err(Trouble::Later)
        }
        Err(failure) => {
            let routes = service.endpoints.get(name);
            let e = error::of(&failure, service, name, routes.as_deref());
            Err(Trouble::Failed(e.message))
        }
    }
}

fn headers(request: &AsyncRequest) -> HeaderMap {
    let given = &request.headers;
    let inference = HeaderName::from_static("x-amzn-sagemaker-inference-id");
    let all = [
        (CONTENT_TYPE, given.content_type.as_ref()),
        (ACCEPT, given.accept.as_ref()),
        (CUSTOM_ATTRIBUTES, given.custom_attributes.as_ref()),
        (inference, Some(&request.inference_id)),
    ];
    let value = |(name, text): (HeaderName, Option<&String>)| {
        Some((name, HeaderValue::from_str(text?).ok()?))
    };
    all.into_iter().filter_map(value).collect()
}

/// `s3://bucket/key`.
pub(super) fn place(uri: &str) -> Option<(&str, &str)> {
    let (bucket, key) = uri.strip_prefix("s3://")?.split_once('/')?;
    (!bucket.is_empty() && !key.is_empty()).then_some((bucket, key))
}

/// The payload, and its share of the room for all.
async fn read(
    service: &Service,
    room: &Room,
    uri: &str,
) -> Result<(Bytes, OwnedSemaphorePermit), Trouble> {
    let failed = |why: String| Trouble::Failed(format!("Failed to read {uri}: {why}"));
    let (bucket, key) = place(uri).ok_or_else(|| failed("it is no object's URI".into()))?;
    let found = service.objects.get(bucket, key).map_err(|e| failed(e.to_string()))?;
    let size = u32::try_from(found.info.size).ok().filter(|size| *size <= MAX_INPUT);
    let Some(size) = size else {
        return Err(failed(format!("it has more than {MAX_INPUT} bytes")));
    };
    let share = room.clone().acquire_many_owned(size).await.map_err(|_| Trouble::Later)?;
    let mut body = BytesMut::with_capacity(size as usize);
    let mut chunks = found.body.chunks(0..found.info.size);
    while let Some(chunk) = chunks.next().await {
        body.extend_from_slice(&chunk.map_err(|e| failed(e.to_string()))?);
    }
    Ok((body.freeze(), share))
}

/// The answer, as it comes: an object that is there is whole.
async fn write(
    service: &Service,
    request: &AsyncRequest,
    mut stream: Stream,
) -> Result<(), Trouble> {
    let kind = stream.content_type.as_ref().and_then(|v| v.to_str().ok()).map(str::to_owned);
    let mut incoming = service.objects.receive(&[]);
    while let Some(chunk) = std::future::poll_fn(|cx| stream.poll_next(cx)).await {
        let chunk = chunk.map_err(|e| Trouble::Failed(format!("From the model: {e}.")))?;
        if incoming.size() + chunk.len() as u64 > MAX_OUTPUT {
            let words = format!("The model's answer has more than {MAX_OUTPUT} bytes.");
            return Err(Trouble::Failed(words));
        }
        incoming.push(chunk).await.map_err(|e| unwritten(&request.output, &e))?;
    }
    let received = incoming.finish().await.map_err(|e| unwritten(&request.output, &e))?;
    put(service, &request.output, received, kind).await
}

async fn put(
    service: &Service,
    uri: &str,
    received: belljar_store::objects::Received,
    content_type: Option<String>,
) -> Result<(), Trouble> {
    let (bucket, key) =
        place(uri).ok_or_else(|| Trouble::Failed(format!("{uri} is no object's URI.")))?;
    let meta = Meta { content_type, ..Meta::default() };
    let (bucket, key) = (bucket.to_owned(), key.to_owned());
    let put = service.objects.put(bucket, key, received, meta, Condition::None).await;
    put.map(drop).map_err(|e| unwritten(uri, &e))
}

fn unwritten(uri: &str, e: &ObjectError) -> Trouble {
    Trouble::Failed(format!("Failed to write {uri}: {e}"))
}

/// Writes a failure where failures go, if there is such a place.
async fn tell(service: &Service, request: &AsyncRequest, words: String) {
    let (endpoint, id) = (&request.endpoint, &request.id);
    tracing::info!(endpoint, id, words, "an asynchronous request failed");
    let Some(uri) = &request.failure else { return };
    let mut incoming = service.objects.receive(&[]);
    let written = async {
        incoming.push(words.into()).await.map_err(|e| unwritten(uri, &e))?;
        let received = incoming.finish().await.map_err(|e| unwritten(uri, &e))?;
        put(service, uri, received, Some("text/plain".into())).await
    };
    if let Err(Trouble::Failed(why)) = written.await {
        tracing::error!(endpoint, id, why, "a failure cannot be written");
    }
}
