//! Why a request of the service's API is refused: in its words, without hints of the command line.

use crate::request::RequestError;
use crate::request::members::NotServed;
use belljar_domain::VpcConfigError;
use belljar_domain::data::{ChannelError, LocalPathError};

/// Why `CreateTrainingJob` is refused.
#[derive(Debug, thiserror::Error)]
pub enum JobRequestError {
    /// A member, or a value of one, is not served.
    #[error("Belljar does not serve {what} of CreateTrainingJob: {why}.")]
    NotServed {
        /// The member, with its value if others are served.
        what: String,
        /// Why, or what is served.
        why: String,
    },
    /// The model does not ask for it, and without it there is no job.
    #[error("{0} is required.")]
    Missing(&'static str),
    /// Either all instances are of one kind, or each group says its own.
    #[error("ResourceConfig.InstanceGroups cannot be given together with {0}.")]
    Groups(&'static str),
    /// Not `s3://bucket/...`: what a client names is read and written for it, so it can only
    /// name what S3 guards.
    #[error("{what}: '{uri}' is not served; give s3://bucket/prefix.")]
    Uri {
        /// The member.
        what: String,
        /// As it was given.
        uri: String,
    },
    /// A transport that reads this machine's files, or no name at all.
    #[error(
        "AlgorithmSpecification.TrainingImage '{0}' is not served: give a name of the image store, or of a registry."
    )]
    Image(String),
    /// There is no such role.
    #[error("The role {0} does not exist.")]
    Role(String),
    /// `VpcConfig` cannot be used, in EC2's words.
    #[error(transparent)]
    Vpc(#[from] VpcConfigError),
    /// What both ways of asking for a job share.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// Members of a channel that do not go together.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// `CheckpointConfig.LocalPath` is no place for checkpoints.
    #[error("CheckpointConfig.LocalPath: {0}")]
    LocalPath(#[from] LocalPathError),
    /// The input is not what the model says.
    #[error("the request is not valid: {0}")]
    Form(#[from] serde_json::Error),
}

impl From<NotServed> for JobRequestError {
    fn from(n: NotServed) -> Self {
        Self::NotServed { what: n.what, why: n.why }
    }
}
