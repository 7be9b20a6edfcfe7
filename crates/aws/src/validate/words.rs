//! Constraints and values in words.

use crate::limits;
use crate::model::{Kind, Pattern, Shape};
use crate::scalar::BASE64;
use base64::Engine as _;
use serde_json::Value;
use std::fmt;

/// One constraint of a shape.
pub(super) enum Constraint<'a> {
    MaxLength(f64),
    MinLength(f64),
    MaxBytes(f64),
    MinBytes(f64),
    MaxValue(f64),
    MinValue(f64),
    Allowed(&'a [String]),
    Pattern(&'a Pattern),
}

/// The constraints of a shape, in the order in which `AWS` lists them.
pub(super) fn constraints(shape: &Shape) -> impl Iterator<Item = Constraint<'_>> {
    type Bound = fn(f64) -> Constraint<'static>;
    let (max, min): (Bound, Bound) = match shape.kind {
        Kind::Integer | Kind::Long | Kind::Float => (Constraint::MaxValue, Constraint::MinValue),
        Kind::Blob => (Constraint::MaxBytes, Constraint::MinBytes),
        _ => (Constraint::MaxLength, Constraint::MinLength),
    };
    let (max, min) = (shape.bounds.max.map(max), shape.bounds.min.map(min));
    let (allowed, pattern) = match &shape.kind {
        Kind::String { allowed, pattern } => (
            (!allowed.is_empty()).then_some(Constraint::Allowed(allowed)),
            pattern.as_ref().map(Constraint::Pattern),
        ),
        _ => (None, None),
    };
    [max, min, pattern, allowed].into_iter().flatten()
}

impl Constraint<'_> {
    /// Whether a value that has the shape's type keeps to this.
    pub(super) fn holds(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::MaxValue(max), _) => value.as_f64().is_none_or(|number| number <= *max),
            (Self::MinValue(min), _) => value.as_f64().is_none_or(|number| number >= *min),
            (_, Value::String(text)) => self.holds_for_text(text),
            (Self::MaxLength(max), _) => length(value) <= *max,
            (Self::MinLength(min), _) => length(value) >= *min,
            _ => true,
        }
    }

    pub(super) fn holds_for_text(&self, text: &str) -> bool {
        match self {
            Self::MaxLength(max) => count(text.chars().count()) <= *max,
            Self::MinLength(min) => count(text.chars().count()) >= *min,
            Self::Allowed(allowed) => allowed.iter().any(|one| one == text),
            Self::Pattern(pattern) => pattern.matches(text),
            Self::MaxBytes(max) => blob_length(text) <= *max,
            Self::MinBytes(min) => blob_length(text) >= *min,
            Self::MaxValue(_) | Self::MinValue(_) => true,
        }
    }
}

fn length(value: &Value) -> f64 {
    match value {
        Value::Array(items) => count(items.len()),
        Value::Object(fields) => count(fields.len()),
        _ => 0.0,
    }
}

#[expect(clippy::cast_precision_loss, reason = "no value here has 2^53 characters")]
fn count(count: usize) -> f64 {
    count as f64
}

impl fmt::Display for Constraint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MaxLength(max) | Self::MaxBytes(max) => {
                write!(f, "Member must have length less than or equal to {max}")
            }
            Self::MinLength(min) | Self::MinBytes(min) => {
                write!(f, "Member must have length greater than or equal to {min}")
            }
            Self::MaxValue(max) => write!(f, "Member must have value less than or equal to {max}"),
            Self::MinValue(min) => {
                write!(f, "Member must have value greater than or equal to {min}")
            }
            Self::Allowed(allowed) => {
                write!(f, "Member must satisfy enum value set: [{}]", allowed.join(", "))
            }
            Self::Pattern(pattern) => {
                write!(f, "Member must satisfy regular expression pattern: {}", pattern.as_str())
            }
        }
    }
}

/// A value as Java prints it, cut where it gets long.
pub(super) fn show(value: &Value) -> String {
    let mut text = String::new();
    append(value, &mut text);
    match text.char_indices().nth(limits::SHOWN) {
        Some((end, _)) => {
            text.truncate(end);
            text + "..."
        }
        None => text,
    }
}

fn append(value: &Value, out: &mut String) {
    if out.len() > limits::SHOWN * 4 {
        return;
    }
    match value {
        Value::Null => out.push_str("null"),
        // Control characters would let a client write lines of its own into a log.
        Value::String(text) => {
            let clean = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c });
            out.extend(clean.take(limits::SHOWN + 1));
        }
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                append(item, out);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            out.push('{');
            for (index, (name, field)) in fields.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                out.push_str(name);
                out.push('=');
                append(field, out);
            }
            out.push('}');
        }
        other => out.push_str(&other.to_string()),
    }
}

/// The bytes that a base64 text stands for.
fn blob_length(text: &str) -> f64 {
    BASE64.decode(text).map_or(0.0, |bytes| count(bytes.len()))
}
