//! Bytes on their way in: few are kept in memory, many go to a file while they come.

use super::ObjectError;
use super::blobs::{BlobId, Blobs};
use super::sums::{Algorithm, Hasher, Sums, hex};
use bytes::Bytes;
use std::fs::File;
use std::io::{IoSlice, Write};
use std::sync::Arc;
use tokio::task::JoinHandle;

/// Objects up to this size lie in the database, where many share one sync; a file costs two syncs
/// of its own. Chosen, not measured.
pub const MAX_INLINE: usize = 64 << 10;
/// Bytes that are hashed and written in one go, off the async threads. Twice this, and what the
/// connection holds, is the memory of one upload.
const BATCH: usize = 1 << 20;

/// Where received bytes are.
#[derive(Debug)]
pub(super) enum Place {
    /// Here.
    Inline(Vec<u8>),
    /// In a durable file that no row names yet.
    Blob(OwnBlob),
}

/// A blob that goes with its owner, unless a row comes to name it.
#[derive(Debug)]
pub(super) struct OwnBlob {
    blobs: Arc<Blobs>,
    id: Option<BlobId>,
}

impl OwnBlob {
    /// Its name, for a row.
    pub(super) const fn id(&self) -> Option<BlobId> {
        self.id
    }
}

impl Drop for OwnBlob {
    fn drop(&mut self) {
        if let Some(id) = self.id.take() {
            self.blobs.discard(id);
        }
    }
}

/// What was received whole. Dropped, it is gone.
#[derive(Debug)]
pub struct Received {
    pub(super) place: Place,
    /// Bytes.
    pub size: u64,
    /// MD5.
    pub md5: [u8; 16],
    /// The checksums that were asked for.
    pub sums: Sums,
}

impl Received {
    /// MD5 in hexadecimal: the `ETag` without quotes.
    #[must_use]
    pub fn etag(&self) -> String {
        hex(&self.md5)
    }

    /// A row names it: from here on its file stays. (If that row is then not committed, the file
    /// is swept at the next start.)
    pub(super) fn keep(self) {
        if let Place::Blob(mut own) = self.place {
            own.id = None;
        }
    }
}

struct Disk {
    hasher: Hasher,
    own: OwnBlob,
    file: File,
}

impl Disk {
    fn take(mut self: Box<Self>, batch: &[Bytes]) -> std::io::Result<Box<Self>> {
        for bytes in batch {
            self.hasher.update(bytes);
        }
        write_all(&mut self.file, batch)?;
        Ok(self)
    }
}

fn write_all(file: &mut File, batch: &[Bytes]) -> std::io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = batch.iter().map(|bytes| IoSlice::new(bytes)).collect();
    let mut rest = slices.as_mut_slice();
    IoSlice::advance_slices(&mut rest, 0);
    while !rest.is_empty() {
        match file.write_vectored(rest) {
            Ok(0) => return Err(std::io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut rest, written),
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

enum State {
    Memory(Hasher),
    Busy(JoinHandle<std::io::Result<Box<Disk>>>),
    Failed,
}

/// An upload whose bytes are coming.
pub struct Incoming {
    blobs: Arc<Blobs>,
    state: State,
    /// Not yet hashed.
    pending: Vec<Bytes>,
    pending_len: usize,
    /// The size up to which it stays in memory; none: a file, whatever its size.
    inline: Option<usize>,
    size: u64,
}

impl Incoming {
    pub(super) fn new(blobs: &Arc<Blobs>, algorithms: &[Algorithm], inline: Option<usize>) -> Self {
        Self {
            blobs: Arc::clone(blobs),
            state: State::Memory(Hasher::new(algorithms)),
            pending: Vec::new(),
            pending_len: 0,
            inline,
            size: 0,
        }
    }

    /// Bytes so far.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Takes the next bytes; waits if the disk is slower than they come.
    ///
    /// # Errors
    /// If they cannot be written.
    pub async fn push(&mut self, bytes: Bytes) -> Result<(), ObjectError> {
        self.size += bytes.len() as u64;
        self.pending_len += bytes.len();
        self.pending.push(bytes);
        let limit = match self.state {
            State::Memory(_) => self.inline.unwrap_or(BATCH),
            _ => BATCH,
        };
        if self.pending_len > limit { self.flush().await } else { Ok(()) }
    }

    /// Hands what is pending to a thread, after what was handed over before is done.
    async fn flush(&mut self) -> Result<(), ObjectError> {
        let disk = self.disk().await?;
        let batch = std::mem::take(&mut self.pending);
        self.pending_len = 0;
        self.state = State::Busy(tokio::task::spawn_blocking(move || disk.take(&batch)));
        Ok(())
    }

    async fn disk(&mut self) -> Result<Box<Disk>, ObjectError> {
        match std::mem::replace(&mut self.state, State::Failed) {
            State::Memory(hasher) => {
                let (id, file) = self.blobs.create().map_err(ObjectError::Blob)?;
                let own = OwnBlob { blobs: Arc::clone(&self.blobs), id: Some(id) };
                Ok(Box::new(Disk { hasher, own, file }))
            }
            State::Busy(task) => {
                let done = task.await.map_err(std::io::Error::other);
                done.and_then(|disk| disk).map_err(ObjectError::Blob)
            }
            State::Failed => Err(ObjectError::Blob(std::io::ErrorKind::BrokenPipe.into())),
        }
    }

    /// Ends the upload: what was received is durable if it is a file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub async fn finish(mut self) -> Result<Received, ObjectError> {
        let size = self.size;
        if self.inline.is_some()
            && let State::Memory(hasher) = &mut self.state
        {
            let mut hasher = std::mem::replace(hasher, Hasher::new(&[]));
            let mut body = Vec::with_capacity(self.pending_len);
            for bytes in &self.pending {
                body.extend_from_slice(bytes);
            }
            hasher.update(&body);
            let (md5, sums) = hasher.finish();
            return Ok(Received { place: Place::Inline(body), size, md5, sums });
        }
        let disk = self.disk().await?;
        let batch = std::mem::take(&mut self.pending);
        let last = move || {
            let Disk { hasher, own, file } = *disk.take(&batch)?;
            if let Some(id) = own.id {
                own.blobs.keep(id, &file)?;
            }
            let (md5, sums) = hasher.finish();
            Ok(Received { place: Place::Blob(own), size, md5, sums })
        };
        let done = tokio::task::spawn_blocking(last).await.map_err(std::io::Error::other);
        done.and_then(|received| received).map_err(ObjectError::Blob)
    }
}
