//! `ListTrainingJobs`: filtered, sorted, a page at a time.

use crate::StoreError;
use belljar_domain::training_job::Progress;
use belljar_domain::{Timestamp, TrainingJobStatus};
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};

/// `SortBy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SortBy {
    /// By `TrainingJobName`.
    Name,
    /// By `CreationTime`.
    #[default]
    CreationTime,
    /// By `TrainingJobStatus`.
    Status,
}

/// `SortOrder`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// Smallest first.
    #[default]
    Ascending,
    /// Largest first.
    Descending,
}

/// Which jobs, and in which order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    /// `CreationTimeAfter`: later than it.
    pub created_after: Option<Timestamp>,
    /// `CreationTimeBefore`: earlier than it.
    pub created_before: Option<Timestamp>,
    /// `LastModifiedTimeAfter`.
    pub modified_after: Option<Timestamp>,
    /// `LastModifiedTimeBefore`.
    pub modified_before: Option<Timestamp>,
    /// `NameContains`.
    pub name_contains: Option<String>,
    /// `StatusEquals`.
    pub status: Option<TrainingJobStatus>,
    /// `SortBy`.
    pub sort_by: SortBy,
    /// `SortOrder`.
    pub order: Order,
    /// Jobs before and with this place are left out: [`Page::next`] of the page before.
    pub after: Option<(String, i64)>,
    /// Jobs on a page.
    pub limit: usize,
}

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

/// Some jobs.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// In order.
    pub jobs: Vec<Summary>,
    /// The place of the last one, if there are more.
    pub next: Option<(String, i64)>,
}

/// One page.
///
/// # Errors
/// If the state fails.
pub fn list(c: &Connection, filter: &Filter) -> Result<Page, StoreError> {
    let (sql, values) = query(filter);
    let mut statement = c.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut page = Page { jobs: Vec::new(), next: None };
    let mut place = None;
    while let Some(row) = rows.next()? {
        if page.jobs.len() == filter.limit {
            page.next = place;
            break;
        }
        place = Some((row.get("sort_key")?, row.get("id")?));
        page.jobs.push(read(row)?);
    }
    Ok(page)
}

/// The statement and its values. Every text in it is of this file.
fn query(filter: &Filter) -> (String, Vec<Value>) {
    let key = match filter.sort_by {
        SortBy::Name => "name COLLATE BINARY",
        SortBy::CreationTime => "created",
        SortBy::Status => "status",
    };
    let (beyond, direction) = match filter.order {
        Order::Ascending => (">", "ASC"),
        Order::Descending => ("<", "DESC"),
    };
    let mut tests = vec!["TRUE".to_owned()];
    let mut values: Vec<Value> = Vec::new();
    let mut test = |text: &str, value: Value| {
        values.push(value);
        tests.push(format!("{text} ?{}", values.len()));
    };
    for (text, time) in [
        ("created >", filter.created_after),
        ("created <", filter.created_before),
        ("modified >", filter.modified_after),
        ("modified <", filter.modified_before),
    ] {
        if let Some(time) = time {
            test(text, time.millis().into());
        }
    }
    if let Some(status) = filter.status {
        test("status =", status.as_str().to_owned().into());
    }
    if let Some(part) = &filter.name_contains {
        values.push(part.clone().into());
        tests.push(format!("instr(name, ?{}) > 0", values.len()));
    }
    if let Some((after, id)) = &filter.after {
        values.push(match filter.sort_by {
            SortBy::CreationTime => after.parse::<i64>().unwrap_or_default().into(),
            SortBy::Name | SortBy::Status => after.clone().into(),
        });
        values.push((*id).into());
        tests.push(format!("({key}, id) {beyond} (?{}, ?{})", values.len() - 1, values.len()));
    }
    values.push(i64::try_from(filter.limit + 1).unwrap_or(i64::MAX).into());
    let sql = format!(
        "SELECT id, name, arn, created, modified, progress, CAST({key} AS TEXT) AS sort_key
         FROM training_job WHERE {} ORDER BY {key} {direction}, id {direction} LIMIT ?{}",
        tests.join(" AND "),
        values.len()
    );
    (sql, values)
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
