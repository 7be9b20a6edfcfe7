//! Requests whose operation is a method and a path, and whose members are in the path, the query
//! string, headers and the body.

use super::xml::scalar;
use super::{Misfit, from_element, from_json, json, not_served};
use crate::error::AwsError;
use crate::model::{Definition, Http, Kind, Location, Member, Model, Operation, Protocol, Ref};
use crate::scalar::BASE64;
use crate::xml::Element;
use crate::{form, limits};
use base64::Engine as _;
use http::request::Parts;
use serde_json::{Map, Value};

pub(super) fn request<'a>(
    model: &'a Model,
    parts: &Parts,
    body: &[u8],
) -> Result<(&'a Operation, Value), AwsError> {
    let unknown = || AwsError::new(404, "UnknownOperationException", "No operation has this path.");
    let query = parts.uri.query().unwrap_or_default();
    let pairs = form::pairs(query.as_bytes(), true).ok_or_else(unknown)?;
    let path = parts.uri.path();
    let found = model
        .operations()
        .filter_map(|operation| {
            let labels = matches(&operation.http, parts.method.as_str(), path, &pairs)?;
            Some((specificity(&operation.http.uri), operation, labels))
        })
        .max_by_key(|(score, ..)| *score);
    let Some((_, operation, labels)) = found else {
        let mut unserved = model.unserved.iter();
        let name =
            unserved.find(|(_, http)| matches(http, parts.method.as_str(), path, &pairs).is_some());
        return Err(name.map_or_else(unknown, |(name, _)| not_served(model, name)));
    };
    let input = Reader { operation, parts, pairs, labels }.read(body);
    Ok((operation, input.map_err(|misfit| misfit.error(operation))?))
}

/// The labels of the path, decoded, if an operation has this method and path and all parameters that
/// its template fixes.
fn matches(
    http: &Http,
    method: &str,
    path: &str,
    pairs: &[(String, String)],
) -> Option<Vec<(String, String)>> {
    if http.method != method {
        return None;
    }
    let (template, fixed) = http.uri.split_once('?').unwrap_or((&http.uri, ""));
    for (name, value) in form::pairs(fixed.as_bytes(), true)? {
        if !pairs.iter().any(|(n, v)| *n == name && (value.is_empty() || *v == value)) {
            return None;
        }
    }
    let mut labels = Vec::new();
    let mut segments = path.trim_start_matches('/').split('/');
    let mut wanted = template.trim_start_matches('/').split('/').peekable();
    while let Some(part) = wanted.next() {
        let Some(label) = part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) else {
            if segments.next()? != part {
                return None;
            }
            continue;
        };
        if let Some(label) = label.strip_suffix('+') {
            // Takes all segments but as many as the template still wants.
            let rest: Vec<&str> = segments.by_ref().collect();
            let after: Vec<&str> = wanted.by_ref().collect();
            let taken = rest.len().checked_sub(after.len()).filter(|taken| *taken > 0)?;
            if rest.get(taken..)? != after {
                return None;
            }
            let text = rest.get(..taken)?.join("/");
            labels.push((label.to_owned(), form::decode(text.as_bytes(), false)?));
            return Some(labels);
        }
        let text = form::decode(segments.next()?.as_bytes(), false)?;
        if text.is_empty() {
            return None;
        }
        labels.push((label.to_owned(), text));
    }
    segments.next().is_none().then_some(labels)
}

/// Templates with more fixed text win.
fn specificity(uri: &str) -> usize {
    let path = uri.split('/').filter(|part| !part.starts_with('{')).count();
    path * 2 + usize::from(uri.contains('?'))
}

struct Reader<'a> {
    operation: &'a Operation,
    parts: &'a Parts,
    pairs: Vec<(String, String)>,
    labels: Vec<(String, String)>,
}

