//! `CreateTrainingJob`: writes down what is wanted; the reconciler does it.

use super::kind::check_isolation;
use super::{failed, refusal};
use crate::reconcile::vpc;
use crate::request::job::{AcceptedJob, JobRequestError, Place, training_job};
use crate::service::{Caller, Capacity, Service};
use belljar_aws::AwsError;
use belljar_domain::failure::Blame;
use belljar_domain::training_job::Progress;
use belljar_domain::{Timestamp, TrainingJob};
use belljar_store::identity;
use belljar_store::jobs::{self, JobError};
use serde_json::{Value, json};

pub(super) async fn create(
    service: &Service,
    caller: &Caller,
    input: Value,
) -> Result<Value, AwsError> {
    let config = &service.config;
    let place = Place {
        region: &config.region,
        account: &config.account,
        machine: config.machine,
        nodes: !service.nodes.alive().is_empty(),
        mirrors: &config.mirrors,
        best_effort_limits: config.capacity == Capacity::Clamp,
    };
    let job = training_job(input, &place).map_err(|e| AwsError::validation(e.to_string()))?;
    let exists = service.db().read(|c| identity::role_exists(c, &job.role));
    if !exists.map_err(|e| failed(&e))? {
        return Err(AwsError::validation(JobRequestError::Role(job.role).to_string()));
    }
    if job.assignment.role.is_some() {
        check_isolation(service, caller, "CreateTrainingJob")?;
    }
    let AcceptedJob { assignment, definition, role, tags, too_large } = job;
    let now = service.now();
    let mut progress = progress(&too_large, config.capacity, now);
    if let Some(placement) = &definition.vpc {
        if config.outside_s3.is_some() {
            return Err(AwsError::validation(vpc::NO_OUTSIDE_S3));
        }
        let blocked = vpc::examine(service, &assignment, &role, placement);
        let blocked = blocked.map_err(|e| AwsError::validation(e.to_string()))?;
        // It might have to wait for its turn before it was told that it can never start.
        blocked.into_iter().for_each(|reason| {
            progress.fail(reason, now);
        });
    }
    let record = TrainingJob {
        name: assignment.job.clone(),
        arn: assignment.job_arn.clone(),
        created: now,
        modified: now,
        definition,
        progress,
    };
    let arn = record.arn.clone();
    service
        .db()
        .write(move |c| jobs::create(c, &record, &assignment, &tags))
        .await
        .map_err(|e: JobError| refusal(&e))?;
    service.wanted.notify_one();
    Ok(json!({"TrainingJobArn": arn}))
}

/// A new job's: one that would not fit ends at once where that was asked for.
fn progress(too_large: &[String], capacity: Capacity, now: Timestamp) -> Progress {
    let mut progress = Progress::accepted(now);
    for words in too_large {
        progress.warn(words);
        progress.transitions.annotate(&format!("{words}."));
    }
    if capacity == Capacity::Strict && !too_large.is_empty() {
        progress.fail(Blame::Capacity.reason(&too_large.join("; ")), now);
    }
    progress
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_does_not_fit_ends_at_once_if_asked_to() {
        let now = Timestamp::from_millis(5);
        let words = ["it is too large".to_owned()];
        assert!(!progress(&words, Capacity::Clamp, now).is_finished());
        assert!(!progress(&[], Capacity::Strict, now).is_finished());
        let failed = progress(&words, Capacity::Strict, now);
        assert_eq!(failed.failure_reason.as_deref(), Some("CapacityError: it is too large"));
    }
}
