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
pub(crate) use relay::remove;
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
    session: u64,
    number: u64,
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

    /// Takes note of a beat; whether it is news.
    fn note(&self, node: &NodeName, beat: &Beat) -> bool {
        let mut all = self.heard();
        let late = |h: &Heard| h.session == beat.session && h.number >= beat.number;
        if all.get(node).is_some_and(late) {
            return false;
        }
        let Beat { session, number, address, .. } = *beat;
        all.insert(node.clone(), Heard { at: Instant::now(), address, session, number });
        true
    }

    /// Those that live, with where they are reached.
    pub(crate) fn alive(&self) -> Vec<(NodeName, IpAddr)> {
        let heard = self.heard();
        let alive = heard.iter().filter(|(_, h)| h.at.elapsed() < SILENCE);
        alive.map(|(name, h)| (name.clone(), h.address)).collect()
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
        assert!(nodes.alive().is_empty() && !nodes.is_silent(&name), "it has its time");
        let address = [10, 0, 0, 2].into();
        let beat = |session, number| Beat { session, number, address, begun: vec![] };
        assert!(nodes.note(&name, &beat(7, 2)));
        assert_eq!(nodes.alive(), [(name.clone(), address)]);
        assert!(!nodes.is_silent(&name));
        assert!(!nodes.note(&name, &beat(7, 2)) && !nodes.note(&name, &beat(7, 1)), "late");
        assert!(nodes.note(&name, &beat(7, 3)) && nodes.note(&name, &beat(8, 1)), "it began anew");
    }
}
