//! From a request to one value in the model's member names, whatever the protocol.
//!
//! What comes out has only members of the model, each of its type: times are seconds since 1970 as a
//! float, bytes are base64, the floats that `JSON` cannot write are the texts `NaN`, `Infinity` and
//! `-Infinity`. A member that the model does not have is refused by name.

mod json;
mod query;
mod rest;
mod xml;

use crate::error::AwsError;
use crate::limits;
use crate::model::{Model, Operation, Protocol};
use crate::route::unknown_operation;
use crate::service::Service;
use http::request::Parts;
use serde_json::Value;

pub(crate) use json::from_json;
pub(crate) use xml::from_element;

/// A request that was understood.
#[derive(Debug)]
pub struct Call {
    /// The service.
    pub service: Service,
    /// The operation.
    pub operation: &'static Operation,
    /// Its input: an object of the model's members.
    pub input: Value,
}

/// Finds a request's operation and reads its input.
///
/// # Errors
/// If the operation is unknown or not served, the body is not what the protocol says, a value is of
/// a wrong type, or a member is unknown.
pub fn decode(service: Service, parts: &Parts, body: &[u8]) -> Result<Call, AwsError> {
    let model = service.model();
    if body.len() > limits::BODY {
        let message = format!("Request must be smaller than {} bytes", limits::BODY);
        return Err(AwsError::new(413, "RequestEntityTooLarge", message));
    }
    let (operation, input) = decode_by(model, parts, body)?;
    Ok(Call { service, operation, input })
}

/// Reads a request whose body is one member's bytes, without the body: the member is there, and
/// empty. For payloads that would only be copied. A body that holds anything else is not read.
///
/// # Errors
/// As those of [`decode`].
pub fn decode_head(service: Service, parts: &Parts) -> Result<Call, AwsError> {
    let (operation, mut input) = decode_by(service.model(), parts, &[])?;
    let structure =
        operation.input.as_ref().and_then(|at| operation.definition.shape(at.shape).structure());
    if let (Some(payload), Value::Object(members)) =
        (structure.and_then(|structure| structure.payload.as_ref()), &mut input)
    {
        members.insert(payload.clone(), Value::from(""));
    }
    Ok(Call { service, operation, input })
}

/// As [`decode`], for any model.
///
/// # Errors
/// As those of [`decode`].
pub fn decode_by<'a>(
    model: &'a Model,
    parts: &Parts,
    body: &[u8],
) -> Result<(&'a Operation, Value), AwsError> {
    match model.protocol() {
        Protocol::Json => {
            let target = parts.headers.get("x-amz-target").and_then(|target| target.to_str().ok());
            let name = target.unwrap_or_default();
            let operation = find(model, name.rsplit_once('.').map_or(name, |(_, name)| name))?;
            Ok((operation, json::request(operation, body)?))
        }
        Protocol::Query | Protocol::Ec2 => query::request(model, parts, body),
        Protocol::RestJson | Protocol::RestXml => rest::request(model, parts, body),
    }
}

/// An operation by its name. One that only the full model has is refused by name.
fn find<'a>(model: &'a Model, name: &str) -> Result<&'a Operation, AwsError> {
    if let Some(operation) = model.operation(name) {
        return Ok(operation);
    }
    if model.is_unserved(name) {
        return Err(not_served(model, name));
    }
    let query = matches!(model.protocol(), Protocol::Query | Protocol::Ec2);
    if !query {
        return Err(unknown_operation());
    }
    let shown: String = name.chars().take(64).collect();
    let shown = shown.escape_debug();
    let version = &model.about().api_version;
    let message = format!("Could not find operation {shown} for version {version}");
    Err(AwsError::new(400, "InvalidAction", message))
}

fn not_served(model: &Model, name: &str) -> AwsError {
    let service = &model.about().service_id;
    let message = format!("Belljar does not serve the operation {name} of {service}.");
    AwsError::new(400, "UnsupportedOperation", message)
}

/// Why a value is not of its type, before the code for it is known.
#[derive(Debug)]
pub(crate) enum Misfit {
    /// The form is wrong: the message is for a person.
    Form(String),
    /// A member that the model does not have, by its path.
    Unknown(String),
}

impl Misfit {
    pub(crate) fn form(message: impl Into<String>) -> Self {
        Self::Form(message.into())
    }

    /// The error in the words of the operation's protocol.
    pub(crate) fn error(self, operation: &Operation) -> AwsError {
        match self {
            Self::Form(message) => {
                let code = match operation.protocol() {
                    Protocol::Json | Protocol::RestJson => "SerializationException",
                    Protocol::Query | Protocol::Ec2 => "MalformedInput",
                    Protocol::RestXml => "MalformedXML",
                };
                AwsError::new(400, code, message)
            }
            Self::Unknown(path) => {
                let shown: String = path.chars().take(limits::SHOWN).collect();
                operation.invalid(format!(
                    "Unknown member '{}': {} has no such member, and Belljar ignores none.",
                    shown.escape_debug(),
                    operation.name(),
                ))
            }
        }
    }
}

/// `path.name`, or `name` at the top.
pub(crate) fn below(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}
