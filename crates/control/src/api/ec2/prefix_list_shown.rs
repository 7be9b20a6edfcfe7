//! Prefix lists as they are shown, and who uses them.

use super::listing::{Filters, Listing};
use super::prefix_list::AWS;
use super::{prefix_list_versions as versions, tags};
use crate::network::Topology;
use crate::network::error;
use crate::service::{Caller, Service};
use belljar_aws::AwsError;
use belljar_vpc::Description;
use belljar_vpc::id::PrefixListId;
use belljar_vpc::network::{Peer, PrefixList, RouteDestination};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The groups and route tables that name a list.
pub(super) fn users(d: &Description, id: &PrefixListId) -> Vec<String> {
    let groups = d.groups.iter().filter(|(_, group)| {
        group.rules.values().any(|rule| matches!(&rule.peer, Peer::PrefixList(of) if of == id))
    });
    let destination = RouteDestination::PrefixList(id.clone());
    let tables = d
        .route_tables
        .iter()
        .filter(|(_, table)| table.routes.iter().any(|route| route.destination == destination));
    groups.map(|(id, _)| id.to_string()).chain(tables.map(|(id, _)| id.to_string())).collect()
}

const FILTERS: Filters = &[
    ("owner-id", "OwnerId"),
    ("prefix-list-id", "PrefixListId"),
    ("prefix-list-name", "PrefixListName"),
];

pub(super) async fn describe(
    service: &Service,
    _: &Caller,
    listing: Listing,
) -> Result<Value, AwsError> {
    let now = service.network.current();
    let lists = ("PrefixListIds", &now.prefix_lists);
    listing.of("PrefixLists", lists, FILTERS, |id, list| {
        let mut shown = shown(service, id, list, versions::state(&now, id, list));
        shown["Tags"] = tags::shown(&now.tags, id.as_str());
        shown
    })
}

/// `DescribePrefixLists`: those of AWS's services.
pub(super) async fn describe_services(
    service: &Service,
    _: &Caller,
    listing: Listing,
) -> Result<Value, AwsError> {
    let now = service.network.current();
    let lists: BTreeMap<_, _> = now
        .prefix_lists
        .iter()
        .filter(|(_, list)| list.owner == AWS)
        .map(|(id, list)| (id.clone(), list.clone()))
        .collect();
    listing.of("PrefixLists", ("PrefixListIds", &lists), FILTERS, |id, list| {
        json!({
            "PrefixListId": id.as_str(),
            "PrefixListName": list.name,
            "Cidrs": list.entries.keys().collect::<Vec<_>>(),
        })
    })
}

pub(super) fn answer(
    service: &Service,
    now: &Topology,
    id: &PrefixListId,
    state: Option<&str>,
) -> Result<Value, AwsError> {
    let list = error::get(&now.prefix_lists, id)?;
    let state = state.unwrap_or_else(|| versions::state(now, id, list));
    let mut shown = shown(service, id, list, state);
    shown["Tags"] = tags::shown(&now.tags, id.as_str());
    Ok(json!({"PrefixList": shown}))
}

pub(super) fn shown(service: &Service, id: &PrefixListId, list: &PrefixList, state: &str) -> Value {
    let owner = if list.owner == AWS { "aws" } else { &list.owner };
    json!({
        "PrefixListId": id.as_str(),
        "AddressFamily": if list.v6 { "IPv6" } else { "IPv4" },
        "State": state,
        "PrefixListArn":
            format!("arn:aws:ec2:{}:{owner}:prefix-list/{id}", service.config.region),
        "PrefixListName": list.name,
        "MaxEntries": list.max_entries,
        "Version": list.version,
        "OwnerId": list.owner,
    })
}
