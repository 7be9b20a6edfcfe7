//! Records that are listed: filtered, sorted, a page at a time, all in one way.

use crate::StoreError;
use belljar_domain::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};

/// `SortBy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SortBy {
    /// By name.
    Name,
    /// By `CreationTime`.
    #[default]
    CreationTime,
    /// By status, of what has one.
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

/// Which records, and in which order.
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
    /// `StatusEquals`, of what has a status.
    pub status: Option<&'static str>,
    /// `SortBy`.
    pub sort_by: SortBy,
    /// `SortOrder`.
    pub order: Order,
    /// Records before and with this place are left out: [`Page::next`] of the page before.
    pub after: Option<(String, i64)>,
    /// Records on a page.
    pub limit: usize,
}

/// Some records.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// In order.
    pub items: Vec<T>,
    /// The place of the last one, if there are more.
    pub next: Option<(String, i64)>,
}

/// One page of a table, which has the columns `id`, `name` and `created`, and those that the
/// filter asks for; `read` gets these and `columns`.
pub(crate) fn page<T>(
    c: &Connection,
    (table, columns): (&'static str, &'static str),
    filter: &Filter,
    read: impl Fn(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Page<T>, StoreError> {
    let (sql, values) = query(table, columns, filter);
    let mut statement = c.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut page = Page { items: Vec::new(), next: None };
    let mut place = None;
    while let Some(row) = rows.next()? {
        if page.items.len() == filter.limit {
            page.next = place;
            break;
        }
        place = Some((row.get("sort_key")?, row.get("id")?));
        page.items.push(read(row)?);
    }
    Ok(page)
}

/// The statement and its values. Every text in it is of this crate.
fn query(table: &str, columns: &str, filter: &Filter) -> (String, Vec<Value>) {
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
        test("status =", status.to_owned().into());
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
        "SELECT id, {columns}, CAST({key} AS TEXT) AS sort_key
         FROM {table} WHERE {} ORDER BY {key} {direction}, id {direction} LIMIT ?{}",
        tests.join(" AND "),
        values.len()
    );
    (sql, values)
}
