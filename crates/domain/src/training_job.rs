//! A training job as the service keeps it: what was asked for, and how far it is.
//! Names of members are those of `DescribeTrainingJob`.

use crate::metrics::{MetricDatum, keep_last};
use crate::status::Transitions;
use crate::{
    Event, JobName, Outcome, Report, SecondaryStatus, Timestamp, TrainingJobStatus, VpcPlacement,
};
use serde::{Deserialize, Serialize};

/// A record.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingJob {
    /// `TrainingJobName`, as it was given.
    pub name: JobName,
    /// `TrainingJobArn`.
    pub arn: String,
    /// `CreationTime`.
    pub created: Timestamp,
    /// `LastModifiedTime`.
    pub modified: Timestamp,
    /// What was asked for; never changes.
    pub definition: Definition,
    /// How far it is.
    pub progress: Progress,
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Definition {
    /// `CreateTrainingJob` as it was accepted, without its tags: what Describe shows again.
    pub request: serde_json::Value,
    /// `RetryStrategy.MaximumRetryAttempts`; 0 if not given.
    pub retries: u32,
    /// `StoppingCondition.MaxPendingTimeInSeconds`.
    pub max_pending_seconds: Option<u64>,
    /// Where its instances are in a VPC, if they are in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vpc: Option<VpcPlacement>,
}

/// How far a job is. The engine writes it, Describe shows it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Progress {
    /// `SecondaryStatusTransitions`.
    pub transitions: Transitions,
    /// When `StopTrainingJob` was first asked for.
    pub stop_requested: Option<Timestamp>,
    /// Attempts begun; 0 before the first. The generation of the running one.
    pub generation: u64,
    /// `FinalMetricDataList`.
    pub metrics: Vec<MetricDatum>,
    /// `FailureReason`.
    pub failure_reason: Option<String>,
    /// `ModelArtifacts.S3ModelArtifacts`, once uploaded.
    pub artifacts: Option<String>,
    /// What a person should know, a sentence each.
    pub warnings: Vec<String>,
}

/// Warnings that are kept with a job.
pub const MAX_WARNINGS: usize = 100;

impl Progress {
    /// A job that was just accepted.
    #[must_use]
    pub fn accepted(now: Timestamp) -> Self {
        let mut progress = Self::default();
        progress.transitions.enter(SecondaryStatus::Starting, now);
        progress
    }

    /// `SecondaryStatus`.
    #[must_use]
    pub fn secondary(&self) -> SecondaryStatus {
        self.transitions.current().unwrap_or(SecondaryStatus::Starting)
    }

    /// `TrainingJobStatus`: `Stopping` from the request to stop to the end.
    #[must_use]
    pub fn status(&self) -> TrainingJobStatus {
        let secondary = self.secondary();
        match self.stop_requested {
            Some(_) if !secondary.is_terminal() => TrainingJobStatus::Stopping,
            _ => secondary.primary(),
        }
    }

