//! Connections that are carried, byte by byte, from listeners in a namespace to the service's unix
//! socket.

use crate::words;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// Connections at once; each takes two descriptors, of which a process commonly has 1024.
/// Further ones are closed, because many that wait may wait for ever.
pub(crate) const MAX_CONNECTIONS: usize = 400;
/// Bytes that wait in each direction of a connection.
const BUFFER: usize = 64 << 10;
/// How long nothing is accepted after the kernel refused (no descriptors are left, say).
const PAUSE: Duration = Duration::from_millis(20);

/// Where connections are carried to, and how many there may be.
#[derive(Debug)]
pub(crate) struct Carrier {
    /// The service's socket.
    socket: PathBuf,
    places: Arc<Semaphore>,
    /// Closed, because there were [`MAX_CONNECTIONS`].
    pub(crate) too_many: AtomicU64,
    /// Closed, because the service did not answer.
    pub(crate) no_service: AtomicU64,
}

/// What is said before a connection's own bytes, by who has connected and to where.
pub(crate) type Head = dyn Fn(SocketAddr, SocketAddr) -> Option<Vec<u8>> + Send + Sync;

impl Carrier {
    /// To the service whose socket this is.
    pub(crate) fn new(socket: PathBuf) -> Arc<Self> {
        Arc::new(Self {
            socket,
            places: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
            too_many: AtomicU64::default(),
            no_service: AtomicU64::default(),
        })
    }

    /// Takes connections for ever.
    pub(crate) async fn accept(self: Arc<Self>, listener: TcpListener, head: Arc<Head>) {
        loop {
            let Ok((stream, from)) = listener.accept().await else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
                self.too_many.fetch_add(1, Ordering::Relaxed);
                continue;
            };
            let (this, head) = (Arc::clone(&self), Arc::clone(&head));
            tokio::spawn(async move {
                let before = stream.local_addr().ok().and_then(|to| head(from, to));
                let carried = this.carry(stream, before.unwrap_or_default());
                if carried.await.is_err() {
                    this.no_service.fetch_add(1, Ordering::Relaxed);
                }
                drop(place);
            });
        }
    }

    /// Carries one connection to its end. An error is one of reaching the service; how a connection
    /// ends that was made is between the two.
    async fn carry(&self, mut inside: TcpStream, before: Vec<u8>) -> io::Result<()> {
        let mut outside = words::connect(&self.socket).await?;
        outside.write_all(&before).await?;
        // What comes in one piece goes on in one piece; waiting to fill a packet only delays them.
        let _ = inside.set_nodelay(true);
        let _ = tokio::io::copy_bidirectional_with_sizes(&mut inside, &mut outside, BUFFER, BUFFER)
            .await;
        Ok(())
    }
}
