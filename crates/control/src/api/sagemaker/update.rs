//! `UpdateTrainingJob`: everything it can change of a job is not served, so it changes nothing.

use super::{failed, refusal};
use crate::service::{Caller, Service};
use belljar_aws::AwsError;
use belljar_store::jobs::{self, JobError};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Update {
    training_job_name: String,
    /// Without effect, as in CreateTrainingJob.
    #[serde(rename = "ProfilerConfig")]
    _profiler_config: Option<Value>,
    #[serde(default)]
    profiler_rule_configurations: Vec<Value>,
    resource_config: Option<Value>,
    remote_debug_config: Option<Value>,
}

pub(super) async fn update(
    service: &Service,
    _: &Caller,
    input: Update,
) -> Result<Value, AwsError> {
    for (member, given) in [
        ("ProfilerRuleConfigurations", !input.profiler_rule_configurations.is_empty()),
        ("ResourceConfig", input.resource_config.is_some()),
        ("RemoteDebugConfig", input.remote_debug_config.is_some()),
    ] {
        if given {
            let text = format!("Belljar does not serve {member} of UpdateTrainingJob.");
            return Err(AwsError::validation(text));
        }
    }
    let found = service.db().read(|c| jobs::get(c, &input.training_job_name));
    let job = found.map_err(|e| failed(&e))?.ok_or_else(|| refusal(&JobError::NotFound))?;
    if job.progress.is_finished() {
        return Err(refusal(&JobError::Finished(job.progress.status().as_str())));
    }
    Ok(json!({"TrainingJobArn": job.arn}))
}
