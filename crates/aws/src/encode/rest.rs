//! Answers whose members are in the status, in headers and in the body.

use super::{Answer, fields, json, text, xml};
use crate::model::{Definition, Kind, Location, Member, Operation, Protocol, TimestampFormat};
use crate::scalar::BASE64;
use base64::Engine as _;
use serde_json::Value;

pub(super) fn answer(operation: &Operation, output: &Value, answer: &mut Answer) {
    let definition = &operation.definition;
    let protocol = definition.about.protocol;
    let shape = operation.output.as_ref();
    let Some(at) = shape else { return };
    let Some(structure) = definition.shape(at.shape).structure() else { return };
    for (name, member) in &structure.members {
        match (fields(output).get(name), member.at.location) {
            (None | Some(Value::Null), _) => {}
            (Some(value), Some(Location::StatusCode)) => {
                let status = value.as_u64().and_then(|status| u16::try_from(status).ok());
                answer.status = status.unwrap_or(answer.status);
            }
            (Some(value), Some(Location::Header)) => {
                header(definition, member, name, value, answer);
            }
            (Some(value), Some(Location::Headers)) => {
                let prefix = member.at.wire_name.as_deref().unwrap_or_default();
                for (name, value) in fields(value) {
                    if let Value::String(value) = value {
                        answer.header(&format!("{prefix}{name}"), value.as_str());
                    }
                }
            }
            (Some(_), _) => {}
        }
    }
    if let Some((name, member)) =
        structure.payload.as_ref().and_then(|name| structure.members.get_key_value(name))
    {
        if let Some(value) = fields(output).get(name).filter(|value| !value.is_null()) {
            payload(definition, member, value, answer);
        }
        return;
    }
    let has_body = structure.members.values().any(|m| Location::in_answers_body(m.at.location));
    if protocol == Protocol::RestJson {
        answer.content_type("application/json");
        answer.body = json::to_json(definition, at, output).to_string().into_bytes();
    } else if has_body {
        answer.content_type("application/xml");
        let default = format!("{}Response", operation.name);
        let root = definition.shape(at.shape).root.as_deref();
        let name = root.or(at.wire_name.as_deref()).unwrap_or(&default);
        let mut root = xml::to_element(definition, at, name, output);
        if let (None, Some(namespace)) = (&at.namespace, &definition.about.namespace) {
            root.attributes.push(("xmlns".to_owned(), namespace.clone()));
        }
        answer.body = xml::document(&root);
    }
}

/// A member that is the whole body.
fn payload(definition: &Definition, member: &Member, value: &Value, answer: &mut Answer) {
    let shape = definition.shape(member.at.shape);
    match (&shape.kind, value) {
        (Kind::Blob, Value::String(text)) => {
            answer.content_type("application/octet-stream");
            answer.body = BASE64.decode(text).unwrap_or_default();
        }
        (Kind::String { .. }, Value::String(text)) => {
            answer.content_type("text/plain");
            answer.body = text.clone().into_bytes();
        }
        _ if definition.about.protocol == Protocol::RestJson => {
            answer.content_type("application/json");
            answer.body = json::to_json(definition, &member.at, value).to_string().into_bytes();
        }
        _ => {
            answer.content_type("application/xml");
            let root = member.at.wire_name.as_deref().or(shape.root.as_deref());
            let name = root.unwrap_or(&shape.name);
            answer.body = xml::document(&xml::to_element(definition, &member.at, name, value));
        }
    }
}

fn header(
    definition: &Definition,
    member: &Member,
    name: &str,
    value: &Value,
    answer: &mut Answer,
) {
    let wire = member.wire_name(name);
    let times = TimestampFormat::Rfc822;
    let written = match (&definition.shape(member.at.shape).kind, value) {
        (Kind::List { member: item }, Value::Array(items)) => {
            let is_text = matches!(definition.shape(item.shape).kind, Kind::String { .. });
            let items: Vec<String> = items
                .iter()
                .map(|value| text(definition, item, value, times))
                .map(|text| if is_text { quoted(text) } else { text })
                .collect();
            items.join(", ")
        }
        (_, value) if member.at.json_value => {
            BASE64.encode(text(definition, &member.at, value, times))
        }
        (_, value) => text(definition, &member.at, value, times),
    };
    answer.header(wire, written);
}

/// An item of a list, in quotes if a comma or a quote would break the list.
fn quoted(text: String) -> String {
    if text.contains([',', '"']) {
        format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
    } else {
        text
    }
}

impl Answer {
    /// The body's type, unless a member is that header.
    pub(super) fn content_type(&mut self, value: &str) {
        let given = self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        if !given {
            self.header("content-type", value);
        }
    }
}
