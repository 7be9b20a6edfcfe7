//! The way from inside to the service: listeners in the command's namespace, whose connections
//! are carried byte by byte to the service's unix socket.

use belljar_linux::netns::NetNs;
use belljar_linux::{Error, Result};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// Connections at once; each takes two descriptors, of which a process commonly has 1024.
/// Further ones are closed, because many that wait may wait for ever.
const MAX_CONNECTIONS: usize = 400;
/// Bytes that wait in each direction of a connection.
const BUFFER: usize = 64 << 10;
/// How long nothing is accepted after the kernel refused (no descriptors are left, say).
const PAUSE: Duration = Duration::from_millis(20);
const HTTPS: u16 = 443;
const HTTP: u16 = 80;
/// The service's socket, in its folder.
const SOCKET: &str = "socket";

/// The open gate; dropping it closes it.
#[derive(Debug)]
pub(super) struct Gate {
    tasks: Vec<JoinHandle<()>>,
    count: Arc<Count>,
}

#[derive(Debug, Default)]
struct Count {
    too_many: AtomicU64,
    no_service: AtomicU64,
}

/// What became of connections that were not carried.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Carried {
    /// Closed, because there were [`MAX_CONNECTIONS`].
    pub(super) too_many: u64,
    /// Closed, because the service did not answer.
    pub(super) no_service: u64,
}

impl Carried {
    /// How many there may be at once.
    pub(super) const MOST: usize = MAX_CONNECTIONS;
}

/// Listens at `aws`, and at the service's `own` address. This process's working folder becomes the
/// service's: a socket's path is short, and a state folder's may be long.
pub(super) fn open(
    ns: &NetNs,
    aws: Ipv4Addr,
    own: Option<SocketAddr>,
    service: &Path,
) -> Result<Gate> {
    rustix::process::chdir(service).map_err(|e| Error {
        operation: format!("enter the service's folder {}", service.display()),
        source: e.into(),
    })?;
    let count = Arc::new(Count::default());
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let addresses = [HTTPS, HTTP].map(|port| SocketAddr::from((aws, port)));
    let mut tasks = Vec::new();
    for address in addresses.into_iter().chain(own) {
        let listener = TcpListener::from_std(ns.listen(address)?)
            .map_err(|source| Error { operation: format!("listen on {address}"), source })?;
        tasks.push(tokio::spawn(accept(listener, Arc::clone(&places), Arc::clone(&count))));
    }
    Ok(Gate { tasks, count })
}

impl Gate {
    /// Closes it.
    pub(super) fn close(self) -> Carried {
        self.tasks.iter().for_each(JoinHandle::abort);
        let read = |n: &AtomicU64| n.load(Ordering::Relaxed);
        Carried { too_many: read(&self.count.too_many), no_service: read(&self.count.no_service) }
    }
}

async fn accept(listener: TcpListener, places: Arc<Semaphore>, count: Arc<Count>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            count.too_many.fetch_add(1, Ordering::Relaxed);
            continue;
        };
        let count = Arc::clone(&count);
        tokio::spawn(async move {
            if carry(stream).await.is_err() {
                count.no_service.fetch_add(1, Ordering::Relaxed);
            }
            drop(place);
        });
    }
}

/// Carries one connection to its end. An error is one of reaching the service; how a connection
/// ends that was made is between the two.
async fn carry(mut inside: TcpStream) -> io::Result<()> {
    let mut outside = UnixStream::connect(SOCKET).await?;
    // What comes in one piece goes on in one piece; waiting to fill a packet only delays it.
    let _ = inside.set_nodelay(true);
    let _ =
        tokio::io::copy_bidirectional_with_sizes(&mut inside, &mut outside, BUFFER, BUFFER).await;
    Ok(())
}
