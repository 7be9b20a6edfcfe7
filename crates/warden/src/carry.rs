//! Connections that are carried, byte by byte, from listeners in a namespace to the service's unix
//! socket, or by a way out to where they were meant to go.

use crate::outlet::outside;
use crate::words;
use belljar_domain::shares::{Share, Shares};
use belljar_linux::netns::NetNs;
use belljar_linux::{Error, Result};
use belljar_vpc::id::EndpointId;
use rustix::net::sockopt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
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
/// How long a connection is silent before it is asked whether the other side is still there, how
/// often, and how many times: an interface can be gone with whoever had it, and nobody tells.
const SILENCE: Duration = Duration::from_secs(60);
const EVERY: Duration = Duration::from_secs(15);
const TIMES: u32 = 4;
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
    /// Where several share them: who has how many.
    shares: Option<Arc<Shares<Holder>>>,
    /// The endpoint whose connections these are.
    endpoint: Option<EndpointId>,
    /// Closed, because there were [`MAX_CONNECTIONS`].
    pub(crate) too_many: AtomicU64,
    /// Closed, because the service did not answer.
    pub(crate) no_service: AtomicU64,
}

/// On whose account something is carried.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Holder {
    /// Whoever uses this endpoint. Addresses of two VPCs can be the same.
    Endpoint(EndpointId),
    /// Whoever has this address.
    Address(IpAddr),
}

/// A place among those that are carried at once.
#[derive(Debug)]
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
    _share: Option<Share<Holder>>,
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
    /// To the service whose socket this is, if there is one; all that is carried is one's own.
    pub(crate) fn new(service: Option<PathBuf>) -> Arc<Self> {
        Arc::new(Self::with(service, MAX_CONNECTIONS, None))
    }

    /// The same for many that are nothing to each other: one of them has as much as anybody has
    /// alone, and leaves others room.
    pub(crate) fn shared(service: Option<PathBuf>) -> Arc<Self> {
        Arc::new(Self::with(service, 2 * MAX_CONNECTIONS, Some(Arc::default())))
    }

    fn with(service: Option<PathBuf>, most: usize, shares: Option<Arc<Shares<Holder>>>) -> Self {
        Self {
            service,
            places: Arc::new(Semaphore::new(most)),
            shares,
            endpoint: None,
            too_many: AtomicU64::default(),
            no_service: AtomicU64::default(),
        }
    }

    /// The same places, for what comes by an endpoint.
    pub(crate) fn of(&self, endpoint: EndpointId) -> Arc<Self> {
        Arc::new(Self {
            service: self.service.clone(),
            places: Arc::clone(&self.places),
            shares: self.shares.clone(),
            endpoint: Some(endpoint),
            too_many: AtomicU64::default(),
            no_service: AtomicU64::default(),
        })
    }

    /// A place among those that are carried at once, if there is one for whoever has an address.
    pub(crate) fn place(&self, whose: IpAddr) -> Option<Place> {
        let share = match &self.shares {
            Some(shares) => {
                let endpoint = self.endpoint.clone().map(Holder::Endpoint);
                let holder = endpoint.unwrap_or(Holder::Address(whose.to_canonical()));
                Some(shares.take(holder, self.places.available_permits())?)
            }
            None => None,
        };
        let permit = Arc::clone(&self.places).try_acquire_owned().ok()?;
        Some(Place { _permit: permit, _share: share })
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
            let Some(place) = self.place(from.ip()) else {
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
                    keep_asking(&outside);
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
    keep_asking(&inside);
    let both = tokio::io::copy_bidirectional_with_sizes(&mut inside, &mut outside, BUFFER, BUFFER);
    if both.await.is_err() {
        reset(&inside);
    }
}

/// Has a connection end as one that is refused or broken off, not as one that is over.
fn reset(stream: &TcpStream) {
    // If the kernel would not, it ends all the same.
    let _ = sockopt::set_socket_linger(stream, Some(Duration::ZERO));
}

/// Has a connection end some time after the other side is gone without a word. A kernel that will not
/// leaves it as long as there are bytes to be sent.
fn keep_asking(stream: &impl AsFd) {
    let _ = sockopt::set_tcp_keepidle(stream, SILENCE);
    let _ = sockopt::set_tcp_keepintvl(stream, EVERY);
    let _ = sockopt::set_tcp_keepcnt(stream, TIMES);
    let _ = sockopt::set_socket_keepalive(stream, true);
}

/// A listener in a namespace.
pub(crate) fn listen(ns: &NetNs, address: SocketAddr) -> Result<TcpListener> {
    TcpListener::from_std(ns.listen(address)?)
        .map_err(|source| Error { operation: format!("listen on {address}"), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;
    use tokio::net::UnixListener;

    const LOCAL: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

    #[test]
    fn whoever_takes_all_that_it_can_leaves_others_theirs() {
        let shared = Carrier::shared(None);
        let of = |name: &str| shared.of(name.parse().unwrap());
        let (greedy, other) = (of("vpce-1"), of("vpce-2"));
        let same = IpAddr::from([10, 0, 1, 10]);
        let all: Vec<Place> = std::iter::from_fn(|| greedy.place(same)).collect();
        assert_eq!(all.len(), MAX_CONNECTIONS);
        // Another VPC may have the same address.
        let others: Vec<Place> = std::iter::from_fn(|| other.place(same)).collect();
        assert!(others.len() > MAX_CONNECTIONS / 3, "{}", others.len());
        let third = shared.place([203, 0, 113, 1].into());
        assert!(third.is_some());
        drop((all, others, third));
        // Who shares with nobody has all.
        let own = Carrier::new(None);
        let all: Vec<Place> = std::iter::from_fn(|| own.place(same)).collect();
        assert_eq!(all.len(), MAX_CONNECTIONS);
    }

    #[tokio::test]
    async fn one_that_is_gone_without_a_word_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("socket");
        let service = UnixListener::bind(&socket).unwrap();
        let listener = TcpListener::bind(LOCAL).await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (inside, _) = listener.accept().await.unwrap();
        let looked_at = inside.as_fd().try_clone_to_owned().unwrap();
        let carried = tokio::spawn(async move {
            Carrier::new(Some(socket)).carry(inside, Target::Service(b"x".to_vec())).await;
        });
        let (mut outside, _) = service.accept().await.unwrap();
        outside.read_u8().await.unwrap();
        drop(client);
        assert_eq!(outside.read(&mut [0; 9]).await.unwrap(), 0);
        drop(outside);
        carried.await.unwrap();
        assert!(sockopt::socket_keepalive(&looked_at).unwrap());
        assert_eq!(sockopt::tcp_keepidle(&looked_at).unwrap(), SILENCE);
    }
}
