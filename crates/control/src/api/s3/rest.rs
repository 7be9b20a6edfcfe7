//! What an answer did not read of its request. A request that is refused before its body was read
//! would cost its client the connection, and maybe the answer: a little is read and thrown away,
//! and before more the connection is closed in so many words.

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use s3s::{Body, StdError};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

/// Bytes that are thrown away for a connection.
const MAX_THROWN: usize = 1 << 20;
/// How long is waited for them.
const PATIENCE: Duration = Duration::from_secs(5);

type Shared = Arc<Mutex<Option<Body>>>;

/// A body that can be taken back.
struct Lent(Shared);

/// What was lent.
pub(super) struct Rest(Option<Shared>);

/// Lends a body.
pub(super) fn keep(body: Body) -> (Body, Rest) {
    if body.is_end_stream() {
        return (body, Rest(None));
    }
    let shared = Arc::new(Mutex::new(Some(body)));
    (Body::http_body(Lent(Arc::clone(&shared))), Rest(Some(shared)))
}

impl Rest {
    /// Reads what is left, if that is little; says whether nothing is.
    pub(super) async fn read(self) -> bool {
        let Some(shared) = self.0 else { return true };
        let Some(mut body) = shared.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return true;
        };
        let mut left = MAX_THROWN;
        let read = async {
            while let Some(frame) = body.frame().await {
                let length = frame.ok()?.data_ref().map_or(0, Bytes::len);
                left = left.checked_sub(length)?;
            }
            Some(())
        };
        tokio::time::timeout(PATIENCE, read).await.is_ok_and(|read| read.is_some())
    }
}

impl http_body::Body for Lent {
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        let mut lent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(body) = lent.as_mut() else { return Poll::Ready(None) };
        let polled = Pin::new(body).poll_frame(cx);
        if let Poll::Ready(None | Some(Err(_))) = polled {
            *lent = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        let lent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lent.as_ref().is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let lent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lent.as_ref().map_or_else(|| SizeHint::with_exact(0), http_body::Body::size_hint)
    }
}
