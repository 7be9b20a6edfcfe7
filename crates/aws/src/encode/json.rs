//! Answers in `JSON`.

use super::fields;
use crate::model::{Definition, Kind, Location, Ref, TimestampFormat};
use crate::scalar;
use serde_json::{Map, Value};

/// A value of a shape as it stands on the wire.
pub(super) fn to_json(definition: &Definition, at: &Ref, value: &Value) -> Value {
    match (&definition.shape(at.shape).kind, value) {
        (Kind::Structure(structure), _) => {
            let mut written = Map::new();
            for (name, field) in fields(value) {
                let Some(member) = structure.members.get(name) else { continue };
                if !field.is_null() && Location::in_answers_body(member.at.location) {
                    let wire = member.wire_name(name).to_owned();
                    written.insert(wire, to_json(definition, &member.at, field));
                }
            }
            Value::Object(written)
        }
        (Kind::List { member }, Value::Array(items)) => {
            Value::Array(items.iter().map(|item| nullable(definition, member, item)).collect())
        }
        (Kind::Map { value: of, .. }, Value::Object(fields)) => Value::Object(
            fields
                .iter()
                .map(|(name, field)| (name.clone(), nullable(definition, of, field)))
                .collect(),
        ),
        (Kind::Timestamp, Value::Number(number)) => {
            let seconds = number.as_f64().unwrap_or_default();
            match at.timestamp.unwrap_or(TimestampFormat::Unix) {
                TimestampFormat::Unix => scalar::time_number(seconds),
                format => scalar::format_time(seconds, format).map_or(Value::Null, Value::from),
            }
        }
        (_, other) => other.clone(),
    }
}

/// In lists and maps what is null stays.
fn nullable(definition: &Definition, at: &Ref, value: &Value) -> Value {
    if value.is_null() { Value::Null } else { to_json(definition, at, value) }
}
