//! The region's network as the service holds it.

use belljar_vpc::Network;
use std::ops::Deref;
use std::sync::Arc;
use tokio::sync::watch;

/// The network at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Topology {
    /// Goes up with every change of `network`.
    pub(crate) generation: u64,
    /// The network, checked.
    pub(crate) network: Arc<Network>,
}

impl Deref for Topology {
    type Target = Network;
    fn deref(&self) -> &Network {
        &self.network
    }
}

/// The current topology.
#[derive(Debug, Clone, Default)]
pub(crate) struct Networks {
    pub(crate) current: watch::Sender<Arc<Topology>>,
}

impl Networks {
    /// The network as it is.
    pub(crate) fn current(&self) -> Arc<Topology> {
        self.current.borrow().clone()
    }

    /// Sees every network from now on.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<Topology>> {
        self.current.subscribe()
    }
}
