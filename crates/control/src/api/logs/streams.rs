//! Streams of a group.

use super::{group_arn, invalid, named, refusal, token, without_nulls};
use crate::service::{Caller, Service};
use belljar_aws::AwsError;
use belljar_domain::Timestamp;
use belljar_store::logs::{self, StreamOrder};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Streams of one answer, if the request says nothing.
const DEFAULT_LIMIT: usize = 50;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Named {
    log_group_name: String,
    log_stream_name: String,
}

pub(super) async fn create(service: &Service, _: &Caller, input: Named) -> Result<Value, AwsError> {
    let now = service.now();
    let made = service
        .db()
        .write(move |c| logs::create_stream(c, &input.log_group_name, &input.log_stream_name, now));
    made.await.map_err(refusal)?;
    Ok(json!({}))
}

pub(super) async fn delete(service: &Service, _: &Caller, input: Named) -> Result<Value, AwsError> {
    let deleted = service
        .db()
        .write(move |c| logs::delete_stream(c, &input.log_group_name, &input.log_stream_name));
    deleted.await.map_err(refusal)?;
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Describe {
    log_group_name: Option<String>,
    log_group_identifier: Option<String>,
    log_stream_name_prefix: Option<String>,
    #[serde(default)]
    order_by: OrderBy,
    #[serde(default)]
    descending: bool,
    next_token: Option<String>,
    limit: Option<usize>,
}

#[derive(Clone, Copy, Default, PartialEq, Deserialize)]
enum OrderBy {
    #[default]
    LogStreamName,
    LastEventTime,
}

/// The last stream of an answer.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Last {
    id: i64,
    at: i64,
    name: String,
}

pub(super) async fn describe(
    service: &Service,
    caller: &Caller,
    input: Describe,
) -> Result<Value, AwsError> {
    let group = named(caller, input.log_group_name, input.log_group_identifier)?;
    if input.order_by == OrderBy::LastEventTime && input.log_stream_name_prefix.is_some() {
        return Err(invalid("Cannot order by LastEventTime with a logStreamNamePrefix."));
    }
    let after: Option<Last> = token::open(input.next_token.as_deref())?;
    let order = match input.order_by {
        OrderBy::LogStreamName => StreamOrder::Name { after: after.map(|a| a.name) },
        OrderBy::LastEventTime => {
            StreamOrder::LastEvent { after: after.map(|a| (Timestamp::from_millis(a.at), a.id)) }
        }
    };
    let prefix = input.log_stream_name_prefix.unwrap_or_default();
    let limit = input.limit.unwrap_or(DEFAULT_LIMIT);
    let mut streams = service
        .db()
        .read(|c| logs::list_streams(c, &group, &prefix, &order, input.descending, limit + 1))
        .map_err(refusal)?;
    let more = streams.len() > limit;
    streams.truncate(limit);
    let next = streams.last().filter(|_| more).map(|s| {
        let at = s.last_event.map_or(0, Timestamp::millis);
        token::seal(&Last { id: s.id, at, name: s.name.clone() })
    });
    let group = group_arn(caller, &group);
    let streams: Vec<_> = streams.iter().map(|stream| shown(&group, stream)).collect();
    Ok(without_nulls(json!({"logStreams": streams, "nextToken": next})))
}

fn shown(group_arn: &str, stream: &logs::Stream) -> Value {
    without_nulls(json!({
        "logStreamName": stream.name,
        "creationTime": stream.created.millis(),
        "firstEventTimestamp": stream.first_event.map(Timestamp::millis),
        "lastEventTimestamp": stream.last_event.map(Timestamp::millis),
        "lastIngestionTime": stream.last_ingestion.map(Timestamp::millis),
        "uploadSequenceToken": token::sequence(stream.events),
        "arn": format!("{group_arn}:log-stream:{}", stream.name),
        "storedBytes": 0,
    }))
}
