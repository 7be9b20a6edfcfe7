//! From a service's full model to what is served of it.

use serde_json::{Map, Value, json};

/// Members of shapes, operations and references that only people and clients read.
const DROPPED: [&str; 15] = [
    "auth",
    "authtype",
    "contextParam",
    "deprecated",
    "deprecatedMessage",
    "deprecatedSince",
    "documentation",
    "documentationUrl",
    "endpoint",
    "hostLabel",
    "httpChecksum",
    "idempotencyToken",
    "idempotent",
    "readonly",
    "staticContextParams",
];

/// A model with the `served` operations, the shapes that they need and the names of all others.
/// The same input gives the same value: objects are sorted by name.
pub(super) fn prune(full: &Value, served: &[&str]) -> Result<Value, String> {
    let operations = object(full, "operations")?;
    let shapes = object(full, "shapes")?;
    let mut kept = Map::new();
    let mut queue = Vec::new();
    for name in served {
        let operation =
            operations.get(*name).ok_or_else(|| format!("the model has no operation {name}"))?;
        let operation = without_prose(operation);
        references(&operation, &mut queue);
        kept.insert((*name).to_owned(), operation);
    }
    let mut needed = Map::new();
    while let Some(name) = queue.pop() {
        if needed.contains_key(&name) {
            continue;
        }
        let shape = shapes.get(&name).ok_or_else(|| format!("the model has no shape {name}"))?;
        let shape = without_prose(shape);
        references(&shape, &mut queue);
        needed.insert(name, shape);
    }
    let unserved: Map<String, Value> = operations
        .iter()
        .filter(|(name, _)| !served.contains(&name.as_str()))
        .map(|(name, operation)| (name.clone(), json!(http(operation))))
        .collect();
    Ok(json!({
        "metadata": without_prose(full.get("metadata").unwrap_or(&Value::Null)),
        "operations": kept,
        "shapes": needed,
        "unserved": unserved,
    }))
}

/// An operation's method and path: how a REST service's operation is known.
fn http(operation: &Value) -> String {
    let text = |key: &str| operation.pointer(key).and_then(Value::as_str).unwrap_or_default();
    format!("{} {}", text("/http/method"), text("/http/requestUri"))
}

fn object<'a>(value: &'a Value, name: &str) -> Result<&'a Map<String, Value>, String> {
    value.get(name).and_then(Value::as_object).ok_or_else(|| format!("the model has no {name}"))
}

/// A copy without prose. Names of members are kept whatever they are.
fn without_prose(value: &Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .filter(|(name, _)| !DROPPED.contains(&name.as_str()))
                .map(|(name, field)| (name.clone(), field_without_prose(name, field)))
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.iter().map(without_prose).collect()),
        other => other.clone(),
    }
}

fn field_without_prose(name: &str, field: &Value) -> Value {
    match field {
        Value::Object(members) if name == "members" => Value::Object(
            members.iter().map(|(name, member)| (name.clone(), without_prose(member))).collect(),
        ),
        other => without_prose(other),
    }
}

/// The names of all shapes that a value refers to.
fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match field {
                    Value::String(shape) if name == "shape" => found.push(shape.clone()),
                    other => references(other, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Value {
        json!({
            "metadata": { "protocol": "json", "auth": ["x"] },
            "operations": {
                "Get": { "name": "Get", "documentation": "<p>", "input": { "shape": "In" },
                         "errors": [{ "shape": "Gone" }] },
                "Put": { "name": "Put", "input": { "shape": "Other" },
                         "http": { "method": "POST", "requestUri": "/put" } },
            },
            "shapes": {
                "In": { "type": "structure", "documentation": "<p>", "members": {
                    "documentation": { "shape": "Text", "documentation": "<p>" },
                    "Again": { "shape": "In" } } },
                "Text": { "type": "string", "max": 3 },
                "Gone": { "type": "structure", "members": {}, "exception": true },
                "Other": { "type": "structure", "members": {} },
            },
        })
    }

    #[test]
    fn what_is_served_is_kept_and_all_else_is_named() {
        let pruned = prune(&full(), &["Get"]).unwrap();
        let names = |key: &str| -> Vec<String> {
            pruned[key].as_object().unwrap().keys().cloned().collect()
        };
        assert_eq!(names("operations"), ["Get"]);
        assert_eq!(names("shapes"), ["Gone", "In", "Text"]);
        assert_eq!(pruned["unserved"], json!({ "Put": "POST /put" }));
        assert!(!pruned.to_string().contains("<p>"));
    }

    #[test]
    fn a_member_named_like_prose_stays() {
        let pruned = prune(&full(), &["Get"]).unwrap();
        assert_eq!(pruned["shapes"]["In"]["members"]["documentation"], json!({ "shape": "Text" }));
    }

    #[test]
    fn an_operation_that_the_model_lacks_is_named() {
        let error = prune(&full(), &["Fly"]).unwrap_err();
        assert_eq!(error, "the model has no operation Fly");
    }
}
