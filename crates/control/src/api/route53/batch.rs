//! A batch of changes to a zone's record sets: all of it is carried out, or nothing.

use super::{invalid, name, not_served, value};
use belljar_aws::{AwsError, Service as Aws};
use belljar_vpc::network::{HostedZone, RecordSet, RecordType};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// Values and characters of values in one batch; `UPSERT` counts twice (Developer Guide,
/// "Quotas").
const MAX_VALUES: usize = 1000;
const MAX_CHARACTERS: usize = 32_000;
/// Values of one record set.
const MAX_VALUES_OF_SET: usize = 400;
/// Record sets of one zone.
const MAX_SETS: usize = 10_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Batch {
    pub(super) comment: Option<String>,
    changes: Vec<Change>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Change {
    action: Action,
    resource_record_set: Set,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Action {
    Create,
    Delete,
    Upsert,
}

/// Policies of routing, aliases and health checks are not here, and so refused by their names.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Set {
    name: String,
    r#type: String,
    #[serde(rename = "TTL")]
    ttl: Option<u32>,
    resource_records: Option<Vec<Record>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Record {
    value: String,
}

/// A change that can be carried out.
struct Planned {
    action: Action,
    name: String,
    kind: RecordType,
    set: RecordSet,
}

impl Batch {
    /// Carries the batch out.
    pub(super) fn apply(self, zone: &mut HostedZone) -> Result<(), AwsError> {
        let planned = self.planned(zone)?;
        let mut wrong = doubles(&planned);
        let mut records = zone.records.clone();
        // Deletions first: one that is created again in the same batch is replaced.
        for change in planned.iter().filter(|c| c.action == Action::Delete) {
            wrong.extend(delete(&mut records, &zone.name, change).err());
        }
        for change in planned.iter().filter(|c| c.action != Action::Delete) {
            wrong.extend(put(&mut records, change).err());
        }
        wrong.extend(planned.iter().filter_map(|change| conflict(&records, &zone.name, change)));
        if records.values().map(BTreeMap::len).sum::<usize>() > MAX_SETS {
            wrong.push(format!("Number of records limit of {MAX_SETS} exceeded."));
        }
        if !wrong.is_empty() {
            return Err(refused(&wrong));
        }
        zone.records = records;
        Ok(())
    }

    fn planned(self, zone: &HostedZone) -> Result<Vec<Planned>, AwsError> {
        self.small_enough()?;
        let mut wrong = Vec::new();
        let mut planned = Vec::with_capacity(self.changes.len());
        for change in self.changes {
            match change.planned(zone)? {
                Ok(change) => planned.push(change),
                Err(messages) => wrong.extend(messages),
            }
        }
        if wrong.is_empty() { Ok(planned) } else { Err(refused(&wrong)) }
    }

    fn small_enough(&self) -> Result<(), AwsError> {
        let (mut values, mut characters) = (0, 0);
        for change in &self.changes {
            let times = if change.action == Action::Upsert { 2 } else { 1 };
            for record in change.resource_record_set.resource_records.iter().flatten() {
                values += times;
                characters += times * record.value.chars().count();
            }
        }
        if values > MAX_VALUES {
            return Err(refused(&[format!("Number of records limit of {MAX_VALUES} exceeded.")]));
        }
        if characters > MAX_CHARACTERS {
            let message = format!("Number of characters limit of {MAX_CHARACTERS} exceeded.");
            return Err(refused(&[message]));
        }
        Ok(())
    }
}

impl Change {
    /// What it is to do in a zone, or the sentences of `InvalidChangeBatch`.
    fn planned(self, zone: &HostedZone) -> Result<Result<Planned, Vec<String>>, AwsError> {
        let Self { action, resource_record_set: set } = self;
        let kind = kind(&set.r#type).ok_or_else(|| {
            not_served(format!("records of the type {} in ChangeResourceRecordSets", set.r#type))
        })?;
        let (Some(ttl), Some(records)) = (set.ttl, set.resource_records) else {
            return Err(invalid(format!(
                "Invalid request: Expected exactly one of [AliasTarget, all of [TTL, and \
                 ResourceRecords], or TrafficPolicyInstanceId], but found none in Change with \
                 [Action={}, Name={}, Type={}, SetIdentifier=null]",
                action.as_str(),
                set.name,
                set.r#type
            )));
        };
        let name = match name::normal(&set.name) {
            Ok(name) => name,
            Err(e) => return Ok(Err(vec![e.to_string()])),
        };
        let shown = name::shown(&name);
        if !name::within(&name, &zone.name) {
            let text =
                format!("RRSet with DNS name {shown} is not permitted in zone {}", zone.name);
            return Ok(Err(vec![text]));
        }
        if matches!(kind, RecordType::Ns | RecordType::Soa) && action != Action::Delete {
            return Err(not_served(format!("changes of {} records", set.r#type)));
        }
        let values: Vec<String> = records.into_iter().map(|record| record.value).collect();
        let wrong = values_wrong(kind, &shown, &values);
        if !wrong.is_empty() {
            return Ok(Err(wrong));
        }
        Ok(Ok(Planned { action, name, kind, set: RecordSet { ttl, values } }))
    }
}

/// What is wrong with the values of a record set.
fn values_wrong(kind: RecordType, shown: &str, values: &[String]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for text in values {
        match value::meaning(kind, text) {
            Ok(meaning) => {
                if !seen.insert(meaning) {
                    wrong.push(format!("Duplicate Resource Record: '{text}'"));
                }
            }
            Err(message) => wrong.push(message),
        }
    }
    if kind == RecordType::Cname && values.len() > 1 {
        wrong.push(format!("RRSet of type CNAME with DNS name {shown} has more than one record"));
    }
    if values.len() > MAX_VALUES_OF_SET {
        wrong.push(format!("Number of records limit of {MAX_VALUES_OF_SET} exceeded."));
    }
    wrong
}

/// Record sets with changes that cannot be of one batch: all but one alone, or a deletion and a
/// creation.
fn doubles(planned: &[Planned]) -> Vec<String> {
    let mut actions: BTreeMap<(&str, RecordType), Vec<Action>> = BTreeMap::new();
    for change in planned {
        actions.entry((&change.name, change.kind)).or_default().push(change.action);
    }
    let bad = |actions: &[Action]| {
        !matches!(
            actions,
            [_] | [Action::Delete, Action::Create] | [Action::Create, Action::Delete]
        )
    };
    let wrong = actions.iter().filter(|(_, actions)| bad(actions)).map(|((name, kind), _)| {
        format!(
            "The request contains an invalid set of changes for a resource record set '{} {}'",
            written(*kind),
            name::shown(name)
        )
    });
    wrong.collect()
}

type Records = BTreeMap<String, BTreeMap<RecordType, RecordSet>>;

fn delete(records: &mut Records, zone: &str, change: &Planned) -> Result<(), String> {
    if change.name == zone {
        match change.kind {
            RecordType::Soa => {
                return Err("A HostedZone must contain exactly one SOA record.".into());
            }
            RecordType::Ns => {
                let text = "A HostedZone must contain at least one NS record for the zone itself.";
                return Err(text.into());
            }
            _ => {}
        }
    }
    let tried = format!(
        "Tried to delete resource record set [name='{}', type='{}']",
        name::shown(&change.name),
        written(change.kind)
    );
    let of_name = records.get_mut(&change.name);
    let Some(of_name) = of_name.filter(|of_name| of_name.contains_key(&change.kind)) else {
        return Err(format!("{tried} but it was not found"));
    };
    let meant = |set: &RecordSet| -> BTreeSet<String> {
        set.values.iter().filter_map(|text| value::meaning(change.kind, text).ok()).collect()
    };
    let same = |set: &RecordSet| set.ttl == change.set.ttl && meant(set) == meant(&change.set);
    if !of_name.get(&change.kind).is_some_and(same) {
        return Err(format!("{tried} but the values provided do not match the current values"));
    }
    of_name.remove(&change.kind);
    if of_name.is_empty() {
        records.remove(&change.name);
    }
    Ok(())
}

fn put(records: &mut Records, change: &Planned) -> Result<(), String> {
    let of_name = records.entry(change.name.clone()).or_default();
    if change.action == Action::Create && of_name.contains_key(&change.kind) {
        return Err(format!(
            "Tried to create resource record set [name='{}', type='{}'] but it already exists",
            name::shown(&change.name),
            written(change.kind)
        ));
    }
    of_name.insert(change.kind, change.set.clone());
    Ok(())
}

/// A `CNAME` stands alone (RFC 1034, 3.6.2), and so never at the top of a zone.
fn conflict(records: &Records, zone: &str, change: &Planned) -> Option<String> {
    if change.action == Action::Delete {
        return None;
    }
    let of_name = records.get(&change.name)?;
    let (kind, shown) = (written(change.kind), name::shown(&change.name));
    let front = format!("RRSet of type {kind} with DNS name {shown} is not permitted");
    if change.kind == RecordType::Cname {
        if change.name == zone {
            return Some(format!("{front} at apex in zone {zone}"));
        }
        return (of_name.len() > 1).then(|| {
            format!(
                "{front} as it conflicts with other records with the same DNS name in zone {zone}"
            )
        });
    }
    of_name.contains_key(&RecordType::Cname).then(|| {
        format!(
            "{front} because a conflicting RRSet of type CNAME with the same DNS name already \
             exists in zone {zone}"
        )
    })
}

fn refused(messages: &[String]) -> AwsError {
    Aws::Route53.error("InvalidChangeBatch", format!("[{}]", messages.join(", ")))
}

impl Action {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Delete => "DELETE",
            Self::Upsert => "UPSERT",
        }
    }
}

/// A type that is served, by its name.
pub(super) fn kind(name: &str) -> Option<RecordType> {
    KINDS.iter().find(|(_, known)| *known == name).map(|(kind, _)| *kind)
}

/// A type's name.
pub(super) fn written(kind: RecordType) -> &'static str {
    KINDS.iter().find(|(known, _)| *known == kind).map_or("", |(_, name)| name)
}

const KINDS: [(RecordType, &str); 6] = [
    (RecordType::A, "A"),
    (RecordType::Aaaa, "AAAA"),
    (RecordType::Cname, "CNAME"),
    (RecordType::Txt, "TXT"),
    (RecordType::Ns, "NS"),
    (RecordType::Soa, "SOA"),
];
