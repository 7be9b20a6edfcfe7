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
use crate::model::{Operation, Ref};
use serde_json::{Map, Value};
use walk::Walker;

/// Holds an operation's input, as [`crate::decode`] gives it, against the model.
///
/// # Errors
/// All violations in one message, up to [`limits::VIOLATIONS`], under the code that the service uses.
pub fn validate(operation: &Operation, input: &Value) -> Result<(), AwsError> {
    match violations(operation, operation.input.as_ref(), input) {
        violations if violations.is_empty() => Ok(()),
        violations => Err(operation.invalid(message(&violations))),
    }
}

/// Holds an answer against the model: every member must be known and of its type, what is required
/// must be there, all constraints must hold.
///
/// # Errors
/// The violations, in the same words as those of requests.
pub fn check_output(operation: &Operation, output: &Value) -> Result<(), String> {
    match violations(operation, operation.output.as_ref(), output) {
        violations if violations.is_empty() => Ok(()),
        violations => Err(format!("{}: {}", operation.name(), message(&violations))),
    }
}

fn violations(operation: &Operation, at: Option<&Ref>, value: &Value) -> Vec<String> {
    let mut walker = Walker::new(&operation.definition);
    match at {
        Some(at) => walker.any(at, value),
        None if value.as_object().is_some_and(Map::is_empty) => {}
        None => walker.found("Value".to_owned(), "No member is known"),
    }
    walker.violations
}

fn message(violations: &[String]) -> String {
    let (count, plural) = (violations.len(), if violations.len() == 1 { "" } else { "s" });
    let count = if count == limits::VIOLATIONS { format!("{count}+") } else { count.to_string() };
    format!("{count} validation error{plural} detected: {}", violations.join("; "))
}
