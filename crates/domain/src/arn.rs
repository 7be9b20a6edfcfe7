//! ARNs of what Belljar names.

use crate::JobName;

/// Region of a job that is started without a service (by `belljar train`).
pub const LOCAL_REGION: &str = "us-east-1";
/// Account of a job that is started without a service: AWS's own documentation account.
pub const LOCAL_ACCOUNT: &str = "123456789012";

/// `arn:aws:sagemaker:<region>:<account>:training-job/<name>`, the name lower-cased as the real
/// service prints it.
#[must_use]
pub fn training_job(region: &str, account: &str, name: &JobName) -> String {
    of("training-job", region, account, name.as_str())
}

/// The ARN of a resource of that kind (`model`, `endpoint-config`, `endpoint`), its name
/// lower-cased as the real service prints it.
#[must_use]
pub fn of(kind: &str, region: &str, account: &str, name: &str) -> String {
    format!("arn:aws:sagemaker:{region}:{account}:{kind}/{}", name.to_ascii_lowercase())
}