    /// Whether nothing follows.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.secondary().is_terminal()
    }

    /// Notes a request to stop; the first one counts. Answers whether the job can still be
    /// stopped.
    pub fn request_stop(&mut self, now: Timestamp) -> bool {
        if self.is_finished() {
            return false;
        }
        if self.stop_requested.is_none() {
            self.stop_requested = Some(now);
            self.transitions.enter(SecondaryStatus::Stopping, now);
        }
        true
    }

    /// Takes in one of the warden's events; answers whether anything changed. Log lines, stages
    /// and attempts are not kept here, and a report is: see [`Progress::finish`].
    pub fn apply(&mut self, event: &Event) -> bool {
        match event {
            // The end is told by the report alone: a warden may be tried again.
            Event::Status { status, at, .. } if !status.is_terminal() => {
                self.transitions.enter(*status, *at)
            }
            Event::Metric(datum) => {
                keep_last(&mut self.metrics, datum.clone());
                true
            }
            Event::Warning { message } => self.warn(message),
            Event::Instance { host, told } => match told.as_ref() {
                Event::Warning { message } => self.warn(&format!("{host}: {message}")),
                _ => false,
            },
            _ => false,
        }
    }

    /// Keeps a warning, once; answers whether it is new.
    pub fn warn(&mut self, message: &str) -> bool {
        if self.warnings.len() >= MAX_WARNINGS || self.warnings.iter().any(|w| w == message) {
            return false;
        }
        self.warnings.push(message.to_owned());
        true
    }

    /// Takes in the last report. `artifacts` is where `/opt/ml/model` went, if it was uploaded.
    /// Answers `false`, and changes nothing, if the job has ended already.
    pub fn finish(&mut self, report: &Report, artifacts: Option<String>, now: Timestamp) -> bool {
        if self.is_finished() {
            return false;
        }
        for datum in &report.metrics {
            keep_last(&mut self.metrics, datum.clone());
        }
        for warning in &report.warnings {
            self.warn(warning);
        }
        if let Outcome::Failed { reason, .. } = &report.outcome {
            self.failure_reason = Some(reason.clone());
        }
        self.artifacts = artifacts;
        self.transitions.enter(report.outcome.status(), now)
    }

    /// Ends a job that no warden reports for.
    pub fn fail(&mut self, reason: String, now: Timestamp) -> bool {
        let entered = self.transitions.enter(SecondaryStatus::Failed, now);
        if entered {
            self.failure_reason = Some(reason);
        }
        entered
    }

    /// `TrainingStartTime`: when the first instance was in use (service model: what is billed
    /// begins here, before the data are there).
    #[must_use]
    pub fn training_start(&self) -> Option<Timestamp> {
        let used = |s| matches!(s, SecondaryStatus::Downloading | SecondaryStatus::Training);
        self.transitions.as_slice().iter().find(|t| used(t.status)).map(|t| t.start)
    }

    /// `TrainingEndTime`: when the job ended, artifacts uploaded.
    #[must_use]
    pub fn training_end(&self) -> Option<Timestamp> {
        let last = self.transitions.as_slice().last()?;
        last.status.is_terminal().then_some(last.start)
    }

    /// `TrainingTimeInSeconds` and `BillableTimeInSeconds`, begun seconds counted; `None` until
    /// the job ends, or if it never began to train.
    #[must_use]
    pub fn training_seconds(&self) -> Option<u64> {
        let (start, end) = (self.training_start()?, self.training_end()?);
        Some(end.since(start).div_ceil(1000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    fn status(status: SecondaryStatus, ms: i64) -> Event {
        Event::Status { status, message: String::new(), at: at(ms) }
    }

    #[test]
    fn times_are_those_of_the_instance() {
        let mut p = Progress::accepted(at(0));
        assert_eq!((p.training_start(), p.training_end()), (None, None));
        assert!(p.apply(&status(SecondaryStatus::Downloading, 1000)));
        assert!(p.apply(&status(SecondaryStatus::Training, 1500)));
        assert!(!p.apply(&status(SecondaryStatus::Failed, 1600)), "only a report ends a job");
        assert_eq!(p.training_seconds(), None);
        assert!(p.fail("InternalServerError: gone".into(), at(3001)));
        assert_eq!(p.training_start(), Some(at(1000)));
        assert_eq!(p.training_end(), Some(at(3001)));
        assert_eq!(p.training_seconds(), Some(3));
        assert!(!p.fail("again".into(), at(4000)));
        assert_eq!(p.failure_reason.as_deref(), Some("InternalServerError: gone"));
    }

    #[test]
    fn a_job_is_stopping_until_it_ends() {
        let mut p = Progress::accepted(at(0));
        p.apply(&status(SecondaryStatus::Training, 1));
        assert!(p.request_stop(at(5)));
        assert!(p.request_stop(at(9)));
        assert_eq!(p.stop_requested, Some(at(5)));
        assert_eq!(p.secondary(), SecondaryStatus::Stopping);
        p.apply(&status(SecondaryStatus::Uploading, 10));
        assert_eq!(p.secondary(), SecondaryStatus::Uploading);
        assert_eq!(p.status(), TrainingJobStatus::Stopping);
        p.fail("x".into(), at(11));
        assert_eq!(p.status(), TrainingJobStatus::Failed);
        assert!(!p.request_stop(at(12)));
    }

    #[test]
    fn warnings_are_bounded_and_said_once() {
        let mut p = Progress::default();
        for i in 0..2 * MAX_WARNINGS {
            p.warn(&format!("w{}", i / 2));
        }
        assert_eq!(p.warnings.len(), MAX_WARNINGS);
        assert!(!p.warn("w0"));
    }
}
