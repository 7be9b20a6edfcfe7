//! An answer's body that must not be silent for long.

use super::Broken;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep};

pub(super) struct Timed {
    body: Incoming,
    limit: Duration,
    until: Pin<Box<Sleep>>,
}

impl Timed {
    /// A body of which something must come at least every `limit`.
    pub(super) fn new(body: Incoming, limit: Duration) -> Self {
        Self { body, limit, until: Box::pin(sleep(limit)) }
    }
}

impl Body for Timed {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(frame) => {
                let until = Instant::now() + self.limit;
                self.until.as_mut().reset(until);
                Poll::Ready(frame.map(|frame| frame.map_err(Broken::from)))
            }
            Poll::Pending => match self.until.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(Some(Err(Broken::Silent))),
                Poll::Pending => Poll::Pending,
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
