//! An error as a client of `AWS` sees it.

use serde_json::{Map, Value};
use std::borrow::Cow;

/// Who is to blame, in the query protocol's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The request was wrong.
    Sender,
    /// The service was.
    Receiver,
}

/// An error of the wire: what a client can tell apart is the `code`.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct AwsError {
    /// The `HTTP` status.
    pub status: u16,
    /// The code, as the service's model spells it.
    pub code: Cow<'static, str>,
    /// For a person.
    pub message: String,
    /// Who is to blame.
    pub fault: Fault,
    /// Members that the model gives this error besides its message.
    pub members: Map<String, Value>,
}

impl AwsError {
    /// An error with a status, a code and a message. Statuses of 500 and above are the service's
    /// fault.
    pub fn new(
        status: u16,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) -> Self {
        let fault = if status >= 500 { Fault::Receiver } else { Fault::Sender };
        let (code, message) = (code.into(), message.into());
        Self { status, code, message, fault, members: Map::new() }
    }

    /// `ValidationException`, status 400: what services of the `JSON` protocols say of a request
    /// that breaks a rule. [`crate::Operation::invalid`] picks the code by the service instead.
    pub fn validation(message: impl Into<String>) -> Self {
        Self::new(400, "ValidationException", message)
    }

    /// `AccessDeniedException`, status 400.
    pub fn access_denied(message: impl Into<String>) -> Self {
        Self::new(400, "AccessDeniedException", message)
    }

    /// `InternalFailure`, status 500. The message goes to the client: say nothing of the inside.
    #[must_use]
    pub fn internal() -> Self {
        let message = "An internal error occurred; the service's own log says more.";
        Self::new(500, "InternalFailure", message)
    }

    /// The error with one more member of its shape.
    #[must_use]
    pub fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.members.insert(member.to_owned(), value.into());
        self
    }
}
