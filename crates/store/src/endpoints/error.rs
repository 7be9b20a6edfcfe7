//! Why a record cannot be made, changed or removed.

use crate::StoreError;
use crate::jobs::TagError;

/// Why a model, an endpoint configuration or an endpoint cannot be made, changed or removed.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// There is one of that name, or of one that differs in case only: its ARN.
    #[error("there is {0} already")]
    Used(String),
    /// There is none of that name.
    #[error("there is none of that name")]
    NotFound,
    /// Its tags are not valid.
    #[error(transparent)]
    Tags(#[from] TagError),
    /// The state failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for RecordError {
    fn from(e: rusqlite::Error) -> Self {
        Self::Store(e.into())
    }
}

impl From<serde_json::Error> for RecordError {
    fn from(e: serde_json::Error) -> Self {
        Self::Store(e.into())
    }
}
