//! Endpoints: the same loop for what stays. The records of endpoints and of their instances
//! (desired), the instances' folders (observed), and [`belljar_domain::fleet`] between them.
//!
//! **Invariant**: an instance is told to stop only after the routing table has ceased to name it,
//! and an endpoint goes over to another fleet in the transaction that says so.

mod begin;
mod folders;
mod observe;
mod routes;
mod steps;

use super::StepError;
use super::follow::Follower;
use super::start::Started;
use crate::service::Service;
use crate::serving::Instance;
use belljar_domain::Timestamp;
use belljar_domain::endpoint::{Endpoint, EndpointStatus, Server};
use belljar_domain::fleet::{self, Seen, State, Step};
use belljar_store::StoreError;
use belljar_store::endpoints::{self, servers};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::task::JoinHandle;

/// A container: its instance's id, and its number from 1.
type Key = (String, u32);

/// What the loop remembers of endpoints; a new service finds it again.
pub(super) struct Endpoints {
    service: Arc<Service>,
    /// Since when it looks.
    began: Timestamp,
    /// Wardens that this process started.
    started: BTreeMap<Key, Started>,
    /// Who takes in the events of which container.
    followers: BTreeMap<Key, Follower>,
    /// What requests know of an instance: their number stays with it.
    instances: BTreeMap<String, Arc<Instance>>,
    /// What takes away what a dead one left, by its instance's id.
    clearing: BTreeMap<String, Clearing>,
    /// Endpoints in the routing table.
    routed: Vec<String>,
}

/// Answers the folders of which nothing is needed.
type Clearing = JoinHandle<Result<Vec<PathBuf>, StepError>>;

impl Endpoints {
    pub(super) fn new(service: Arc<Service>) -> Self {
        Self {
            began: service.now(),
            service,
            started: BTreeMap::new(),
            followers: BTreeMap::new(),
            instances: BTreeMap::new(),
            clearing: BTreeMap::new(),
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
        let mut unseen = BTreeSet::new();
        for server in servers {
            let (id, endpoint) = (server.id.clone(), server.endpoint.clone());
            match self.observe(server) {
                Ok(seen) => by_endpoint.entry(endpoint).or_default().push(seen),
                Err(e) => {
                    tracing::error!(server = id, error = %crate::chain(&*e), "an instance cannot be looked at");
                    unseen.insert(endpoint);
                }
            }
        }
        let seen = |name: &str| by_endpoint.get(name).map_or(&[][..], Vec::as_slice);
        self.route(&all, |e| (!unseen.contains(&e.name)).then(|| seen(&e.name)));
        // One of which not all is seen is left as it is: nothing is begun on a guess.
        let all = all.into_iter().filter(|e| !unseen.contains(&e.name));
        let with_seen = |endpoint: Endpoint| {
            let mut seen = by_endpoint.remove(&endpoint.name).unwrap_or_default();
            self.count(&mut seen);
            (endpoint, seen)
        };
        Ok(all.map(with_seen).collect())
    }

    /// Counts requests. Only now, with the table brought up to date: who is not in it begins none,
    /// so none that is counted as idle has one.
    fn count(&self, seen: &mut [Seen]) {
        for seen in seen {
            let instance = self.instances.get(&seen.server.id);
            seen.outstanding = instance.map_or(0, |i| i.outstanding());
        }
    }

    async fn attend(&mut self, endpoint: &Endpoint, seen: &[Seen]) -> bool {
        let zones = &self.service.config.zones;
        let mut changed = false;
        for step in fleet::plan(endpoint, seen, zones, self.service.now()) {
            tell_of_death(endpoint, seen, &step);
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
        self.clearing.retain(|id, _| known(id));
    }
}

/// A death is told where its place is taken: nobody else would learn why.
fn tell_of_death(endpoint: &Endpoint, seen: &[Seen], step: &Step) {
    let Step::Begin { instead: Some(id), .. } = step else { return };
    let dead = seen.iter().find(|s| s.server.id == *id);
    if let Some(State::Dead { why, .. }) = dead.map(|s| &s.state) {
        let name = &endpoint.name;
        tracing::warn!(
            endpoint = name,
            server = id,
            why,
            "an instance died; another takes its place"
        );
    }
}

/// Whether an endpoint in that state answers requests.
fn answers(status: EndpointStatus) -> bool {
    matches!(status, EndpointStatus::InService | EndpointStatus::Updating)
}

#[cfg(test)]
mod tests;
