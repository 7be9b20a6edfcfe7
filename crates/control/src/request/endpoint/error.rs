//! Why a request about models and endpoints is refused, in the words of the API.

use crate::request::RequestError;
use crate::request::members::NotServed;
use belljar_domain::VpcConfigError;

/// Why it is refused.
#[derive(Debug, thiserror::Error)]
pub enum EndpointRequestError {
    /// A member, or a value of one, is not served.
    #[error("Belljar does not serve {what} of {operation}: {why}.")]
    NotServed {
        /// The operation.
        operation: &'static str,
        /// The member, with its value if others are served.
        what: String,
        /// Why, or what is served.
        why: String,
    },
    /// The model does not ask for it, and without it nothing can be served.
    #[error("{0} is required.")]
    Missing(&'static str),
    /// One or the other.
    #[error("{0} cannot be given together with {1}.")]
    Together(&'static str, &'static str),
    /// Not `s3://bucket/...`, or of another form than is needed.
    #[error("{what}: '{uri}' is not served; give {form}.")]
    Uri {
        /// The member.
        what: &'static str,
        /// As it was given.
        uri: String,
        /// What it must look like.
        form: &'static str,
    },
    /// A transport that reads this machine's files, or no name at all.
    #[error("Image '{0}' is not served: give a name of the image store, or of a registry.")]
    Image(String),
    /// No program can be given it.
    #[error("The environment variable '{0}' contains a NUL byte.")]
    Nul(String),
    /// The same name twice.
    #[error("{what} '{name}' is given twice.")]
    Twice {
        /// The member.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// What does not go together, or is too much or too little: a sentence.
    #[error("{0}")]
    Rule(&'static str),
    /// A variant that there is not.
    #[error("The endpoint has no variant '{0}'.")]
    NoVariant(String),
    /// There is no such role.
    #[error("The role {0} does not exist.")]
    Role(String),
    /// A variant's model is gone, or never was: its ARN.
    #[error("Could not find model \"{0}\".")]
    NoModel(String),
    /// `VpcConfig` cannot be used, in EC2's words.
    #[error(transparent)]
    Vpc(#[from] VpcConfigError),
    /// What other requests share.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The input is not what the model says.
    #[error("the request is not valid: {0}")]
    Form(#[from] serde_json::Error),
}

impl EndpointRequestError {
    pub(super) fn not_served(operation: &'static str, n: NotServed) -> Self {
        Self::NotServed { operation, what: n.what, why: n.why }
    }
}
