//! Asynchronous invocations that wait or are being carried out. One that is done is forgotten: its
//! outcome is the object that was written.

use crate::StoreError;
use belljar_domain::Timestamp;
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

/// An asynchronous invocation (`InvokeEndpointAsync`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct AsyncRequest {
    /// Names it among all; hexadecimal digits.
    pub id: String,
    /// The endpoint's name.
    pub endpoint: String,
    /// `InputLocation`.
    pub input: String,
    /// `OutputLocation`, as it was answered.
    pub output: String,
    /// `FailureLocation`, as it was answered.
    pub failure: Option<String>,
    /// What the container is told in headers.
    pub headers: Headers,
    /// `InferenceId`, given or made.
    pub inference_id: String,
    /// When it was asked for.
    pub created: Timestamp,
    /// From when on it is not begun any more (`RequestTTLSeconds`).
    pub expires: Timestamp,
    /// `InvocationTimeoutSeconds`.
    pub timeout_seconds: u64,
}

/// Headers of an invocation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Headers {
    /// `ContentType`.
    pub content_type: Option<String>,
    /// `Accept`.
    pub accept: Option<String>,
    /// `CustomAttributes`.
    pub custom_attributes: Option<String>,
}

/// One that was taken to be carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// It.
    pub request: AsyncRequest,
    /// How often it was taken, with this time.
    pub tries: u32,
}

/// How many there are of an endpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// That wait.
    pub queued: u64,
    /// That are being carried out.
    pub running: u64,
}

/// Keeps one, to be carried out as soon as possible.
///
/// # Errors
/// If there is no such endpoint, or the state fails.
pub fn enqueue(c: &Connection, request: &AsyncRequest) -> Result<(), StoreError> {
    let insert = "INSERT INTO async_request (id, endpoint, state, due, expires, tries, request)
        VALUES (?1, ?2, 'queued', ?3, ?4, 0, ?5)";
    c.prepare_cached(insert)?.execute(params![
        request.id,
        request.endpoint,
        request.created.millis(),
        request.expires.millis(),
        serde_json::to_string(request)?,
    ])?;
    Ok(())
}

/// Takes up to `limit` of an endpoint's requests that are due, in the order in which they came.
///
/// # Errors
/// If the state fails.
pub fn take(
    c: &Connection,
    endpoint: &str,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<Taken>, StoreError> {
    let due = "endpoint = ?1 AND state = 'queued' AND due <= ?2 AND expires > ?2";
    let sql = format!(
        "UPDATE async_request SET state = 'running', tries = tries + 1 WHERE number IN
         (SELECT number FROM async_request WHERE {due} ORDER BY number LIMIT ?3)
         RETURNING number, tries, request"
    );
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    taken(c, &sql, params![endpoint, now.millis(), limit])
}

/// Takes up to `limit`, of any endpoint, that have waited for too long: what is left is to say so.
///
/// # Errors
/// If the state fails.
pub fn take_expired(
    c: &Connection,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<Taken>, StoreError> {
    let sql = "UPDATE async_request SET state = 'running', tries = tries + 1 WHERE number IN
         (SELECT number FROM async_request WHERE state = 'queued' AND expires <= ?1
          ORDER BY number LIMIT ?2)
         RETURNING number, tries, request";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    taken(c, sql, params![now.millis(), limit])
}

fn taken(
    c: &Connection,
    sql: &str,
    values: &[&dyn rusqlite::ToSql],
) -> Result<Vec<Taken>, StoreError> {
    let mut statement = c.prepare_cached(sql)?;
    let rows = statement.query_map(values, |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, u32>(1)?, row.get::<_, String>(2)?))
    })?;
    let mut rows = rows.collect::<Result<Vec<_>, _>>()?;
    // `RETURNING` has no order.
    rows.sort_unstable_by_key(|(number, ..)| *number);
    rows.into_iter()
        .map(|(_, tries, text)| Ok(Taken { request: serde_json::from_str(&text)?, tries }))
        .collect()
}

/// Puts one that was taken back, to be taken again from `due` on.
///
/// # Errors
/// If the state fails.
pub fn put_back(c: &Connection, id: &str, due: Timestamp) -> Result<(), StoreError> {
    let update = "UPDATE async_request SET state = 'queued', due = ?2 WHERE id = ?1";
    c.prepare_cached(update)?.execute(params![id, due.millis()])?;
    Ok(())
}

/// Puts back all that were taken: nobody carries them out any more, as after a restart. How many.
///
/// # Errors
/// If the state fails.
pub fn put_all_back(c: &Connection) -> Result<usize, StoreError> {
    let update = "UPDATE async_request SET state = 'queued' WHERE state = 'running'";
    Ok(c.prepare_cached(update)?.execute([])?)
}

/// Forgets one whose outcome is written. Nothing happens if it is gone.
///
/// # Errors
/// If the state fails.
pub fn finish(c: &Connection, id: &str) -> Result<(), StoreError> {
    c.prepare_cached("DELETE FROM async_request WHERE id = ?1")?.execute([id])?;
    Ok(())
}

/// How many there are of an endpoint.
///
/// # Errors
/// If the state fails.
pub fn count(c: &Connection, endpoint: &str) -> Result<Count, StoreError> {
    let of = |state: &str| -> Result<u64, StoreError> {
        let sql = "SELECT count(*) FROM async_request WHERE endpoint = ?1 AND state = ?2";
        let count: i64 = c.prepare_cached(sql)?.query_row([endpoint, state], |row| row.get(0))?;
        Ok(count.unsigned_abs())
    };
    Ok(Count { queued: of("queued")?, running: of("running")? })
}
