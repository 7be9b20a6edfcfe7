//! Streams of a group.

use super::{LogError, count, groups};
use crate::StoreError;
use belljar_domain::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

/// A stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// What it is ordered by, beside its last event.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// Its earliest event ever.
    pub first_event: Option<Timestamp>,
    /// Its latest event ever.
    pub last_event: Option<Timestamp>,
    /// When events were last appended.
    pub last_ingestion: Option<Timestamp>,
    /// How many events were ever appended.
    pub events: i64,
}

/// What streams are listed in order of, and behind which one to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamOrder {
    /// Names.
    Name {
        /// The last one that was seen.
        after: Option<String>,
    },
    /// The time of the last event (0 if there is none), then [`Stream::id`].
    LastEvent {
        /// Those of the last one that was seen.
        after: Option<(Timestamp, i64)>,
    },
}

const SELECT: &str = "SELECT id, name, created, first_event, last_event, last_ingest, next
    FROM log_stream WHERE log_group = ?1";

/// Makes a stream.
///
/// # Errors
/// [`LogError::NoGroup`], [`LogError::StreamExists`]; or if the state fails.
pub fn create_stream(
    c: &Connection,
    group: &str,
    name: &str,
    now: Timestamp,
) -> Result<(), LogError> {
    let group = groups::id(c, group)?;
    let sql = "INSERT OR IGNORE INTO log_stream (log_group, name, created) VALUES (?1, ?2, ?3)";
    match c.prepare_cached(sql)?.execute(params![group, name, now.millis()])? {
        0 => Err(LogError::StreamExists),
        _ => Ok(()),
    }
}

/// Makes the group and the stream if they are not there.
///
/// # Errors
/// If the state fails.
pub fn ensure_stream(
    c: &Connection,
    group: &str,
    name: &str,
    now: Timestamp,
) -> Result<i64, StoreError> {
    let find = || id(c, groups::id(c, group)?, name);
    let made = find().or_else(|e| match e {
        LogError::Store(e) => Err(LogError::Store(e)),
        _ => {
            ignore_existing(groups::create_group(c, group, &[], now))?;
            ignore_existing(create_stream(c, group, name, now))?;
            find()
        }
    });
    made.map_err(|e| match e {
        LogError::Store(e) => e,
        _ => StoreError::Sql(rusqlite::Error::QueryReturnedNoRows),
    })
}

fn ignore_existing(made: Result<(), LogError>) -> Result<(), LogError> {
    match made {
        Err(LogError::GroupExists | LogError::StreamExists) => Ok(()),
        other => other,
    }
}

/// Removes a stream.
///
/// # Errors
/// [`LogError::NoGroup`], [`LogError::NoStream`]; or if the state fails.
pub fn delete_stream(c: &Connection, group: &str, name: &str) -> Result<(), LogError> {
    let id = id(c, groups::id(c, group)?, name)?;
    c.execute("INSERT INTO log_dead VALUES (?1)", [id])?;
    c.execute("DELETE FROM log_stream WHERE id = ?1", [id])?;
    Ok(())
}

/// Streams of a group whose name begins with `prefix`.
///
/// # Errors
/// [`LogError::NoGroup`]; or if the state fails.
pub fn list_streams(
    c: &Connection,
    group: &str,
    prefix: &str,
    order: &StreamOrder,
    descending: bool,
    limit: usize,
) -> Result<Vec<Stream>, LogError> {
    let group = groups::id(c, group)?;
    let (behind, way) = if descending { ("<", "DESC") } else { (">", "ASC") };
    let limit = count(limit);
    let streams = match order {
        StreamOrder::Name { after } => c
            .prepare_cached(&format!(
                "{SELECT} AND name >= ?2 AND name < ?2 || char(1114111)
                    AND (?3 IS NULL OR name {behind} ?3)
                 ORDER BY name {way} LIMIT ?4"
            ))?
            .query_map(params![group, prefix, after, limit], read)?
            .collect::<Result<_, _>>()?,
        StreamOrder::LastEvent { after } => {
            let at = after.map(|a| a.0.millis());
            let id = after.map(|a| a.1);
            c.prepare_cached(&format!(
                "{SELECT} AND name >= ?2 AND name < ?2 || char(1114111)
                    AND (?3 IS NULL OR (coalesce(last_event, 0), id) {behind} (?3, ?4))
                 ORDER BY coalesce(last_event, 0) {way}, id {way} LIMIT ?5"
            ))?
            .query_map(params![group, prefix, at, id, limit], read)?
            .collect::<Result<_, _>>()?
        }
    };
    Ok(streams)
}

pub(super) fn id(c: &Connection, group: i64, name: &str) -> Result<i64, LogError> {
    c.prepare_cached("SELECT id FROM log_stream WHERE log_group = ?1 AND name = ?2")?
        .query_row(params![group, name], |row| row.get(0))
        .optional()?
        .ok_or(LogError::NoStream)
}

fn read(row: &Row<'_>) -> rusqlite::Result<Stream> {
    let time = |i| -> rusqlite::Result<_> {
        Ok(row.get::<_, Option<i64>>(i)?.map(Timestamp::from_millis))
    };
    Ok(Stream {
        id: row.get(0)?,
        name: row.get(1)?,
        created: Timestamp::from_millis(row.get(2)?),
        first_event: time(3)?,
        last_event: time(4)?,
        last_ingestion: time(5)?,
        events: row.get(6)?,
    })
}
