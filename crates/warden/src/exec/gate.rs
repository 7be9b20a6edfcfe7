//! The way from inside to the service: listeners in the command's namespace, whose connections
//! are carried byte by byte to the service's unix socket.

use crate::carry::{self, AWS, Carrier, MAX_CONNECTIONS, PORTS, Target};
use belljar_domain::proxy::LOCAL;
use belljar_linux::netns::NetNs;
use belljar_linux::{Error, Result};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::task::JoinHandle;

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

/// Listens where AWS is, and at the service's `own` address.
pub(super) fn open(ns: &NetNs, own: Option<SocketAddr>, service: &Path) -> Result<Gate> {
    // A service that is away may come back; without its folder it cannot.
    std::fs::read_dir(service).map_err(|source| {
        let operation = format!("look into the service's folder {}", service.display());
        Error { operation, source }
    })?;
    let carrier = Carrier::new(Some(service.join(SOCKET)));
    let mut tasks = Vec::new();
    for address in PORTS.map(|port| SocketAddr::from((AWS, port))).into_iter().chain(own) {
        let listener = carry::listen(ns, address)?;
        let lead = Arc::new(|_, _| Target::Service(LOCAL.to_vec()));
        tasks.push(tokio::spawn(Arc::clone(&carrier).accept(listener, lead)));
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
