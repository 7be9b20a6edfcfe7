//! A client's reader of answers, for this test alone: from an answer to the result.

use crate::xml::{self, Node};
use crate::{Case, model};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::{Rfc2822, Rfc3339};

/// An answer on the wire.
pub(crate) struct Wire {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

/// An answer as a value of the shape that `at` refers to.
pub(crate) fn read(case: &Case, at: &Value, wire: &Wire) -> Value {
    Reader { case }.answer(at, wire)
}

/// The code and the message of an error.
pub(crate) fn error(case: &Case, wire: &Wire) -> (String, String) {
    let header = wire.headers.iter().find(|(name, _)| name == "x-amzn-errortype");
    let query_error = wire.headers.iter().find(|(name, _)| name == "x-amzn-query-error");
    if (Reader { case }).is_xml() {
        let root = xml::parse(&wire.body);
        let errors = root.child("Errors").and_then(|errors| errors.child("Error"));
        let error = errors.or_else(|| root.child("Error")).unwrap_or(&root);
        let text = |name: &str| error.child(name).map(|n| n.text.clone()).unwrap_or_default();
        return (text("Code"), text("Message"));
    }
    let body: Value = serde_json::from_str(&wire.body).unwrap_or_default();
    let text = |name: &str| body[name].as_str().map(str::to_owned);
    let code = query_error
        .and_then(|(_, text)| text.split(';').next().map(str::to_owned))
        .or_else(|| header.map(|(_, text)| text.clone()))
        .or_else(|| text("__type"))
        .or_else(|| text("code"))
        .unwrap_or_default();
    let code = code.split(':').next().unwrap_or_default();
    let code = code.rsplit('#').next().unwrap_or_default().to_owned();
    (code, text("message").or_else(|| text("Message")).unwrap_or_default())
}

struct Reader<'a> {
    case: &'a Case,
}

