//! Forms: the query protocol, and `EC2`'s variant of it.

use super::{Misfit, below, find};
use crate::error::AwsError;
use crate::form;
use crate::limits;
use crate::model::{Definition, Kind, Model, Operation, Protocol, Ref, Structure};
use http::request::Parts;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Parameters as a tree: `a.b=1` is below `a`.
#[derive(Default)]
struct Node {
    value: Option<String>,
    children: BTreeMap<String, Node>,
}

struct Reader<'a> {
    definition: &'a Definition,
    /// Whether lists are always flat and names begin with a capital.
    ec2: bool,
}

pub(super) fn request<'a>(
    model: &'a Model,
    parts: &Parts,
    body: &[u8],
) -> Result<(&'a Operation, Value), AwsError> {
    let query = parts.uri.query().unwrap_or_default();
    let malformed =
        || AwsError::new(400, "MalformedQueryString", "The query string or form is malformed");
    let mut pairs = form::pairs(query.as_bytes(), true).ok_or_else(malformed)?;
    // Of the query string only: a signature, which has been verified.
    pairs.retain(|(name, _)| !name.starts_with("X-Amz-"));
    pairs.extend(form::pairs(body, true).ok_or_else(malformed)?);
    let action = pairs.iter().find(|(name, _)| name == "Action");
    let missing = || AwsError::new(400, "MissingAction", "The request has no parameter Action");
    let operation = find(model, &action.ok_or_else(missing)?.1)?;
    let input = read(operation, pairs).map_err(|misfit| misfit.error(operation))?;
    Ok((operation, input))
}

fn read(operation: &Operation, pairs: Vec<(String, String)>) -> Result<Value, Misfit> {
    let mut root = Node::default();
    for (name, value) in pairs {
        if name != "Action" && name != "Version" {
            root.insert(&name, value)?;
        }
    }
    let reader =
        Reader { definition: &operation.definition, ec2: operation.protocol() == Protocol::Ec2 };
    match &operation.input {
        Some(input) => match &operation.shape(input.shape).kind {
            Kind::Structure(structure) => reader.structure(structure, &root, ""),
            _ => Ok(Value::Object(Map::new())),
        },
        None => match root.children.keys().next() {
            Some(name) => Err(Misfit::Unknown(name.clone())),
            None => Ok(Value::Object(Map::new())),
        },
    }
}

impl Node {
    fn insert(&mut self, name: &str, value: String) -> Result<(), Misfit> {
        let mut node = self;
        for (depth, part) in name.split('.').enumerate() {
            if depth > limits::DEPTH {
                return Err(Misfit::form("A parameter's name has too many parts"));
            }
            node = node.children.entry(part.to_owned()).or_default();
        }
        match node.value.replace(value) {
            None => Ok(()),
            Some(_) => Err(Misfit::form(format!("Duplicate parameter '{}'", shown(name)))),
        }
    }

    /// The children whose names are numbers, in order; any other name is unknown.
    fn numbered(&self, path: &str) -> Result<BTreeMap<u64, &Node>, Misfit> {
        let mut found = BTreeMap::new();
        for (name, node) in &self.children {
            let number = name.parse::<u64>().ok().filter(|_| !name.starts_with('+'));
            let number = number.ok_or_else(|| Misfit::Unknown(below(path, name)))?;
            if found.insert(number, node).is_some() {
                return Err(Misfit::form(format!("Duplicate parameter '{}'", below(path, name))));
            }
        }
        Ok(found)
    }
}

