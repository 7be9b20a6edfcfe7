//! `ListTrainingJobs`.

use super::describe::seconds;
use super::failed;
use crate::service::{Caller, Service};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use belljar_aws::AwsError;
use belljar_domain::{Timestamp, TrainingJobStatus};
use belljar_store::jobs::{self, Filter, Order, SortBy, Summary};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Jobs on a page if the request does not say (Developer Guide).
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

/// The place where a page ends, and the question that it belongs to.
#[derive(Serialize, Deserialize)]
struct Token(String, i64, String);

pub(super) async fn list(service: &Service, _: &Caller, input: List) -> Result<Value, AwsError> {
    let status = match input.status_equals.as_deref().map(status) {
        // A status that no job of Belljar has.
        Some(None) => return Ok(json!({"TrainingJobSummaries": []})),
        Some(known) => known,
        None => None,
    };
    let question = question(&input);
    let after = input.next_token.as_deref().map(|t| place(t, &question)).transpose()?;
    let filter = Filter {
        created_after: input.creation_time_after.map(time),
        created_before: input.creation_time_before.map(time),
        modified_after: input.last_modified_time_after.map(time),
        modified_before: input.last_modified_time_before.map(time),
        name_contains: input.name_contains,
        status,
        sort_by: match input.sort_by.as_deref() {
            Some("Name") => SortBy::Name,
            Some("Status") => SortBy::Status,
            _ => SortBy::CreationTime,
        },
        order: match input.sort_order.as_deref() {
            Some("Descending") => Order::Descending,
            _ => Order::Ascending,
        },
        after,
        limit: input.max_results.unwrap_or(DEFAULT_PAGE),
    };
    let page = service.db().read(|c| jobs::list(c, &filter)).map_err(|e| failed(&e))?;
    let mut output = json!({
        "TrainingJobSummaries": page.jobs.iter().map(summary).collect::<Vec<_>>(),
    });
    if let Some((key, id)) = page.next {
        let token = serde_json::to_string(&Token(key, id, question)).unwrap_or_default();
        output["NextToken"] = json!(URL_SAFE_NO_PAD.encode(token));
    }
    Ok(output)
}

fn status(name: &str) -> Option<TrainingJobStatus> {
    use TrainingJobStatus::{Completed, Failed, InProgress, Stopped, Stopping};
    [Completed, Failed, InProgress, Stopped, Stopping].into_iter().find(|s| s.as_str() == name)
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

#[expect(
    clippy::cast_possible_truncation,
    reason = "a float that is too large becomes the last moment"
)]
fn time(seconds: f64) -> Timestamp {
    Timestamp::from_millis((seconds * 1000.0).round() as i64)
}

fn summary(job: &Summary) -> Value {
    let mut entry = json!({
        "TrainingJobName": job.name,
        "TrainingJobArn": job.arn,
        "CreationTime": seconds(job.created),
        "LastModifiedTime": seconds(job.modified),
        "TrainingJobStatus": job.progress.status().as_str(),
        "SecondaryStatus": job.progress.secondary().as_str(),
    });
    if let Some(end) = job.progress.training_end() {
        entry["TrainingEndTime"] = json!(seconds(end));
    }
    entry
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
