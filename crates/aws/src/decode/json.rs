//! Bodies of `JSON`.

use super::{Misfit, below};
use crate::error::AwsError;
use crate::limits;
use crate::model::{Definition, Kind, Operation, Ref, Structure};
use crate::scalar;
use serde_json::{Map, Number, Value};

/// The input of an operation of the `JSON` protocol.
pub(super) fn request(operation: &Operation, body: &[u8]) -> Result<Value, AwsError> {
    let value = parse(body).map_err(|misfit| misfit.error(operation))?;
    let Some(input) = &operation.input else {
        return match value.as_object() {
            Some(fields) if fields.is_empty() => Ok(value),
            Some(fields) => {
                let name = fields.keys().next().cloned().unwrap_or_default();
                Err(Misfit::Unknown(name).error(operation))
            }
            None => Err(Misfit::form("Unexpected token in the body").error(operation)),
        };
    };
    from_json(&operation.definition, input, value, "", 0).map_err(|m| m.error(operation))
}

/// The body as `JSON`; an empty one is an empty object.
pub(super) fn parse(body: &[u8]) -> Result<Value, Misfit> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Value::Object(Map::new()));
    }
    // The parser refuses what is nested deeper than 128 levels, and numbers beyond a double.
    serde_json::from_slice(body)
        .map_err(|e| Misfit::form(format!("The body is not valid JSON: {e}")))
}

/// A value of `JSON` as one of a shape, with the model's names.
pub(crate) fn from_json(
    definition: &Definition,
    at: &Ref,
    value: Value,
    path: &str,
    depth: usize,
) -> Result<Value, Misfit> {
    if depth > limits::DEPTH {
        return Err(Misfit::form("The body is nested too deeply"));
    }
    match &definition.shape(at.shape).kind {
        Kind::Structure(structure) => from_object(definition, structure, value, path, depth),
        Kind::List { member } => {
            let items = match value {
                Value::Array(items) => items,
                other => return Err(misplaced(&other, "a list", path)),
            };
            let read = items.into_iter().enumerate().map(|(index, item)| match item {
                Value::Null => Ok(Value::Null),
                item => {
                    let path = below(path, &(index + 1).to_string());
                    from_json(definition, member, item, &path, depth + 1)
                }
            });
            read.collect::<Result<Vec<_>, _>>().map(Value::Array)
        }
        Kind::Map { value: of, .. } => {
            let fields = match value {
                Value::Object(fields) => fields,
                other => return Err(misplaced(&other, "a map", path)),
            };
            let mut read = Map::new();
            for (key, field) in fields {
                let field = match field {
                    Value::Null => Value::Null,
                    field => from_json(definition, of, field, &below(path, &key), depth + 1)?,
                };
                read.insert(key, field);
            }
            Ok(Value::Object(read))
        }
        kind => scalar(kind, value, path),
    }
}

fn from_object(
    definition: &Definition,
    structure: &Structure,
    value: Value,
    path: &str,
    depth: usize,
) -> Result<Value, Misfit> {
    let fields = match value {
        Value::Object(fields) => fields,
        other => return Err(misplaced(&other, "a structure", path)),
    };
    let mut read = Map::new();
    for (wire, field) in fields {
        match structure.by_wire_name(&wire) {
            // What is null is not there; `__type` is a hint that some clients add.
            Some(_) if field.is_null() => {}
            Some((name, member)) => {
                let below = below(path, name);
                let field = from_json(definition, &member.at, field, &below, depth + 1)?;
                read.insert(name.clone(), field);
            }
            None if wire == "__type" => {}
            None => return Err(Misfit::Unknown(below(path, &wire))),
        }
    }
    Ok(Value::Object(read))
}

fn scalar(kind: &Kind, value: Value, path: &str) -> Result<Value, Misfit> {
    match (kind, value) {
        (Kind::Document, value) => Ok(value),
        (Kind::String { .. }, Value::String(text)) => Ok(Value::String(text)),
        (Kind::Boolean, Value::Bool(value)) => Ok(Value::Bool(value)),
        (Kind::Integer | Kind::Long, Value::Number(number)) => {
            integer(&number, matches!(kind, Kind::Integer))
                .map(Value::from)
                .ok_or_else(|| Misfit::form(format!("{number} is out of range{}", place(path))))
        }
        (Kind::Float, Value::Number(number)) => Ok(Value::Number(number)),
        (Kind::Float, Value::String(text)) if scalar::is_special_float(&text) => {
            Ok(Value::String(text))
        }
        (Kind::Timestamp, Value::Number(number)) => {
            number.as_f64().and_then(scalar::checked).and_then(time).ok_or_else(|| not_a_time(path))
        }
        (Kind::Timestamp, Value::String(text)) => {
            scalar::parse_time(&text).and_then(time).ok_or_else(|| not_a_time(path))
        }
        (Kind::Blob, Value::String(text)) if scalar::is_base64(&text) => Ok(Value::String(text)),
        (Kind::Blob, Value::String(_)) => {
            Err(Misfit::form(format!("The value is not base64{}", place(path))))
        }
        (kind, value) => Err(misplaced(&value, type_name(kind), path)),
    }
}

fn time(seconds: f64) -> Option<Value> {
    Number::from_f64(seconds).map(Value::Number)
}

fn not_a_time(path: &str) -> Misfit {
    Misfit::form(format!("The value is not a time{}", place(path)))
}

/// A whole number that fits. Floats without a fraction are taken, as `AWS` does.
#[expect(
    clippy::cast_possible_truncation,
    reason = "whole, and within what a float counts exactly"
)]
fn integer(number: &Number, small: bool) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let whole = number.as_i64().or_else(|| {
        let float = number.as_f64()?;
        (float.fract() == 0.0 && float.abs() <= EXACT).then_some(float as i64)
    })?;
    (!small || i32::try_from(whole).is_ok()).then_some(whole)
}

fn type_name(kind: &Kind) -> &'static str {
    match kind {
        Kind::Structure(_) => "a structure",
        Kind::List { .. } => "a list",
        Kind::Map { .. } => "a map",
        Kind::String { .. } => "a String",
        Kind::Integer => "an Integer",
        Kind::Long => "a Long",
        Kind::Float => "a Double",
        Kind::Boolean => "a Boolean",
        Kind::Blob => "a Blob",
        Kind::Timestamp => "a Timestamp",
        Kind::Document => "a document",
    }
}

/// In the words that services of `AWS` use for a value of the wrong type, and where it is.
fn misplaced(value: &Value, wanted: &str, path: &str) -> Misfit {
    let place = place(path);
    Misfit::form(match value {
        Value::Null => format!("NULL_VALUE can not be converted to {wanted}{place}"),
        Value::Bool(true) => format!("TRUE_VALUE can not be converted to {wanted}{place}"),
        Value::Bool(false) => format!("FALSE_VALUE can not be converted to {wanted}{place}"),
        Value::Number(n) if n.is_f64() => {
            format!("DECIMAL_VALUE can not be converted to {wanted}{place}")
        }
        Value::Number(_) => format!("NUMBER_VALUE can not be converted to {wanted}{place}"),
        Value::String(_) => format!("STRING_VALUE can not be converted to {wanted}{place}"),
        Value::Array(_) => format!("Start of list found where not expected{place}"),
        Value::Object(_) => format!("Start of structure or map found where not expected{place}"),
    })
}

fn place(path: &str) -> String {
    if path.is_empty() {
        return String::new();
    }
    let shown: String = path.chars().take(limits::SHOWN).collect();
    format!(" (at '{}')", shown.escape_debug())
}
