//! What containers answer, as a whole and as it comes.

use super::limits::Limits;
use super::pool::Reply;
use super::table::Container;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of an answer that the budget for all is not asked for: there are only so many connections.
const SMALL: usize = 64 << 10;

/// Why there is no whole answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    /// It is too long.
    #[error("the answer is too long")]
    TooLong,
    /// There is no room for it.
    #[error("there is no room for the answer")]
    NoRoom,
    /// It broke off.
    #[error("the answer broke off")]
    Broken(#[from] hyper::Error),
}

/// An answer of at most `max` bytes; its connection is kept. Its bytes are taken from the budget
/// until they are dropped.
pub(super) async fn whole(
    container: &Container,
    reply: Reply,
    max: usize,
    limits: &Limits,
    budget: &Arc<Semaphore>,
) -> Result<Bytes, ReadError> {
    let mut body = reply.response.into_body();
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > max {
        return Err(ReadError::TooLong);
    }
    let mut share = Share { budget, wait: limits.wait, permit: None, granted: SMALL };
    share.grow(announced).await?;
    let first = next(&mut body).await?.unwrap_or_default();
    let mut bytes = first;
    if !body.is_end_stream() {
        let mut all = BytesMut::with_capacity(announced.max(bytes.len()));
        all.extend_from_slice(&bytes);
        while let Some(more) = next(&mut body).await? {
            let length = all.len() + more.len();
            if length > max {
                return Err(ReadError::TooLong);
            }
            share.grow(length).await?;
            all.extend_from_slice(&more);
        }
        bytes = all.freeze();
    }
    if bytes.len() > max {
        return Err(ReadError::TooLong);
    }
    container.idle.put(reply.connection, limits.idle);
    Ok(match share.permit {
        None => bytes,
        Some(permit) => Bytes::from_owner(Counted { bytes, _permit: permit }),
    })
}

/// What an answer has of the budget.
struct Share<'a> {
    budget: &'a Arc<Semaphore>,
    wait: Duration,
    permit: Option<OwnedSemaphorePermit>,
    granted: usize,
}

impl Share<'_> {
    /// Waits until there is room for so many bytes, twice as many each time.
    async fn grow(&mut self, length: usize) -> Result<(), ReadError> {
        if length <= self.granted {
            return Ok(());
        }
        let wanted = length.max(self.granted * 2) - self.granted;
        let permits = u32::try_from(wanted).unwrap_or(u32::MAX);
        let more = self.budget.clone().acquire_many_owned(permits);
        let more = tokio::time::timeout(self.wait, more).await;
        let more = more.ok().and_then(Result::ok).ok_or(ReadError::NoRoom)?;
        self.granted += wanted;
        match &mut self.permit {
            Some(permit) => permit.merge(more),
            none => *none = Some(more),
        }
        Ok(())
    }
}

/// Bytes that are given back to the budget when they are dropped.
struct Counted {
    bytes: Bytes,
    _permit: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The beginning of an answer, as far as it comes; a longer one's connection is closed.
pub(super) async fn beginning(
    container: &Container,
    reply: Reply,
    max: usize,
    limits: &Limits,
) -> Bytes {
    let mut body = reply.response.into_body();
    let mut all = BytesMut::new();
    while let Ok(Some(more)) = next(&mut body).await {
        all.extend_from_slice(more.get(..max - all.len()).unwrap_or(&more));
        if all.len() >= max {
            return all.freeze();
        }
    }
    if body.is_end_stream() {
        container.idle.put(reply.connection, limits.idle);
    }
    all.freeze()
}

/// The next bytes; trailers are not for us.
async fn next(body: &mut Incoming) -> Result<Option<Bytes>, hyper::Error> {
    while let Some(frame) = body.frame().await {
        if let Ok(bytes) = frame?.into_data() {
            return Ok(Some(bytes));
        }
    }
    Ok(None)
}
