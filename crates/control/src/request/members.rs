//! What becomes of the members of a request. Each operation has a table of its own; tests walk the
//! service model, so that none is silently ignored.

use serde_json::Value;

/// What becomes of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It does what the service model says.
    Honoured,
    /// These values do; others are refused.
    Only(&'static [&'static str]),
    /// Taken and shown again by Describe, and nothing more: see SEMANTICS.md.
    WithoutEffect,
    /// Refused with these words, unless it asks for nothing (false, 0, or empty).
    Refused(&'static str),
    /// Its members have a table of their own.
    Within(&'static Members),
}

/// Members by their path; lists are passed through. An entry speaks for all members below it.
pub(super) type Members = [(&'static str, Fate)];

pub(super) const NO_KMS: &str = "it has no keys of KMS, and would not encrypt";
pub(super) const NO_HUB: &str = "there is no hub of models or data sets";

/// The fate of a member by the entry that speaks for it.
pub(super) fn fate(members: &Members, path: &str) -> Option<Fate> {
    members.iter().find_map(|(entry, fate)| {
        let rest = path.strip_prefix(entry)?;
        match (fate, rest.strip_prefix('.')) {
            (Fate::Within(members), Some(below)) => self::fate(members, below),
            (Fate::Within(_), None) => None,
            (fate, Some(_)) => Some(*fate),
            (fate, None) => rest.is_empty().then_some(*fate),
        }
    })
}

/// A member that is not served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NotServed {
    /// `ResourceConfig.InstanceCount`, or with a value: `InputMode FastFile`.
    pub(super) what: String,
    /// Why, or what is served.
    pub(super) why: String,
}

/// Looks for a member that is not served.
pub(super) fn check(members: &Members, request: &Value) -> Result<(), NotServed> {
    walk(members, "", request)
}

fn walk(members: &Members, path: &str, value: &Value) -> Result<(), NotServed> {
    match fate(members, path) {
        Some(Fate::Honoured | Fate::WithoutEffect) => Ok(()),
        Some(Fate::Only(values)) => {
            let text = match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            if values.contains(&text.as_str()) {
                return Ok(());
            }
            let why = format!("it serves {}", values.join(", "));
            Err(NotServed { what: format!("{path} {text}"), why })
        }
        Some(Fate::Refused(_)) if asks_for_nothing(value) => Ok(()),
        Some(Fate::Refused(why)) => Err(NotServed { what: path.to_owned(), why: why.to_owned() }),
        Some(Fate::Within(_)) | None => match value {
            Value::Object(fields) => fields.iter().try_for_each(|(name, member)| {
                let dot = if path.is_empty() { "" } else { "." };
                walk(members, &format!("{path}{dot}{name}"), member)
            }),
            Value::Array(items) => items.iter().try_for_each(|item| walk(members, path, item)),
            nothing if asks_for_nothing(nothing) => Ok(()),
            _ => Err(NotServed { what: path.to_owned(), why: "it does not know it".to_owned() }),
        },
    }
}

fn asks_for_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(n) => n.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.values().all(asks_for_nothing),
    }
}

/// Holds tables against the service model and SEMANTICS.md.
#[cfg(test)]
pub(super) mod testing {
    use super::{Fate, Members, fate};
    use serde_json::Value;
    use std::collections::BTreeSet;

    /// Every member of the model's input has a fate, nothing else has, and what is not honoured is
    /// written down.
    pub(in super::super) fn hold_against_the_model(members: &Members, input: &str) {
        let text = include_str!("../../../aws/models/sagemaker.json");
        let model: Value = serde_json::from_str(text).unwrap();
        let mut leaves = BTreeSet::new();
        collect(&model["shapes"], input, "", &mut leaves);
        for leaf in &leaves {
            assert!(fate(members, leaf).is_some(), "{leaf} is neither honoured nor refused");
        }
        entries(members, "", &mut |entry, fate| {
            let below = |leaf: &String| *leaf == *entry || leaf.starts_with(&format!("{entry}."));
            assert!(leaves.iter().any(below), "the model has no {entry}");
            let name = entry.rsplit('.').next().unwrap();
            let written = include_str!("../../../../SEMANTICS.md");
            let known = fate == Fate::Honoured || written.contains(name);
            assert!(known, "SEMANTICS.md says nothing of {entry}");
        });
    }

    fn entries(members: &Members, above: &str, each: &mut impl FnMut(&str, Fate)) {
        for (entry, fate) in members {
            match fate {
                Fate::Within(members) => entries(members, &format!("{above}{entry}."), each),
                fate => each(&format!("{above}{entry}"), *fate),
            }
        }
    }

    /// Every member that holds no further ones, as the model has them.
    fn collect(shapes: &Value, name: &str, path: &str, found: &mut BTreeSet<String>) {
        let shape = &shapes[name];
        match shape["type"].as_str().unwrap() {
            "structure" => {
                for (member, of) in shape["members"].as_object().unwrap() {
                    let dot = if path.is_empty() { "" } else { "." };
                    let path = format!("{path}{dot}{member}");
                    collect(shapes, of["shape"].as_str().unwrap(), &path, found);
                }
            }
            "list" => collect(shapes, shape["member"]["shape"].as_str().unwrap(), path, found),
            _ => {
                found.insert(path.to_owned());
            }
        }
    }
}
