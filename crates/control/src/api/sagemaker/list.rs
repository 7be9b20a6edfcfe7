//! What all `List` operations share: filters, order and pages.

use super::failed;
use super::time::{Moment, time};
use crate::service::Service;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use belljar_aws::AwsError;
use belljar_store::list::{Filter, Order, Page, SortBy};
use belljar_store::{Connection, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Records on a page if the request does not say (Developer Guide).
const DEFAULT_PAGE: usize = 10;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase", default)]
#[derive(Default)]
pub(super) struct List {
    next_token: Option<String>,
    max_results: Option<usize>,
    creation_time_after: Option<f64>,
    creation_time_before: Option<f64>,
    last_modified_time_after: Option<f64>,
    last_modified_time_before: Option<f64>,
    name_contains: Option<String>,
    status_equals: Option<String>,
    sort_by: Option<String>,
    sort_order: Option<String>,
}

/// What is listed, and what is particular to it.
pub(super) struct Listed<T> {
    /// The member of the answer that holds the summaries.
    pub(super) member: &'static str,
    /// `SortOrder` if the request does not say (service model).
    pub(super) order: Order,
    /// Whether `CreationTimeAfter` takes in its own moment (service model).
    pub(super) after_is_from: bool,
    /// The statuses that a record can have.
    pub(super) statuses: &'static [&'static str],
    /// Where a page comes from.
    pub(super) page: fn(&Connection, &Filter) -> Result<Page<T>, StoreError>,
    /// What is said of a record.
    pub(super) summary: fn(&T) -> Value,
}

/// The place where a page ends, and the question that it belongs to.
#[derive(Serialize, Deserialize)]
struct Token(String, i64, String);

impl<T> Listed<T> {
    /// One page.
    pub(super) fn answer(&self, service: &Service, input: List) -> Result<Value, AwsError> {
        let question = question(&input);
        let Some(filter) = self.filter(input, &question)? else {
            return Ok(json!({self.member: []}));
        };
        let page = service.db().read(|c| (self.page)(c, &filter)).map_err(|e| failed(&e))?;
        let summaries: Vec<Value> = page.items.iter().map(self.summary).collect();
        let mut output = json!({self.member: summaries});
        if let Some((key, id)) = page.next {
            let token = serde_json::to_string(&Token(key, id, question)).unwrap_or_default();
            output["NextToken"] = json!(URL_SAFE_NO_PAD.encode(token));
        }
        Ok(output)
    }

    /// `None` if it asks for a status that no record has.
    fn filter(&self, input: List, question: &str) -> Result<Option<Filter>, AwsError> {
        let known = |name: String| self.statuses.iter().copied().find(|s| *s == name);
        let status = match input.status_equals.map(known) {
            Some(None) => return Ok(None),
            Some(known) => known,
            None => None,
        };
        let descending = input.sort_order.map(|order| order == "Descending");
        let from = if self.after_is_from { Moment::Before } else { Moment::At };
        Ok(Some(Filter {
            created_after: input.creation_time_after.map(|t| time(t, from)),
            created_before: input.creation_time_before.map(|t| time(t, Moment::At)),
            modified_after: input.last_modified_time_after.map(|t| time(t, Moment::At)),
            modified_before: input.last_modified_time_before.map(|t| time(t, Moment::At)),
            name_contains: input.name_contains,
            status,
            sort_by: match input.sort_by.as_deref() {
                Some("Name") => SortBy::Name,
                Some("Status") => SortBy::Status,
                _ => SortBy::CreationTime,
            },
            order: match descending {
                Some(true) => Order::Descending,
                Some(false) => Order::Ascending,
                None => self.order,
            },
            after: input.next_token.as_deref().map(|t| place(t, question)).transpose()?,
            limit: input.max_results.unwrap_or(DEFAULT_PAGE),
        }))
    }
}

/// Everything that must stay the same from page to page.
fn question(input: &List) -> String {
    json!([
        input.creation_time_after,
        input.creation_time_before,
        input.last_modified_time_after,
        input.last_modified_time_before,
        input.name_contains,
        input.status_equals,
        input.sort_by,
        input.sort_order,
    ])
    .to_string()
}

fn place(token: &str, question: &str) -> Result<(String, i64), AwsError> {
    let read = || {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let Token(key, id, of) = serde_json::from_slice(&bytes).ok()?;
        (of == question).then_some((key, id))
    };
    read().ok_or_else(|| AwsError::validation("The NextToken is not valid for this request."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_of_one_question() {
        let list = List { name_contains: Some("a".into()), ..List::default() };
        let asked = question(&list);
        let token = Token("k".into(), 7, asked.clone());
        let token = URL_SAFE_NO_PAD.encode(serde_json::to_string(&token).unwrap());
        assert_eq!(place(&token, &asked).unwrap(), ("k".to_owned(), 7));
        assert!(place(&token, &question(&List::default())).is_err());
        for bad in ["", "x", "AAAA", "%%"] {
            assert!(place(bad, &asked).is_err(), "{bad}");
        }
    }
}