impl Reader<'_> {
    fn protocol(&self) -> &str {
        self.case.suite["metadata"]["protocol"].as_str().unwrap_or_default()
    }

    fn is_xml(&self) -> bool {
        matches!(self.protocol(), "query" | "ec2" | "rest-xml")
    }

    /// The shape of a use, with the traits of the use.
    fn shape(&self, at: &Value) -> Value {
        let mut shape = self.case.suite["shapes"][at["shape"].as_str().unwrap_or_default()].clone();
        for (name, value) in at.as_object().into_iter().flatten() {
            if let Value::Object(shape) = &mut shape {
                shape.insert(name.clone(), value.clone());
            }
        }
        shape
    }

    fn answer(&self, at: &Value, wire: &Wire) -> Value {
        let mut result = Map::new();
        let shape = self.shape(at);
        let members = shape["members"].as_object().cloned().unwrap_or_default();
        for (name, member) in &members {
            let found = match member["location"].as_str() {
                Some("statusCode") => Some(json!(wire.status)),
                Some("header") => self.header(name, member, wire),
                Some("headers") => headers(member, wire),
                _ => None,
            };
            result.extend(found.map(|value| (name.clone(), value)));
        }
        if let Some(name) = shape["payload"].as_str() {
            let payload = self.shape(&members[name]);
            let value = match payload["type"].as_str().unwrap_or_default() {
                _ if wire.body.is_empty() => None,
                "blob" => Some(json!(STANDARD.encode(&wire.body))),
                "string" => Some(json!(wire.body)),
                _ => Some(self.body(&members[name], &wire.body)),
            };
            result.extend(value.map(|value| (name.to_owned(), value)));
        } else if !wire.body.is_empty()
            && !members.is_empty()
            && let Value::Object(fields) = self.body(at, &wire.body)
        {
            result.extend(fields);
        }
        model::canonical(self.case, at, &Value::Object(result), false)
    }

    fn body(&self, at: &Value, body: &str) -> Value {
        if !self.is_xml() {
            return self.json(at, &serde_json::from_str(body).unwrap());
        }
        let root = xml::parse(body);
        if self.protocol() != "query" {
            let inner = root.child("Errors").and_then(|errors| errors.child("Error"));
            return self.xml(at, inner.or_else(|| root.child("Error")).unwrap_or(&root));
        }
        let inner = root.children.iter().find(|child| child.name.ends_with("Result"));
        self.xml(at, inner.or_else(|| root.child("Error")).unwrap_or(&root))
    }

    fn json(&self, at: &Value, value: &Value) -> Value {
        let shape = self.shape(at);
        match (shape["type"].as_str().unwrap_or_default(), value) {
            (_, Value::Null) => Value::Null,
            ("structure", Value::Object(fields)) if shape["document"].as_bool() != Some(true) => {
                let mut read = Map::new();
                for (name, member) in shape["members"].as_object().into_iter().flatten() {
                    let wire = member["locationName"].as_str().unwrap_or(name);
                    if in_body(member) {
                        let field = fields.get(wire).filter(|field| !field.is_null());
                        read.extend(field.map(|field| (name.clone(), self.json(member, field))));
                    }
                }
                Value::Object(read)
            }
            ("list", Value::Array(items)) => {
                items.iter().map(|item| self.json(&shape["member"], item)).collect()
            }
            ("map", Value::Object(fields)) => fields
                .iter()
                .map(|(name, field)| (name.clone(), self.json(&shape["value"], field)))
                .collect::<Map<_, _>>()
                .into(),
            ("timestamp", Value::String(text)) => json!(time(text)),
            _ => value.clone(),
        }
    }

    fn xml(&self, at: &Value, node: &Node) -> Value {
        let shape = self.shape(at);
        match shape["type"].as_str().unwrap_or_default() {
            "structure" => {
                let mut read = Map::new();
                for (name, member) in shape["members"].as_object().into_iter().flatten() {
                    if in_body(member) {
                        let value = self.xml_member(name, member, node);
                        read.extend(value.map(|value| (name.clone(), value)));
                    }
                }
                Value::Object(read)
            }
            "list" => {
                let name = self.shape(&shape["member"]);
                let name = name["locationName"].as_str().unwrap_or("member");
                let items = node.children.iter().filter(|child| child.name == name);
                items.map(|item| self.xml(&shape["member"], item)).collect()
            }
            "map" => self.xml_map(&shape, node.children.iter().filter(|c| c.name == "entry")),
            _ => self.text(&shape, &node.text),
        }
    }

    fn xml_member(&self, name: &str, member: &Value, node: &Node) -> Option<Value> {
        let shape = self.shape(member);
        // A structure's own name is that of a document's root only.
        let named = if shape["type"] == "structure" { member } else { &shape };
        let wire = named["locationName"].as_str().unwrap_or(name);
        if shape["xmlAttribute"].as_bool() == Some(true) {
            let value = node.attributes.iter().find(|(key, _)| key == wire);
            return value.map(|(_, text)| self.text(&shape, text));
        }
        let kind = shape["type"].as_str().unwrap_or_default();
        let flat = shape["flattened"].as_bool() == Some(true);
        if flat && (kind == "list" || kind == "map") {
            let found: Vec<&Node> = node.children.iter().filter(|c| c.name == wire).collect();
            return match kind {
                _ if found.is_empty() => None,
                "list" => Some(found.iter().map(|n| self.xml(&shape["member"], n)).collect()),
                _ => Some(self.xml_map(&shape, found.into_iter())),
            };
        }
        node.child(wire).map(|child| self.xml(member, child))
    }

    fn xml_map<'n>(&self, shape: &Value, entries: impl Iterator<Item = &'n Node>) -> Value {
        let name = |part: &str| {
            let of = self.shape(&shape[part]);
            of["locationName"].as_str().unwrap_or(part).to_owned()
        };
        let (key, value) = (name("key"), name("value"));
        let mut read = Map::new();
        for entry in entries {
            let key = entry.child(&key).unwrap().text.clone();
            read.insert(key, self.xml(&shape["value"], entry.child(&value).unwrap()));
        }
        Value::Object(read)
    }

    fn header(&self, name: &str, member: &Value, wire: &Wire) -> Option<Value> {
        let header = member["locationName"].as_str().unwrap_or(name).to_ascii_lowercase();
        let (_, text) = wire.headers.iter().find(|(name, _)| *name == header)?;
        let shape = self.shape(member);
        if shape["type"] != "list" {
            return Some(self.text(&shape, text));
        }
        let item = self.shape(&shape["member"]);
        let dates = item["type"] == "timestamp"
            && item["timestampFormat"] != "iso8601"
            && item["timestampFormat"] != "unixTimestamp";
        let parts: Vec<String> = if dates {
            let halves: Vec<&str> = text.split(',').collect();
            halves.chunks(2).map(|two| two.join(",").trim().to_owned()).collect()
        } else {
            split(text)
        };
        Some(parts.iter().map(|part| self.text(&item, part)).collect())
    }

    fn text(&self, shape: &Value, text: &str) -> Value {
        let special = matches!(text, "NaN" | "Infinity" | "-Infinity");
        match shape["type"].as_str().unwrap_or_default() {
            "string" if shape["jsonvalue"].as_bool() == Some(true) => {
                let decoded = STANDARD.decode(text).map(|bytes| String::from_utf8(bytes).unwrap());
                json!(decoded.unwrap_or_else(|_| text.to_owned()))
            }
            "integer" | "long" => json!(text.trim().parse::<i64>().unwrap()),
            "float" | "double" if !special => json!(text.trim().parse::<f64>().unwrap()),
            "boolean" => json!(text.trim() == "true"),
            "timestamp" => json!(time(text.trim())),
            _ => json!(text),
        }
    }
}

