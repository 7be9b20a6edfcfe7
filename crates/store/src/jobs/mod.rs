//! Training jobs and their tags. Plain functions over a connection, so that several records can
//! be written in one transaction: reads in [`crate::Db::read`], all others in
//! [`crate::Db::write`], which runs one at a time (read, change, write back is safe there).

mod attempts;
mod summary;
mod tags;

pub use attempts::{Attempt, Position, advance, attempt, begin_attempt};
pub use summary::{Summary, list};
pub(crate) use tags::drop_tags;
pub use tags::{MAX_TAGS, TagError, add_tags, remove_tags, tags};

use crate::StoreError;
use belljar_domain::training_job::{Definition, Progress};
use belljar_domain::{Assignment, JobName, NameError, Timestamp, TrainingJob};
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::collections::BTreeMap;

/// The tables. `status` and `finished` repeat what is in `progress`, to be searched. A name
/// differs from another in more than case, as the ARNs do.
pub(crate) const SCHEMA: &str = "
CREATE TABLE training_job (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE COLLATE NOCASE,
    arn TEXT NOT NULL UNIQUE,
    created INTEGER NOT NULL,
    modified INTEGER NOT NULL,
    status TEXT NOT NULL,
    finished INTEGER NOT NULL,
    definition TEXT NOT NULL,
    assignment TEXT NOT NULL,
    progress TEXT NOT NULL
) STRICT;
CREATE INDEX training_job_created ON training_job (created, id);
CREATE INDEX training_job_unfinished ON training_job (id) WHERE NOT finished;
CREATE TABLE attempt (
    job TEXT NOT NULL REFERENCES training_job (name) ON DELETE CASCADE,
    generation INTEGER NOT NULL,
    assignment TEXT NOT NULL,
    segment INTEGER NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (job, generation)
) STRICT, WITHOUT ROWID;
CREATE TABLE tag (
    arn TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (arn, key)
) STRICT, WITHOUT ROWID;
";

