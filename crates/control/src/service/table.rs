//! From the name of an operation to the function that carries it out.
//!
//! An API file has one table of its operations:
//!
//! ```ignore
//! pub(crate) const OPERATIONS: &[Entry] = &[operation!("GetCallerIdentity", get_caller_identity)];
//!
//! async fn get_caller_identity(
//!     service: &Service,
//!     caller: &Caller,
//!     input: GetCallerIdentity, // deny_unknown_fields
//! ) -> Result<Value, AwsError>
//! ```

use super::{Caller, Service};
use crate::api;
use belljar_aws::{AwsError, Service as Aws};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::pin::Pin;

/// What a handler gives.
pub(crate) type Answer<'a> = Pin<Box<dyn Future<Output = Result<Value, AwsError>> + Send + 'a>>;

/// A handler: the service, who calls, and the input, valid by the model.
pub(crate) type Handler = for<'a> fn(&'a Service, &'a Caller, Value) -> Answer<'a>;

/// One operation.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    /// Its name in the model.
    pub(crate) name: &'static str,
    /// What carries it out.
    pub(crate) handler: Handler,
}

/// An [`Entry`] of an `async fn(&Service, &Caller, INPUT) -> Result<Value, AwsError>`.
macro_rules! operation {
    ($name:literal, $function:path) => {
        $crate::service::table::Entry {
            name: $name,
            handler: |service, caller, input| {
                Box::pin(async move {
                    let input = $crate::service::table::parse($name, input)?;
                    $function(service, caller, input).await
                })
            },
        }
    };
}
pub(crate) use operation;

/// Finds the handler of an operation.
pub(crate) fn find(service: Aws, operation: &str) -> Option<Handler> {
    let table = match service {
        Aws::SageMaker => api::sagemaker::OPERATIONS,
        Aws::SageMakerRuntime => api::runtime::asynchronous::OPERATIONS,
        Aws::Logs => api::logs::OPERATIONS,
        Aws::Sts => api::sts::OPERATIONS,
        Aws::Iam => api::iam::OPERATIONS,
        Aws::Route53 => api::route53::OPERATIONS,
        Aws::Ec2 => api::ec2::OPERATIONS,
        _ => &[],
    };
    table.iter().find(|e| e.name == operation).map(|e| e.handler)
}

/// Reads an input that is valid by the model into what a handler takes. A member that the handler
/// does not know is refused by its name.
pub(crate) fn parse<T: DeserializeOwned>(operation: &str, input: Value) -> Result<T, AwsError> {
    serde_json::from_value(input).map_err(|e| {
        let text = e.to_string();
        let unknown = text.strip_prefix("unknown field `").and_then(|t| t.split('`').next());
        AwsError::validation(match unknown {
            Some(member) => format!("Belljar does not serve {member} of {operation}."),
            None => format!("Belljar does not serve this input of {operation}: {text}"),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "PascalCase")]
    struct Input {
        name: String,
    }

    #[test]
    fn what_a_handler_does_not_know_is_refused_by_name() {
        let good: Input = parse("Op", serde_json::json!({"Name": "x"})).unwrap();
        assert_eq!(good.name, "x");
        let e = parse::<Input>("Op", serde_json::json!({"Name": "x", "Colour": 1})).unwrap_err();
        assert_eq!(e.message, "Belljar does not serve Colour of Op.");
    }
}
