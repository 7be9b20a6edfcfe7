//! `CloudWatch` Logs.

mod events;
mod filter;
mod groups;
mod json_pattern;
mod pattern;
mod streams;
mod token;

use crate::service::Caller;
use crate::service::table::{Entry, operation};
use belljar_aws::AwsError;
use belljar_store::logs::LogError;
use serde_json::{Map, Value};

/// What is served.
pub(crate) const OPERATIONS: &[Entry] = &[
    operation!("CreateLogGroup", groups::create),
    operation!("CreateLogStream", streams::create),
    operation!("DeleteLogGroup", groups::delete),
    operation!("DeleteLogStream", streams::delete),
    operation!("DeleteRetentionPolicy", groups::delete_retention),
    operation!("DescribeLogGroups", groups::describe),
    operation!("DescribeLogStreams", streams::describe),
    operation!("FilterLogEvents", filter::filter),
    operation!("GetLogEvents", events::get),
    operation!("ListTagsForResource", groups::list_tags),
    operation!("PutLogEvents", events::put),
    operation!("PutRetentionPolicy", groups::put_retention),
    operation!("TagResource", groups::tag),
    operation!("UntagResource", groups::untag),
];

/// The error of a request that is valid by the model and wrong beyond it.
fn invalid(message: impl Into<String>) -> AwsError {
    AwsError::new(400, "InvalidParameterException", message)
}

/// What the state says, in the service's words.
fn refusal(e: LogError) -> AwsError {
    let (code, message) = match e {
        LogError::NoGroup => {
            ("ResourceNotFoundException", "The specified log group does not exist.")
        }
        LogError::NoStream => {
            ("ResourceNotFoundException", "The specified log stream does not exist.")
        }
        LogError::GroupExists => {
            ("ResourceAlreadyExistsException", "The specified log group already exists")
        }
        LogError::StreamExists => {
            ("ResourceAlreadyExistsException", "The specified log stream already exists")
        }
        LogError::Store(e) => return super::failed(&e),
    };
    AwsError::new(400, code, message)
}

/// The ARN of a group, without the `:*` that stands for its streams.
fn group_arn(caller: &Caller, name: &str) -> String {
    format!("arn:aws:logs:{}:{}:log-group:{name}", caller.region, caller.account)
}

/// A group's name, from its ARN (with `:*` or without). One of another account or region is not
/// here.
fn group_of_arn(caller: &Caller, arn: &str) -> Result<String, AwsError> {
    let here = group_arn(caller, "");
    let name = arn.strip_prefix(&here).ok_or_else(|| refusal(LogError::NoGroup))?;
    Ok(name.strip_suffix(":*").unwrap_or(name).to_owned())
}

/// A group that is named in one of two ways.
fn named(
    caller: &Caller,
    name: Option<String>,
    identifier: Option<String>,
) -> Result<String, AwsError> {
    match (name, identifier) {
        (Some(name), None) => Ok(name),
        (None, Some(id)) if id.starts_with("arn:") => group_of_arn(caller, &id),
        (None, Some(name)) => Ok(name),
        (Some(_), Some(_)) => {
            Err(invalid("LogGroup name and LogGroup identifier are mutually exclusive parameters."))
        }
        (None, None) => Err(invalid("Either logGroupName or logGroupIdentifier must be given.")),
    }
}

/// An answer without the members that have no value.
fn without_nulls(answer: Value) -> Value {
    match answer {
        Value::Object(members) => {
            Value::Object(members.into_iter().filter(|(_, v)| !v.is_null()).collect::<Map<_, _>>())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests;
