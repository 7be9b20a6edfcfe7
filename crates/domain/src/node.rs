//! What a service and a **node**, another host that has joined it, say to each other. The node asks,
//! over HTTPS; the service never calls it.
//!
//! - A [`Beat`] a second says that the node lives, and what it runs. The answer says what it is
//!   to run: an instance that is not in there is over, or its attempt is, and is ended.
//! - Of each instance two streams of lines are kept in its folder at the service, as a warden's
//!   standard output and input would be: [`OUT`], in segments named by the place of their first
//!   byte, and [`IN`]. Either side goes on from the byte that the other has.
//! - What the instance left comes as a tar, then its report, which is last.
//!
//! What concerns one attempt carries that attempt's key, which ends with it: a late one is refused.

use crate::{Assignment, HostName, JobName};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};

/// What the paths of all these requests begin with. No bucket's name begins so.
pub const PREFIX: &str = "/_belljar/v1";
/// Milliseconds between two beats.
pub const BEAT_MILLIS: u64 = 1000;
/// Seconds of silence after which a node is given up. With what it takes to look, that is known
/// within 15.
pub const LOST_AFTER_SECONDS: u64 = 12;
/// Bytes of a beat, of its answer, and of a report, at most.
pub const MAX_MESSAGE: usize = 64 << 20;
/// Bytes of [`OUT`] that are sent at once, at most.
pub const MAX_CHUNK: usize = 4 << 20;
/// Bytes of [`OUT`] that wait at the service for the job's warden; beyond, the node waits.
pub const MAX_WAITING: u64 = 64 << 20;

/// The folder of the segments of an instance's events.
pub const OUT: &str = "out";
/// The file of the lines that an instance is told.
pub const IN: &str = "in";
/// The tar of what an instance left.
pub const LEFT: &str = "left.tar";
/// There once an instance is given up.
pub const LOST: &str = "lost";

/// What a node is given when it is added: all that it needs to join. It holds a secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Ticket {
    /// The node's name.
    pub node: NodeName,
    /// Where the service listens.
    pub service: SocketAddr,
    /// The certificate that vouches for it, PEM.
    pub certificate: String,
    /// What the node shows.
    pub token: String,
}

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ticket").field("node", &self.node).finish_non_exhaustive()
    }
}

/// A node lives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Beat {
    /// Drawn by the node when it starts.
    pub session: u64,
    /// Counted in a session: one that comes late is no news.
    pub number: u64,
    /// Where the instances of other hosts reach it.
    pub address: IpAddr,
    /// What it has begun, and has not been told to forget.
    pub begun: Vec<Place>,
}

/// One try of one instance.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Place {
    /// The job.
    pub job: JobName,
    /// The try.
    pub generation: u64,
    /// The instance.
    pub host: HostName,
}

impl Place {
    /// Of what an instance's warden is told.
    #[must_use]
    pub fn of(a: &Assignment) -> Self {
        Self { job: a.job.clone(), generation: a.generation, host: a.host.clone() }
    }

    /// What follows [`PREFIX`] in the paths of its requests.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/instances/{}/{}/{}", self.job, self.generation, self.host)
    }
}

/// What a node is to run.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Work {
    /// The instance.
    pub assignment: Assignment,
    /// The attempt's key: the token of its requests, and what it stages by.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: String,
    /// The service's region.
    pub region: String,
}

impl std::fmt::Debug for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Work").field(&Place::of(&self.assignment)).finish()
    }
}

/// The answer to a beat.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Orders {
    /// All that the node is to run, begun or not.
    pub work: Vec<Work>,
}

/// How much of [`OUT`] the service has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Received {
    /// Bytes, from the first.
    pub bytes: u64,
}

/// The name of the segment of [`OUT`] whose first byte is at this place.
#[must_use]
pub fn segment_name(first: u64) -> String {
    format!("{first:020}.jsonl")
}

/// The place of a segment's first byte; `None` for any other name.
#[must_use]
pub fn segment_first(name: &str) -> Option<u64> {
    let first = name.strip_suffix(".jsonl")?.parse().ok()?;
    (segment_name(first) == name).then_some(first)
}

pub use crate::name::NodeName;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_has_one_name() {
        for n in [0, 1, 1 << 40, u64::MAX] {
            assert_eq!(segment_first(&segment_name(n)), Some(n));
        }
        for other in ["1.jsonl", "", "00000000000000000001", "+0000000000000000001.jsonl"] {
            assert_eq!(segment_first(other), None, "{other}");
        }
    }

    #[test]
    fn secrets_do_not_show() {
        let ticket = Ticket {
            node: "n".parse().unwrap(),
            service: "127.0.0.1:1".parse().unwrap(),
            certificate: String::new(),
            token: "hidden".into(),
        };
        assert!(!format!("{ticket:?}").contains("hidden"));
    }
}
