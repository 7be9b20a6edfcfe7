//! The attempts of a job: what each warden was told, and how far its events are taken in.

use super::JobError;
use crate::StoreError;
use belljar_domain::{Assignment, JobName};
use rusqlite::{Connection, OptionalExtension, params};

/// How far a warden's events are taken in: everything before it is in the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The segment's number, from 1.
    pub segment: u64,
    /// Bytes of it that are taken in.
    pub offset: u64,
}

/// One attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// What the warden was told. Its generation names the attempt.
    pub assignment: Assignment,
    /// How far its events are taken in.
    pub position: Position,
}

/// Keeps an attempt before its warden is started, and makes it the job's current one. An
/// attempt that is not the next one is refused: nothing is started twice.
///
/// # Errors
/// If there is no such job, it is at its end, `assignment` is not of the next generation, or the
/// state fails.
pub fn begin_attempt(c: &Connection, assignment: &Assignment) -> Result<(), JobError> {
    let job = super::get(c, assignment.job.as_str())?.ok_or(JobError::NotFound)?;
    let mut progress = job.progress;
    if progress.is_finished() || assignment.generation != progress.generation + 1 {
        return Err(JobError::Finished(progress.status().as_str()));
    }
    progress.generation = assignment.generation;
    let insert = "INSERT INTO attempt (job, generation, assignment, segment, position)
        VALUES (?1, ?2, ?3, 1, 0)";
    c.prepare_cached(insert)?.execute(params![
        job.name.as_str(),
        to_i64(assignment.generation),
        serde_json::to_string(assignment)?
    ])?;
    Ok(super::put(c, &job.name, &progress, job.modified)?)
}

/// One attempt of a job.
///
/// # Errors
/// If the state fails.
pub fn attempt(
    c: &Connection,
    job: &JobName,
    generation: u64,
) -> Result<Option<Attempt>, StoreError> {
    let find = "SELECT assignment, segment, position FROM attempt
        WHERE job = ?1 AND generation = ?2";
    let found: Option<(String, i64, i64)> = c
        .prepare_cached(find)?
        .query_row(params![job.as_str(), to_i64(generation)], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    let Some((text, segment, offset)) = found else { return Ok(None) };
    let assignment = serde_json::from_str(&text)?;
    let position = Position { segment: segment.unsigned_abs(), offset: offset.unsigned_abs() };
    Ok(Some(Attempt { assignment, position }))
}

/// Notes how far an attempt's events are taken in; in one transaction with what they changed.
///
/// # Errors
/// If the state fails.
pub fn advance(
    c: &Connection,
    job: &JobName,
    generation: u64,
    to: Position,
) -> Result<(), StoreError> {
    let update =
        "UPDATE attempt SET segment = ?3, position = ?4 WHERE job = ?1 AND generation = ?2";
    c.prepare_cached(update)?.execute(params![
        job.as_str(),
        to_i64(generation),
        to_i64(to.segment),
        to_i64(to.offset)
    ])?;
    Ok(())
}

/// Generations, segments and offsets are counted up from small numbers.
fn to_i64(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
