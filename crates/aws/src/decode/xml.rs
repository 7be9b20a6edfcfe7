//! Bodies of `XML`, and scalars written as text wherever they stand.

use super::{Misfit, below};
use crate::limits;
use crate::model::{Definition, Kind, Ref, Structure};
use crate::scalar;
use crate::xml::Element;
use serde_json::{Map, Number, Value};

/// An element as a value of a shape. Elements that the model does not have are refused.
pub(crate) fn from_element(
    definition: &Definition,
    at: &Ref,
    element: &Element,
    path: &str,
) -> Result<Value, Misfit> {
    match &definition.shape(at.shape).kind {
        Kind::Structure(of) => structure(definition, of, element, path),
        Kind::List { member } => {
            let name = member.wire_name.as_deref().unwrap_or("member");
            if let Some(other) = element.children.iter().find(|child| child.name != name) {
                return Err(Misfit::Unknown(below(path, &other.name)));
            }
            list(definition, member, element.children.iter(), path)
        }
        Kind::Map { key, value } => {
            if let Some(other) = element.children.iter().find(|child| child.name != "entry") {
                return Err(Misfit::Unknown(below(path, &other.name)));
            }
            map(definition, key, value, element.children.iter(), path)
        }
        kind => {
            let text = element.leaf().ok_or_else(|| {
                Misfit::form(format!("Elements were found where not expected{}", place(path)))
            })?;
            scalar(kind, text, path)
        }
    }
}

fn structure(
    definition: &Definition,
    of: &Structure,
    element: &Element,
    path: &str,
) -> Result<Value, Misfit> {
    let mut read = Map::new();
    let body = of.members.iter().filter(|(_, member)| member.at.location.is_none());
    let mut known = 0;
    for (name, member) in body {
        let path = below(path, name);
        let wire = member.wire_name(name);
        if member.at.xml_attribute {
            if let Some(text) = element.attribute(wire) {
                let kind = &definition.shape(member.at.shape).kind;
                read.insert(name.clone(), scalar(kind, text, &path)?);
            }
            continue;
        }
        let kind = &definition.shape(member.at.shape).kind;
        let mut found: Vec<&Element> = element.children.iter().filter(|c| c.name == wire).collect();
        if let (true, Some(item)) = (found.is_empty(), item_name(kind, &member.at)) {
            found = element.children.iter().filter(|child| child.name == item).collect();
        }
        known += found.len();
        let (Some(first), count) = (found.first(), found.len()) else { continue };
        let value = match kind {
            Kind::List { member: item } if member.at.flattened => {
                list(definition, item, found.iter().copied(), &path)?
            }
            Kind::Map { key, value } if member.at.flattened => {
                map(definition, key, value, found.iter().copied(), &path)?
            }
            _ if count > 1 => {
                return Err(Misfit::form(format!("Element found twice{}", place(&path))));
            }
            _ => from_element(definition, &member.at, first, &path)?,
        };
        read.insert(name.clone(), value);
    }
    if known < element.children.len() {
        let unknown = element.children.iter().find(|child| !is_member(definition, of, &child.name));
        let name = unknown.map_or("", |child| child.name.as_str());
        return Err(Misfit::Unknown(below(path, name)));
    }
    Ok(Value::Object(read))
}

fn is_member(definition: &Definition, of: &Structure, wire: &str) -> bool {
    of.members.iter().any(|(name, member)| {
        let kind = &definition.shape(member.at.shape).kind;
        member.wire_name(name) == wire || item_name(kind, &member.at) == Some(wire)
    })
}

/// The name of a flat list's items, which older models use in place of the list's.
fn item_name<'a>(kind: &'a Kind, at: &Ref) -> Option<&'a str> {
    match kind {
        Kind::List { member } if at.flattened => member.wire_name.as_deref(),
        _ => None,
    }
}

fn list<'a>(
    definition: &Definition,
    item: &Ref,
    elements: impl Iterator<Item = &'a Element>,
    path: &str,
) -> Result<Value, Misfit> {
    let read = elements.enumerate().map(|(index, element)| {
        from_element(definition, item, element, &below(path, &(index + 1).to_string()))
    });
    read.collect::<Result<Vec<_>, _>>().map(Value::Array)
}

fn map<'a>(
    definition: &Definition,
    key: &Ref,
    value: &Ref,
    entries: impl Iterator<Item = &'a Element>,
    path: &str,
) -> Result<Value, Misfit> {
    let key_name = key.wire_name.as_deref().unwrap_or("key");
    let value_name = value.wire_name.as_deref().unwrap_or("value");
    let mut read = Map::new();
    for entry in entries {
        let child = |name: &str| entry.children.iter().find(|child| child.name == name);
        let text = child(key_name).and_then(Element::leaf);
        let text = text.ok_or_else(|| Misfit::form(format!("Entry without key{}", place(path))))?;
        let value = match child(value_name) {
            Some(element) => from_element(definition, value, element, &below(path, text))?,
            None => Value::Null,
        };
        read.insert(text.to_owned(), value);
    }
    Ok(Value::Object(read))
}

/// A scalar from its text.
pub(super) fn scalar(kind: &Kind, text: &str, path: &str) -> Result<Value, Misfit> {
    let number = |wanted: &str| Misfit::form(format!("The value is not {wanted}{}", place(path)));
    match kind {
        Kind::String { .. } => Ok(Value::from(text)),
        Kind::Integer => {
            let value = text.trim().parse::<i32>().map_err(|_| number("an integer"))?;
            Ok(Value::from(value))
        }
        Kind::Long => {
            let value = text.trim().parse::<i64>().map_err(|_| number("a long integer"))?;
            Ok(Value::from(value))
        }
        Kind::Float => scalar::parse_float(text.trim()).ok_or_else(|| number("a number")),
        Kind::Boolean => match text.trim() {
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            _ => Err(number("true or false")),
        },
        Kind::Timestamp => scalar::parse_time(text)
            .and_then(Number::from_f64)
            .map(Value::Number)
            .ok_or_else(|| number("a time")),
        Kind::Blob => {
            let dense: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
            if scalar::is_base64(&dense) { Ok(Value::from(dense)) } else { Err(number("base64")) }
        }
        _ => Err(number("text")),
    }
}

fn place(path: &str) -> String {
    if path.is_empty() {
        return String::new();
    }
    let shown: String = path.chars().take(limits::SHOWN).collect();
    format!(" (at '{}')", shown.escape_debug())
}
