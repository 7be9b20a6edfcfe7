//! Between a warden that outlives the service and the service that follows it: the files of a
//! job's folder by which they talk, and how large they may become.
//!
//! - `events/00000001.jsonl`, `events/00000002.jsonl`, …: segments of whole lines, one
//!   [`crate::Event`] each. A segment is finished when its successor exists. The service deletes
//!   what it has committed; what is not deleted counts against [`TOTAL_BYTES`], and a full spool
//!   makes the container wait: nothing is lost, and the disk does not fill.
//! - `orders`: a FIFO that the warden reads, one [`Order`] a line. What is written while nobody
//!   listens is not kept, so orders are repeated until they show effect.
//! - `lock`: held (flock) by the living warden.
//! - `journal.jsonl`: exists once a warden has begun; a folder is begun once.
//! - `report.json`: how it ended. The report is in no segment.

use crate::HostName;
use crate::cluster::Endpoint;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// The folder of the segments.
pub const FOLDER: &str = "events";
/// The FIFO of the orders.
pub const ORDERS: &str = "orders";
/// The folder of the instances' folders, in that of a job with several.
pub const INSTANCES: &str = "instances";
/// Held by the living warden.
pub const LOCK: &str = "lock";
/// There once a warden has begun.
pub const JOURNAL: &str = "journal.jsonl";
/// What a detached warden says on standard error.
pub const DIAGNOSTICS: &str = "warden.log";

/// Bytes after which a segment is followed by the next.
pub const SEGMENT_BYTES: u64 = 1 << 20;
/// Bytes of all segments that are there; beyond, the container's output waits. What a warden
/// itself tells does not: a few hundred lines at most, and of one that serves a short one every few
/// seconds if its health flips all the time, some megabytes a day.
pub const TOTAL_BYTES: u64 = 64 << 20;
/// Seconds for which a spool that cannot be written (a full disk) is tried again; then the job
/// is ended.
pub const WRITE_PATIENCE_SECONDS: u64 = 60;

/// Exit code of a warden whose folder is another one's (`EX_TEMPFAIL` of sysexits.h).
pub const EXIT_TAKEN: u8 = 75;
/// Exit code of a warden whose folder was begun by an earlier one (`EX_PROTOCOL`).
pub const EXIT_BEGUN: u8 = 76;

/// The service's unix socket: a warden that finds this variable reaches S3 there.
pub const S3_SOCKET_VARIABLE: &str = "BELLJAR_S3_SOCKET";
/// The same socket, and the warden's own key, where S3 is another's: they are for STS alone.
pub const SOCKET_VARIABLE: &str = "BELLJAR_SOCKET";
/// The id of that key.
pub const KEY_VARIABLE: &str = "BELLJAR_ACCESS_KEY_ID";
/// Its secret.
pub const SECRET_VARIABLE: &str = "BELLJAR_SECRET_ACCESS_KEY";
/// Seconds for which a warden waits for a service that is away before an S3 request fails. Below
/// the 15 minutes for which a request's signature is valid.
pub const S3_ABSENCE_SECONDS: u64 = 600;

/// A place in a spool: everything before it is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Position {
    /// The segment's number, from 1.
    pub segment: u64,
    /// Bytes of it that are taken.
    pub offset: u64,
}

impl Position {
    /// Where every spool begins.
    pub const START: Self = Self { segment: 1, offset: 0 };
}

/// A segment's file name.
#[must_use]
pub fn segment_name(number: u64) -> String {
    format!("{number:08}.jsonl")
}

/// The number of a segment's file name; `None` for any other name.
#[must_use]
pub fn segment_number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".jsonl")?;
    let plain = digits.len() >= 8 && digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten().filter(|n| segment_name(*n) == name)
}

/// What a warden is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Order {
    /// TERM, the grace of the Assignment, KILL; artifacts are uploaded.
    Stop,
    /// KILL now; artifacts are uploaded.
    Kill,
}

/// What an instance of several is told besides, a line each: one JSON object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", tag = "word")]
pub enum Word {
    /// The ends of the encrypted links to its peers.
    Peers {
        /// By name, its own left out.
        endpoints: BTreeMap<HostName, Endpoint>,
    },
    /// All instances are ready: start.
    Go,
}

impl Order {
    /// The line, without its newline.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Kill => "kill",
        }
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A line that is no order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no order: a warden knows 'stop' and 'kill'")]
pub struct NoOrder;

impl FromStr for Order {
    type Err = NoOrder;

    fn from_str(line: &str) -> Result<Self, NoOrder> {
        [Self::Stop, Self::Kill].into_iter().find(|o| o.as_str() == line.trim()).ok_or(NoOrder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_has_one_name() {
        for n in [1, 42, 99_999_999, 100_000_000, u64::MAX] {
            assert_eq!(segment_number(&segment_name(n)), Some(n));
        }
        for other in ["1.jsonl", "00000001.jsonl.part", "+0000001.jsonl", "000000001.jsonl", "x"] {
            assert_eq!(segment_number(other), None, "{other}");
        }
    }

    #[test]
    fn orders_are_lines() {
        assert_eq!("stop\n".parse(), Ok(Order::Stop));
        assert_eq!("kill".parse(), Ok(Order::Kill));
        assert_eq!("halt".parse::<Order>(), Err(NoOrder));
    }
}
