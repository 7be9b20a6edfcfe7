//! `PutLogEvents` and `GetLogEvents`.

use super::{invalid, named, refusal, token, without_nulls};
use crate::service::{Caller, Service};
use belljar_aws::AwsError;
use belljar_domain::Timestamp;
use belljar_store::logs::{self, Direction, EVENT_OVERHEAD, LogEvent, MAX_PAGE_EVENTS, Range};
use serde::Deserialize;
use serde_json::{Value, json};

const HOUR: i64 = 60 * 60 * 1000;
const DAY: i64 = 24 * HOUR;
/// Events this much older than now are not taken.
const TOO_OLD: i64 = 14 * DAY;
/// Events this much newer than now are not taken.
const TOO_NEW: i64 = 2 * HOUR;
/// What the events of one request may be apart.
const MAX_SPAN: i64 = DAY;
/// Bytes of one request's messages, and [`EVENT_OVERHEAD`] for each.
const MAX_BATCH_BYTES: usize = 1 << 20;
/// The last moment that a token can name: 17 digits, some three million years.
const MAX_MOMENT: i64 = 99_999_999_999_999_999;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Put {
    log_group_name: String,
    log_stream_name: String,
    log_events: Vec<InputEvent>,
    /// Without effect, as in the service itself: any is taken.
    #[serde(rename = "sequenceToken")]
    _sequence_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InputEvent {
    timestamp: i64,
    message: String,
}

pub(super) async fn put(service: &Service, _: &Caller, input: Put) -> Result<Value, AwsError> {
    let Put { log_group_name: group, log_stream_name: stream, log_events: events, .. } = input;
    check(&events)?;
    let now = service.now();
    let put = service.db().write(move |c| {
        let retention = logs::get_group(c, &group)?.retention;
        let (taken, rejected) = sort_out(&events, retention, now);
        let next = logs::append(c, &group, &stream, &taken, now)?;
        Ok((next, rejected))
    });
    let (next, rejected) = put.await.map_err(refusal)?;
    Ok(without_nulls(json!({
        "nextSequenceToken": token::sequence(next),
        "rejectedLogEventsInfo": rejected,
    })))
}

/// What is wrong with a request whatever the time is.
fn check(events: &[InputEvent]) -> Result<(), AwsError> {
    let size = |event: &InputEvent| event.message.len() + EVENT_OVERHEAD;
    let limit = MAX_BATCH_BYTES;
    if let Some(size) = events.iter().map(size).find(|size| *size > limit) {
        return Err(invalid(format!("Log event too large: {size} bytes exceeds limit of {limit}")));
    }
    let total: usize = events.iter().map(size).sum();
    if total > limit {
        return Err(invalid(format!("Upload too large: {total} bytes exceeds limit of {limit}")));
    }
    if !events.is_sorted_by_key(|event| event.timestamp) {
        return Err(invalid(
            "Log events in a single PutLogEvents request must be in chronological order.",
        ));
    }
    if let (Some(first), Some(last)) = (events.first(), events.last())
        && last.timestamp.saturating_sub(first.timestamp) > MAX_SPAN
    {
        return Err(invalid(
            "The batch of log events in a single PutLogEvents request cannot span more than 24 \
             hours.",
        ));
    }
    Ok(())
}

/// Those that are taken, and what is said of the others.
fn sort_out(
    events: &[InputEvent],
    retention: Option<u32>,
    now: Timestamp,
) -> (Vec<LogEvent>, Option<Value>) {
    let now = now.millis();
    let before = |moment: i64| events.partition_point(|event| event.timestamp < moment);
    let old = before(now - TOO_OLD);
    let expired = retention.map_or(0, |days| before(now - i64::from(days) * DAY));
    let new = before(now + TOO_NEW + 1);
    let first = old.max(expired).min(new);
    let taken = events[first..new].iter().map(|event| LogEvent {
        at: Timestamp::from_millis(event.timestamp),
        message: event.message.clone(),
    });
    let rejected = (first > 0 || new < events.len()).then(|| {
        without_nulls(json!({
            "tooOldLogEventEndIndex": (old > 0).then_some(old),
            "expiredLogEventEndIndex": (expired > 0).then_some(expired),
            "tooNewLogEventStartIndex": (new < events.len()).then_some(new),
        }))
    });
    (taken.collect(), rejected)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Get {
    log_group_name: Option<String>,
    log_group_identifier: Option<String>,
    log_stream_name: String,
    start_time: Option<i64>,
    end_time: Option<i64>,
    next_token: Option<String>,
    limit: Option<usize>,
    #[serde(default)]
    start_from_head: bool,
    /// Nothing is ever masked.
    #[serde(rename = "unmask")]
    _unmask: Option<bool>,
}

pub(super) async fn get(service: &Service, caller: &Caller, input: Get) -> Result<Value, AwsError> {
    let group = named(caller, input.log_group_name, input.log_group_identifier)?;
    let direction = match &input.next_token {
        Some(token) => token::direction(token)?,
        None if input.start_from_head => Direction::Forward(None),
        None => Direction::Backward(None),
    };
    let range = range(input.start_time, input.end_time);
    let limit = input.limit.unwrap_or(MAX_PAGE_EVENTS);
    let page = service
        .db()
        .read(|c| logs::read(c, &group, &input.log_stream_name, range, direction, limit))
        .map_err(refusal)?;
    let events: Vec<_> = page
        .events
        .into_iter()
        .map(|event| {
            json!({
                "timestamp": event.key.at,
                "message": event.message,
                "ingestionTime": event.ingested.millis(),
            })
        })
        .collect();
    Ok(json!({
        "events": events,
        "nextForwardToken": token::forward(page.forward),
        "nextBackwardToken": token::backward(page.backward),
    }))
}

/// From `startTime` to before `endTime`. No event is older than 1970.
pub(super) fn range(start: Option<i64>, end: Option<i64>) -> Range {
    let moment = |given: Option<i64>, default: i64| given.unwrap_or(default).clamp(0, MAX_MOMENT);
    Range { start: moment(start, 0), end: moment(end, MAX_MOMENT) }
}
