//! `FilterLogEvents`.

use super::events::range;
use super::pattern::Pattern;
use super::{invalid, named, refusal, token, without_nulls};
use crate::service::{Caller, Service};
use belljar_aws::AwsError;
use belljar_store::logs::{self, MAX_PAGE_EVENTS, Place, Search, Which};
use serde::Deserialize;
use serde_json::{Value, json};

/// How many bounded looks at the state one answer takes, if they find nothing.
const MAX_LOOKS: usize = 8;
/// Names in `logStreamNames` (of the model).
const MAX_STREAMS: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Filter {
    log_group_name: Option<String>,
    log_group_identifier: Option<String>,
    log_stream_names: Option<Vec<String>>,
    log_stream_name_prefix: Option<String>,
    start_time: Option<i64>,
    end_time: Option<i64>,
    #[serde(default)]
    filter_pattern: String,
    next_token: Option<String>,
    limit: Option<usize>,
    start_from_head: Option<bool>,
    /// Streams are always woven together, as in the service itself since 2019.
    #[serde(rename = "interleaved")]
    _interleaved: Option<bool>,
    /// Nothing is ever masked.
    #[serde(rename = "unmask")]
    _unmask: Option<bool>,
}

pub(super) async fn filter(
    service: &Service,
    caller: &Caller,
    input: Filter,
) -> Result<Value, AwsError> {
    let group = named(caller, input.log_group_name, input.log_group_identifier)?;
    if input.start_from_head == Some(false) {
        return Err(invalid("Belljar does not serve startFromHead=false of FilterLogEvents."));
    }
    let names = input.log_stream_names.unwrap_or_default();
    let prefix = input.log_stream_name_prefix.unwrap_or_default();
    if !names.is_empty() && !prefix.is_empty() {
        return Err(invalid(
            "logStreamNamePrefix and logStreamNames are mutually exclusive parameters.",
        ));
    }
    if names.len() > MAX_STREAMS {
        return Err(invalid(format!("At most {MAX_STREAMS} logStreamNames can be given.")));
    }
    let pattern: Pattern = input.filter_pattern.parse().map_err(|e| invalid(format!("{e}")))?;
    let mut search = Search {
        which: if names.is_empty() { Which::Prefix(&prefix) } else { Which::Names(&names) },
        range: range(input.start_time, input.end_time),
        from: token::open(input.next_token.as_deref())?.map(|(at, stream, seq)| Place {
            at,
            stream,
            seq,
        }),
        limit: input.limit.unwrap_or(MAX_PAGE_EVENTS),
    };
    for _ in 0..MAX_LOOKS {
        let found = service
            .db()
            .read(|c| logs::search(c, &group, &search, |message| pattern.matches(message)))
            .map_err(refusal)?;
        search.from = found.next;
        if !found.events.is_empty() || found.next.is_none() {
            return Ok(shown(found));
        }
        // Other requests of this thread have their turn.
        tokio::task::yield_now().await;
    }
    Ok(shown(logs::Found { events: Vec::new(), next: search.from }))
}

fn shown(found: logs::Found) -> Value {
    let next = found.next.map(|place| token::seal(&(place.at, place.stream, place.seq)));
    let events: Vec<_> = found
        .events
        .into_iter()
        .map(|(stream, place, event)| {
            json!({
                "logStreamName": stream,
                "timestamp": event.key.at,
                "message": event.message,
                "ingestionTime": event.ingested.millis(),
                "eventId": token::event_id(place),
            })
        })
        .collect();
    without_nulls(json!({"events": events, "searchedLogStreams": [], "nextToken": next}))
}
