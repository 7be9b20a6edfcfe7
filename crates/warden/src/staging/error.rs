//! Why data could not be staged.

use super::keep::KeepError;
use super::location::LocationError;
use super::s3::S3Error;
use crate::evidence::show::printable;
use crate::failure::{Explain, chain};
use belljar_domain::ChannelName;
use belljar_domain::failure::Blame;
use std::io;
use std::path::PathBuf;

/// A file operation that failed: what, on which file, why.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} '{path}'")]
pub struct FileError {
    /// A verb: "read", "write".
    pub action: &'static str,
    /// The file.
    pub path: String,
    /// The kernel's answer.
    #[source]
    pub source: io::Error,
}

impl FileError {
    pub(crate) fn new(
        action: &'static str,
        path: impl AsRef<std::path::Path>,
        source: impl Into<io::Error>,
    ) -> Self {
        Self { action, path: printable(&path.as_ref().to_string_lossy()), source: source.into() }
    }

    pub(super) fn hint(&self) -> Option<String> {
        let text = match self.source.kind() {
            io::ErrorKind::PermissionDenied => {
                "Give the user who runs Belljar access to it, or run Belljar as its owner."
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => FULL,
            io::ErrorKind::ReadOnlyFilesystem => "Choose a place that can be written to.",
            _ => return None,
        };
        Some(text.to_owned())
    }

    pub(super) fn full(&self) -> bool {
        is_full(&self.source)
    }
}

const FULL: &str = "Free some space there, or choose another place with --output or --state.";

pub(super) fn is_full(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Why a channel could not be staged in. Texts stand behind `ClientError: ` in a `FailureReason`.
#[derive(Debug, thiserror::Error)]
#[error("Data download failed: channel '{channel}'")]
pub struct StageInError {
    /// The channel.
    pub channel: ChannelName,
    /// Why.
    #[source]
    pub source: InputError,
}

/// What is wrong with a channel's data.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// The URI is none.
    #[error(transparent)]
    Location(#[from] LocationError),
    /// Nothing is there.
    #[error("there is nothing at '{0}'")]
    Nothing(String),
    /// A name that would leave the channel's folder, or that Linux cannot hold.
    #[error("the key '{0}' has an empty, '.' or '..' segment, or is too long for a file name")]
    Name(String),
    /// A local name that JSON cannot hold.
    #[error("the name of '{0}' is not UTF-8")]
    NotUtf8(String),
    /// A file and a folder, or two files, of one name.
    #[error("'{0}' would be two things at once: two objects have this name, or need it as folder")]
    Clash(String),
    /// A link out of the input.
    #[error("the link '{link}' leads out of '{root}'")]
    LinkOut {
        /// The link.
        link: String,
        /// The channel's folder.
        root: String,
    },
    /// A link to one of its own parents.
    #[error("the link '{0}' leads back to a folder above it")]
    LinkCycle(String),
    /// A FIFO, socket or device.
    #[error("'{0}' is neither a file nor a folder")]
    Special(String),
    /// Too many files, or too deep.
    #[error("'{root}' has more than {limit} {what}")]
    Limit {
        /// The channel's URI.
        root: String,
        /// The limit.
        limit: usize,
        /// "files", "levels of folders".
        what: &'static str,
    },
    /// A manifest that is none.
    #[error("the manifest '{uri}' is not valid: {reason}")]
    Manifest {
        /// The manifest.
        uri: String,
        /// What is wrong with it, and where.
        reason: String,
    },
    /// Members that mean nothing together.
    #[error(transparent)]
    Channel(#[from] belljar_domain::data::ChannelError),
    /// An object that is not compressed, or broken.
    #[error("'{path}' cannot be decompressed: {reason}")]
    Gzip {
        /// The object.
        path: String,
        /// The library's words.
        reason: String,
    },
    /// An object that no `RecordIO` header can announce.
    #[error("'{path}' has {limit} bytes or more, which do not fit into a RecordIO record")]
    Record {
        /// The object.
        path: String,
        /// The first number of bytes that does not fit.
        limit: u64,
    },
    /// The container put something else where its FIFO was to be.
    #[error("the container put something in the place of its FIFO '{0}'")]
    NoFifo(String),
    /// It did not hold still.
    #[error("'{path}' changed while it was copied: it had {expected} bytes, and gave {found}")]
    Changed {
        /// The file or object.
        path: String,
        /// Bytes when it was listed.
        expected: u64,
        /// Bytes that were read (one more than expected stands for more).
        found: u64,
    },
    /// Belljar's own folder lies in the input.
    #[error("'{0}' contains the folder into which it would be copied")]
    Inside(String),
    /// An operation on a file.
    #[error(transparent)]
    File(#[from] FileError),
    /// An operation on S3.
    #[error(transparent)]
    S3(#[from] S3Error),
    /// A thread of Belljar's own panicked.
    #[error("staging broke off")]
    Broken,
}

impl Explain for StageInError {
    fn text(&self) -> String {
        match &self.source {
            // The real service's words, to the letter.
            InputError::S3(e @ S3Error::NoWay { .. }) => format!("Data download failed:{e}"),
            _ => chain(self),
        }
    }

    fn blame(&self) -> Blame {
        self.source.blame()
    }

    fn hint(&self) -> Option<String> {
        self.source.hint()
    }

    fn machine(&self) -> bool {
        self.source.machine()
    }
}

impl Explain for InputError {
    fn blame(&self) -> Blame {
        match self {
            Self::Broken => Blame::Internal,
            Self::File(e) if e.full() => Blame::Capacity,
            Self::NoFifo(_) => Blame::Algorithm,
            _ => Blame::Client,
        }
    }

    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Location(e) => return Some(e.hint()),
            Self::File(e) => return e.hint(),
            Self::S3(e) => return e.hint(),
            Self::Nothing(uri) if uri.starts_with("s3://") => {
                "Check the bucket, the prefix and the region; a prefix matches every key that begins with it."
            }
            Self::Nothing(_) => {
                "Check the path; a relative path starts from the current folder, and a part of a name matches nothing (only s3:// has such prefixes)."
            }
            Self::Name(_) | Self::Clash(_) => {
                "Rename the object, or choose a prefix that leaves it out."
            }
            Self::NotUtf8(_) => "Rename the file.",
            Self::Manifest { .. } => "Correct the manifest, and check S3DataType.",
            Self::Channel(_) => "Leave that member out, or choose the other input mode.",
            Self::Gzip { .. } => "CompressionType Gzip needs every object compressed by gzip.",
            Self::Record { .. } => "Split the object, or leave RecordWrapperType out.",
            Self::NoFifo(_) => {
                "The names CHANNEL_EPOCH in /opt/ml/input/data belong to the FIFOs of Pipe mode."
            }
            Self::LinkOut { .. } | Self::LinkCycle(_) => {
                "Replace the link by what it leads to, or name that as a channel of its own."
            }
            Self::Special(_) => "Remove it, or choose a folder without it.",
            Self::Limit { .. } => "Pack small files into archives.",
            Self::Changed { .. } => "Start the job again when nothing writes there.",
            Self::Inside(_) => "Choose a folder that holds the data alone, or another --state.",
            Self::Broken => return None,
        };
        Some(text.to_owned())
    }

    fn machine(&self) -> bool {
        matches!(self, Self::File(e) if e.full())
    }
}

/// Why artifacts could not be staged out. Texts stand behind `ClientError: ` in a
/// `FailureReason`.
#[derive(Debug, thiserror::Error)]
pub enum StageOutError {
    /// The destination is none.
    #[error("Artifact upload failed")]
    Location(#[from] LocationError),
    /// Another job's results are there.
    #[error("Artifact upload failed: '{0}' already exists")]
    Exists(String),
    /// The container made more than Belljar archives.
    #[error("Artifact upload failed: {name} would hold more than {limit} {what}")]
    Limit {
        /// The archive.
        name: String,
        /// The limit.
        limit: u64,
        /// "entries", "bytes", "levels of folders".
        what: &'static str,
    },
    /// A file shrank or vanished under the archiver, though nothing runs any more.
    #[error("Artifact upload failed: '{0}' changed while it was archived")]
    Changed(String),
    /// An operation on a file.
    #[error("Artifact upload failed")]
    File(#[from] FileError),
    /// Putting files one by one.
    #[error("Artifact upload failed")]
    Keep(#[from] KeepError),
    /// Compressing, or handing on what was compressed.
    #[error("Artifact upload failed: cannot write {name}")]
    Archive {
        /// The archive.
        name: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The journal of uploads is not what Belljar wrote.
    #[error("the journal of uploads '{path}' cannot be read", path = .path.display())]
    Journal {
        /// The journal.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// An operation on S3.
    #[error("Artifact upload failed")]
    S3(#[from] S3Error),
    /// A thread of Belljar's own panicked.
    #[error("staging out broke off")]
    Broken,
}

impl StageOutError {
    fn full(&self) -> bool {
        match self {
            Self::File(e) => e.full(),
            Self::Keep(e) => e.full(),
            Self::Archive { source, .. } => is_full(source),
            _ => false,
        }
    }
}

impl Explain for StageOutError {
    fn text(&self) -> String {
        match self {
            // The real service's words, to the letter.
            Self::S3(e @ S3Error::NoWay { .. })
            | Self::Keep(KeepError::S3(e @ S3Error::NoWay { .. })) => {
                format!("Artifact upload failed:{e}")
            }
            _ => chain(self),
        }
    }

    fn blame(&self) -> Blame {
        match self {
            Self::Broken | Self::Journal { .. } => Blame::Internal,
            Self::Keep(e) => e.blame(),
            _ if self.full() => Blame::Capacity,
            Self::Limit { .. } => Blame::Algorithm,
            _ => Blame::Client,
        }
    }

    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Location(e) => return Some(e.hint()),
            Self::File(e) => return e.hint(),
            Self::S3(e) => return e.hint(),
            Self::Keep(e) => return e.hint(),
            Self::Exists(_) => {
                "Job names are unique: choose another --job-name or another --output."
            }
            Self::Limit { .. } => "Write fewer and smaller files, or pack them in the container.",
            Self::Archive { .. } if self.full() => FULL,
            Self::Changed(_) | Self::Archive { .. } | Self::Journal { .. } | Self::Broken => {
                return None;
            }
        };
        Some(text.to_owned())
    }

    fn machine(&self) -> bool {
        self.full()
    }
}
