//! A suite's model, and values in the one form that decoding gives.

use crate::Case;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use belljar_aws::Model;
use serde_json::{Map, Value, json};

/// The model of a vector: its suite's, with the one operation.
pub(crate) fn of(case: &Case) -> Model {
    let given = &case.case["given"];
    let mut given = given.clone();
    // Query results have a wrapper that only real models spell out.
    if given["name"].is_null() {
        given["name"] = json!("OperationName");
    }
    let name = given["name"].as_str().unwrap().to_owned();
    let text = json!({
        "metadata": case.suite["metadata"],
        "shapes": case.suite["shapes"],
        "operations": { name: given },
    });
    Model::read(&text.to_string()).unwrap_or_else(|e| panic!("{}: {e:?}", case.id))
}

pub(crate) fn name(case: &Case) -> &str {
    case.case["given"]["name"].as_str().unwrap_or("OperationName")
}

/// A vector's value as decoding gives it: bytes as base64, numbers comparable, nothing that is null.
/// `raw_bytes`: whether the value has bytes as plain text, as vectors do.
pub(crate) fn canonical(case: &Case, at: &Value, value: &Value, raw_bytes: bool) -> Value {
    let Some(shape) = at["shape"].as_str().map(|name| &case.suite["shapes"][name]) else {
        return value.clone();
    };
    let again = |at: &Value, value: &Value| canonical(case, at, value, raw_bytes);
    match (shape["type"].as_str().unwrap_or_default(), value) {
        ("structure", Value::Object(fields)) if shape["document"].as_bool() != Some(true) => {
            let mut kept = Map::new();
            for (name, field) in fields.iter().filter(|(_, field)| !field.is_null()) {
                kept.insert(name.clone(), again(&shape["members"][name], field));
            }
            Value::Object(kept)
        }
        ("list", Value::Array(items)) => {
            items.iter().map(|item| again(&shape["member"], item)).collect()
        }
        ("map", Value::Object(fields)) => fields
            .iter()
            .map(|(name, field)| (name.clone(), again(&shape["value"], field)))
            .collect::<Map<_, _>>()
            .into(),
        ("blob", Value::String(text)) if raw_bytes => Value::from(STANDARD.encode(text)),
        ("float" | "double" | "timestamp", Value::Number(number)) => {
            Value::from(number.as_f64().unwrap())
        }
        _ => value.clone(),
    }
}
