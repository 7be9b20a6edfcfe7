//! `LogFormat`: which fields a record has, and in which order.

use super::field::{Field, LATER};
use std::fmt;
use std::str::FromStr;

/// The default format, as `DescribeFlowLogs` shows it: all fields of version 2.
pub const DEFAULT: &str = "${version} ${account-id} ${interface-id} ${srcaddr} ${dstaddr} \
    ${srcport} ${dstport} ${protocol} ${packets} ${bytes} ${start} ${end} ${action} ${log-status}";

/// Fields in their order, of which there is at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format(Vec<Field>);

/// Why a text is no format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// It names nothing.
    #[error("LogFormat has no field")]
    Empty,
    /// A part of it is not `${field}`.
    #[error("LogFormat is fields in the form ${{field-id}}, separated by spaces; '{0}' is none")]
    Form(String),
    /// There is no such field.
    #[error("Unknown fields provided: {0}")]
    Unknown(String),
    /// There is, but Belljar does not know what it would say.
    #[error("LogFormat has the field {0} of version {1}; versions 2 to 5 are served")]
    Later(String, u8),
}

impl Format {
    /// The fields.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.0
    }

    /// The highest version among them.
    #[must_use]
    pub fn version(&self) -> u8 {
        self.0.iter().map(|f| f.version()).max().unwrap_or(2)
    }

    /// The first line of a file: the fields' names.
    #[must_use]
    pub fn header(&self) -> String {
        self.0.iter().map(|f| f.name()).collect::<Vec<_>>().join(" ")
    }
}

impl Default for Format {
    fn default() -> Self {
        let all = Field::ALL.iter().copied();
        Self(all.filter(|f| f.version() == 2 && *f != Field::BelljarLayer).collect())
    }
}

impl FromStr for Format {
    type Err = FormatError;
    fn from_str(text: &str) -> Result<Self, FormatError> {
        let mut fields = Vec::new();
        for part in text.split_ascii_whitespace() {
            let name = part.strip_prefix("${").and_then(|p| p.strip_suffix('}'));
            let name = name.ok_or_else(|| FormatError::Form(part.to_owned()))?;
            let later = LATER.iter().find(|(n, _)| *n == name);
            fields.push(Field::named(name).ok_or_else(|| match later {
                Some((name, version)) => FormatError::Later((*name).to_owned(), *version),
                None => FormatError::Unknown(name.to_owned()),
            })?);
        }
        if fields.is_empty() { Err(FormatError::Empty) } else { Ok(Self(fields)) }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, field) in self.0.iter().enumerate() {
            write!(f, "{}${{{}}}", if place == 0 { "" } else { " " }, field.name())?;
        }
        Ok(())
    }
}
