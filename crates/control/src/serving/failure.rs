//! Why a request was not answered.

use bytes::Bytes;

/// Why a request was not answered.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Failure {
    /// No endpoint of this name.
    #[error("there is no such endpoint")]
    NoEndpoint,
    /// It has not come into service, or has left it.
    #[error("the endpoint is not in service")]
    NotInService,
    /// The request does not fit the endpoint: a sentence.
    #[error("{0}")]
    Refused(String),
    /// No instance can be reached. The request was not sent.
    #[error("no instance can be reached")]
    Unavailable,
    /// Answers that are being passed on take all the room there is.
    #[error("there is no room for the answer")]
    NoRoom,
    /// The model is still being loaded.
    #[error("the model {0} is still being loaded")]
    NotReady(String),
    /// The model cannot be brought.
    #[error("the model {key} cannot be brought: {why}")]
    NoModel {
        /// Its key.
        key: String,
        /// A sentence.
        why: String,
    },
    /// A container failed.
    #[error("the container {container} failed: {fault}")]
    Container {
        /// Its name.
        container: String,
        /// How.
        fault: Fault,
    },
}

/// How a container failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Fault {
    /// It says so.
    #[error("it answers {status}")]
    Answered {
        /// Its status, which is not one of success.
        status: u16,
        /// The beginning of what else it says.
        message: Bytes,
    },
    /// It did not answer in time.
    #[error("it did not answer in time")]
    TimedOut,
    /// It broke the connection before the answer's end.
    #[error("it broke the connection")]
    Exited,
    /// What it answers is not HTTP.
    #[error("it does not speak HTTP")]
    Garbage,
    /// Its answer is longer than any may be.
    #[error("its answer is too long")]
    TooLong,
}
