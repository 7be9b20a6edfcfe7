//! The service: one process, one address for all of AWS's services that it serves.
//!
//! A request flows: [`front`] (connections) → [`dispatch`] (route, signature, input, answer) →
//! [`table`] → a handler of [`crate::api`] → the state. Handlers write what is wanted and wake the
//! reconciler; they never start anything themselves.

mod address;
mod ca;
mod caller;
mod config;
mod dispatch;
mod error;
mod front;
mod keys;
pub mod limits;
mod network;
mod nodes;
mod proxied;
mod request_id;
pub(crate) mod socket;
mod start;
pub(crate) mod table;
pub(crate) mod tls;
mod upkeep;
pub(crate) mod via;

pub use address::{Address, address};
pub use ca::{CaError, certificate_path};
pub use caller::Caller;
pub use config::{Capacity, Config, DEFAULT_LISTEN};
pub(crate) use dispatch::Body;
pub use error::ServiceError;
pub(crate) use front::body;
pub use keys::{Key, create_key, keys, revoke_key, root_key};
pub use network::{NetworkView, Workload, network};
pub use nodes::{add_node, list_nodes, remove_node};
pub(crate) use start::SOCKET;
pub use start::{Ready, run};

use crate::api::s3::S3;
use crate::fabric::Fabric;
use crate::network::{Networks, flow_logs};
use crate::nodes::Nodes;
use crate::serving::Table;
use belljar_domain::Timestamp;
use belljar_store::objects::Objects;
use belljar_store::{Db, State};
use std::sync::Arc;
use tokio::sync::Notify;

/// What handlers and the reconciler share.
#[derive(Debug)]
pub struct Service {
    /// The settings.
    pub config: Config,
    /// The service's folder and database; its lock is held.
    pub state: Arc<State>,
    /// Objects and buckets, as clients see them.
    pub s3: S3,
    /// The same, as they are kept.
    pub(crate) objects: Objects,
    /// Wakes the reconciler: something is wanted that was not before.
    pub wanted: Notify,
    /// The region's network.
    pub(crate) network: Networks,
    /// How far the kernel's network is the same.
    pub(crate) fabric: Fabric,
    /// What is wrong with flow logs.
    pub(crate) flow_logs: flow_logs::Troubles,
    /// Other machines, as they were last heard of.
    pub(crate) nodes: Nodes,
    /// Wakes whoever carries out asynchronous requests.
    pub(crate) asked: Notify,
    /// Where requests to endpoints go.
    pub endpoints: Table,
    /// For connections that begin with it.
    pub(crate) tls: tls::Tls,
}

impl Service {
    /// The database.
    #[must_use]
    pub fn db(&self) -> &Db {
        self.state.db()
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.config.now)()
    }
}
