//! Connections: from sockets to requests.
//!
//! Each thread has an event loop of its own and takes connections from the same two sockets, so a
//! busy one leaves them to the others. TLS is told from plain HTTP by a connection's first byte;
//! what follows is the same for both ([`serve`]).

use super::limits::{BODY_TIME, GRACE, HEAD_TIME, MAX_HEAD, MAX_THREADS, Room, STACK};
use super::proxied::Head;
use super::tls::{Kind, Replay};
use super::{Service, ServiceError, dispatch, proxied};
use belljar_domain::proxy::Proxied;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, watch};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How long nothing is accepted after the kernel refused (no file descriptors are left, say).
const PAUSE: Duration = Duration::from_millis(50);

/// Where requests come from.
#[derive(Debug)]
pub(super) struct Sockets {
    /// For everybody.
    pub(super) tcp: std::net::TcpListener,
    /// For wardens and commands of this machine.
    pub(super) unix: std::os::unix::net::UnixListener,
}

impl Sockets {
    fn share(&self) -> io::Result<Self> {
        Ok(Self { tcp: self.tcp.try_clone()?, unix: self.unix.try_clone()? })
    }
}

/// Starts the threads that answer. They end, with the requests that they have, when `stop`
/// changes.
pub(super) fn start(
    service: &Arc<Service>,
    sockets: &Sockets,
    stop: &watch::Receiver<bool>,
) -> Result<Vec<JoinHandle<()>>, ServiceError> {
    let count = std::thread::available_parallelism().map_or(1, |n| n.get().min(MAX_THREADS));
    let room = Room::new();
    let mut threads = Vec::with_capacity(count);
    for number in 0..count {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(ServiceError::Thread)?;
        let sockets = sockets.share().map_err(ServiceError::Thread)?;
        let (service, room, stop) = (service.clone(), room.clone(), stop.clone());
        let thread = std::thread::Builder::new()
            .name(format!("front-{number}"))
            .stack_size(STACK)
            .spawn(move || runtime.block_on(accept(service, sockets, room, stop)))
            .map_err(ServiceError::Thread)?;
        threads.push(thread);
    }
    Ok(threads)
}

enum Accepted {
    Tcp(TcpStream, OwnedSemaphorePermit),
    Unix(UnixStream),
}

/// The next one over TCP, as soon as one may come.
async fn accept_tcp(listener: &TcpListener, room: &Room) -> io::Result<Accepted> {
    let place = room.tcp.clone().acquire_owned().await.map_err(io::Error::other)?;
    Ok(Accepted::Tcp(listener.accept().await?.0, place))
}

async fn accept(
    service: Arc<Service>,
    sockets: Sockets,
    room: Room,
    mut stop: watch::Receiver<bool>,
) {
    let listeners = TcpListener::from_std(sockets.tcp)
        .and_then(|tcp| Ok((tcp, UnixListener::from_std(sockets.unix)?)));
    let (tcp, unix) = match listeners {
        Ok(listeners) => listeners,
        Err(e) => return tracing::error!(error = %e, "a thread cannot listen"),
    };
    let graceful = GracefulShutdown::new();
    loop {
        let next = async {
            let permit = room.all.clone().acquire_owned().await;
            let stream = tokio::select! {
                accepted = accept_tcp(&tcp, &room) => accepted,
                accepted = unix.accept() => accepted.map(|(stream, _)| Accepted::Unix(stream)),
            };
            (permit, stream)
        };
        tokio::select! {
            _ = stop.changed() => break,
            (permit, stream) = next => match (permit, stream) {
                (Ok(permit), Ok(stream)) => {
                    let begin = Begin { service: service.clone(), stop: stop.clone(), watcher: graceful.watcher() };
                    tokio::spawn(connection(begin, stream, (room.clone(), permit)));
                }
                (Err(_), _) => break,
                (_, Err(e)) => {
                    tracing::warn!(error = %e, "a connection cannot be accepted");
                    tokio::time::sleep(PAUSE).await;
                }
            },
        }
    }
    drop((tcp, unix));
    if tokio::time::timeout(GRACE, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were cut off: they took longer than {} s", GRACE.as_secs());
    }
}

/// What a connection begins with.
struct Begin {
    service: Arc<Service>,
    stop: watch::Receiver<bool>,
    watcher: Watcher,
}

