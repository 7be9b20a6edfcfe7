//! Endpoints, and what they are made of and of what they are asked.
//!
//! Models and endpoint configurations are [`records`] of what was asked for. An endpoint keeps how
//! far it is, as JSON of [`EndpointProgress`]; its [`servers`] are the instances that were begun for
//! it, and [`async_requests`] the asynchronous invocations that wait for them. Plain functions over a
//! connection, as in [`crate::jobs`].

pub mod async_requests;
mod error;
pub mod records;
pub mod servers;

pub use error::RecordError;

use crate::StoreError;
use crate::jobs::{add_tags, drop_tags};
use crate::list::{Filter, Page, page};
use belljar_domain::Timestamp;
use belljar_domain::endpoint::{Endpoint, EndpointProgress};
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::collections::BTreeMap;

/// The tables. `status` repeats what is in `progress`, to be searched. A name differs from another
/// in more than case, as the ARNs do. An endpoint cannot go before its servers, so that one of the
/// same name never finds another's; requests that wait go with it.
pub(crate) const SCHEMA: &str = "
CREATE TABLE model (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE COLLATE NOCASE,
    arn TEXT NOT NULL UNIQUE,
    created INTEGER NOT NULL,
    request TEXT NOT NULL
) STRICT;
CREATE INDEX model_created ON model (created, id);
CREATE TABLE endpoint_config (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE COLLATE NOCASE,
    arn TEXT NOT NULL UNIQUE,
    created INTEGER NOT NULL,
    request TEXT NOT NULL
) STRICT;
CREATE INDEX endpoint_config_created ON endpoint_config (created, id);
CREATE TABLE endpoint (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE COLLATE NOCASE,
    arn TEXT NOT NULL UNIQUE,
    created INTEGER NOT NULL,
    modified INTEGER NOT NULL,
    status TEXT NOT NULL,
    progress TEXT NOT NULL
) STRICT;
CREATE INDEX endpoint_created ON endpoint (created, id);
CREATE TABLE server (
    id TEXT PRIMARY KEY,
    endpoint TEXT NOT NULL REFERENCES endpoint (name),
    begun INTEGER NOT NULL,
    server TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX server_endpoint ON server (endpoint);
CREATE TABLE server_container (
    server TEXT NOT NULL REFERENCES server (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    assignment TEXT NOT NULL,
    segment INTEGER NOT NULL,
    position INTEGER NOT NULL,
    health TEXT,
    PRIMARY KEY (server, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE async_request (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    endpoint TEXT NOT NULL REFERENCES endpoint (name) ON DELETE CASCADE,
    state TEXT NOT NULL, -- queued, running
    due INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    request TEXT NOT NULL
) STRICT;
CREATE INDEX async_request_due ON async_request (endpoint, state, due);
";

const TABLE: &str = "endpoint";
const COLUMNS: &str = "name, arn, created, modified, progress";

/// Keeps a new endpoint.
///
/// # Errors
/// If the name is used, or the tags are not valid.
pub fn create(
    c: &Connection,
    endpoint: &Endpoint,
    tags: &BTreeMap<String, String>,
) -> Result<(), RecordError> {
    let find = "SELECT arn FROM endpoint WHERE name = ?1";
    let used = c.prepare_cached(find)?.query_row([&endpoint.name], |r| r.get(0)).optional()?;
    if let Some(arn) = used {
        return Err(RecordError::Used(arn));
    }
    let insert = "INSERT INTO endpoint (name, arn, created, modified, status, progress)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    c.prepare_cached(insert)?.execute(params![
        endpoint.name,
        endpoint.arn,
        endpoint.created.millis(),
        endpoint.modified.millis(),
        endpoint.progress.status.as_str(),
        serde_json::to_string(&endpoint.progress)?,
    ])?;
    Ok(add_tags(c, &endpoint.arn, tags)?)
}

/// One endpoint, by its exact name.
///
/// # Errors
/// If the state fails.
pub fn get(c: &Connection, name: &str) -> Result<Option<Endpoint>, StoreError> {
    let find =
        format!("SELECT {COLUMNS} FROM endpoint WHERE name = ?1 AND name = ?1 COLLATE BINARY");
    c.prepare_cached(&find)?.query_row([name], |row| Ok(read(row))).optional()?.transpose()
}

/// The name of the endpoint of an ARN.
///
/// # Errors
/// If the state fails.
pub fn by_arn(c: &Connection, arn: &str) -> Result<Option<String>, StoreError> {
    let find = "SELECT name FROM endpoint WHERE arn = ?1";
    Ok(c.prepare_cached(find)?.query_row([arn], |row| row.get(0)).optional()?)
}

/// All endpoints, oldest first.
///
/// # Errors
/// If the state fails.
pub fn all(c: &Connection) -> Result<Vec<Endpoint>, StoreError> {
    several(c, "TRUE")
}

/// Endpoints that are on their way to another status, oldest first.
///
/// # Errors
/// If the state fails.
pub fn unsettled(c: &Connection) -> Result<Vec<Endpoint>, StoreError> {
    several(c, "status IN ('Creating', 'Updating', 'Deleting')")
}

fn several(c: &Connection, which: &'static str) -> Result<Vec<Endpoint>, StoreError> {
    let find = format!("SELECT {COLUMNS} FROM endpoint WHERE {which} ORDER BY id");
    c.prepare_cached(&find)?.query_map([], |row| Ok(read(row)))?.map(|row| row?).collect()
}

/// One page of endpoints.
///
/// # Errors
/// If the state fails.
pub fn list(c: &Connection, filter: &Filter) -> Result<Page<Endpoint>, StoreError> {
    page(c, (TABLE, COLUMNS), filter, read)
}

/// Changes how far an endpoint is: `change` answers whether there is something to keep. Answers the
/// endpoint as it is then; `None` if it is gone.
///
/// # Errors
/// If the state fails.
pub fn update(
    c: &Connection,
    name: &str,
    now: Timestamp,
    change: impl FnOnce(&mut EndpointProgress) -> bool,
) -> Result<Option<Endpoint>, StoreError> {
    let Some(mut endpoint) = get(c, name)? else { return Ok(None) };
    if change(&mut endpoint.progress) {
        endpoint.modified = now;
        let put = "UPDATE endpoint SET modified = ?2, status = ?3, progress = ?4 WHERE name = ?1";
        c.prepare_cached(put)?.execute(params![
            name,
            now.millis(),
            endpoint.progress.status.as_str(),
            serde_json::to_string(&endpoint.progress)?,
        ])?;
    }
    Ok(Some(endpoint))
}

/// Forgets an endpoint, its tags and the requests that wait for it; whether it was there.
///
/// # Errors
/// If it still has servers, or the state fails.
pub fn delete(c: &Connection, name: &str) -> Result<bool, StoreError> {
    let Some(endpoint) = get(c, name)? else { return Ok(false) };
    drop_tags(c, &endpoint.arn)?;
    c.prepare_cached("DELETE FROM endpoint WHERE name = ?1")?.execute([name])?;
    Ok(true)
}

fn read(row: &Row<'_>) -> Result<Endpoint, StoreError> {
    let progress: String = row.get("progress")?;
    Ok(Endpoint {
        name: row.get("name")?,
        arn: row.get("arn")?,
        created: Timestamp::from_millis(row.get("created")?),
        modified: Timestamp::from_millis(row.get("modified")?),
        progress: serde_json::from_str(&progress)?,
    })
}

/// Segments, offsets and tries are counted up from small numbers.
fn to_i64(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
