//! Answers that are passed on as they come.

use super::attempt::{Head, Held};
use super::pool::Connection;
use super::table::Container;
use bytes::Bytes;
use http::HeaderValue;
use hyper::body::{Body, Incoming};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// An answer that is passed on as it comes. Whoever drops it drops the container's connection.
#[derive(Debug)]
pub struct Stream {
    /// The variant.
    pub variant: String,
    /// `Content-Type`.
    pub content_type: Option<HeaderValue>,
    /// [`CUSTOM_ATTRIBUTES`](super::CUSTOM_ATTRIBUTES).
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
    pub(super) fn new(
        head: Head,
        (content_type, custom_attributes): (Option<HeaderValue>, Option<HeaderValue>),
        deadline: Instant,
        idle: Duration,
    ) -> Self {
        let Head { variant, container, reply, held } = head;
        Self {
            variant,
            content_type,
            custom_attributes,
            body: reply.response.into_body(),
            deadline: Box::pin(tokio::time::sleep_until(deadline)),
            rest: Some(Rest { connection: reply.connection, container, idle, _held: held }),
        }
    }

    /// The next bytes; `None` at the end.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, StreamError>>> {
        if self.rest.is_none() {
            return Poll::Ready(None);
        }
        // Looked at first: a container that always has more to say is not to be listened to for ever.
        let late = self.deadline.as_mut().poll(cx).is_ready();
        loop {
            let error = match Pin::new(&mut self.body).poll_frame(cx) {
                _ if late => StreamError::TimedOut,
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
                Poll::Pending => return Poll::Pending,
            };
            self.rest = None;
            return Poll::Ready(Some(Err(error)));
        }
    }
}
