//! The instances of endpoints: what was begun, what each container's warden was told, and how far
//! its events are taken in.

use super::to_i64;
use crate::StoreError;
use crate::jobs::Position;
use belljar_domain::endpoint::{Health, Server};
use belljar_domain::{Assignment, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};

/// A container of an instance.
#[derive(Debug, Clone, PartialEq)]
pub struct Container {
    /// From 1.
    pub number: u32,
    /// What its warden was told.
    pub assignment: Assignment,
    /// How far its events are taken in.
    pub position: Position,
    /// What it last said of its health.
    pub health: Option<Health>,
}

/// Keeps an instance before its wardens are started; `containers` are what they are told, in the
/// order of their numbers, from 1. One that is there already is refused: nothing is started twice.
///
/// # Errors
/// If there is one of this id, there is no such endpoint, or the state fails.
pub fn record(
    c: &Connection,
    server: &Server,
    containers: &[Assignment],
) -> Result<(), StoreError> {
    let insert = "INSERT INTO server (id, endpoint, begun, server) VALUES (?1, ?2, ?3, ?4)";
    let text = serde_json::to_string(server)?;
    c.prepare_cached(insert)?.execute(params![
        server.id,
        server.endpoint,
        server.begun.millis(),
        text
    ])?;
    let insert = "INSERT INTO server_container (server, number, assignment, segment, position)
        VALUES (?1, ?2, ?3, 1, 0)";
    let mut insert = c.prepare_cached(insert)?;
    for (number, assignment) in (1_i64..).zip(containers) {
        insert.execute(params![server.id, number, serde_json::to_string(assignment)?])?;
    }
    Ok(())
}

/// One instance.
///
/// # Errors
/// If the state fails.
pub fn get(c: &Connection, id: &str) -> Result<Option<Server>, StoreError> {
    Ok(several(c, "SELECT server FROM server WHERE id = ?1", &[&id])?.pop())
}

/// All instances, oldest first.
///
/// # Errors
/// If the state fails.
pub fn all(c: &Connection) -> Result<Vec<Server>, StoreError> {
    several(c, "SELECT server FROM server ORDER BY begun, id", &[])
}

/// An endpoint's instances, oldest first.
///
/// # Errors
/// If the state fails.
pub fn of_endpoint(c: &Connection, name: &str) -> Result<Vec<Server>, StoreError> {
    several(c, "SELECT server FROM server WHERE endpoint = ?1 ORDER BY begun, id", &[&name])
}

fn several(c: &Connection, sql: &str, values: &[&dyn ToSql]) -> Result<Vec<Server>, StoreError> {
    let mut statement = c.prepare_cached(sql)?;
    let rows = statement.query_map(values, |row| row.get::<_, String>(0))?;
    rows.map(|text| Ok(serde_json::from_str(&text?)?)).collect()
}

/// Notes that an instance was told to stop; only the first time counts. Nothing happens if it is
/// gone.
///
/// # Errors
/// If the state fails.
pub fn set_stopping(c: &Connection, id: &str, now: Timestamp) -> Result<(), StoreError> {
    let find = "SELECT server FROM server WHERE id = ?1";
    let text: Option<String> =
        c.prepare_cached(find)?.query_row([id], |row| row.get(0)).optional()?;
    let Some(text) = text else { return Ok(()) };
    let mut server: Server = serde_json::from_str(&text)?;
    if server.stopping.is_none() {
        server.stopping = Some(now);
        let update = "UPDATE server SET server = ?2 WHERE id = ?1";
        c.prepare_cached(update)?.execute(params![id, serde_json::to_string(&server)?])?;
    }
    Ok(())
}

/// Forgets an instance and its containers. Nothing happens if it is gone.
///
/// # Errors
/// If the state fails.
pub fn remove(c: &Connection, id: &str) -> Result<(), StoreError> {
    c.prepare_cached("DELETE FROM server WHERE id = ?1")?.execute([id])?;
    Ok(())
}

const CONTAINER: &str =
    "SELECT number, assignment, segment, position, health FROM server_container WHERE server = ?1";

/// An instance's containers, in the order of their numbers.
///
/// # Errors
/// If the state fails.
pub fn containers(c: &Connection, id: &str) -> Result<Vec<Container>, StoreError> {
    let mut find = c.prepare_cached(&format!("{CONTAINER} ORDER BY number"))?;
    find.query_map([id], |row| Ok(read(row)))?.map(|row| row?).collect()
}

/// One container of an instance.
///
/// # Errors
/// If the state fails.
pub fn container(c: &Connection, id: &str, number: u32) -> Result<Option<Container>, StoreError> {
    let mut find = c.prepare_cached(&format!("{CONTAINER} AND number = ?2"))?;
    find.query_row(params![id, number], |row| Ok(read(row))).optional()?.transpose()
}

fn read(row: &Row<'_>) -> Result<Container, StoreError> {
    let (segment, offset): (i64, i64) = (row.get("segment")?, row.get("position")?);
    let health: Option<String> = row.get("health")?;
    Ok(Container {
        number: row.get("number")?,
        assignment: serde_json::from_str(&row.get::<_, String>("assignment")?)?,
        position: Position { segment: segment.unsigned_abs(), offset: offset.unsigned_abs() },
        health: health.as_deref().map(serde_json::from_str).transpose()?,
    })
}

/// Notes what a container said of its health.
///
/// # Errors
/// If the state fails.
pub fn set_health(
    c: &Connection,
    id: &str,
    number: u32,
    health: &Health,
) -> Result<(), StoreError> {
    let update = "UPDATE server_container SET health = ?3 WHERE server = ?1 AND number = ?2";
    let text = serde_json::to_string(health)?;
    c.prepare_cached(update)?.execute(params![id, number, text])?;
    Ok(())
}

/// Notes how far the events of an instance's container are taken in; in one transaction with what
/// they changed.
///
/// # Errors
/// If the state fails.
pub fn advance(c: &Connection, id: &str, number: u32, to: Position) -> Result<(), StoreError> {
    let update = "UPDATE server_container SET segment = ?3, position = ?4
        WHERE server = ?1 AND number = ?2";
    c.prepare_cached(update)?.execute(params![
        id,
        number,
        to_i64(to.segment),
        to_i64(to.offset)
    ])?;
    Ok(())
}
