//! `ListTrainingJobs`, `StopTrainingJob`, `DeleteTrainingJob`.

use super::list::{List, Listed};
use super::refusal;
use super::time::seconds;
use crate::reconcile::folder;
use crate::service::{Caller, Service};
use belljar_aws::AwsError;
use belljar_store::jobs::{self, Summary};
use belljar_store::list::Order;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Name {
    pub(super) training_job_name: String,
}

const LISTED: Listed<Summary> = Listed {
    member: "TrainingJobSummaries",
    order: Order::Ascending,
    after_is_from: false,
    statuses: &["Completed", "Failed", "InProgress", "Stopped", "Stopping"],
    page: jobs::list,
    summary,
};

pub(super) async fn list(service: &Service, _: &Caller, input: List) -> Result<Value, AwsError> {
    LISTED.answer(service, input)
}

fn summary(job: &Summary) -> Value {
    let mut entry = json!({
        "TrainingJobName": job.name,
        "TrainingJobArn": job.arn,
        "CreationTime": seconds(job.created),
        "LastModifiedTime": seconds(job.modified),
        "TrainingJobStatus": job.progress.status().as_str(),
        "SecondaryStatus": job.progress.secondary().as_str(),
    });
    if let Some(end) = job.progress.training_end() {
        entry["TrainingEndTime"] = json!(seconds(end));
    }
    entry
}

pub(super) async fn stop(service: &Service, _: &Caller, input: Name) -> Result<Value, AwsError> {
    let now = service.now();
    let stop = service.db().write(move |c| jobs::request_stop(c, &input.training_job_name, now));
    stop.await.map_err(|e| refusal(&e))?;
    service.wanted.notify_one();
    Ok(json!({}))
}

pub(super) async fn delete(service: &Service, _: &Caller, input: Name) -> Result<Value, AwsError> {
    let name = input.training_job_name;
    let job = service.db().read(|c| jobs::removable(c, &name)).map_err(|e| refusal(&e))?;
    // The folder first: a job of this name can only be made again when it is gone.
    let folders = folder::all(&service.config.state, &job.name, job.progress.generation);
    let remove = move || {
        folders.iter().try_for_each(|folder| match std::fs::remove_dir_all(folder) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        })
    };
    if let Ok(Err(e)) = tokio::task::spawn_blocking(remove).await {
        tracing::error!(error = %e, job = name, "a job's folder cannot be removed");
        return Err(AwsError::internal());
    }
    service.db().write(move |c| jobs::delete(c, &name)).await.map_err(|e| refusal(&e))?;
    Ok(json!({}))
}
