//! From a layer's compressed stream to a folder that overlayfs takes as a lower layer.
//!
//! Two threads work on a layer: one reads, checks the blob's digest and decompresses; the other
//! checks the diff-id, walks over the tar stream and writes. **Invariant**: whatever the stream
//! holds, nothing outside the layer's folder is created, changed or read; see [`tree`].
//!
//! What is not kept, on purpose:
//! - device nodes (containers get their own `/dev`); recorded in [`Unpacked::left_out`];
//! - set-user-id and set-group-id bits of files: containers run without new privileges, and a
//!   set-user-id file in the store would be a gift to other users of the machine;
//! - extended attributes but `user.*` (`security.capability` has no effect without new
//!   privileges), and among these `user.overlay.*`, by which a layer could steer overlayfs;
//! - owners, if Belljar does not run as root: all files belong to whoever runs it.

mod path;
mod pipeline;
pub(crate) mod remove;
pub(crate) mod tar_stream;
mod tree;
mod whiteout;

use super::digest::Digest;
use super::limits;
use crate::image::unpack::tar_stream::TarStream;
use pipeline::{ChunkReader, decode};
use std::io::{self, Read};
use std::os::fd::BorrowedFd;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::sync_channel;
pub(crate) use tree::Content;

/// Why a layer could not be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The stream cannot be read or decompressed.
    #[error("cannot read it")]
    Read(#[source] io::Error),
    /// The stream breaks its format.
    #[error("its archive is malformed: {reason}")]
    Malformed {
        /// Where it breaks.
        reason: String,
    },
    /// A path in it is dangerous.
    #[error("{path:?}: {reason}")]
    Path {
        /// The path as the archive has it.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The kernel refused to create something.
    #[error("cannot write {path:?}")]
    Write {
        /// The path in the layer.
        path: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// It is larger than allowed: perhaps a bomb.
    #[error("it has more than {limit} {what}")]
    Limit {
        /// What is counted.
        what: &'static str,
        /// How many are allowed.
        limit: u64,
    },
    /// The content is not what its digest promised.
    #[error("{what} is corrupt: expected {expected}, got {actual}")]
    Corrupt {
        /// The blob or its content.
        what: &'static str,
        /// The digest or size promised.
        expected: String,
        /// What came.
        actual: String,
    },
    /// The pull was given up.
    #[error("it was given up")]
    Stopped,
}

impl UnpackError {
    /// Errors of our own travel through [`io::Error`] where a trait of std is in between.
    fn from_read(error: io::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(own) => own,
            Err(error) => Self::Read(error),
        }
    }

    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Limit { .. } => {
                "if the image is to be trusted, split this layer into smaller ones"
            }
            Self::Path { .. } => "do not trust this image: honest tools write no such path",
            Self::Malformed { .. } | Self::Corrupt { .. } | Self::Read(_) => {
                "fetch or build the image again"
            }
            Self::Write { .. } | Self::Stopped => return None,
        };
        Some(text.to_owned())
    }

    /// Whether another download may help.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(self, Self::Read(_))
    }
}

/// What is promised about a layer before it is read.
#[derive(Debug, Clone, Default)]
pub struct Promise {
    /// Digest and size of the stream as stored.
    pub blob: Option<(Digest, u64)>,
    /// Digest of the tar stream in it.
    pub diff_id: Option<Digest>,
}

/// What came out of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpacked {
    /// Digest of the tar stream.
    pub diff_id: Digest,
    /// Bytes of the tar stream.
    pub bytes: u64,
    /// Entries in it.
    pub entries: u64,
    /// How many device nodes were left out.
    pub left_out: u64,
    /// Names of the first of them.
    pub left_out_names: Vec<String>,
    /// Whether the layer hides everything below it (`.wh..wh..opq` in its root).
    pub opaque_root: bool,
}

/// Unpacks one layer into `dest`, an empty directory that only the caller uses.
///
/// # Errors
/// [`UnpackError`]; what is in `dest` is then worthless.
pub fn unpack(
    input: Box<dyn Read + Send + '_>,
    promise: &Promise,
    dest: BorrowedFd<'_>,
    progress: &(dyn Fn(u64) + Sync),
    stop: &AtomicBool,
) -> Result<Unpacked, UnpackError> {
    unpack_as(Content::Layer, input, promise, dest, progress, stop)
}

/// Unpacks an archive into `dest`, an empty directory that only the caller uses.
///
/// The stream may be plain, gzip or zstd: its first bytes tell. `progress` gets the number of
/// bytes read so far; `stop` ends the work at the next buffer.
///
/// # Errors
/// [`UnpackError`]; what is in `dest` is then worthless.
pub(crate) fn unpack_as(
    content: Content,
    input: Box<dyn Read + Send + '_>,
    promise: &Promise,
    dest: BorrowedFd<'_>,
    progress: &(dyn Fn(u64) + Sync),
    stop: &AtomicBool,
) -> Result<Unpacked, UnpackError> {
    let (full, chunks) = sync_channel(limits::CHUNKS_IN_FLIGHT);
    let (empty, spares) = sync_channel(limits::CHUNKS_IN_FLIGHT + 2);
    std::thread::scope(|scope| {
        scope.spawn(move || decode(input, promise.blob.as_ref(), &full, &spares, progress, stop));
        let mut stream = TarStream::new(ChunkReader::new(chunks, empty));
        let mut tree = tree::Tree::new(dest, content)?;
        while let Some(entry) = stream.next_entry()? {
            tree.add(&entry, &mut stream)?;
        }
        let (diff_id, bytes) = stream.into_inner().finish()?;
        if let Some(expected) = &promise.diff_id
            && *expected != diff_id
        {
            return Err(UnpackError::Corrupt {
                what: "its content",
                expected: expected.to_string(),
                actual: diff_id.to_string(),
            });
        }
        tree.finish(diff_id, bytes)
    })
}
