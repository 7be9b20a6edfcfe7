//! The record sets of a zone.

use super::batch::{self, Batch};
use super::lists::{MAX_RECORDS, items};
use super::{change, invalid, name, zone, zone_mut};
use crate::service::{Caller, Service};
use belljar_aws::AwsError;
use belljar_vpc::network::RecordSet;
use serde::Deserialize;
use serde_json::{Value, json};
use std::cmp::Ordering;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Change {
    hosted_zone_id: String,
    change_batch: Batch,
}

pub(super) async fn change(
    service: &Service,
    _: &Caller,
    input: Change,
) -> Result<Value, AwsError> {
    let comment = input.change_batch.comment.clone();
    let changed = service
        .network
        .edit(|draft| input.change_batch.apply(zone_mut(draft, &input.hosted_zone_id)?));
    changed.await?;
    Ok(json!({"ChangeInfo": change::made(service.now(), comment.as_deref())}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct List {
    hosted_zone_id: String,
    start_record_name: Option<String>,
    start_record_type: Option<String>,
    max_items: Option<String>,
}

pub(super) async fn list(service: &Service, _: &Caller, input: List) -> Result<Value, AwsError> {
    let topology = service.network.current();
    let (_, zone) = zone(&topology, &input.hosted_zone_id)?;
    let most = items(input.max_items.as_deref(), MAX_RECORDS)?;
    let start = match (input.start_record_name, input.start_record_type) {
        (None, Some(_)) => {
            let text = "Invalid request: a start record type needs a start record name.";
            return Err(invalid(text));
        }
        (None, None) => None,
        (Some(start), kind) => {
            let start = name::normal(&start).map_err(|e| invalid(e.to_string()))?;
            Some((start, kind.unwrap_or_default()))
        }
    };
    let mut found: Vec<(&str, &str, &RecordSet)> = Vec::new();
    for (name, of_name) in &zone.records {
        found.extend(of_name.iter().map(|(kind, set)| (name.as_str(), batch::written(*kind), set)));
    }
    found.sort_by(|a, b| order((a.0, a.1), (b.0, b.1)));
    if let Some((name, kind)) = &start {
        found.retain(|set| order((set.0, set.1), (name, kind)) != Ordering::Less);
    }
    let next = found.get(most).map(|set| (set.0, set.1));
    found.truncate(most);
    let mut answer = json!({
        "ResourceRecordSets": found.iter().map(shown).collect::<Vec<_>>(),
        "IsTruncated": next.is_some(),
        "MaxItems": most.to_string(),
    });
    if let Some((name, kind)) = next {
        answer["NextRecordName"] = name::shown(name).into();
        answer["NextRecordType"] = kind.into();
    }
    Ok(answer)
}

fn order(one: (&str, &str), other: (&str, &str)) -> Ordering {
    name::order(one.0, other.0).then_with(|| one.1.cmp(other.1))
}

fn shown((name, kind, set): &(&str, &str, &RecordSet)) -> Value {
    let values = set.values.iter().map(|value| json!({"Value": value}));
    json!({
        "Name": name::shown(name),
        "Type": kind,
        "TTL": set.ttl,
        "ResourceRecords": values.collect::<Vec<_>>(),
    })
}
