//! Logs: groups of streams of events, as `CloudWatch` Logs has them.
//!
//! Events are kept in blocks of many ([`block`]), one row each. **Invariant**: the blocks of one
//! stream lie in the order of (timestamp, sequence) and do not overlap, so that reading needs one
//! block at a time, however many there are, and a place in a stream is a [`Key`] that stays valid
//! while events are added before and behind it. Who appends late events rewrites one block.
//!
//! What is deleted is first taken out of sight ([`delete_stream`]) and then removed in small
//! pieces ([`expire`]): no write is long.

mod append;
mod block;
mod expire;
mod groups;
mod read;
mod search;
mod streams;

pub use append::{append, append_creating};
pub use expire::expire;
pub use groups::{
    Group, create_group, delete_group, get_group, list_groups, set_group_tags, set_retention,
};
pub use read::{Direction, Page, Range, read};
pub use search::{Found, Place, Search, Which, search};
pub use streams::{Stream, StreamOrder, create_stream, delete_stream, ensure_stream, list_streams};

use crate::StoreError;
use belljar_domain::Timestamp;

/// Bytes of one event's message, in UTF-8. (`CloudWatch`: 1 MiB with the 26 that each event costs.)
pub const MAX_MESSAGE: usize = (1 << 20) - EVENT_OVERHEAD;
/// Bytes that each event costs beyond its message (`PutLogEvents`).
pub const EVENT_OVERHEAD: usize = 26;
/// Events in one answer.
pub const MAX_PAGE_EVENTS: usize = 10_000;
/// Bytes in one answer, messages and overheads; an answer has at least one event.
pub const MAX_PAGE_BYTES: usize = 1 << 20;

/// Tables of groups, streams and blocks. An id of a stream is never used again, because its blocks
/// may still be there.
pub(crate) const SCHEMA: &str = "
CREATE TABLE log_group (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    name      TEXT NOT NULL UNIQUE,
    created   INTEGER NOT NULL, -- here and below: milliseconds since the epoch
    retention INTEGER,          -- days
    tags      TEXT NOT NULL     -- a JSON list of [key, value]
) STRICT;
CREATE TABLE log_stream (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    log_group    INTEGER NOT NULL REFERENCES log_group (id),
    name         TEXT NOT NULL,
    created      INTEGER NOT NULL,
    next         INTEGER NOT NULL DEFAULT 0, -- the sequence of the next event
    first_event  INTEGER,
    last_event   INTEGER,
    last_ingest  INTEGER,
    bytes        INTEGER NOT NULL DEFAULT 0,
    UNIQUE (log_group, name)
) STRICT;
CREATE INDEX log_stream_last ON log_stream (log_group, coalesce(last_event, 0), id);
CREATE TABLE log_block (
    id        INTEGER PRIMARY KEY,
    stream    INTEGER NOT NULL,
    first_at  INTEGER NOT NULL,
    first_seq INTEGER NOT NULL,
    last_at   INTEGER NOT NULL,
    last_seq  INTEGER NOT NULL,
    size      INTEGER NOT NULL, -- bytes of the body
    body      BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX log_block_place
    ON log_block (stream, first_at, first_seq, last_at, last_seq, size);
CREATE TABLE log_dead (stream INTEGER PRIMARY KEY) STRICT; -- deleted; its blocks go bit by bit
";

/// An event to append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEvent {
    /// When it happened.
    pub at: Timestamp,
    /// A line, at most [`MAX_MESSAGE`] bytes; what is longer is cut there.
    pub message: String,
}

/// An event that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its place in its stream.
    pub key: Key,
    /// When it was appended.
    pub ingested: Timestamp,
    /// The line.
    pub message: String,
}

/// A place in a stream: events lie in the order of their keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// When the event happened, in milliseconds since the epoch.
    pub at: i64,
    /// The how-manieth of its stream it was when it was appended.
    pub seq: i64,
}

impl Key {
    /// Before all events of this moment.
    #[must_use]
    pub const fn start(at: i64) -> Self {
        Self { at, seq: 0 }
    }

    /// The next place behind this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self { at: self.at, seq: self.seq.saturating_add(1) }
    }
}

/// What was asked cannot be.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// No group of this name.
    #[error("there is no log group of this name")]
    NoGroup,
    /// No stream of this name.
    #[error("there is no log stream of this name")]
    NoStream,
    /// A group of this name is there.
    #[error("there is a log group of this name")]
    GroupExists,
    /// A stream of this name is there.
    #[error("there is a log stream of this name")]
    StreamExists,
    /// The state failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for LogError {
    fn from(e: rusqlite::Error) -> Self {
        Self::Store(e.into())
    }
}

/// A limit as SQLite takes it.
fn count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
