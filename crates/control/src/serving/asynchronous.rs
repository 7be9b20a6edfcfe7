//! `InvokeEndpointAsync`.

use crate::service::table::{Entry, operation};
use crate::service::{Caller, Service};
use belljar_aws::{AwsError, Service as Aws};
use serde_json::Value;

/// The operations.
pub(crate) const OPERATIONS: &[Entry] = &[operation!("InvokeEndpointAsync", invoke)];

async fn invoke(_: &Service, _: &Caller, _: Value) -> Result<Value, AwsError> {
    let text = "Belljar does not serve InvokeEndpointAsync.";
    Err(Aws::SageMakerRuntime.error("ValidationError", text))
}
