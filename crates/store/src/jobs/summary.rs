//! `ListTrainingJobs`.

use crate::StoreError;
use crate::list::{Filter, Page, page};
use belljar_domain::Timestamp;
use belljar_domain::training_job::Progress;
use rusqlite::{Connection, Row};

/// What a list says of a job.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// `TrainingJobName`.
    pub name: String,
    /// `TrainingJobArn`.
    pub arn: String,
    /// `CreationTime`.
    pub created: Timestamp,
    /// `LastModifiedTime`.
    pub modified: Timestamp,
    /// How far it is.
    pub progress: Progress,
}

/// One page.
///
/// # Errors
/// If the state fails.
pub fn list(c: &Connection, filter: &Filter) -> Result<Page<Summary>, StoreError> {
    page(c, ("training_job", "name, arn, created, modified, progress"), filter, read)
}

fn read(row: &Row<'_>) -> Result<Summary, StoreError> {
    let progress: String = row.get("progress")?;
    Ok(Summary {
        name: row.get("name")?,
        arn: row.get("arn")?,
        created: Timestamp::from_millis(row.get("created")?),
        modified: Timestamp::from_millis(row.get("modified")?),
        progress: serde_json::from_str(&progress)?,
    })
}
