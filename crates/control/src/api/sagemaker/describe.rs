//! `DescribeTrainingJob`: what was asked for, and how far it is.

use super::jobs::Name;
use super::time::seconds;
use super::{failed, refusal};
use crate::service::{Caller, Service};
use belljar_aws::AwsError;
use belljar_domain::metrics::MetricDatum;
use belljar_domain::{TrainingJob, Transition};
use belljar_store::jobs::{self, JobError};
use serde_json::{Map, Value, json};

pub(super) async fn describe(
    service: &Service,
    _: &Caller,
    input: Name,
) -> Result<Value, AwsError> {
    let found = service.db().read(|c| jobs::get(c, &input.training_job_name));
    match found.map_err(|e| failed(&e))? {
        Some(job) => Ok(description(job)),
        None => Err(refusal(&JobError::NotFound)),
    }
}

fn description(job: TrainingJob) -> Value {
    let progress = &job.progress;
    let mut all = match job.definition.request {
        Value::Object(request) => request,
        _ => Map::new(),
    };
    let mut set = |name: &str, value: Value| all.insert(name.to_owned(), value);
    set("TrainingJobName", json!(job.name));
    set("TrainingJobArn", json!(job.arn));
    set("TrainingJobStatus", json!(progress.status().as_str()));
    set("SecondaryStatus", json!(progress.secondary().as_str()));
    set("CreationTime", json!(seconds(job.created)));
    set("LastModifiedTime", json!(seconds(job.modified)));
    // Nothing is profiled: see SEMANTICS.md.
    set("ProfilingStatus", json!("Disabled"));
    let transitions = progress.transitions.as_slice();
    set("SecondaryStatusTransitions", transitions.iter().map(transition).collect());
    if !progress.metrics.is_empty() {
        set("FinalMetricDataList", progress.metrics.iter().map(metric).collect());
    }
    if let Some(start) = progress.training_start() {
        set("TrainingStartTime", json!(seconds(start)));
        if let Some(end) = progress.training_end() {
            set("TrainingEndTime", json!(seconds(end)));
        }
    }
    if let Some(billed) = progress.training_seconds() {
        set("TrainingTimeInSeconds", json!(billed.max(1)));
        set("BillableTimeInSeconds", json!(billed.max(1)));
    }
    if let Some(reason) = &progress.failure_reason {
        set("FailureReason", json!(reason));
    }
    if let Some(artifacts) = &progress.artifacts {
        set("ModelArtifacts", json!({"S3ModelArtifacts": artifacts}));
    }
    Value::Object(all)
}

fn transition(t: &Transition) -> Value {
    let mut entry = json!({
        "Status": t.status.as_str(),
        "StartTime": seconds(t.start),
        "StatusMessage": t.message,
    });
    if let Some(end) = t.end {
        entry["EndTime"] = json!(seconds(end));
    }
    entry
}

fn metric(datum: &MetricDatum) -> Value {
    json!({"MetricName": datum.name, "Value": datum.value, "Timestamp": seconds(datum.at)})
}
