//! Answers in `XML`.

use super::{fields, text};
use crate::model::{Definition, Kind, Location, Member, Ref, TimestampFormat};
use crate::xml::Element;
use serde_json::Value;

/// A whole document.
pub(super) fn document(root: &Element) -> Vec<u8> {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    root.write(&mut out);
    out.into_bytes()
}

/// A value of a shape as an element.
pub(super) fn to_element(definition: &Definition, at: &Ref, name: &str, value: &Value) -> Element {
    let mut element = Element::new(name);
    if let Some(namespace) = &at.namespace {
        let prefix = namespace.prefix.as_ref();
        let key = prefix.map_or_else(|| "xmlns".to_owned(), |prefix| format!("xmlns:{prefix}"));
        element.attributes.push((key, namespace.uri.clone()));
    }
    match (&definition.shape(at.shape).kind, value) {
        (Kind::Structure(structure), _) => {
            // In the order of the model.
            for (name, member) in &structure.members {
                match fields(value).get(name) {
                    None | Some(Value::Null) => {}
                    Some(_) if !Location::in_answers_body(member.at.location) => {}
                    Some(field) => member_into(definition, member, name, field, &mut element),
                }
            }
        }
        (Kind::List { member }, Value::Array(items)) => {
            let name = member.wire_name.as_deref().unwrap_or("member");
            let items = items.iter().map(|item| to_element(definition, member, name, item));
            element.children.extend(items);
        }
        (Kind::Map { key, value: of }, Value::Object(entries)) => {
            for (name, field) in entries {
                element.children.push(entry(definition, key, of, "entry", (name, field)));
            }
        }
        _ => element.text = text(definition, at, value, TimestampFormat::Iso8601),
    }
    element
}

fn member_into(
    definition: &Definition,
    member: &Member,
    name: &str,
    value: &Value,
    into: &mut Element,
) {
    let wire = member.wire_name(name);
    if member.at.xml_attribute {
        let value = text(definition, &member.at, value, TimestampFormat::Iso8601);
        into.attributes.push((wire.to_owned(), value));
        return;
    }
    match (&definition.shape(member.at.shape).kind, value) {
        (Kind::List { member: item }, Value::Array(items)) if member.at.flattened => {
            let items = items.iter().map(|value| to_element(definition, item, wire, value));
            into.children.extend(items);
        }
        (Kind::Map { key, value: of }, Value::Object(entries)) if member.at.flattened => {
            for (name, field) in entries {
                into.children.push(entry(definition, key, of, wire, (name, field)));
            }
        }
        _ => into.children.push(to_element(definition, &member.at, wire, value)),
    }
}

fn entry(
    definition: &Definition,
    key: &Ref,
    of: &Ref,
    name: &str,
    (text, value): (&String, &Value),
) -> Element {
    let mut element = Element::new(name);
    let key_name = key.wire_name.as_deref().unwrap_or("key");
    let value_name = of.wire_name.as_deref().unwrap_or("value");
    element.children.push(to_element(definition, key, key_name, &Value::from(text.as_str())));
    element.children.push(to_element(definition, of, value_name, value));
    element
}
