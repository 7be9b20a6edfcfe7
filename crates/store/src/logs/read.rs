//! Reading one stream, page by page, in either direction.

use super::block::Reader;
use super::{
    EVENT_OVERHEAD, Key, LogError, MAX_PAGE_BYTES, MAX_PAGE_EVENTS, StoredEvent, groups, streams,
};
use rusqlite::{Connection, Rows, params};

/// Which events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The first moment, in milliseconds since the epoch.
    pub start: i64,
    /// The moment behind the last one.
    pub end: i64,
}

impl Range {
    /// All events.
    pub const ALL: Self = Self { start: i64::MIN, end: i64::MAX };
}

/// Where to read, and which way. A page has its events in order, whichever way it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The earliest of those at or behind the key; `None`: the earliest of all.
    Forward(Option<Key>),
    /// The latest of those before the key; `None`: the latest of all.
    Backward(Option<Key>),
}

/// Some events, and where to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The events, in order.
    pub events: Vec<StoredEvent>,
    /// Behind the last: read [`Direction::Forward`] from here.
    pub forward: Key,
    /// The first: read [`Direction::Backward`] from here.
    pub backward: Key,
}

/// At most `limit` events ([`MAX_PAGE_EVENTS`], [`MAX_PAGE_BYTES`]) of a stream.
///
/// # Errors
/// [`LogError::NoGroup`], [`LogError::NoStream`]; or if the state fails.
pub fn read(
    c: &Connection,
    group: &str,
    stream: &str,
    range: Range,
    direction: Direction,
    limit: usize,
) -> Result<Page, LogError> {
    let stream = streams::id(c, groups::id(c, group)?, stream)?;
    let low = Key::start(range.start);
    let high = Key::start(range.end);
    let mut fill = Fill { events: Vec::new(), bytes: 0, limit: limit.min(MAX_PAGE_EVENTS) };
    let edge = match direction {
        Direction::Forward(from) => {
            let low = from.map_or(low, |from| from.max(low));
            forward(c, stream, low, high, &mut fill)?;
            low
        }
        Direction::Backward(from) => {
            let high = from.map_or(high, |from| from.min(high));
            backward(c, stream, low, high, &mut fill)?;
            fill.events.reverse();
            // Nothing was there: what comes later is found by going forward from the beginning.
            if from.is_none() { low } else { high }
        }
    };
    Ok(Page {
        forward: fill.events.last().map_or(edge, |e| e.key.next()),
        backward: fill.events.first().map_or(edge, |e| e.key),
        events: fill.events,
    })
}

/// A page in the making.
struct Fill {
    events: Vec<StoredEvent>,
    bytes: usize,
    limit: usize,
}

impl Fill {
    /// Whether there was room.
    fn add(&mut self, event: super::block::Raw<'_>) -> bool {
        let bytes = event.message.len() + EVENT_OVERHEAD;
        let room = self.events.len() < self.limit
            && (self.events.is_empty() || self.bytes + bytes <= MAX_PAGE_BYTES);
        if room {
            self.bytes += bytes;
            self.events.push(event.to_event());
        }
        room
    }
}

fn forward(
    c: &Connection,
    stream: i64,
    low: Key,
    high: Key,
    fill: &mut Fill,
) -> Result<(), LogError> {
    each_block(c, stream, low, high, |body| {
        for event in Reader::new(body)? {
            let event = event?;
            if event.key >= high || (event.key >= low && !fill.add(event)) {
                return Ok(false);
            }
        }
        Ok(true)
    })
}

fn backward(
    c: &Connection,
    stream: i64,
    low: Key,
    high: Key,
    fill: &mut Fill,
) -> Result<(), LogError> {
    let mut blocks = c.prepare_cached(
        "SELECT body FROM log_block WHERE stream = ?1 AND (first_at, first_seq) < (?2, ?3)
         ORDER BY first_at DESC, first_seq DESC",
    )?;
    let rows = blocks.query(params![stream, high.at, high.seq])?;
    walk(rows, |body| {
        let events = Reader::new(body)?.collect::<Result<Vec<_>, _>>()?;
        for event in events.into_iter().rev() {
            if event.key < low || (event.key < high && !fill.add(event)) {
                return Ok(false);
            }
        }
        Ok(true)
    })
}

/// Shows `see` the blocks that may have events from `low` to before `high`, in order, until it
/// has seen enough.
pub(super) fn each_block(
    c: &Connection,
    stream: i64,
    low: Key,
    high: Key,
    see: impl FnMut(&[u8]) -> rusqlite::Result<bool>,
) -> Result<(), LogError> {
    // The first such block is the last one that begins at or before `low`, if there is one.
    let mut blocks = c.prepare_cached(
        "SELECT body FROM log_block
         WHERE stream = ?1 AND (first_at, first_seq) < (?4, ?5) AND (first_at, first_seq) >= (
            SELECT coalesce(max(first_at), ?2), coalesce(max(first_seq), ?3) FROM (
                SELECT first_at, first_seq FROM log_block
                WHERE stream = ?1 AND (first_at, first_seq) <= (?2, ?3)
                ORDER BY first_at DESC, first_seq DESC LIMIT 1))
         ORDER BY first_at, first_seq",
    )?;
    walk(blocks.query(params![stream, low.at, low.seq, high.at, high.seq])?, see)
}

fn walk(
    mut rows: Rows<'_>,
    mut see: impl FnMut(&[u8]) -> rusqlite::Result<bool>,
) -> Result<(), LogError> {
    while let Some(row) = rows.next()? {
        if !see(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?)? {
            break;
        }
    }
    Ok(())
}
