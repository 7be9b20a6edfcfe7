//! Tags of whatever has an ARN.

use crate::StoreError;
use rusqlite::{Connection, params};
use std::collections::BTreeMap;

/// Tags of one resource (service model, `TagList`).
pub const MAX_TAGS: usize = 50;

/// Why tags are refused.
#[derive(Debug, thiserror::Error)]
pub enum TagError {
    /// More than [`MAX_TAGS`].
    #[error("a resource has at most {MAX_TAGS} tags, and this one would have {0}")]
    TooMany(usize),
    /// Reserved for AWS.
    #[error("Tag keys starting with 'aws:' are reserved for system use: '{0}'")]
    Reserved(String),
    /// The state failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for TagError {
    fn from(e: rusqlite::Error) -> Self {
        Self::Store(e.into())
    }
}

/// Adds tags; those of the same key are replaced.
///
/// # Errors
/// If a key is reserved, there would be too many, or the state fails.
pub fn add_tags(c: &Connection, arn: &str, new: &BTreeMap<String, String>) -> Result<(), TagError> {
    if let Some(key) = new.keys().find(|k| k.to_ascii_lowercase().starts_with("aws:")) {
        return Err(TagError::Reserved(key.clone()));
    }
    let insert = "INSERT INTO tag (arn, key, value) VALUES (?1, ?2, ?3)
        ON CONFLICT (arn, key) DO UPDATE SET value = excluded.value";
    let mut insert = c.prepare_cached(insert)?;
    for (key, value) in new {
        insert.execute(params![arn, key, value])?;
    }
    let count = "SELECT count(*) FROM tag WHERE arn = ?1";
    let count: i64 = c.prepare_cached(count)?.query_row([arn], |row| row.get(0))?;
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    // What was written goes with the error: the caller's transaction is not kept.
    if count > MAX_TAGS { Err(TagError::TooMany(count)) } else { Ok(()) }
}

/// The tags of a resource, by key.
///
/// # Errors
/// If the state fails.
pub fn tags(c: &Connection, arn: &str) -> Result<BTreeMap<String, String>, StoreError> {
    let find = "SELECT key, value FROM tag WHERE arn = ?1";
    let mut statement = c.prepare_cached(find)?;
    let rows = statement.query_map([arn], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Removes tags; a key that is not there is no error.
///
/// # Errors
/// If the state fails.
pub fn remove_tags(c: &Connection, arn: &str, keys: &[String]) -> Result<(), StoreError> {
    let mut delete = c.prepare_cached("DELETE FROM tag WHERE arn = ?1 AND key = ?2")?;
    for key in keys {
        delete.execute([arn, key])?;
    }
    Ok(())
}

/// Removes the tags of what is removed itself.
pub(crate) fn drop_tags(c: &Connection, arn: &str) -> Result<(), StoreError> {
    c.prepare_cached("DELETE FROM tag WHERE arn = ?1")?.execute([arn])?;
    Ok(())
}
