//! Endpoints: the same loop for what stays. The records of endpoints and of their instances
//! (desired), the instances' folders (observed), and [`belljar_domain::fleet`] between them.
//!
//! **Invariant**: the routing table never names an instance of which the record says that it
//! leaves, and an endpoint goes over to another fleet in the transaction that says so.

mod begin;
mod observe;
mod routes;
mod steps;

use super::StepError;
use super::follow::Follower;
use super::start::Started;
use crate::service::Service;
use crate::serving::Instance;
use belljar_domain::endpoint::{Endpoint, EndpointStatus, Server};
use belljar_domain::fleet::{self, Seen};
use belljar_store::StoreError;
use belljar_store::endpoints::{self, servers};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A container: its instance's id, and its number from 1.
type Key = (String, u32);

/// What the loop remembers of endpoints; a new service finds it again.
pub(super) struct Endpoints {
    service: Arc<Service>,
    /// Wardens that this process started.
    started: BTreeMap<Key, Started>,
    /// Who takes in the events of which container.
    followers: BTreeMap<Key, Follower>,
    /// What requests know of an instance: their number stays with it.
    instances: BTreeMap<String, Arc<Instance>>,
    /// Endpoints in the routing table.
    routed: Vec<String>,
}

impl Endpoints {
    pub(super) fn new(service: Arc<Service>) -> Self {
        Self {
            service,
            started: BTreeMap::new(),
            followers: BTreeMap::new(),
            instances: BTreeMap::new(),
            routed: Vec::new(),
        }
    }

    /// Looks, decides, and does it. Answers whether something changed that another step may
    /// follow from.
    pub(super) async fn round(&mut self) -> Result<bool, StepError> {
        self.started.retain(|_, started| started.reap());
        let mut changed = false;
        for (endpoint, seen) in self.look()? {
            changed |= self.attend(&endpoint, &seen).await;
        }
        Ok(changed)
    }

    /// What there is, and what is seen of it; requests go accordingly from now on.
    pub(super) fn look(&mut self) -> Result<Vec<(Endpoint, Vec<Seen>)>, StepError> {
        let (all, servers) = self
            .service
            .db()
            .read(|c| Ok::<_, StoreError>((endpoints::all(c)?, servers::all(c)?)))?;
        self.forget(&servers);
        let mut by_endpoint: BTreeMap<String, Vec<Seen>> = BTreeMap::new();
        let mut unseen = Vec::new();
        for server in servers {
            match self.observe(server.clone()) {
                Ok(seen) => by_endpoint.entry(server.endpoint).or_default().push(seen),
                // Nothing is done on a guess: its endpoint stays as it is for now.
                Err(e) => {
                    tracing::error!(server = server.id, error = %crate::chain(&*e), "an instance cannot be looked at");
                    unseen.push(server.endpoint);
                }
            }
        }
        let (hidden, all): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|e| unseen.contains(&e.name));
        self.route(&all, &hidden, &by_endpoint);
        let seen = |e: Endpoint| {
            let seen = by_endpoint.remove(&e.name).unwrap_or_default();
            (e, seen)
        };
        Ok(all.into_iter().map(seen).collect())
    }

    async fn attend(&mut self, endpoint: &Endpoint, seen: &[Seen]) -> bool {
        let zones = &self.service.config.zones;
        let mut changed = false;
        for step in fleet::plan(endpoint, seen, zones, self.service.now()) {
            match self.execute(endpoint, seen, &step).await {
                Ok(did) => changed |= did,
                Err(e) => {
                    let name = &endpoint.name;
                    tracing::error!(endpoint = name, ?step, error = %crate::chain(&*e), "a step failed; it will be tried again");
                }
            }
        }
        changed
    }

    /// Forgets what belongs to instances that are gone.
    fn forget(&mut self, servers: &[Server]) {
        let known = |id: &str| servers.iter().any(|s| s.id == id);
        self.started.retain(|(id, _), _| known(id));
        self.followers.retain(|(id, _), _| known(id));
        self.instances.retain(|id, _| known(id));
    }
}

/// Whether an endpoint in that state answers requests.
fn answers(status: EndpointStatus) -> bool {
    matches!(status, EndpointStatus::InService | EndpointStatus::Updating)
}
