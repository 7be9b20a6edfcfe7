//! Prefix lists: the customer's, and to be looked at those of AWS.

use super::prefix_list_shown::{answer, shown, users};
use super::tags::{self, TagSpecification};
use super::{group_rule, places, prefix_list_versions as versions, route, token};
use crate::network::error::{self, dependency, invalid, refused};
use crate::network::{Draft, quotas};
use crate::service::{Caller, Service};
use belljar_aws::AwsError;
use belljar_vpc::id::PrefixListId;
use belljar_vpc::network::{Direction, PrefixList};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Who owns the lists that nobody edits.
pub(super) const AWS: &str = "AWS";
/// What their names begin with.
const RESERVED: &str = "com.amazonaws";
/// Characters of a name and of an entry's description (API Reference).
const MAX_NAME: usize = 255;

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Create {
    prefix_list_name: String,
    #[serde(default)]
    entries: Vec<Entry>,
    max_entries: u16,
    #[serde(default)]
    tag_specifications: Vec<TagSpecification>,
    address_family: String,
    client_token: Option<String>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Entry {
    cidr: String,
    description: Option<String>,
}

pub(super) async fn create(
    service: &Service,
    _: &Caller,
    input: Create,
) -> Result<Value, AwsError> {
    let tags = tags::of(&input.tag_specifications, "prefix-list")?;
    let v6 = match input.address_family.as_str() {
        "IPv4" => false,
        "IPv6" => true,
        other => return Err(invalid(format!("'{other}' is no address family: IPv4, IPv6."))),
    };
    check_name(&input.prefix_list_name)?;
    check_size(input.max_entries)?;
    let mut entries = BTreeMap::new();
    add(&mut entries, &input.entries, v6)?;
    check_count(entries.len(), input.max_entries)?;
    let edit = service.network.edit(|draft| {
        let token = input.client_token.as_deref();
        token::once(draft, ("CreateManagedPrefixList", token), &input, |draft| {
            let own = draft.prefix_lists.values().filter(|list| list.owner != AWS).count();
            if own >= quotas::PREFIX_LISTS {
                let text = "You have reached the limit on the number of prefix lists.";
                return Err(refused("PrefixListLimitExceeded", text));
            }
            let id: PrefixListId = draft.fresh();
            let list = PrefixList {
                name: input.prefix_list_name.clone(),
                owner: places::account(service).to_owned(),
                v6,
                max_entries: input.max_entries,
                version: 1,
                entries,
            };
            draft.prefix_lists.insert(id.clone(), Arc::new(list));
            draft.tag(id.as_str(), tags);
            Ok(id)
        })
    });
    let (id, now) = edit.await?;
    answer(service, &now, &id, None)
}

fn check_name(name: &str) -> Result<(), AwsError> {
    if name.is_empty() || name.chars().count() > MAX_NAME {
        return Err(invalid(format!("A prefix list's name has 1 to {MAX_NAME} characters.")));
    }
    if name.starts_with(RESERVED) {
        return Err(invalid(format!("The prefix list name cannot start with {RESERVED}.")));
    }
    Ok(())
}

fn check_size(most: u16) -> Result<(), AwsError> {
    if (1..=quotas::PREFIX_LIST_ENTRIES).contains(&most) {
        return Ok(());
    }
    let text = format!(
        "The maximum number of entries must be between 1 and {}.",
        quotas::PREFIX_LIST_ENTRIES
    );
    Err(invalid(text))
}

fn check_count(count: usize, most: u16) -> Result<(), AwsError> {
    if count <= usize::from(most) {
        return Ok(());
    }
    let text = format!("The prefix list can have {most} entries, and would have {count}.");
    Err(refused("PrefixListMaxEntriesExceeded", text))
}

type Entries = BTreeMap<IpNet, Option<String>>;

fn add(entries: &mut Entries, new: &[Entry], v6: bool) -> Result<(), AwsError> {
    let mut seen = Vec::new();
    for entry in new {
        let block = block(&entry.cidr, v6)?;
        if seen.contains(&block) {
            return Err(invalid(format!("The CIDR {block} is there twice.")));
        }
        if entry.description.as_ref().is_some_and(|d| d.chars().count() > MAX_NAME) {
            return Err(invalid(format!("A description has at most {MAX_NAME} characters.")));
        }
        seen.push(block);
        // One that is there gets the new description.
        entries.insert(block, entry.description.clone());
    }
    Ok(())
}

fn block(text: &str, v6: bool) -> Result<IpNet, AwsError> {
    let wrong = || {
        let family = if v6 { "IPv6" } else { "IPv4" };
        let shown: String = text.chars().take(64).collect();
        invalid(format!("The CIDR '{shown}' is not a valid {family} CIDR."))
    };
    let block: IpNet = text.parse().map_err(|_| wrong())?;
    if matches!(block, IpNet::V6(_)) == v6 { Ok(block.trunc()) } else { Err(wrong()) }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Modify {
    prefix_list_id: String,
    current_version: Option<u64>,
    prefix_list_name: Option<String>,
    #[serde(default)]
    add_entries: Vec<Entry>,
    #[serde(default)]
    remove_entries: Vec<Removed>,
    max_entries: Option<u16>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Removed {
    cidr: String,
}

pub(super) async fn modify(
    service: &Service,
    _: &Caller,
    input: Modify,
) -> Result<Value, AwsError> {
    if let Some(name) = &input.prefix_list_name {
        check_name(name)?;
    }
    let edits = !(input.add_entries.is_empty() && input.remove_entries.is_empty());
    if edits && input.max_entries.is_some() {
        let text = "You cannot modify the entries of a prefix list and modify the size of a prefix \
                    list at the same time.";
        return Err(refused("InvalidParameterCombination", text));
    }
    let edit = service.network.edit(|draft| {
        let id = own(draft, &input.prefix_list_id)?;
        let mut list = error::get(&draft.prefix_lists, &id)?.clone();
        check_version(&list, input.current_version, edits)?;
        if let Some(name) = &input.prefix_list_name {
            list.name.clone_from(name);
        }
        if let Some(most) = input.max_entries {
            check_size(most)?;
            check_count(list.entries.len(), most)?;
            list.max_entries = most;
        }
        if edits {
            versions::keep(draft, &id, &list);
            for removed in &input.remove_entries {
                let block = block(&removed.cidr, list.v6)?;
                if list.entries.remove(&block).is_none() {
                    let text = format!("The prefix list {id} has no entry {block}.");
                    return Err(invalid(text));
                }
            }
            add(&mut list.entries, &input.add_entries, list.v6)?;
            check_count(list.entries.len(), list.max_entries)?;
            list.version += 1;
        }
        draft.prefix_lists.insert(id.clone(), Arc::new(list));
        if input.max_entries.is_some() {
            check_users(draft, &id)?;
        }
        Ok(id)
    });
    let (id, now) = edit.await?;
    answer(service, &now, &id, Some("modify-complete"))
}

/// Whether what names a list still keeps to its quota: a list counts as all that it may have.
fn check_users(draft: &Draft, id: &PrefixListId) -> Result<(), AwsError> {
    for user in users(draft, id) {
        if let Ok(group) = user.parse() {
            group_rule::check_weight(draft, &group, Direction::Ingress)?;
            group_rule::check_weight(draft, &group, Direction::Egress)?;
        }
        if let Some(table) = user.parse().ok().and_then(|id| draft.route_tables.get(&id)) {
            route::check_weight(draft, &table.routes)?;
        }
    }
    Ok(())
}

/// Whether the version that somebody knows is the current one.
pub(super) fn check_version(
    list: &PrefixList,
    known: Option<u64>,
    needed: bool,
) -> Result<(), AwsError> {
    match known {
        None if needed => Err(super::request::missing_parameter("CurrentVersion")),
        Some(known) if known != list.version => {
            let text = "The prefix list has the incorrect version number.";
            Err(refused("PrefixListVersionMismatch", text))
        }
        _ => Ok(()),
    }
}

/// A list that its owner may change.
pub(super) fn own(draft: &Draft, text: &str) -> Result<PrefixListId, AwsError> {
    let (id, list) = error::named(&draft.prefix_lists, text)?;
    if list.owner == AWS {
        let text = format!("The prefix list {id} is managed by AWS.");
        return Err(refused("UnauthorizedOperation", text));
    }
    Ok(id)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Named {
    prefix_list_id: String,
}

pub(super) async fn delete(service: &Service, _: &Caller, input: Named) -> Result<Value, AwsError> {
    let edit = service.network.edit(|draft| {
        let id = own(draft, &input.prefix_list_id)?;
        if !users(draft, &id).is_empty() {
            let text = format!("The prefix list '{id}' is in use and cannot be deleted.");
            return Err(dependency(text));
        }
        let list = error::get(&draft.prefix_lists, &id)?.clone();
        let tags = tags::shown(&draft.tags, id.as_str());
        versions::forget(draft, &id);
        draft.prefix_lists.remove(&id);
        let mut shown = shown(service, &id, &list, "delete-complete");
        shown["Tags"] = tags;
        Ok(shown)
    });
    let (shown, _) = edit.await?;
    Ok(json!({"PrefixList": shown}))
}
