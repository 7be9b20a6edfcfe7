//! The walk over a value and its shape.

use super::words::{constraints, show};
use crate::limits;
use crate::model::{Definition, Kind, Ref, Shape, Structure};
use crate::scalar::{BASE64, is_special_float};
use base64::Engine as _;
use serde_json::Value;

/// One step down.
enum Step<'a> {
    Member(&'a str),
    /// An item of a list, counted from 1.
    Item(usize),
    Key(&'a str),
}

pub(super) struct Walker<'a> {
    definition: &'a Definition,
    path: Vec<Step<'a>>,
    pub(super) violations: Vec<String>,
    /// The first member that is required and not there.
    pub(super) missing: Option<String>,
}

impl<'a> Walker<'a> {
    pub(super) fn new(definition: &'a Definition) -> Self {
        Self { definition, path: Vec::new(), violations: Vec::new(), missing: None }
    }

    pub(super) fn any(&mut self, at: &'a Ref, value: &'a Value) {
        let shape = self.definition.shape(at.shape);
        match (&shape.kind, value) {
            _ if self.violations.len() >= limits::VIOLATIONS => {}
            (Kind::Structure(structure), Value::Object(_)) => self.structure(structure, value),
            (Kind::List { member }, Value::Array(items)) => {
                self.own(shape, value);
                self.list(member, items, value);
            }
            (Kind::Map { key, value: of }, Value::Object(_)) => {
                self.own(shape, value);
                self.map(key, of, value);
            }
            (Kind::Structure(_) | Kind::List { .. } | Kind::Map { .. }, _) => self.mistyped(value),
            _ => self.own(shape, value),
        }
    }

    /// The constraints of a value as a whole.
    fn own(&mut self, shape: &Shape, value: &Value) {
        if !has_type(&shape.kind, value) {
            return self.mistyped(value);
        }
        let broken: Vec<String> = constraints(shape)
            .filter(|constraint| !constraint.holds(value))
            .map(|constraint| constraint.to_string())
            .collect();
        for text in broken {
            let at = self.at(value, shape.sensitive);
            self.found(at, &text);
        }
    }

    fn structure(&mut self, structure: &'a Structure, value: &'a Value) {
        let Some(fields) = value.as_object() else { return };
        for (name, member) in &structure.members {
            match fields.get(name) {
                None | Some(Value::Null) if member.required => {
                    self.path.push(Step::Member(name));
                    let path = self.path();
                    let at = format!("Value null at '{path}'");
                    self.missing.get_or_insert(path);
                    self.found(at, "Member must not be null");
                    self.path.pop();
                }
                None | Some(Value::Null) => {}
                Some(field) => {
                    self.path.push(Step::Member(name));
                    self.any(&member.at, field);
                    self.path.pop();
                }
            }
        }
        if let Some(name) = fields.keys().find(|name| !structure.members.contains_key(*name)) {
            self.path.push(Step::Member(name));
            let at = format!("Value at '{}'", self.path());
            self.found(at, "Member must be known");
            self.path.pop();
        }
        let set = fields.values().filter(|field| !field.is_null()).count();
        if structure.union && set != 1 {
            let at = self.at(value, false);
            self.found(at, "Exactly one member must be set");
        }
    }

    fn list(&mut self, member: &'a Ref, items: &'a [Value], value: &'a Value) {
        let of = self.definition.shape(member.shape);
        if is_scalar(&of.kind) {
            let bad = items.iter().find(|item| !fits(of, item));
            return match bad {
                Some(Value::Null) => self.inner(of, value, "Member must not be null", false),
                Some(item) if !has_type(&of.kind, item) => self.mistyped(item),
                Some(_) => self.inner(of, value, "Member must satisfy constraint", true),
                None => {}
            };
        }
        for (index, item) in items.iter().enumerate() {
            self.path.push(Step::Item(index + 1));
            self.any(member, item);
            self.path.pop();
        }
    }

    fn map(&mut self, key: &'a Ref, of: &'a Ref, value: &'a Value) {
        let Some(fields) = value.as_object() else { return };
        let (keys, values) = (self.definition.shape(key.shape), self.definition.shape(of.shape));
        let fits_key =
            |name: &str| constraints(keys).all(|constraint| constraint.holds_for_text(name));
        if !fields.keys().all(|name| fits_key(name)) {
            self.inner(keys, value, "Map keys must satisfy constraint", true);
        }
        if is_scalar(&values.kind) {
            return match fields.values().find(|field| !fits(values, field)) {
                Some(Value::Null) => self.inner(values, value, "Map value must not be null", false),
                Some(field) if !has_type(&values.kind, field) => self.mistyped(field),
                Some(_) => self.inner(values, value, "Map value must satisfy constraint", true),
                None => {}
            };
        }
        for (name, field) in fields {
            self.path.push(Step::Key(name));
            self.any(of, field);
            self.path.pop();
        }
    }

    /// A violation inside a list or map of scalars, which is shown as a whole.
    fn inner(&mut self, of: &Shape, value: &Value, rule: &str, with_constraints: bool) {
        let at = self.at(value, of.sensitive);
        if with_constraints {
            let all: Vec<String> = constraints(of).map(|one| one.to_string()).collect();
            self.found(at, &format!("{rule}: [{}]", all.join(", ")));
        } else {
            self.found(at, rule);
        }
    }

    fn mistyped(&mut self, value: &Value) {
        let at = self.at(value, false);
        self.found(at, "Member must be of its type");
    }

    fn at(&self, value: &Value, sensitive: bool) -> String {
        let path = self.path();
        if sensitive {
            return format!("Value at '{path}'");
        }
        format!("Value '{}' at '{path}'", show(value))
    }

    pub(super) fn found(&mut self, at: String, rule: &str) {
        if self.violations.len() < limits::VIOLATIONS {
            self.violations.push(format!("{at} failed to satisfy constraint: {rule}"));
        }
    }

    /// `productionVariants.1.member.instanceType`.
    fn path(&self) -> String {
        let mut text = String::new();
        for step in &self.path {
            if !text.is_empty() {
                text.push('.');
            }
            match step {
                Step::Member(name) => {
                    let mut chars = name.chars();
                    text.extend(chars.next().map(|first| first.to_ascii_lowercase()));
                    text.push_str(chars.as_str());
                }
                Step::Item(number) => text.push_str(&format!("{number}.member")),
                Step::Key(name) => text.push_str(&format!("{name}.member")),
            }
        }
        let shown: String = text.chars().take(limits::SHOWN).collect();
        shown.escape_debug().to_string()
    }
}

fn is_scalar(kind: &Kind) -> bool {
    !matches!(kind, Kind::Structure(_) | Kind::List { .. } | Kind::Map { .. })
}

fn fits(shape: &Shape, value: &Value) -> bool {
    has_type(&shape.kind, value) && constraints(shape).all(|constraint| constraint.holds(value))
}

fn has_type(kind: &Kind, value: &Value) -> bool {
    match kind {
        Kind::Structure(_) | Kind::Map { .. } => value.is_object(),
        Kind::List { .. } => value.is_array(),
        Kind::String { .. } => value.is_string(),
        Kind::Integer => value.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
        Kind::Long => value.is_i64(),
        Kind::Float => value.is_number() || value.as_str().is_some_and(is_special_float),
        Kind::Boolean => value.is_boolean(),
        Kind::Blob => value.as_str().is_some_and(|text| BASE64.decode(text).is_ok()),
        Kind::Timestamp => value.is_number(),
        Kind::Document => true,
    }
}
