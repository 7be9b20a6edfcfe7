//! Requests about models, endpoint configurations and endpoints, from their JSON (valid by the
//! service model) to what is kept of them and, by [`deployment`], to what is to be run.

mod deployment;
mod error;
mod members;
mod model;
mod parts;
mod shares;
#[cfg(test)]
mod tests;

pub use deployment::{Deployed, Place, config, deployment};
pub use error::EndpointRequestError;
pub use model::model;
pub use shares::{CreateEndpoint, Rollout, UpdateEndpoint, UpdateShares, create, shares, update};

use super::unique;
use parts::TagPart;
use serde_json::Value;
use std::collections::BTreeMap;

/// A model or an endpoint configuration that is accepted.
#[derive(Debug)]
pub struct AcceptedRecord {
    /// Its name.
    pub name: String,
    /// What is kept, and shown by Describe.
    pub request: Value,
    /// `ExecutionRoleArn`: if it is given, it must be there.
    pub role: Option<String>,
    /// `Tags`.
    pub tags: BTreeMap<String, String>,
}

fn tags(given: Vec<TagPart>) -> Result<BTreeMap<String, String>, EndpointRequestError> {
    Ok(unique("tag", given.into_iter().map(|t| (t.key, t.value)).collect())?)
}
