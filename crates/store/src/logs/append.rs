//! Appending: to the last block, or into the one where late events belong.

use super::block::{Raw, Reader, Writer};
use super::{EVENT_OVERHEAD, Key, LogError, LogEvent, MAX_MESSAGE, streams};
use crate::StoreError;
use belljar_domain::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

/// Bytes at which a block is full; one event may be longer.
const BLOCK: usize = 128 << 10;
/// Bytes up to which a block is added to, rather than a new one begun: adding writes it anew.
const GROWING: usize = 32 << 10;

/// Appends events to a stream, in the caller's transaction. They may be older than what is there;
/// among events of one moment the order is that of appending. Returns how many events the stream
/// has ever had.
///
/// # Errors
/// [`LogError::NoGroup`], [`LogError::NoStream`]; or if the state fails.
pub fn append(
    c: &Connection,
    group: &str,
    stream: &str,
    events: &[LogEvent],
    now: Timestamp,
) -> Result<i64, LogError> {
    let group = super::groups::id(c, group)?;
    let stream = streams::id(c, group, stream)?;
    Ok(append_to(c, stream, events, now)?)
}

/// Appends events, and makes the group and the stream if they are not there: for the log of a
/// job, which must not fail because somebody deleted its stream.
///
/// # Errors
/// If the state fails.
pub fn append_creating(
    c: &Connection,
    group: &str,
    stream: &str,
    events: &[LogEvent],
    now: Timestamp,
) -> Result<(), StoreError> {
    let stream = streams::ensure_stream(c, group, stream, now)?;
    append_to(c, stream, events, now)?;
    Ok(())
}

/// A block without its body.
#[derive(Debug, Clone, Copy)]
struct Row {
    id: i64,
    last: Key,
    size: usize,
}

fn append_to(
    c: &Connection,
    stream: i64,
    events: &[LogEvent],
    now: Timestamp,
) -> Result<i64, StoreError> {
    let next: i64 = c
        .prepare_cached("SELECT next FROM log_stream WHERE id = ?1")?
        .query_row([stream], |row| row.get(0))?;
    let Some(first) = events.iter().map(|e| e.at.millis()).min() else { return Ok(next) };
    let mut new: Vec<Raw<'_>> = events
        .iter()
        .zip(next..)
        .map(|(event, seq)| Raw {
            key: Key { at: event.at.millis(), seq },
            ingested: now.millis(),
            message: cut(&event.message),
        })
        .collect();
    let bytes: usize = new.iter().map(|e| e.message.len() + EVENT_OVERHEAD).sum();
    if !new.is_sorted_by_key(|e| e.key) {
        new.sort_unstable_by_key(|e| e.key);
    }
    let last = new.last().map_or(first, |e| e.key.at);
    place(c, stream, &new)?;
    c.prepare_cached(
        "UPDATE log_stream SET next = next + ?2, bytes = bytes + ?3, last_ingest = ?4,
            first_event = min(coalesce(first_event, ?5), ?5),
            last_event = max(coalesce(last_event, ?6), ?6)
         WHERE id = ?1",
    )?
    .execute(params![stream, len(new.len()), len(bytes), now.millis(), first, last])?;
    Ok(next + len(new.len()))
}

/// The longest beginning that fits.
fn cut(message: &str) -> &str {
    &message[..message.floor_char_boundary(MAX_MESSAGE)]
}