/// One connection to its end.
async fn connection(
    mut begin: Begin,
    stream: Accepted,
    (room, _permit): (Room, OwnedSemaphorePermit),
) {
    match stream {
        Accepted::Unix(stream) => {
            let carrier = stream.peer_cred().ok().and_then(|who| who.pid());
            let head = tokio::select! {
                head = proxied::accept(stream, HEAD_TIME) => head,
                _ = begin.stop.changed() => return,
            };
            match head {
                Ok((head, stream)) => carried((begin, carrier), stream, head, &room).await,
                Err(e) => tracing::debug!(error = %e, "a connection did not begin"),
            }
        }
        Accepted::Tcp(stream, _place) => {
            // Answers are written whole; waiting to fill a packet only delays them.
            let _ = stream.set_nodelay(true);
            greet(begin, stream, None).await;
        }
    }
}

/// One that came by the unix socket. What is carried for others, and is more than they may have, is
/// closed: many that wait may wait for ever.
async fn carried(
    (begin, carrier): (Begin, Option<i32>),
    stream: Replay<UnixStream>,
    head: Head,
    room: &Room,
) {
    let (whose, proxied) = match head {
        Head::None => (None, None),
        Head::Local => (Some((carrier, None)), None),
        Head::Endpoint(proxied) => (Some((carrier, Some(proxied.endpoint.clone()))), Some(proxied)),
    };
    let free = room.all.available_permits();
    let share = whose.map(|whose| room.carried.take(whose, free));
    if let Some(None) = share {
        return tracing::debug!("a connection was closed: its way has as many as it may");
    }
    greet(begin, stream, proxied).await;
}

/// Finds out whether TLS is spoken. Before that there is no request that a stop should wait for.
async fn greet(
    mut begin: Begin,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    proxied: Option<Proxied>,
) {
    let kind = tokio::select! {
        kind = begin.service.tls.accept(stream, HEAD_TIME) => kind,
        _ = begin.stop.changed() => return,
    };
    match kind {
        Ok(Kind::Plain(stream)) => serve(begin, stream, Way { secure: false, proxied }).await,
        Ok(Kind::Tls(stream)) => serve(begin, stream, Way { secure: true, proxied }).await,
        Err(e) => tracing::debug!(error = %e, "a connection did not begin"),
    }
}

/// By what way a connection came.
#[derive(Debug)]
pub(super) struct Way {
    /// Whether it is TLS.
    pub(super) secure: bool,
    /// By which VPC endpoint, if by one.
    pub(super) proxied: Option<Proxied>,
}

/// HTTP/1.1 over whatever carries bytes.
async fn serve(
    begin: Begin,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    way: Way,
) {
    let Begin { service, watcher, .. } = begin;
    let way = Arc::new(way);
    let answer = service_fn(move |request| {
        let (service, way) = (service.clone(), way.clone());
        async move { Ok::<_, Infallible>(dispatch::answer(&service, request, &way).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_header_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), answer);
    if let Err(e) = watcher.watch(connection).await {
        // A client that went away or spoke no HTTP.
        tracing::debug!(error = %e, "a connection ended");
    }
}

/// The body of a request as a whole.
///
/// # Errors
/// How it is answered: it is too long, too slow, or was cut off.
pub(crate) async fn body(
    incoming: hyper::body::Incoming,
    limit: usize,
) -> Result<bytes::Bytes, belljar_aws::AwsError> {
    use belljar_aws::AwsError;
    use http_body_util::{LengthLimitError, Limited};
    use hyper::body::Body;
    let too_long = || {
        let text = format!("The request has more than {limit} bytes.");
        AwsError::new(413, "RequestEntityTooLarge", text)
    };
    let announced = usize::try_from(incoming.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > limit {
        return Err(too_long());
    }
    match tokio::time::timeout(BODY_TIME, gather(Limited::new(incoming, limit), announced)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(e)) if e.is::<LengthLimitError>() => Err(too_long()),
        Ok(Err(_)) => Err(AwsError::new(400, "RequestTimeout", "The request was cut off.")),
        Err(_) => Err(AwsError::new(
            400,
            "RequestTimeout",
            format!("The request's body did not arrive within {} s.", BODY_TIME.as_secs()),
        )),
    }
}

/// A body as a whole: what comes at once stays where it is, and of what comes in parts there is
/// never a second copy.
async fn gather(
    mut body: impl hyper::body::Body<Data = Bytes, Error = BoxError> + Unpin,
    announced: usize,
) -> Result<Bytes, BoxError> {
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(bytes) = frame?.into_data() else { continue };
        if first.is_empty() && all.is_empty() {
            first = bytes;
            continue;
        }
        if all.is_empty() {
            all.reserve(announced.max(first.len() + bytes.len()));
            all.extend_from_slice(&std::mem::take(&mut first));
        }
        all.extend_from_slice(&bytes);
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}
