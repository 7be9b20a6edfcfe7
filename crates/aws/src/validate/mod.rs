//! Holds a value against its model, in `AWS`'s own wording.
//!
//! One walker serves both ways: [`validate`] says what is wrong with a request, [`check_output`] is
//! for tests of answers. Patterns are compiled once; a value without fault costs no allocation.

#[cfg(test)]
mod tests;
mod walk;
mod words;

use crate::error::AwsError;
use crate::limits;
use crate::model::{Operation, Protocol, Ref};
use serde_json::{Map, Value};
use walk::Walker;

/// Holds an operation's input, as [`crate::decode`] gives it, against the model.
///
/// # Errors
/// All violations in one message, up to [`limits::VIOLATIONS`], under the code that the service uses;
/// in `EC2`'s protocol a member that is missing has a code and a message of its own.
pub fn validate(operation: &Operation, input: &Value) -> Result<(), AwsError> {
    let walker = walk(operation, operation.input.as_ref(), input);
    match (walker.missing, operation.protocol()) {
        (Some(path), Protocol::Ec2) => {
            let text = format!("The request must contain the parameter {path}");
            Err(AwsError::new(400, "MissingParameter", text))
        }
        _ if walker.violations.is_empty() => Ok(()),
        _ => Err(operation.invalid(message(&walker.violations))),
    }
}

/// Holds an answer against the model: every member must be known and of its type, what is required
/// must be there, all constraints must hold.
///
/// # Errors
/// The violations, in the same words as those of requests.
pub fn check_output(operation: &Operation, output: &Value) -> Result<(), String> {
    match walk(operation, operation.output.as_ref(), output).violations {
        violations if violations.is_empty() => Ok(()),
        violations => Err(format!("{}: {}", operation.name(), message(&violations))),
    }
}

fn walk<'a>(operation: &'a Operation, at: Option<&'a Ref>, value: &'a Value) -> Walker<'a> {
    let mut walker = Walker::new(&operation.definition);
    match at {
        Some(at) => walker.any(at, value),
        None if value.as_object().is_some_and(Map::is_empty) => {}
        None => walker.found("Value".to_owned(), "No member is known"),
    }
    walker
}

fn message(violations: &[String]) -> String {
    let (count, plural) = (violations.len(), if violations.len() == 1 { "" } else { "s" });
    let count = if count == limits::VIOLATIONS { format!("{count}+") } else { count.to_string() };
    format!("{count} validation error{plural} detected: {}", violations.join("; "))
}
