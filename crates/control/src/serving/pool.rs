//! Connections to a container, kept for a moment between requests.
//!
//! They belong to the event loop that made them: a thread that answers requests never wakes
//! another. Why no library's pool: whether a request that failed was sent decides whether it may be
//! sent again, and pools do not say.

use super::door::{self, DoorError};
use super::limits::Limits;
use super::socket::Socket;
use super::table::Container;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::{Handle, Id};

/// For a connection to be free after its answer.
const SETTLE: Duration = Duration::from_millis(5);

/// What containers are sent.
pub(super) type Outgoing = Request<Full<Bytes>>;

/// A connection that takes one request at a time.
#[derive(Debug)]
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    socket: Socket,
    since: Instant,
}

/// A container's unused connections, by event loop.
#[derive(Debug, Default)]
pub(super) struct Idle(Mutex<Vec<(Id, Shelf)>>);

#[derive(Debug, Default)]
struct Shelf {
    connections: Vec<Connection>,
    /// Whether a task of the event loop removes what is old.
    swept: bool,
}

/// Why there is no answer's head.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    /// The container has not seen the request.
    #[error(transparent)]
    Unsent(#[from] DoorError),
    /// It may have.
    #[error("the container's connection broke")]
    Lost(#[source] hyper::Error),
}

/// An answer's head, and the connection that the rest comes through.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) response: Response<Incoming>,
    pub(super) connection: Connection,
}

/// Sends a request through an unused connection, or a new one.
///
/// # Errors
/// [`SendError::Lost`] is the one case in which a request is lost: a container broke the connection
/// after the request was begun, so it may have been carried out, and is not sent again.
pub(super) async fn send(
    container: &Container,
    mut request: Outgoing,
    limits: &Limits,
) -> Result<Reply, SendError> {
    loop {
        let (mut connection, new) = match container.idle.take(limits.idle).await {
            Some(connection) => (connection, false),
            None => (connect(container, limits).await?, true),
        };
        match connection.sender.try_send_request(request).await {
            Ok(response) => return Ok(Reply { response, connection }),
            Err(mut e) => match e.take_message() {
                Some(unsent) if !new => request = unsent,
                Some(_) => return Err(SendError::Unsent(broken(e.into_error()))),
                None => return Err(SendError::Lost(e.into_error())),
            },
        }
    }
}

fn broken(e: hyper::Error) -> DoorError {
    DoorError::Io(std::io::Error::other(e))
}

async fn connect(container: &Container, limits: &Limits) -> Result<Connection, DoorError> {
    let socket = Socket::new(door::connect(&container.folder, limits.door).await?);
    let shaken = http1::handshake(TokioIo::new(socket.clone())).await;
    let (sender, driver) = shaken.map_err(broken)?;
    tokio::spawn(async move {
        // Who waits for the answer is told as well.
        if let Err(e) = driver.await {
            tracing::debug!(error = %e, "a connection to a container ended");
        }
    });
    Ok(Connection { sender, socket, since: Instant::now() })
}

impl Connection {
    /// Whether it takes another request. After an answer's end it does as soon as its driver runs;
    /// not so one whose container answered before it had read the request.
    async fn settles(&mut self) -> bool {
        self.sender.is_ready()
            || tokio::time::timeout(SETTLE, self.sender.ready()).await.is_ok_and(|r| r.is_ok())
    }
}

impl Idle {
    /// The connection that was used last, if it is open.
    async fn take(&self, keep: Duration) -> Option<Connection> {
        loop {
            let mut connection = self.pop()?;
            let fresh = connection.since.elapsed() < keep;
            if fresh && connection.settles().await && connection.socket.is_quiet() {
                return Some(connection);
            }
        }
    }

    fn pop(&self) -> Option<Connection> {
        let id = Handle::current().id();
        let mut shelves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shelves.iter_mut().find(|(of, _)| *of == id)?.1.connections.pop()
    }

    /// Keeps a connection whose answer was read to its end.
    pub(super) fn put(self: &Arc<Self>, mut connection: Connection, keep: Duration) {
        if connection.sender.is_closed() {
            return;
        }
        connection.since = Instant::now();
        let id = Handle::current().id();
        let mut shelves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = shelves.iter().position(|(of, _)| *of == id).unwrap_or_else(|| {
            shelves.push((id, Shelf::default()));
            shelves.len() - 1
        });
        let Some((_, shelf)) = shelves.get_mut(at) else { return };
        shelf.connections.push(connection);
        if !std::mem::replace(&mut shelf.swept, true) {
            tokio::spawn(sweep(Arc::downgrade(self), id, keep));
        }
    }

    /// Drops what is old; whether anything is left.
    fn drop_old(&self, id: Id, keep: Duration) -> bool {
        let mut shelves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(at) = shelves.iter().position(|(of, _)| *of == id) else { return false };
        let Some((_, shelf)) = shelves.get_mut(at) else { return false };
        shelf.connections.retain(|c| c.since.elapsed() < keep && !c.sender.is_closed());
        if shelf.connections.is_empty() {
            shelves.swap_remove(at);
            return false;
        }
        true
    }
}

async fn sweep(idle: std::sync::Weak<Idle>, id: Id, keep: Duration) {
    loop {
        tokio::time::sleep(keep / 2).await;
        // With its container, all are gone.
        let Some(idle) = idle.upgrade() else { return };
        if !idle.drop_old(id, keep) {
            return;
        }
    }
}