/// Why a job cannot be created or removed.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// SageMaker's rule: names are used once.
    #[error(
        "Training job names must be unique within an AWS account and region, and a training job with this name already exists ({0})"
    )]
    NameUsed(String),
    /// There is no job of that name.
    #[error("Requested resource not found.")]
    NotFound,
    /// It is not at its end.
    #[error("the training job {arn} is {status}")]
    InUse {
        /// The job.
        arn: String,
        /// `TrainingJobStatus`.
        status: &'static str,
    },
    /// It is at its end.
    #[error("the training job is in status {0}")]
    Finished(&'static str),
    /// Its tags are not valid.
    #[error(transparent)]
    Tags(#[from] TagError),
    /// The state failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for JobError {
    fn from(e: rusqlite::Error) -> Self {
        Self::Store(e.into())
    }
}

impl From<serde_json::Error> for JobError {
    fn from(e: serde_json::Error) -> Self {
        Self::Store(e.into())
    }
}

/// Keeps a new job. `assignment` is what every attempt begins from: complete but for what
/// differs from one to the next.
///
/// # Errors
/// If the name is used, or the tags are not valid.
pub fn create(
    c: &Connection,
    job: &TrainingJob,
    assignment: &Assignment,
    tags: &BTreeMap<String, String>,
) -> Result<(), JobError> {
    let find = "SELECT arn FROM training_job WHERE name = ?1";
    let used = c.prepare_cached(find)?.query_row([job.name.as_str()], |r| r.get(0)).optional()?;
    if let Some(arn) = used {
        return Err(JobError::NameUsed(arn));
    }
    let insert = "INSERT INTO training_job
        (name, arn, created, modified, status, finished, definition, assignment, progress)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    c.prepare_cached(insert)?.execute(params![
        job.name.as_str(),
        job.arn,
        job.created.millis(),
        job.modified.millis(),
        job.progress.status().as_str(),
        job.progress.is_finished(),
        serde_json::to_string(&job.definition)?,
        serde_json::to_string(assignment)?,
        serde_json::to_string(&job.progress)?,
    ])?;
    Ok(add_tags(c, &job.arn, tags)?)
}

const COLUMNS: &str = "name, arn, created, modified, definition, progress";

/// One job, by its exact name.
///
/// # Errors
/// If the state fails.
pub fn get(c: &Connection, name: &str) -> Result<Option<TrainingJob>, StoreError> {
    let find =
        format!("SELECT {COLUMNS} FROM training_job WHERE name = ?1 AND name = ?1 COLLATE BINARY");
    c.prepare_cached(&find)?.query_row([name], |row| Ok(read(row))).optional()?.transpose()
}

/// The job of an ARN.
///
/// # Errors
/// If the state fails.
pub fn by_arn(c: &Connection, arn: &str) -> Result<Option<JobName>, StoreError> {
    let find = "SELECT name FROM training_job WHERE arn = ?1";
    let found: Option<String> =
        c.prepare_cached(find)?.query_row([arn], |row| row.get(0)).optional()?;
    found.map(job_name).transpose()
}

/// Jobs that are not at their end, oldest first.
///
/// # Errors
/// If the state fails.
pub fn unfinished(c: &Connection) -> Result<Vec<TrainingJob>, StoreError> {
    let find = format!("SELECT {COLUMNS} FROM training_job WHERE NOT finished ORDER BY id");
    c.prepare_cached(&find)?.query_map([], |row| Ok(read(row)))?.map(|row| row?).collect()
}

/// What every attempt of a job begins from; its generation is 0.
///
/// # Errors
/// If there is no such job, or the state fails.
pub fn assignment(c: &Connection, name: &JobName) -> Result<Assignment, JobError> {
    let find = "SELECT assignment FROM training_job WHERE name = ?1";
    let text: Option<String> =
        c.prepare_cached(find)?.query_row([name.as_str()], |row| row.get(0)).optional()?;
    Ok(serde_json::from_str(&text.ok_or(JobError::NotFound)?)?)
}

/// Keeps how far a job is. Nothing happens if it is gone.
///
/// # Errors
/// If the state fails.
pub fn put(
    c: &Connection,
    name: &JobName,
    progress: &Progress,
    now: Timestamp,
) -> Result<(), StoreError> {
    let update = "UPDATE training_job SET modified = ?2, status = ?3, finished = ?4, progress = ?5
        WHERE name = ?1";
    c.prepare_cached(update)?.execute(params![
        name.as_str(),
        now.millis(),
        progress.status().as_str(),
        progress.is_finished(),
        serde_json::to_string(progress)?,
    ])?;
    Ok(())
}

/// Changes how far a job is: `change` answers whether there is something to keep. Answers the
/// job as it is then.
///
/// # Errors
/// If there is no such job, or the state fails.
pub fn update(
    c: &Connection,
    name: &str,
    now: Timestamp,
    change: impl FnOnce(&mut Progress) -> bool,
) -> Result<TrainingJob, JobError> {
    let mut job = get(c, name)?.ok_or(JobError::NotFound)?;
    if change(&mut job.progress) {
        job.modified = now;
        put(c, &job.name, &job.progress, now)?;
    }
    Ok(job)
}

/// Notes that a job is to stop.
///
/// # Errors
/// If there is no such job, it is at its end, or the state fails.
pub fn request_stop(c: &Connection, name: &str, now: Timestamp) -> Result<(), JobError> {
    let mut stoppable = false;
    let job = update(c, name, now, |progress| {
        let first = progress.stop_requested.is_none();
        stoppable = progress.request_stop(now);
        stoppable && first
    })?;
    match stoppable {
        true => Ok(()),
        false => Err(JobError::Finished(job.progress.status().as_str())),
    }
}

/// Whether a job may be removed: it is at its end.
///
/// # Errors
/// If there is no such job, it is not at its end, or the state fails.
pub fn removable(c: &Connection, name: &str) -> Result<TrainingJob, JobError> {
    let job = get(c, name)?.ok_or(JobError::NotFound)?;
    if job.progress.is_finished() {
        return Ok(job);
    }
    Err(JobError::InUse { status: job.progress.status().as_str(), arn: job.arn })
}

/// Forgets a job, its attempts and its tags.
///
/// # Errors
/// As [`removable`].
pub fn delete(c: &Connection, name: &str) -> Result<(), JobError> {
    let job = removable(c, name)?;
    drop_tags(c, &job.arn)?;
    c.prepare_cached("DELETE FROM training_job WHERE name = ?1")?.execute([job.name.as_str()])?;
    Ok(())
}

fn job_name(text: String) -> Result<JobName, StoreError> {
    text.try_into().map_err(|e: NameError| StoreError::Record(serde::de::Error::custom(e)))
}

fn read(row: &Row<'_>) -> Result<TrainingJob, StoreError> {
    let definition: Definition =
        serde_json::from_str(row.get_ref("definition")?.as_str().map_err(bad)?)?;
    let progress: Progress = serde_json::from_str(row.get_ref("progress")?.as_str().map_err(bad)?)?;
    Ok(TrainingJob {
        name: job_name(row.get("name")?)?,
        arn: row.get("arn")?,
        created: Timestamp::from_millis(row.get("created")?),
        modified: Timestamp::from_millis(row.get("modified")?),
        definition,
        progress,
    })
}

fn bad(e: rusqlite::types::FromSqlError) -> StoreError {
    StoreError::Sql(e.into())
}

#[cfg(test)]
mod tests;
