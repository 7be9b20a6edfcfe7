//! What all operations of EC2 have in common before their own work begins.

use belljar_aws::AwsError;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::network::error::refused;

/// An operation of EC2: `DryRun` is answered here, after the input was read.
macro_rules! ec2 {
    ($name:literal, $function:path) => {
        $crate::service::table::Entry {
            name: $name,
            handler: |service, caller, input| {
                Box::pin(async move {
                    let input = $crate::api::ec2::request::read($name, input)?;
                    $function(service, caller, input).await
                })
            },
        }
    };
}
pub(crate) use ec2;

/// Reads an input. Of one with `DryRun` this is all that becomes of it.
///
/// # Errors
/// If the handler does not know a member, or nothing is to be done.
pub(crate) fn read<T: DeserializeOwned>(name: &str, mut input: Value) -> Result<T, AwsError> {
    let dry = input.as_object_mut().and_then(|members| members.remove("DryRun"));
    let input = serde_json::from_value(input).map_err(|e| not_served(name, &e))?;
    if dry == Some(Value::Bool(true)) {
        let text = "Request would have succeeded, but DryRun flag is set.";
        return Err(AwsError::new(412, "DryRunOperation", text));
    }
    Ok(input)
}

fn not_served(name: &str, e: &serde_json::Error) -> AwsError {
    let text = e.to_string();
    if let Some(missing) = text.strip_prefix("missing field `").and_then(|t| t.split('`').next()) {
        return missing_parameter(missing);
    }
    let unknown = text.strip_prefix("unknown field `").and_then(|t| t.split('`').next());
    refused(
        "UnsupportedOperation",
        match unknown {
            Some(member) => format!("Belljar does not serve {member} of {name}."),
            None => format!("Belljar does not serve this input of {name}: {text}"),
        },
    )
}

/// A parameter that the operation needs is not there.
pub(crate) fn missing_parameter(name: &str) -> AwsError {
    refused("MissingParameter", format!("The request must contain the parameter {name}"))
}
