//! Files of a container, put one by one where they are kept: checkpoints while it runs, and
//! artifacts that are not compressed.

mod reading;
mod remote;
mod scan;
mod sync;

pub(super) use remote::Remote;
pub(super) use scan::{Stamp, scan};
pub use sync::{Checkpointed, Keeper, Keeping};

use super::error::FileError;
use super::location::LocationError;
use super::s3::S3Error;
use crate::failure::Explain;
use belljar_domain::failure::Blame;
use std::path::Path;

/// Why a file could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// The place is none.
    #[error(transparent)]
    Location(#[from] LocationError),
    /// Too much.
    #[error("there are more than {0} {1}")]
    Limit(u64, &'static str),
    /// The container put something else in the folder's place.
    #[error("'{0}' is no folder any more")]
    NoFolder(String),
    /// An operation on a file.
    #[error(transparent)]
    File(#[from] FileError),
    /// An operation on S3.
    #[error(transparent)]
    S3(#[from] S3Error),
    /// The journal of uploads cannot be written.
    #[error("the journal of uploads cannot be written: {0}")]
    Journal(String),
    /// The file is not there any more.
    #[error("it is gone")]
    Gone,
    /// A thread of Belljar's own panicked, or could not be started.
    #[error("keeping broke off")]
    Broken,
}

/// A file to be put.
pub(super) struct Kept<'a> {
    /// The folder of the container, which it cannot rename.
    pub(super) root: &'a Path,
    /// Below it.
    pub(super) folder: &'a Path,
    /// Below that.
    pub(super) name: &'a str,
    pub(super) stamp: Stamp,
    /// Whether to put it though it changes: what is put is then as it began when it was opened.
    pub(super) changing: bool,
    /// Where a multipart upload is noted.
    pub(super) note: &'a Path,
}

/// Size and digest of what was put.
pub(super) type Put = (u64, String);

impl KeepError {
    pub(super) fn full(&self) -> bool {
        matches!(self, Self::File(e) if e.full())
    }
}

impl Explain for KeepError {
    fn blame(&self) -> Blame {
        match self {
            Self::Broken | Self::Journal(_) | Self::Gone => Blame::Internal,
            Self::Limit(..) | Self::NoFolder(_) => Blame::Algorithm,
            _ if self.full() => Blame::Capacity,
            _ => Blame::Client,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Location(e) => Some(e.hint()),
            Self::File(e) => e.hint(),
            Self::S3(e) => e.hint(),
            Self::Limit(..) => {
                Some("Write fewer and smaller files, or pack them in the container.".to_owned())
            }
            Self::NoFolder(_) | Self::Journal(_) | Self::Gone | Self::Broken => None,
        }
    }

    fn machine(&self) -> bool {
        self.full()
    }
}
