//! What prefix lists were before, and what is in them.

use super::listing::{Filters, Listing};
use super::places;
use super::prefix_list::{check_version, own};
use super::prefix_list_shown::{answer, users};
use crate::network::error::{self, refused};
use crate::network::{Draft, Topology};
use crate::service::{Caller, Service};
use belljar_aws::AwsError;
use belljar_vpc::id::PrefixListId;
use belljar_vpc::network::PrefixList;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// The kind of the notes that hold earlier versions, by id and version.
const KIND: &str = "prefix-list-version";
/// The kind of the notes that say which version is one that was restored.
const RESTORED: &str = "prefix-list-restored";
/// Versions that are kept of one list; AWS names no number.
const KEPT: u64 = 100;

fn key(id: &PrefixListId, version: u64) -> String {
    format!("{id}/{version}")
}

/// Keeps the entries of a list that is about to change.
pub(super) fn keep(draft: &mut Draft, id: &PrefixListId, list: &PrefixList) {
    draft.set_note(KIND, &key(id, list.version), entries(list));
    if let Some(old) = list.version.checked_sub(KEPT) {
        draft.notes.remove(&(KIND.to_owned(), key(id, old)));
    }
}

fn entries(list: &PrefixList) -> Value {
    let entry = |(block, description): (_, &Option<String>)| json!({"Cidr": block, "Description": description});
    list.entries.iter().map(entry).collect()
}

/// Removes what is kept of a list.
pub(super) fn forget(draft: &mut Draft, id: &PrefixListId) {
    let front = format!("{id}/");
    draft.notes.retain(|(kind, of), _| {
        !(kind == KIND && of.starts_with(&front) || kind == RESTORED && of == id.as_str())
    });
}

/// How the last change of a list is called.
pub(super) fn state(now: &Topology, id: &PrefixListId, list: &PrefixList) -> &'static str {
    let restored = now.notes.get(&(RESTORED.to_owned(), id.to_string()));
    match list.version {
        1 => "create-complete",
        version if restored.and_then(|at| at.as_u64()) == Some(version) => "restore-complete",
        _ => "modify-complete",
    }
}

/// The entries of a version, if it is kept.
fn of_version(
    draft: &Topology,
    id: &PrefixListId,
    list: &PrefixList,
    version: Option<u64>,
) -> Result<Value, AwsError> {
    match version {
        None => Ok(entries(list)),
        Some(version) if version == list.version => Ok(entries(list)),
        Some(version) => {
            let note = draft.notes.get(&(KIND.to_owned(), key(id, version)));
            note.map(|note| note.as_ref().clone()).ok_or_else(|| no_version(id, version))
        }
    }
}

fn no_version(id: &PrefixListId, version: u64) -> AwsError {
    let text = format!("The prefix list {id} has no version {version}.");
    refused("InvalidPrefixListVersion", text)
}

const NONE: Filters = &[];

pub(super) async fn get(
    service: &Service,
    _: &Caller,
    mut listing: Listing,
) -> Result<Value, AwsError> {
    let id: String = listing.take("PrefixListId")?;
    let version: Option<u64> = listing.take("TargetVersion")?;
    let now = service.network.current();
    let (id, list) = error::named(&now.prefix_lists, &id)?;
    let entries = of_version(&now, &id, list, version)?;
    let entries = entries.as_array().cloned().unwrap_or_default();
    // Each has its place as its key, so that pages keep the order.
    let entries = entries.into_iter().enumerate().map(|(at, e)| (format!("{:05}", at + 1), e));
    listing.answer("Entries", entries, NONE)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Restore {
    prefix_list_id: String,
    previous_version: u64,
    current_version: u64,
}

pub(super) async fn restore(
    service: &Service,
    _: &Caller,
    input: Restore,
) -> Result<Value, AwsError> {
    let edit = service.network.edit(|draft| {
        let id = own(draft, &input.prefix_list_id)?;
        let mut list = error::get(&draft.prefix_lists, &id)?.clone();
        check_version(&list, Some(input.current_version), true)?;
        let wanted = input.previous_version;
        let note = draft.note(KIND, &key(&id, wanted)).ok_or_else(|| no_version(&id, wanted))?;
        let mut entries = std::collections::BTreeMap::new();
        for entry in note.as_array().into_iter().flatten() {
            let block = entry["Cidr"].as_str().and_then(|text| text.parse().ok());
            let description = entry["Description"].as_str().map(str::to_owned);
            entries.insert(block.ok_or_else(AwsError::internal)?, description);
        }
        if entries.len() > usize::from(list.max_entries) {
            let text = format!("Version {wanted} has more entries than the list can have now.");
            return Err(refused("PrefixListMaxEntriesExceeded", text));
        }
        keep(draft, &id, &list);
        list.entries = entries;
        list.version += 1;
        draft.set_note(RESTORED, id.as_str(), json!(list.version));
        draft.prefix_lists.insert(id.clone(), Arc::new(list));
        Ok(id)
    });
    let (id, now) = edit.await?;
    answer(service, &now, &id, None)
}

pub(super) async fn associations(
    service: &Service,
    _: &Caller,
    mut listing: Listing,
) -> Result<Value, AwsError> {
    let id: String = listing.take("PrefixListId")?;
    let now = service.network.current();
    let (id, _) = error::named(&now.prefix_lists, &id)?;
    let owner = places::account(service);
    let mut users = users(&now, &id);
    users.sort();
    let item = |id: String| (id.clone(), json!({"ResourceId": id, "ResourceOwner": owner}));
    listing.answer("PrefixListAssociations", users.into_iter().map(item), NONE)
}
