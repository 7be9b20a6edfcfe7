//! Reading many streams of a group at once, in the order of time.
//!
//! A page costs no more than [`SCAN`] bytes of blocks and what it answers, however many streams
//! there are and however few events match: each step looks at the span of time that holds about
//! that many bytes, one stream after the other, and keeps the earliest matches. An answer may
//! therefore be short, or empty, and still say where to go on, as `FilterLogEvents` may.

use super::read::{Range, each_block};
use super::{
    EVENT_OVERHEAD, Key, LogError, MAX_PAGE_BYTES, MAX_PAGE_EVENTS, StoredEvent, groups, streams,
};
use rusqlite::{Connection, params};
use std::collections::BTreeMap;

/// Bytes of blocks that one page looks at.
const SCAN: i64 = 8 << 20;

/// Which streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which<'a> {
    /// Those whose name begins so.
    Prefix(&'a str),
    /// These.
    Names(&'a [String]),
}

/// A place in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// When.
    pub at: i64,
    /// In which stream, of those with events at that moment.
    pub stream: i64,
    /// Where in that stream.
    pub seq: i64,
}

impl Place {
    const fn start(at: i64) -> Self {
        Self { at, stream: 0, seq: 0 }
    }
}

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Search<'a> {
    /// Which streams.
    pub which: Which<'a>,
    /// When.
    pub range: Range,
    /// Where to go on.
    pub from: Option<Place>,
    /// How many events at most.
    pub limit: usize,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Events and the names of their streams, in the order of time.
    pub events: Vec<(String, Place, StoredEvent)>,
    /// Where to go on, if the end was not reached.
    pub next: Option<Place>,
}

/// Finds events whose message `matches`.
///
/// # Errors
/// [`LogError::NoGroup`]; [`LogError::NoStream`] if one of [`Which::Names`] is not there; or if
/// the state fails.
pub fn search(
    c: &Connection,
    group: &str,
    search: &Search<'_>,
    mut matches: impl FnMut(&str) -> bool,
) -> Result<Found, LogError> {
    let range = search.range;
    let from = search.from.unwrap_or(Place::start(range.start)).max(Place::start(range.start));
    let streams = streams_of(c, group, search.which, from.at, range.end)?;
    let until = span(c, &streams, from.at, range.end)?;
    let mut keep = Keep {
        events: BTreeMap::new(),
        bytes: 0,
        limit: search.limit.clamp(1, MAX_PAGE_EVENTS),
        full_from: None,
    };
    for (index, (stream, _)) in streams.iter().enumerate() {
        // In this stream, events of the first moment may have been seen already.
        let low = Key { at: from.at, seq: if *stream == from.stream { from.seq } else { 0 } };
        let low = if *stream < from.stream { Key::start(from.at.saturating_add(1)) } else { low };
        each_block(c, *stream, low, Key::start(until), |body| {
            for event in super::block::Reader::new(body)? {
                let event = event?;
                let place = Place { at: event.key.at, stream: *stream, seq: event.key.seq };
                if event.key.at >= until || keep.full_from.is_some_and(|full| place >= full) {
                    return Ok(false);
                }
                if event.key >= low && matches(event.message) {
                    keep.add(place, index, event);
                }
            }
            Ok(true)
        })?;
    }
    let next = keep.full_from.or((until < range.end).then_some(Place::start(until)));
    let name = |index: usize| streams[index].1.clone();
    let events = keep.events.into_iter().map(|(place, (i, event))| (name(i), place, event));
    Ok(Found { events: events.collect(), next })
}

/// The earliest matches that fit into an answer.
struct Keep {
    events: BTreeMap<Place, (usize, StoredEvent)>,
    bytes: usize,
    limit: usize,
    /// The first that does not fit.
    full_from: Option<Place>,
}

impl Keep {
    fn add(&mut self, place: Place, index: usize, event: super::block::Raw<'_>) {
        self.bytes += event.message.len() + EVENT_OVERHEAD;
        self.events.insert(place, (index, event.to_event()));
        while self.events.len() > self.limit
            || (self.bytes > MAX_PAGE_BYTES && self.events.len() > 1)
        {
            let Some((place, (_, event))) = self.events.pop_last() else { break };
            self.bytes -= event.message.len() + EVENT_OVERHEAD;
            self.full_from = Some(place);
        }
    }
}

/// Ids and names of the streams that may have events from `start` to before `end`.
fn streams_of(
    c: &Connection,
    group: &str,
    which: Which<'_>,
    start: i64,
    end: i64,
) -> Result<Vec<(i64, String)>, LogError> {
    let group = groups::id(c, group)?;
    match which {
        Which::Prefix(prefix) => Ok(c
            .prepare_cached(
                "SELECT id, name FROM log_stream
                 WHERE log_group = ?1 AND name >= ?2 AND name < ?2 || char(1114111)
                    AND last_event >= ?3 AND first_event < ?4",
            )?
            .query_map(params![group, prefix, start, end], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?),
        Which::Names(names) => {
            let mut found = names
                .iter()
                .map(|name| Ok((streams::id(c, group, name)?, name.clone())))
                .collect::<Result<Vec<_>, LogError>>()?;
            found.sort_unstable();
            found.dedup();
            Ok(found)
        }
    }
}

/// Up to which moment (later than `start`) the streams' blocks hold about [`SCAN`] bytes.
fn span(c: &Connection, streams: &[(i64, String)], start: i64, end: i64) -> Result<i64, LogError> {
    let ids: Vec<i64> = streams.iter().map(|s| s.0).collect();
    let ids = serde_json::to_string(&ids).map_err(crate::StoreError::from)?;
    let mut blocks = c.prepare_cached(
        "SELECT first_at, size FROM json_each(?1) JOIN log_block ON stream = value
         WHERE last_at >= ?2 AND first_at < ?3 ORDER BY first_at",
    )?;
    let mut rows = blocks.query(params![ids, start, end])?;
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        let (first, size): (i64, i64) = (row.get(0)?, row.get(1)?);
        if bytes >= SCAN && first > start {
            return Ok(first);
        }
        bytes += size;
    }
    Ok(end)
}
