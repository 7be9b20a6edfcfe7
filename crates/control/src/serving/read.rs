//! What containers answer, as a whole and as it comes.

use super::limits::Limits;
use super::pool::Reply;
use super::table::Container;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};

/// Why there is no whole answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    /// It is too long.
    #[error("the answer is too long")]
    TooLong,
    /// It broke off.
    #[error("the answer broke off")]
    Broken(#[from] hyper::Error),
}

/// An answer of at most `max` bytes; its connection is kept.
pub(super) async fn whole(
    container: &Container,
    reply: Reply,
    max: usize,
    limits: &Limits,
) -> Result<Bytes, ReadError> {
    let mut body = reply.response.into_body();
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > max {
        return Err(ReadError::TooLong);
    }
    let first = next(&mut body).await?.unwrap_or_default();
    let bytes = if body.is_end_stream() {
        first
    } else {
        let mut all = BytesMut::with_capacity(announced.max(first.len()));
        all.extend_from_slice(&first);
        while let Some(more) = next(&mut body).await? {
            if all.len() + more.len() > max {
                return Err(ReadError::TooLong);
            }
            all.extend_from_slice(&more);
        }
        all.freeze()
    };
    if bytes.len() > max {
        return Err(ReadError::TooLong);
    }
    container.idle.put(reply.connection, limits.idle);
    Ok(bytes)
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
