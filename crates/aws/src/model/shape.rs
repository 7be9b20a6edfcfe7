//! The shapes of a model, with every trait resolved: a reference to a shape may override some.

use super::Pattern;
use std::collections::BTreeMap;

/// A shape's number in its definition.
pub(crate) type ShapeId = usize;

/// A type of the model.
#[derive(Debug)]
pub(crate) struct Shape {
    pub(crate) name: String,
    /// The name of a document's root that is of this shape.
    pub(crate) root: Option<String>,
    pub(crate) kind: Kind,
    pub(crate) bounds: Bounds,
    /// Whether values must not be shown.
    pub(crate) sensitive: bool,
}

/// What a shape is.
#[derive(Debug)]
pub(crate) enum Kind {
    Structure(Structure),
    List {
        member: Ref,
    },
    Map {
        key: Ref,
        value: Ref,
    },
    String {
        allowed: Vec<String>,
        pattern: Option<Pattern>,
    },
    Integer,
    Long,
    Float,
    Boolean,
    Blob,
    Timestamp,
    /// Any `JSON`.
    Document,
}

/// The members of a structure.
#[derive(Debug, Default)]
pub(crate) struct Structure {
    pub(crate) members: BTreeMap<String, Member>,
    /// Whether exactly one member may be set.
    pub(crate) union: bool,
    /// The member that is the whole body.
    pub(crate) payload: Option<String>,
}

/// A member of a structure.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) required: bool,
    pub(crate) at: Ref,
}

/// Least and greatest: of a length, a count, or a number.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) min: Option<f64>,
    pub(crate) max: Option<f64>,
}

/// A use of a shape, with the traits that hold here.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ref {
    pub(crate) shape: ShapeId,
    /// The name on the wire, if it is not the member's.
    pub(crate) wire_name: Option<String>,
    /// The name on `EC2`'s wire.
    pub(crate) query_name: Option<String>,
    pub(crate) location: Option<Location>,
    pub(crate) flattened: bool,
    pub(crate) xml_attribute: bool,
    pub(crate) json_value: bool,
    pub(crate) namespace: Option<Namespace>,
    pub(crate) timestamp: Option<TimestampFormat>,
    /// The element around a result in the query protocol.
    pub(crate) result_wrapper: Option<String>,
}

/// Where a member is, if not in the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Location {
    Uri,
    Query,
    Header,
    /// All headers with a prefix.
    Headers,
    StatusCode,
}

impl Location {
    /// Whether a member of an answer is in the body: an answer has no path and no query string.
    pub(crate) fn in_answers_body(at: Option<Self>) -> bool {
        matches!(at, None | Some(Self::Uri | Self::Query))
    }
}

/// An `XML` namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Namespace {
    pub(crate) uri: String,
    pub(crate) prefix: Option<String>,
}

/// How a time is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampFormat {
    /// `2026-01-02T03:04:05Z`.
    Iso8601,
    /// `Fri, 02 Jan 2026 03:04:05 GMT`.
    Rfc822,
    /// Seconds since 1970.
    Unix,
}

/// What a number that is not in a definition stands for; none is ever given out.
pub(super) static NONE: Shape = Shape {
    name: String::new(),
    root: None,
    kind: Kind::Document,
    bounds: Bounds { min: None, max: None },
    sensitive: false,
};

impl Shape {
    /// The members, if this is a structure.
    pub(crate) fn structure(&self) -> Option<&Structure> {
        match &self.kind {
            Kind::Structure(structure) => Some(structure),
            _ => None,
        }
    }
}

impl Structure {
    /// The member with this name on the wire.
    pub(crate) fn by_wire_name(&self, name: &str) -> Option<(&String, &Member)> {
        if let Some((key, member)) = self.members.get_key_value(name)
            && member.at.wire_name.as_deref().is_none_or(|wire| wire == name)
        {
            return Some((key, member));
        }
        self.members.iter().find(|(_, member)| member.at.wire_name.as_deref() == Some(name))
    }
}

impl Member {
    /// The name on the wire of the member called `name`.
    pub(crate) fn wire_name<'a>(&'a self, name: &'a str) -> &'a str {
        self.at.wire_name.as_deref().unwrap_or(name)
    }
}