/// Answers have no path and no query string; such members are in their body.
fn in_body(member: &Value) -> bool {
    matches!(member["location"].as_str(), None | Some("uri" | "querystring"))
}

fn headers(member: &Value, wire: &Wire) -> Option<Value> {
    let prefix = member["locationName"].as_str().unwrap_or_default().to_ascii_lowercase();
    let found = wire.headers.iter().filter_map(|(name, value)| {
        name.strip_prefix(&prefix).map(|rest| (rest.to_owned(), json!(value)))
    });
    let found: Map<String, Value> = found.collect();
    (!found.is_empty()).then(|| found.into())
}

/// The items of a list in a header.
fn split(text: &str) -> Vec<String> {
    let mut items = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut item = String::new();
            let mut chars = quoted.char_indices();
            let mut end = quoted.len();
            while let Some((at, c)) = chars.next() {
                match c {
                    '\\' => item.extend(chars.next().map(|(_, c)| c)),
                    '"' => {
                        end = at + 1;
                        break;
                    }
                    c => item.push(c),
                }
            }
            items.push(item);
            rest = quoted[end..].trim_start().trim_start_matches(',').trim_start();
        } else {
            let (item, after) = rest.split_once(',').unwrap_or((rest, ""));
            items.push(item.trim().to_owned());
            rest = after.trim_start();
        }
    }
    items
}

fn time(text: &str) -> f64 {
    if let Ok(seconds) = text.parse::<f64>() {
        return seconds;
    }
    // A fraction of a second, which RFC 2822 does not have.
    if let Some((before, after)) = text.split_once('.').filter(|_| text.ends_with("GMT")) {
        let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
        let fraction: f64 = format!("0.{digits}").parse().unwrap();
        return time(&format!("{before}{}", &after[digits.len()..])) + fraction;
    }
    let at = OffsetDateTime::parse(text, &Rfc3339)
        .or_else(|_| OffsetDateTime::parse(text, &Rfc2822))
        .unwrap_or_else(|e| panic!("{text}: {e}"));
    at.unix_timestamp() as f64 + f64::from(at.nanosecond()) / 1e9
}
