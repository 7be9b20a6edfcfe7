//! The way from inside to the service: listeners in the command's namespace, whose connections
//! are carried byte by byte to the service's unix socket.

use crate::carry::{Carrier, MAX_CONNECTIONS};
use belljar_linux::netns::NetNs;
use belljar_linux::{Error, Result};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

const HTTPS: u16 = 443;
const HTTP: u16 = 80;
/// The service's socket, in its folder.
const SOCKET: &str = "socket";

/// The open gate; dropping it closes it.
#[derive(Debug)]
pub(super) struct Gate {
    tasks: Vec<JoinHandle<()>>,
    carrier: Arc<Carrier>,
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

/// Listens at `aws`, and at the service's `own` address.
pub(super) fn open(
    ns: &NetNs,
    aws: Ipv4Addr,
    own: Option<SocketAddr>,
    service: &Path,
) -> Result<Gate> {
    // A service that is away may come back; without its folder it cannot.
    std::fs::read_dir(service).map_err(|source| {
        let operation = format!("look into the service's folder {}", service.display());
        Error { operation, source }
    })?;
    let carrier = Carrier::new(service.join(SOCKET));
    let addresses = [HTTPS, HTTP].map(|port| SocketAddr::from((aws, port)));
    let mut tasks = Vec::new();
    for address in addresses.into_iter().chain(own) {
        let listener = TcpListener::from_std(ns.listen(address)?)
            .map_err(|source| Error { operation: format!("listen on {address}"), source })?;
        let nothing = Arc::new(|_, _| None);
        tasks.push(tokio::spawn(Arc::clone(&carrier).accept(listener, nothing)));
    }
    Ok(Gate { tasks, carrier })
}

impl Gate {
    /// Closes it.
    pub(super) fn close(self) -> Carried {
        self.tasks.iter().for_each(JoinHandle::abort);
        let read = |n: &AtomicU64| n.load(Ordering::Relaxed);
        Carried {
            too_many: read(&self.carrier.too_many),
            no_service: read(&self.carrier.no_service),
        }
    }
}
