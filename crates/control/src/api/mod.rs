//! The operations, one folder or file for each of AWS's services. A handler takes an input that is
//! valid by the model and says in AWS's words what is wrong beyond that; what is wanted is written
//! to the state, and the reconciler does the rest.

pub(crate) mod ec2;
pub(crate) mod iam;
pub(crate) mod logs;
pub(crate) mod route53;
pub(crate) mod runtime;
pub mod s3;
pub(crate) mod sagemaker;
pub(crate) mod sts;
#[cfg(test)]
pub(crate) mod testing;

use belljar_aws::AwsError;
use belljar_store::StoreError;

/// A failing state is the service's fault, and its details are for the service's own log.
pub(crate) fn failed(e: &StoreError) -> AwsError {
    let mut words = e.to_string();
    let mut cause = std::error::Error::source(e);
    while let Some(e) = cause {
        words = format!("{words}: {e}");
        cause = e.source();
    }
    tracing::error!(error = words, "the state failed");
    AwsError::internal()
}
