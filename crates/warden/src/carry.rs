//! Connections that are carried, byte by byte, from listeners in a namespace to the service's unix
//! socket, or by a way out to where they were meant to go.

use crate::outlet::outside;
use crate::words;
use belljar_linux::netns::NetNs;
use belljar_linux::{Error, Result};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

/// The ports of AWS's services.
pub(crate) const PORTS: [u16; 2] = [443, 80];
/// Where AWS is in a namespace in which its names lead to the service: an address of `lo` that
/// nothing else uses, so that 127.0.0.1 stays whose it is. Its numbers spell "AWS".
pub(crate) const AWS: Ipv4Addr = Ipv4Addr::new(127, 65, 87, 83);
/// Connections at once; each takes two descriptors, of which a process commonly has 1024.
/// Further ones are closed, because many that wait may wait for ever.
pub(crate) const MAX_CONNECTIONS: usize = 400;
/// Bytes that wait in each direction of a connection.
const BUFFER: usize = 64 << 10;
/// How long nothing is accepted after the kernel refused (no descriptors are left, say).
const PAUSE: Duration = Duration::from_millis(20);

/// What carries, and how much at once.
#[derive(Debug)]
pub(crate) struct Carrier {
    /// The service's socket, where there is a service.
    service: Option<PathBuf>,
    places: Arc<Semaphore>,
    /// Closed, because there were [`MAX_CONNECTIONS`].
    pub(crate) too_many: AtomicU64,
    /// Closed, because the service did not answer.
    pub(crate) no_service: AtomicU64,
}

/// Where a connection is carried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// To the service; these bytes are said before its own.
    Service(Vec<u8>),
    /// To where it was meant to go, from outside.
    Outside,
    /// It is refused.
    Nowhere,
}

/// Says where a connection is carried, by who has connected and to where.
pub(crate) type Lead = dyn Fn(SocketAddr, SocketAddr) -> Target + Send + Sync;

impl Carrier {
    /// To the service whose socket this is, if there is one.
    pub(crate) fn new(service: Option<PathBuf>) -> Arc<Self> {
        Arc::new(Self {
            service,
            places: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
            too_many: AtomicU64::default(),
            no_service: AtomicU64::default(),
        })
    }

    /// A place among those that are carried at once, if there is one.
    pub(crate) fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    /// Takes connections for ever. Those that were taken end with it.
    pub(crate) async fn accept(self: Arc<Self>, listener: TcpListener, lead: Arc<Lead>) {
        let mut carried = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                Some(_) = carried.join_next() => continue,
            };
            let Ok((stream, from)) = accepted else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let Some(place) = self.place() else {
                self.too_many.fetch_add(1, Ordering::Relaxed);
                reset(&stream);
                continue;
            };
            let target = stream.local_addr().map_or(Target::Nowhere, |to| lead(from, to));
            let this = Arc::clone(&self);
            carried.spawn(async move {
                this.carry(stream, target).await;
                drop(place);
            });
        }
    }

    /// Carries one connection to its end.
    async fn carry(&self, inside: TcpStream, target: Target) {
        match target {
            Target::Service(before) => match self.serve(&before).await {
                Ok(outside) => join(inside, outside).await,
                Err(_) => drop(self.no_service.fetch_add(1, Ordering::Relaxed)),
            },
            Target::Outside => match outside::follow(&inside).await {
                Ok(outside) => {
                    let _ = outside.set_nodelay(true);
                    join(inside, outside).await;
                }
                Err(_) => reset(&inside),
            },
            Target::Nowhere => reset(&inside),
        }
    }

    async fn serve(&self, before: &[u8]) -> io::Result<tokio::net::UnixStream> {
        let service = self.service.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let mut outside = words::connect(service).await?;
        outside.write_all(before).await?;
        Ok(outside)
    }
}

/// Carries the bytes of two connections that are one. If either breaks off, so does the other.
async fn join(mut inside: TcpStream, mut outside: impl AsyncRead + AsyncWrite + Unpin) {
    // What comes in one piece goes on in one piece; waiting to fill a packet only delays them.
    let _ = inside.set_nodelay(true);
    let both = tokio::io::copy_bidirectional_with_sizes(&mut inside, &mut outside, BUFFER, BUFFER);
    if both.await.is_err() {
        reset(&inside);
    }
}

/// Has a connection end as one that is refused or broken off, not as one that is over.
fn reset(stream: &TcpStream) {
    // If the kernel would not, it ends all the same.
    let _ = rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO));
}

/// A listener in a namespace.
pub(crate) fn listen(ns: &NetNs, address: SocketAddr) -> Result<TcpListener> {
    TcpListener::from_std(ns.listen(address)?)
        .map_err(|source| Error { operation: format!("listen on {address}"), source })
}
