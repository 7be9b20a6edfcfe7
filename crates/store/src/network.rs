//! The region's network: its records, what else the API keeps beside them, and their tags.
//!
//! A row for each record of [`belljar_vpc::Description`], a number that goes up with every change
//! of those, and *notes*: what EC2 tells and the network does not need (paths of Network Insights,
//! tokens of requests, earlier versions of a prefix list), by a kind and an id. Tags are those of
//! everything else ([`crate::jobs::tags`]), by the resource's id where others have an ARN.

use crate::StoreError;
use crate::jobs::{TagError, add_tags, drop_tags};
use belljar_domain::Timestamp;
use belljar_vpc::Description;
use belljar_vpc::network::{Change, Record};
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::Value;
use std::collections::BTreeMap;

/// The tables. `record` is the JSON of a [`Record`]; `kind` and `id` repeat what is in it.
pub(crate) const SCHEMA: &str = "
CREATE TABLE network_record (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    created INTEGER NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;
CREATE TABLE network_note (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    note TEXT NOT NULL,
    PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;
CREATE TABLE network_generation (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    generation INTEGER NOT NULL
) STRICT;
";

/// Everything that is kept.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Kept {
    /// The number of the last change. `None` if there never was one: nobody made a network yet.
    pub generation: Option<u64>,
    /// The records.
    pub description: Description,
    /// When each was made, by its id.
    pub created: BTreeMap<String, Timestamp>,
    /// By kind and id.
    pub notes: BTreeMap<(String, String), Value>,
    /// By the id of the resource.
    pub tags: BTreeMap<String, BTreeMap<String, String>>,
}

/// Reads everything.
///
/// # Errors
/// If the state fails, or a record is not readable.
pub fn load(c: &Connection) -> Result<Kept, StoreError> {
    let mut kept = Kept { generation: generation(c)?, ..Kept::default() };
    let mut records = c.prepare_cached("SELECT id, created, record FROM network_record")?;
    let mut rows = records.query([])?;
    while let Some(row) = rows.next()? {
        let record: Record = serde_json::from_str(&row.get::<_, String>(2)?)?;
        kept.created.insert(row.get(0)?, Timestamp::from_millis(row.get(1)?));
        kept.description.apply(Change::Put(record));
    }
    let mut notes = c.prepare_cached("SELECT kind, id, note FROM network_note")?;
    let mut rows = notes.query([])?;
    while let Some(row) = rows.next()? {
        let note = serde_json::from_str(&row.get::<_, String>(2)?)?;
        kept.notes.insert((row.get(0)?, row.get(1)?), note);
    }
    // Whatever else has tags has an ARN.
    let mut tags =
        c.prepare_cached("SELECT arn, key, value FROM tag WHERE arn NOT LIKE 'arn:%'")?;
    let mut rows = tags.query([])?;
    while let Some(row) = rows.next()? {
        let of: &mut BTreeMap<_, _> = kept.tags.entry(row.get(0)?).or_default();
        of.insert(row.get(1)?, row.get(2)?);
    }
    Ok(kept)
}

/// The number of the last change, if there ever was one.
///
/// # Errors
/// If the state fails.
pub fn generation(c: &Connection) -> Result<Option<u64>, StoreError> {
    let find = "SELECT generation FROM network_generation";
    Ok(c.prepare_cached(find)?.query_row([], |row| row.get(0)).optional()?)
}

/// Writes changes, and the generation that they lead to.
///
/// # Errors
/// If the state fails.
pub fn apply(
    c: &Connection,
    generation: u64,
    changes: &[Change],
    now: Timestamp,
) -> Result<(), StoreError> {
    let put = "INSERT INTO network_record (kind, id, created, record) VALUES (?1, ?2, ?3, ?4)
        ON CONFLICT (kind, id) DO UPDATE SET record = excluded.record";
    let mut put = c.prepare_cached(put)?;
    let mut remove = c.prepare_cached("DELETE FROM network_record WHERE kind = ?1 AND id = ?2")?;
    for change in changes {
        match change {
            Change::Put(record) => {
                let (id, json) = (record.id(), serde_json::to_string(record)?);
                put.execute(params![id.kind(), id.as_str(), now.millis(), json])?;
            }
            Change::Remove(id) => {
                remove.execute([id.kind(), id.as_str()])?;
            }
        }
    }
    let set = "INSERT INTO network_generation (one, generation) VALUES (1, ?1)
        ON CONFLICT (one) DO UPDATE SET generation = excluded.generation";
    c.prepare_cached(set)?.execute([generation])?;
    Ok(())
}

/// Keeps a note in the place of the one before it; `None` removes it.
///
/// # Errors
/// If the state fails.
pub fn note(
    c: &Connection,
    (kind, id): (&str, &str),
    note: Option<&Value>,
) -> Result<(), StoreError> {
    match note {
        Some(note) => {
            let put = "INSERT INTO network_note (kind, id, note) VALUES (?1, ?2, ?3)
                ON CONFLICT (kind, id) DO UPDATE SET note = excluded.note";
            c.prepare_cached(put)?.execute([kind, id, &note.to_string()])?;
        }
        None => {
            let remove = "DELETE FROM network_note WHERE kind = ?1 AND id = ?2";
            c.prepare_cached(remove)?.execute([kind, id])?;
        }
    }
    Ok(())
}

/// Makes the tags of a resource exactly these.
///
/// # Errors
/// If a key is reserved, there are too many, or the state fails.
pub fn set_tags(c: &Connection, id: &str, tags: &BTreeMap<String, String>) -> Result<(), TagError> {
    drop_tags(c, id)?;
    add_tags(c, id, tags)
}

#[cfg(test)]
mod tests;
