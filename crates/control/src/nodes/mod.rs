//! Other machines that have joined: who they are, what they are to run, and what they send.
//!
//! The service only carries: what it gets of an instance it puts into that instance's folder, where
//! the job's warden finds it, and what the job's warden writes there it hands out. So a job goes
//! on while the service is away, and goes on being led when it is back.
//!
//! **Invariant**: what concerns an attempt is taken with that attempt's key alone, which ends with
//! it: a node that comes back late changes nothing.

mod http;
mod relay;
mod work;

pub(crate) use http::answer;
pub(crate) use work::give_up;

use belljar_domain::node::{Beat, LOST_AFTER_SECONDS, Place};
use belljar_domain::{NodeName, spool};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a node may be silent.
const SILENCE: Duration = Duration::from_secs(LOST_AFTER_SECONDS);

/// The nodes as they were last heard of. A service that was just started has heard of none, and
/// gives all of them their time.
#[derive(Debug)]
pub(crate) struct Nodes {
    since: Instant,
    heard: Mutex<BTreeMap<NodeName, Heard>>,
}

#[derive(Debug, Clone)]
struct Heard {
    at: Instant,
    address: IpAddr,
    begun: Vec<Place>,
}

impl Default for Nodes {
    fn default() -> Self {
        Self { since: Instant::now(), heard: Mutex::default() }
    }
}

impl Nodes {
    fn heard(&self) -> MutexGuard<'_, BTreeMap<NodeName, Heard>> {
        // Nothing in here is half done when a thread panics.
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, node: &NodeName, beat: Beat) {
        let heard = Heard { at: Instant::now(), address: beat.address, begun: beat.begun };
        self.heard().insert(node.clone(), heard);
    }

    /// Those that live, with where they are reached.
    pub(crate) fn alive(&self) -> Vec<(NodeName, IpAddr)> {
        let heard = self.heard();
        let alive = heard.iter().filter(|(_, h)| h.at.elapsed() < SILENCE);
        alive.map(|(name, h)| (name.clone(), h.address)).collect()
    }

    /// Whether an instance that the node began is lost: it has been silent for too long, or has
    /// come back without it.
    fn has_lost(&self, node: &NodeName, place: &Place) -> bool {
        match self.heard().get(node) {
            None => self.since.elapsed() >= SILENCE,
            Some(heard) => heard.at.elapsed() >= SILENCE || !heard.begun.contains(place),
        }
    }

    /// Whether the node has been silent for too long.
    fn is_silent(&self, node: &NodeName) -> bool {
        let last = self.heard().get(node).map_or(self.since, |heard| heard.at);
        last.elapsed() >= SILENCE
    }
}

/// The folder of an instance of an attempt whose folder is `attempt`.
fn folder_of(attempt: &Path, place: &Place) -> PathBuf {
    attempt.join(spool::INSTANCES).join(place.host.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_alive_once_heard_and_none_is_lost_at_once() {
        let nodes = Nodes::default();
        let name: NodeName = "n".parse().unwrap();
        let place =
            Place { job: "j".parse().unwrap(), generation: 1, host: "algo-2".parse().unwrap() };
        assert!(nodes.alive().is_empty());
        assert!(!nodes.has_lost(&name, &place) && !nodes.is_silent(&name), "it has its time");
        let address = [10, 0, 0, 2].into();
        nodes.note(&name, Beat { address, begun: vec![place.clone()] });
        assert_eq!(nodes.alive(), [(name.clone(), address)]);
        assert!(!nodes.has_lost(&name, &place));
        nodes.note(&name, Beat { address, begun: vec![] });
        assert!(nodes.has_lost(&name, &place), "it came back without it");
        assert!(!nodes.is_silent(&name));
    }
}