impl Reader<'_> {
    fn any(&self, at: &Ref, node: &Node, path: &str) -> Result<Value, Misfit> {
        match &self.definition.shape(at.shape).kind {
            Kind::Structure(structure) => self.structure(structure, node, path),
            Kind::List { member } if self.ec2 || at.flattened => self.list(member, node, path),
            Kind::List { member } => {
                let name = member.wire_name.as_deref().unwrap_or("member");
                match (node.only(name, path)?, &node.value) {
                    (Some(items), _) => self.list(member, items, path),
                    // How an empty list is written.
                    (None, Some(value)) if value.is_empty() => Ok(Value::Array(Vec::new())),
                    (None, _) => Err(Misfit::Unknown(path.to_owned())),
                }
            }
            Kind::Map { key, value } if at.flattened => self.map(key, value, node, path),
            Kind::Map { key, value } => match (node.only("entry", path)?, &node.value) {
                (Some(entries), _) => self.map(key, value, entries, path),
                (None, Some(text)) if text.is_empty() => Ok(Value::Object(Map::new())),
                (None, _) => Err(Misfit::Unknown(path.to_owned())),
            },
            kind => {
                if let Some(name) = node.children.keys().next() {
                    return Err(Misfit::Unknown(below(path, name)));
                }
                super::xml::scalar(kind, node.value.as_deref().unwrap_or_default(), path)
            }
        }
    }

    fn structure(&self, of: &Structure, node: &Node, path: &str) -> Result<Value, Misfit> {
        let mut read = Map::new();
        if node.value.as_ref().is_some_and(|value| !value.is_empty()) {
            return Err(Misfit::form(format!("'{}' is a structure", shown(path))));
        }
        for (wire, child) in &node.children {
            let unknown = || Misfit::Unknown(below(path, wire));
            let (name, at) = self.member(of, wire).ok_or_else(unknown)?;
            read.insert(name.clone(), self.any(at, child, &below(path, name))?);
        }
        Ok(Value::Object(read))
    }

    /// The member with a name on the wire. A flat list of named items has the name of its items.
    fn member<'m>(&self, of: &'m Structure, wire: &str) -> Option<(&'m String, &'m Ref)> {
        if self.ec2 {
            let found = of.members.iter().find(|(name, member)| {
                let plain = member.at.wire_name.as_deref().unwrap_or(name);
                match member.at.query_name.as_deref() {
                    Some(query) => query == wire,
                    None => capital(plain) == wire || plain == wire,
                }
            });
            return found.map(|(name, member)| (name, &member.at));
        }
        let found = of.members.iter().find(|(name, member)| {
            if let (true, Kind::List { member: item }) =
                (member.at.flattened, &self.definition.shape(member.at.shape).kind)
                && let Some(item) = item.wire_name.as_deref()
            {
                return item == wire || member.wire_name(name) == wire;
            }
            member.wire_name(name) == wire
        });
        found.map(|(name, member)| (name, &member.at))
    }

    fn list(&self, item: &Ref, node: &Node, path: &str) -> Result<Value, Misfit> {
        if node.children.is_empty() && node.value.as_ref().is_some_and(String::is_empty) {
            return Ok(Value::Array(Vec::new()));
        }
        let items = node.numbered(path)?;
        let read = items
            .into_iter()
            .map(|(number, node)| self.any(item, node, &below(path, &number.to_string())));
        read.collect::<Result<Vec<_>, _>>().map(Value::Array)
    }

    fn map(&self, key: &Ref, value: &Ref, node: &Node, path: &str) -> Result<Value, Misfit> {
        let mut read = Map::new();
        let key_name = key.wire_name.as_deref().unwrap_or("key");
        let value_name = value.wire_name.as_deref().unwrap_or("value");
        for (number, entry) in node.numbered(path)? {
            let path = below(path, &number.to_string());
            if let Some(name) = entry.children.keys().find(|n| *n != key_name && *n != value_name) {
                return Err(Misfit::Unknown(below(&path, name)));
            }
            let text = entry.children.get(key_name).and_then(|node| node.value.clone());
            let text =
                text.ok_or_else(|| Misfit::form(format!("'{}' has no key", shown(&path))))?;
            let read_value = match entry.children.get(value_name) {
                Some(node) => self.any(value, node, &below(&path, value_name))?,
                None => Value::Null,
            };
            if read.insert(text, read_value).is_some() {
                return Err(Misfit::form(format!("'{}' has a key twice", shown(&path))));
            }
        }
        Ok(Value::Object(read))
    }
}

impl Node {
    /// The child of this name, if there is one; another is unknown.
    fn only(&self, name: &str, path: &str) -> Result<Option<&Node>, Misfit> {
        match self.children.keys().find(|child| *child != name) {
            Some(other) => Err(Misfit::Unknown(below(path, other))),
            None => Ok(self.children.get(name)),
        }
    }
}

fn capital(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

fn shown(text: &str) -> String {
    text.chars().take(limits::SHOWN).collect::<String>().escape_debug().to_string()
}