impl Reader<'_> {
    fn read(mut self, body: &[u8]) -> Result<Value, Misfit> {
        let definition = &self.operation.definition;
        let mut read = Map::new();
        // Signatures have been verified; the template's own parameters are matched.
        let (_, fixed) = self.operation.http.uri.split_once('?').unwrap_or_default();
        let fixed = form::pairs(fixed.as_bytes(), true).unwrap_or_default();
        self.pairs.retain(|(name, _)| {
            !name.starts_with("X-Amz-") && !fixed.iter().any(|(known, _)| known == name)
        });
        let input = self.operation.input.as_ref();
        let structure = input.and_then(|input| definition.shape(input.shape).structure());
        let (Some(input), Some(structure)) = (input, structure) else {
            return self.no_more(read);
        };
        for (name, member) in &structure.members {
            let value = match member.at.location {
                Some(Location::Uri) => self.label(name, member)?,
                Some(Location::Query) => self.parameter(name, member)?,
                Some(Location::Header) => self.header(name, member)?,
                Some(Location::Headers) => self.headers(name, member),
                Some(Location::StatusCode) | None => None,
            };
            if let Some(value) = value {
                read.insert(name.clone(), value);
            }
        }
        // A map takes what is left, so it comes last.
        for (name, member) in &structure.members {
            let is_map = matches!(definition.shape(member.at.shape).kind, Kind::Map { .. });
            if member.at.location == Some(Location::Query) && is_map {
                read.extend(self.rest(member)?.map(|value| (name.clone(), value)));
            }
        }
        if let Some(name) = &structure.payload {
            if let Some(member) = structure.members.get(name) {
                let value = self.payload(name, member, body)?;
                read.extend(value.map(|value| (name.clone(), value)));
            }
        } else if structure.members.values().any(|member| member.at.location.is_none())
            && let Value::Object(fields) = self.body(input, body)?
        {
            read.extend(fields);
        }
        self.no_more(read)
    }

    /// What came out, if every parameter of the query string has gone into it.
    fn no_more(&self, read: Map<String, Value>) -> Result<Value, Misfit> {
        match self.pairs.first() {
            Some((name, _)) => Err(Misfit::Unknown(name.clone())),
            None => Ok(Value::Object(read)),
        }
    }

    fn definition(&self) -> &Definition {
        &self.operation.definition
    }

    fn label(&self, name: &str, member: &Member) -> Result<Option<Value>, Misfit> {
        let wire = member.wire_name(name);
        let found = self.labels.iter().find(|(label, _)| label == wire);
        found.map(|(_, text)| self.text(&member.at, text, name)).transpose()
    }

    fn parameter(&mut self, name: &str, member: &Member) -> Result<Option<Value>, Misfit> {
        let wire = member.wire_name(name).to_owned();
        if matches!(self.definition().shape(member.at.shape).kind, Kind::Map { .. }) {
            return Ok(None);
        }
        let (found, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.pairs).into_iter().partition(|(name, _)| *name == wire);
        self.pairs = rest;
        if found.is_empty() {
            return Ok(None);
        }
        if let Kind::List { member: item } = &self.definition().shape(member.at.shape).kind {
            let items = found.iter().map(|(_, text)| self.text(item, text, name));
            return items.collect::<Result<Vec<_>, _>>().map(|items| Some(Value::Array(items)));
        }
        match found.as_slice() {
            [(_, text)] => self.text(&member.at, text, name).map(Some),
            _ => Err(Misfit::form(format!("Duplicate parameter '{name}'"))),
        }
    }

    /// All parameters that are left, as a map of texts or of lists of texts.
    fn rest(&mut self, member: &Member) -> Result<Option<Value>, Misfit> {
        let pairs = std::mem::take(&mut self.pairs);
        let Kind::Map { value, .. } = &self.definition().shape(member.at.shape).kind else {
            return Ok(None);
        };
        let mut read = Map::new();
        let list = match &self.definition().shape(value.shape).kind {
            Kind::List { member: item } => Some(item),
            _ => None,
        };
        for (name, text) in pairs {
            match list {
                Some(item) => {
                    let text = self.text(item, &text, &name)?;
                    let entry = read.entry(name).or_insert_with(|| Value::Array(Vec::new()));
                    if let Value::Array(items) = entry {
                        items.push(text);
                    }
                }
                None => {
                    let text = self.text(value, &text, &name)?;
                    read.insert(name, text);
                }
            }
        }
        Ok((!read.is_empty()).then_some(Value::Object(read)))
    }

    fn header(&self, name: &str, member: &Member) -> Result<Option<Value>, Misfit> {
        let wire = member.wire_name(name).to_ascii_lowercase();
        let mut values = Vec::new();
        for value in self.parts.headers.get_all(&wire) {
            let text = std::str::from_utf8(value.as_bytes());
            values.push(text.map_err(|_| Misfit::form(format!("Header {wire} is not UTF-8")))?);
        }
        if values.is_empty() {
            return Ok(None);
        }
        let text = values.join(",");
        if let Kind::List { member: item } = &self.definition().shape(member.at.shape).kind {
            let times = matches!(self.definition().shape(item.shape).kind, Kind::Timestamp);
            let dates = times && item.timestamp.is_none_or(|f| f == crate::TimestampFormat::Rfc822);
            let items = split_list(&text, dates);
            let read = items.iter().map(|text| self.text(item, text, name));
            return read.collect::<Result<Vec<_>, _>>().map(|items| Some(Value::Array(items)));
        }
        self.text(&member.at, &text, name).map(Some)
    }

    /// All headers with a prefix, as a map.
    fn headers(&self, name: &str, member: &Member) -> Option<Value> {
        let prefix = member.wire_name(name).to_ascii_lowercase();
        let mut read = Map::new();
        for (header, value) in &self.parts.headers {
            let rest = header.as_str().strip_prefix(&prefix);
            if let (Some(rest), Ok(text)) = (rest, std::str::from_utf8(value.as_bytes())) {
                read.insert(rest.to_owned(), Value::from(text));
            }
        }
        (!read.is_empty()).then_some(Value::Object(read))
    }

    fn text(&self, at: &Ref, text: &str, path: &str) -> Result<Value, Misfit> {
        if at.json_value {
            let decoded = BASE64.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            return decoded.map(Value::from).ok_or_else(|| {
                Misfit::form(format!("The value is not base64 of a text (at '{path}')"))
            });
        }
        scalar(&self.definition().shape(at.shape).kind, text, path)
    }

    /// A member that is the whole body.
    fn payload(&self, name: &str, member: &Member, body: &[u8]) -> Result<Option<Value>, Misfit> {
        let shape = self.definition().shape(member.at.shape);
        match &shape.kind {
            _ if body.is_empty() => Ok(None),
            Kind::Blob => Ok(Some(Value::from(BASE64.encode(body)))),
            Kind::String { .. } => match std::str::from_utf8(body) {
                Ok(text) => Ok(Some(Value::from(text))),
                Err(_) => Err(Misfit::form(format!("The body is not UTF-8 (at '{name}')"))),
            },
            _ => self.body(&member.at, body).map(Some),
        }
    }

    fn body(&self, at: &Ref, body: &[u8]) -> Result<Value, Misfit> {
        if self.operation.protocol() == Protocol::RestJson {
            return from_json(self.definition(), at, json::parse(body)?, "", 0);
        }
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Value::Object(Map::new()));
        }
        let element = Element::parse(body).ok_or_else(|| {
            let limit = limits::DEPTH;
            Misfit::form(format!("The body is not XML of at most {limit} levels"))
        })?;
        from_element(self.definition(), at, &element, "")
    }
}

/// The items of a header that is a list: commas separate, quotes hold together; dates have a comma
/// each.
fn split_list(text: &str, dates: bool) -> Vec<String> {
    let mut items = vec![String::new()];
    let mut chars = text.chars().peekable();
    let (mut quoted, mut was_quoted, mut commas) = (false, false, 0);
    while let Some(c) = chars.next() {
        let Some(item) = items.last_mut() else { break };
        match c {
            '\\' if quoted => item.extend(chars.next()),
            '"' if quoted || item.trim().is_empty() => {
                if !quoted {
                    item.clear();
                }
                quoted = !quoted;
                was_quoted = true;
            }
            ',' if !quoted => {
                commas += 1;
                if dates && commas % 2 == 1 {
                    item.push(c);
                } else {
                    if !was_quoted {
                        *item = item.trim().to_owned();
                    }
                    was_quoted = false;
                    items.push(String::new());
                }
            }
            ' ' | '\t' if was_quoted && !quoted => {}
            c => item.push(c),
        }
    }
    if let (Some(item), false) = (items.last_mut(), was_quoted) {
        *item = item.trim().to_owned();
    }
    if items.len() == 1 && text.trim().is_empty() {
        items.clear();
    }
    items
}
