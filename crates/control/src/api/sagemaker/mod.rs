//! SageMaker: training jobs and their tags.

mod create;
mod describe;
mod jobs;
mod list;
mod tags;
mod time;
mod update;

use super::failed;
use crate::service::table::{Entry, operation};
use belljar_aws::AwsError;
use belljar_store::jobs::{JobError, TagError};

/// What is served.
pub(crate) const OPERATIONS: &[Entry] = &[
    operation!("CreateTrainingJob", create::create),
    operation!("DescribeTrainingJob", describe::describe),
    operation!("ListTrainingJobs", jobs::list),
    operation!("StopTrainingJob", jobs::stop),
    operation!("DeleteTrainingJob", jobs::delete),
    operation!("UpdateTrainingJob", update::update),
    operation!("AddTags", tags::add),
    operation!("ListTags", tags::list),
    operation!("DeleteTags", tags::delete),
];

/// In SageMaker's words.
fn refusal(e: &JobError) -> AwsError {
    match e {
        JobError::NameUsed(_) => AwsError::new(400, "ResourceInUse", e.to_string()),
        JobError::NotFound => AwsError::validation(e.to_string()),
        JobError::InUse { arn, status } => AwsError::new(
            400,
            "ResourceInUse",
            format!(
                "The training job {arn} is in status {status}; it can be deleted when it is in a terminal state."
            ),
        ),
        JobError::Finished(status) => AwsError::validation(format!(
            "The request was rejected because the training job is in status {status}."
        )),
        JobError::Tags(e) => tag_refusal(e),
        JobError::Store(e) => failed(e),
    }
}

fn tag_refusal(e: &TagError) -> AwsError {
    match e {
        TagError::TooMany(_) | TagError::Reserved(_) => AwsError::validation(e.to_string()),
        TagError::Store(e) => failed(e),
    }
}
