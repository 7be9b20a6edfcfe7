//! Log groups.

use super::{LogError, count};
use crate::StoreError;
use belljar_domain::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

/// A group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// Days after which its events are deleted; never, if there are none.
    pub retention: Option<u32>,
    /// Keys and values.
    pub tags: Vec<(String, String)>,
    /// Bytes of all that was ever appended to its streams, in `CloudWatch`'s count.
    pub bytes: u64,
}

const SELECT: &str = "SELECT name, created, retention, tags,
    (SELECT coalesce(sum(bytes), 0) FROM log_stream WHERE log_group = g.id) FROM log_group g";

/// Makes a group.
///
/// # Errors
/// [`LogError::GroupExists`]; or if the state fails.
pub fn create_group(
    c: &Connection,
    name: &str,
    tags: &[(String, String)],
    now: Timestamp,
) -> Result<(), LogError> {
    let tags = tags_text(tags)?;
    let sql = "INSERT OR IGNORE INTO log_group (name, created, tags) VALUES (?1, ?2, ?3)";
    match c.prepare_cached(sql)?.execute(params![name, now.millis(), tags])? {
        0 => Err(LogError::GroupExists),
        _ => Ok(()),
    }
}

/// Removes a group and all its streams.
///
/// # Errors
/// [`LogError::NoGroup`]; or if the state fails.
pub fn delete_group(c: &Connection, name: &str) -> Result<(), LogError> {
    let id = id(c, name)?;
    c.execute("INSERT INTO log_dead SELECT id FROM log_stream WHERE log_group = ?1", [id])?;
    c.execute("DELETE FROM log_stream WHERE log_group = ?1", [id])?;
    c.execute("DELETE FROM log_group WHERE id = ?1", [id])?;
    Ok(())
}

/// The group of this name.
///
/// # Errors
/// [`LogError::NoGroup`]; or if the state fails.
pub fn get_group(c: &Connection, name: &str) -> Result<Group, LogError> {
    let mut get = c.prepare_cached(&format!("{SELECT} WHERE name = ?1"))?;
    get.query_row([name], read).optional()?.ok_or(LogError::NoGroup)
}

/// Groups whose name begins with `prefix`, contains `pattern` (without regard to case) and comes
/// after `after`, in the order of names.
///
/// # Errors
/// If the state fails.
pub fn list_groups(
    c: &Connection,
    prefix: &str,
    pattern: &str,
    after: &str,
    limit: usize,
) -> Result<Vec<Group>, StoreError> {
    let mut list = c.prepare_cached(&format!(
        "{SELECT} WHERE name > ?1 AND substr(name, 1, length(?2)) = ?2
            AND instr(lower(name), lower(?3)) > 0
         ORDER BY name LIMIT ?4"
    ))?;
    let rows = list.query_map(params![after, prefix, pattern, count(limit)], read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Sets after how many days events are deleted; `None`: never.
///
/// # Errors
/// [`LogError::NoGroup`]; or if the state fails.
pub fn set_retention(c: &Connection, name: &str, days: Option<u32>) -> Result<(), LogError> {
    let sql = "UPDATE log_group SET retention = ?2 WHERE name = ?1";
    match c.execute(sql, params![name, days])? {
        0 => Err(LogError::NoGroup),
        _ => Ok(()),
    }
}

/// Sets all tags of a group.
///
/// # Errors
/// [`LogError::NoGroup`]; or if the state fails.
pub fn set_group_tags(
    c: &Connection,
    name: &str,
    tags: &[(String, String)],
) -> Result<(), LogError> {
    let sql = "UPDATE log_group SET tags = ?2 WHERE name = ?1";
    match c.execute(sql, params![name, tags_text(tags)?])? {
        0 => Err(LogError::NoGroup),
        _ => Ok(()),
    }
}

pub(super) fn id(c: &Connection, name: &str) -> Result<i64, LogError> {
    c.prepare_cached("SELECT id FROM log_group WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()?
        .ok_or(LogError::NoGroup)
}

fn read(row: &Row<'_>) -> rusqlite::Result<Group> {
    let tags: String = row.get(3)?;
    let tags = serde_json::from_str(&tags).map_err(|e| {
        rusqlite::Error::FromSqlConversionFailure(3, rusqlite::types::Type::Text, e.into())
    })?;
    Ok(Group {
        name: row.get(0)?,
        created: Timestamp::from_millis(row.get(1)?),
        retention: row.get(2)?,
        tags,
        bytes: row.get::<_, i64>(4)?.unsigned_abs(),
    })
}

fn tags_text(tags: &[(String, String)]) -> Result<String, StoreError> {
    Ok(serde_json::to_string(tags)?)
}
