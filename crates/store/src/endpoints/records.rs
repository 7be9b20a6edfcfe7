//! Models and endpoint configurations: what was asked for, and never changes.

use super::RecordError;
use crate::StoreError;
use crate::jobs::{add_tags, drop_tags};
use crate::list::{Filter, Page, page};
use belljar_domain::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::Value;
use std::collections::BTreeMap;

/// Of which kind a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `CreateModel`.
    Model,
    /// `CreateEndpointConfig`.
    EndpointConfig,
}

/// A model or an endpoint configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// `CreationTime`.
    pub created: Timestamp,
    /// What was asked for, without what Describe does not show.
    pub request: Value,
}

impl Kind {
    fn table(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::EndpointConfig => "endpoint_config",
        }
    }
}

const COLUMNS: &str = "name, arn, created, request";

/// Keeps a new record.
///
/// # Errors
/// If the name is used, or the tags are not valid.
pub fn create(
    c: &Connection,
    kind: Kind,
    record: &Record,
    tags: &BTreeMap<String, String>,
) -> Result<(), RecordError> {
    let table = kind.table();
    let find = format!("SELECT arn FROM {table} WHERE name = ?1");
    let used = c.prepare_cached(&find)?.query_row([&record.name], |r| r.get(0)).optional()?;
    if let Some(arn) = used {
        return Err(RecordError::Used(arn));
    }
    let insert = format!("INSERT INTO {table} ({COLUMNS}) VALUES (?1, ?2, ?3, ?4)");
    c.prepare_cached(&insert)?.execute(params![
        record.name,
        record.arn,
        record.created.millis(),
        record.request.to_string(),
    ])?;
    Ok(add_tags(c, &record.arn, tags)?)
}

/// One record, by its exact name.
///
/// # Errors
/// If the state fails.
pub fn get(c: &Connection, kind: Kind, name: &str) -> Result<Option<Record>, StoreError> {
    let find = format!(
        "SELECT {COLUMNS} FROM {} WHERE name = ?1 AND name = ?1 COLLATE BINARY",
        kind.table()
    );
    c.prepare_cached(&find)?.query_row([name], |row| Ok(read(row))).optional()?.transpose()
}

/// Whether there is a record of this ARN.
///
/// # Errors
/// If the state fails.
pub fn is_arn(c: &Connection, kind: Kind, arn: &str) -> Result<bool, StoreError> {
    let find = format!("SELECT TRUE FROM {} WHERE arn = ?1", kind.table());
    Ok(c.prepare_cached(&find)?.exists([arn])?)
}

/// One page.
///
/// # Errors
/// If the state fails.
pub fn list(c: &Connection, kind: Kind, filter: &Filter) -> Result<Page<Record>, StoreError> {
    page(c, (kind.table(), COLUMNS), filter, read)
}

/// Forgets a record and its tags.
///
/// # Errors
/// [`RecordError::NotFound`], or if the state fails.
pub fn delete(c: &Connection, kind: Kind, name: &str) -> Result<(), RecordError> {
    let record = get(c, kind, name)?.ok_or(RecordError::NotFound)?;
    drop_tags(c, &record.arn)?;
    let delete = format!("DELETE FROM {} WHERE name = ?1", kind.table());
    c.prepare_cached(&delete)?.execute([name])?;
    Ok(())
}

fn read(row: &Row<'_>) -> Result<Record, StoreError> {
    let request: String = row.get("request")?;
    Ok(Record {
        name: row.get("name")?,
        arn: row.get("arn")?,
        created: Timestamp::from_millis(row.get("created")?),
        request: serde_json::from_str(&request)?,
    })
}