/// Puts sorted events where they belong: all that come before the block behind the one that they
/// belong to go there together.
fn place(c: &Connection, stream: i64, mut new: &[Raw<'_>]) -> Result<(), StoreError> {
    while let Some(first) = new.first() {
        let home = home(c, stream, first.key)?;
        let until = follower(c, stream, first.key)?;
        let run = until.map_or(new.len(), |until| new.partition_point(|e| e.key < until));
        // At least one: what follows begins behind the first.
        let (run, rest) = new.split_at(run.max(1));
        match home {
            Some(home) if home.last < run[0].key => extend(c, stream, home, run)?,
            Some(home) => merge(c, stream, home, run)?,
            None => write(c, stream, run)?,
        }
        new = rest;
    }
    Ok(())
}

/// The last block that begins at or before `key`.
fn home(c: &Connection, stream: i64, key: Key) -> rusqlite::Result<Option<Row>> {
    c.prepare_cached(
        "SELECT id, last_at, last_seq, size FROM log_block
         WHERE stream = ?1 AND (first_at, first_seq) <= (?2, ?3)
         ORDER BY first_at DESC, first_seq DESC LIMIT 1",
    )?
    .query_row(params![stream, key.at, key.seq], |row| {
        Ok(Row {
            id: row.get(0)?,
            last: Key { at: row.get(1)?, seq: row.get(2)? },
            size: usize::try_from(row.get::<_, i64>(3)?).unwrap_or(usize::MAX),
        })
    })
    .optional()
}

/// Where the first block behind `key` begins.
fn follower(c: &Connection, stream: i64, key: Key) -> rusqlite::Result<Option<Key>> {
    c.prepare_cached(
        "SELECT first_at, first_seq FROM log_block
         WHERE stream = ?1 AND (first_at, first_seq) > (?2, ?3)
         ORDER BY first_at, first_seq LIMIT 1",
    )?
    .query_row(params![stream, key.at, key.seq], |row| {
        Ok(Key { at: row.get(0)?, seq: row.get(1)? })
    })
    .optional()
}

/// Events that all come behind a block: into it while it is small, else into new ones.
fn extend(c: &Connection, stream: i64, home: Row, run: &[Raw<'_>]) -> Result<(), StoreError> {
    let mut more = Writer::behind(home.last);
    let mut taken = 0;
    for event in run {
        if home.size + more.len() + event.message.len() + EVENT_OVERHEAD > GROWING {
            break;
        }
        more.push(event.key, event.ingested, event.message);
        taken += 1;
    }
    let (into, rest) = run.split_at(taken);
    if let Some(last) = into.last() {
        let more = more.finish();
        // `||` makes text of its operands; the bytes stay what they are, and are a blob again.
        c.prepare_cached(
            "UPDATE log_block SET last_at = ?2, last_seq = ?3, size = size + ?4,
                body = CAST(body || ?5 AS BLOB)
             WHERE id = ?1",
        )?
        .execute(params![home.id, last.key.at, last.key.seq, len(more.len()), more])?;
    }
    write(c, stream, rest)
}

/// Events that belong into a block.
fn merge(c: &Connection, stream: i64, home: Row, run: &[Raw<'_>]) -> Result<(), StoreError> {
    let body: Vec<u8> = c
        .prepare_cached("DELETE FROM log_block WHERE id = ?1 RETURNING body")?
        .query_row([home.id], |row| row.get(0))?;
    let old = Reader::new(&body).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let mut all = old.map_err(rusqlite::Error::from)?;
    all.extend_from_slice(run);
    all.sort_by_key(|e| e.key);
    write(c, stream, &all)
}

/// New blocks.
pub(super) fn write(c: &Connection, stream: i64, events: &[Raw<'_>]) -> Result<(), StoreError> {
    let mut begin = 0;
    while begin < events.len() {
        let mut block = Writer::new();
        let mut end = begin;
        while let Some(event) = events.get(end)
            && (end == begin || block.len() + event.message.len() + EVENT_OVERHEAD <= BLOCK)
        {
            block.push(event.key, event.ingested, event.message);
            end += 1;
        }
        let (first, last) = (events[begin].key, events[end - 1].key);
        let body = block.finish();
        c.prepare_cached(
            "INSERT INTO log_block (stream, first_at, first_seq, last_at, last_seq, size, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            stream,
            first.at,
            first.seq,
            last.at,
            last.seq,
            len(body.len()),
            body
        ])?;
        begin = end;
    }
    Ok(())
}

fn len(n: usize) -> i64 {
    super::count(n)
}
