//! What can go wrong with an image, whose fault it is and what to do about it.

use super::unpack::UnpackError;
use crate::failure::Explain;
use belljar_domain::failure::Blame;
use std::io;
use std::path::PathBuf;

/// A failure of the image store or of a transport.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// A reference cannot be read.
    #[error("invalid image reference {text:?}: {reason}")]
    Reference {
        /// What was given, cut to a readable length.
        text: String,
        /// What is wrong with it.
        reason: String,
        /// What was probably meant.
        hint: Option<String>,
    },
    /// The store's folders cannot be opened, locked or swept.
    #[error("cannot open the image store at {}", path.display())]
    OpenStore {
        /// The folder or file.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// A record or layer cannot be written to the store.
    #[error("cannot write {} in the image store", path.display())]
    WriteStore {
        /// The file or folder.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// A record of the store is damaged.
    #[error("the image store's record {} is damaged: {reason}", path.display())]
    DamagedStore {
        /// The record.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// No image of that name or digest is in the store.
    #[error("no image {name:?} in the store")]
    NotStored {
        /// What was asked for.
        name: String,
    },
    /// An image is held by a running job.
    #[error("image {name:?} is in use by a running job")]
    InUse {
        /// What was to be removed.
        name: String,
    },
    /// A file or folder that a reference names cannot be read.
    #[error("cannot read {}", path.display())]
    ReadSource {
        /// The file or folder.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// A file is not the kind of archive that the reference says.
    #[error("{} is not {expected}: {reason}", path.display())]
    NotAnArchive {
        /// The file or folder.
        path: PathBuf,
        /// What the transport reads, with its article.
        expected: &'static str,
        /// What is missing.
        reason: String,
    },
    /// The source has no image of that name.
    #[error("{source_name} has no image {name:?}{}", among(found))]
    NotFound {
        /// Registry, archive or daemon.
        source_name: String,
        /// What was asked for.
        name: String,
        /// What is there instead, if that is known.
        found: Vec<String>,
    },
    /// The image is for other processors.
    #[error("{name} has no image for {wanted}; it has {}", found.join(", "))]
    Architecture {
        /// The image.
        name: String,
        /// This machine, as `linux/amd64`.
        wanted: String,
        /// What exists.
        found: Vec<String>,
    },
    /// A manifest, index or configuration breaks the image specification.
    #[error("{what} is not valid: {reason}")]
    Document {
        /// Which document.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Content is not what its digest promised.
    #[error("{what} is corrupt: expected {expected}, got {actual}")]
    Corrupt {
        /// Which blob or layer.
        what: String,
        /// The digest (or size) promised.
        expected: String,
        /// The digest (or size) of what came.
        actual: String,
    },
    /// A registry, token server or daemon did not answer.
    #[error("cannot reach {server}")]
    Contact {
        /// Host and port, or socket.
        server: String,
        /// What failed.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A registry wants credentials, or refuses those given.
    #[error("{registry} refuses access to {name}: {reason}")]
    Unauthorized {
        /// Host and port.
        registry: String,
        /// The repository.
        name: String,
        /// What it said.
        reason: String,
        /// A credential helper that Belljar does not run, if one is configured for it.
        helper: Option<String>,
    },
    /// A registry or daemon answered with something unexpected.
    #[error("{server} answered {status} to {what}: {text}")]
    Answer {
        /// Host and port, or socket.
        server: String,
        /// HTTP status.
        status: u16,
        /// What was asked for.
        what: String,
        /// The start of its answer.
        text: String,
    },
    /// A credentials file cannot be used.
    #[error("cannot use the registry credentials in {}: {reason}", path.display())]
    Credentials {
        /// The file.
        path: PathBuf,
        /// What is wrong with it. Never its content.
        reason: String,
    },
    /// A layer cannot be unpacked.
    #[error("cannot unpack layer {layer}")]
    Unpack {
        /// The layer's digest.
        layer: String,
        /// Why.
        #[source]
        source: UnpackError,
    },
    /// A folder cannot become an image.
    #[error("cannot import {}: {reason}", path.display())]
    Import {
        /// The file or folder at fault.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The image's `User` cannot be resolved.
    #[error("cannot resolve the image's user {user:?}: {reason}")]
    User {
        /// The configured `User`.
        user: String,
        /// Why not.
        reason: String,
    },
    /// A worker thread died: a bug.
    #[error("an image worker stopped unexpectedly")]
    Worker(#[source] tokio::task::JoinError),
}

fn among(found: &[String]) -> String {
    if found.is_empty() { String::new() } else { format!("; it has {}", found.join(", ")) }
}

fn no_space(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

impl Explain for ImageError {
    fn blame(&self) -> Blame {
        match self {
            Self::OpenStore { .. } | Self::DamagedStore { .. } | Self::Worker(_) => Blame::Internal,
            Self::WriteStore { source, .. } if no_space(source) => Blame::Capacity,
            Self::WriteStore { .. } => Blame::Internal,
            Self::Unpack { source: UnpackError::Write { source, .. }, .. } if no_space(source) => {
                Blame::Capacity
            }
            Self::Unpack { source: UnpackError::Write { .. }, .. } => Blame::Internal,
            _ => Blame::Client,
        }
    }

    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Reference { hint, .. } => return hint.clone(),
            Self::OpenStore { .. } => "check that you may write there, or choose another --state".into(),
            Self::WriteStore { source, .. }
            | Self::Unpack { source: UnpackError::Write { source, .. }, .. }
                if no_space(source) =>
            {
                "free some space (`belljar image list`, `belljar image remove`), or choose another --state".into()
            }
            Self::Unpack { source: UnpackError::Write { source, .. }, .. }
                if source.raw_os_error() == Some(rustix::io::Errno::OPNOTSUPP.raw_os_error()) =>
            {
                "the store's file system keeps no user extended attributes; choose a --state on ext4, xfs, btrfs or a recent tmpfs".into()
            }
            Self::Unpack { source, .. } => return source.hint(),
            Self::DamagedStore { .. } => "remove the image and pull it again".into(),
            Self::NotStored { .. } => "`belljar image list` shows what is there".into(),
            Self::InUse { .. } => "wait until the job has ended".into(),
            Self::ReadSource { .. } => "check the path and that you may read it".into(),
            Self::NotAnArchive { .. } => {
                "oci: takes a folder in OCI layout, oci-archive: a tar of one, docker-archive: what `docker save` writes".into()
            }
            Self::NotFound { found, .. } if !found.is_empty() => "name one of those".into(),
            Self::NotFound { .. } => "check the spelling of name and tag; private images need credentials".into(),
            Self::Architecture { .. } => "build the image for this machine, or run it on one of those".into(),
            Self::Document { .. } => "rebuild the image with a current tool".into(),
            Self::Corrupt { .. } => "try again; if it stays, the source is damaged".into(),
            Self::Contact { .. } => {
                "check the name (`belljar image list` shows what is in the store), the network and HTTPS_PROXY; an image in a file needs no network (oci-archive:, docker-archive:)".into()
            }
            Self::Unauthorized { helper: Some(helper), .. } => format!(
                "credential helper {helper:?} is not run; put the credentials under \"auths\" in a file and name it in REGISTRY_AUTH_FILE"
            ),
            Self::Unauthorized { .. } => {
                "log in (`docker login`, `skopeo login`) or name a credentials file in REGISTRY_AUTH_FILE; does the image exist?".into()
            }
            Self::Answer { status: 429, .. } => "the registry limits pulls; wait, or log in".into(),
            Self::Answer { .. } | Self::Worker(_) | Self::WriteStore { .. } => return None,
            Self::Credentials { .. } => "log in again, or remove the file".into(),
            Self::Import { .. } => "import takes a folder that holds a root file system".into(),
            Self::User { .. } => "give the user by number in the image (`USER 1000:1000`)".into(),
        };
        Some(text)
    }

    fn machine(&self) -> bool {
        matches!(self.blame(), Blame::Capacity) || matches!(self, Self::OpenStore { .. })
    }
}
