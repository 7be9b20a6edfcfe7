//! SageMaker: training jobs, models, endpoints and the tags of all of them.

mod configs;
mod create;
mod describe;
mod endpoints;
mod jobs;
mod kind;
mod list;
mod models;
mod records;
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
    operation!("CreateModel", models::create),
    operation!("DescribeModel", models::describe),
    operation!("ListModels", models::list),
    operation!("DeleteModel", models::delete),
    operation!("CreateEndpointConfig", configs::create),
    operation!("DescribeEndpointConfig", configs::describe),
    operation!("ListEndpointConfigs", configs::list),
    operation!("DeleteEndpointConfig", configs::delete),
    operation!("CreateEndpoint", endpoints::create),
    operation!("DescribeEndpoint", endpoints::describe),
    operation!("ListEndpoints", endpoints::list),
    operation!("UpdateEndpoint", endpoints::update),
    operation!("UpdateEndpointWeightsAndCapacities", endpoints::update_shares),
    operation!("DeleteEndpoint", endpoints::delete),
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
