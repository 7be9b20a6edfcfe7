//! Buckets, objects and uploads in parts.
//!
//! Everything but the bytes of larger objects lies in one database, `objects.db`; those bytes are
//! files with random names beside it, so no key is ever a path. A small object is written
//! with its row: many that are written at once share one sync. A larger one is a file that is
//! durable before its row names it.
//!
//! **Invariant**: an object is visible whole or not at all, what was acknowledged survives a
//! power failure, and who reads an object reads it to its end, whatever becomes of its key.

mod blobs;
mod buckets;
mod list;
mod meta;
mod multipart;
mod put;
mod read;
mod receive;
mod schema;
mod sums;

pub use buckets::Bucket;
pub use list::{Entry, Listing, Query};
pub use meta::{Info, Meta, Part, base64};
pub use multipart::{Completion, Upload, UploadPage, UploadQuery};
pub use put::Condition;
pub use read::{Body, Chunks, Found};
pub use receive::{Incoming, MAX_INLINE, Received};
pub use sums::{Algorithm, Sums};

use crate::{Db, StoreError};
use blobs::{BlobId, Blobs};
use rusqlite::{Connection, OptionalExtension as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// The longest key, in bytes of UTF-8.
pub const MAX_KEY: usize = 1024;
/// The largest object of one PUT, in bytes (S3's limit).
pub const MAX_PUT: u64 = 5 << 30;
/// The most parts of an upload.
pub const MAX_PARTS: u32 = 10_000;
/// The least size of a part that is not the last, in bytes.
pub const MIN_PART: u64 = 5 << 20;
/// The most entries of one listing.
pub const MAX_LISTED: usize = 1000;

/// Why an operation on objects did not succeed. The names are S3's.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// The bucket does not exist.
    #[error("the bucket does not exist")]
    NoSuchBucket,
    /// The bucket exists.
    #[error("the bucket exists")]
    BucketExists,
    /// The bucket holds objects or uploads.
    #[error("the bucket is not empty")]
    BucketNotEmpty,
    /// The key does not exist.
    #[error("the key does not exist")]
    NoSuchKey,
    /// The upload does not exist.
    #[error("the upload does not exist")]
    NoSuchUpload,
    /// A part that is to be joined was not uploaded, or is not the one that was.
    #[error("part {0} was not uploaded, or with another ETag or checksum")]
    InvalidPart(u32),
    /// A part other than the last is too small.
    #[error("part {0} is too small")]
    PartTooSmall(u32),
    /// A condition of a write does not hold.
    #[error("the condition {0} does not hold")]
    Precondition(&'static str),
    /// What was sent is not what its checksum says.
    #[error("the checksum {0:?} does not match")]
    Checksum(Algorithm),
    /// The size is not the one that was announced.
    #[error("the size is {0} bytes, and was announced otherwise")]
    Size(u64),
    /// A file of bytes.
    #[error("a file of object bytes failed")]
    Blob(#[source] std::io::Error),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for ObjectError {
    fn from(source: rusqlite::Error) -> Self {
        Self::Store(StoreError::Sql(source))
    }
}

impl From<serde_json::Error> for ObjectError {
    fn from(source: serde_json::Error) -> Self {
        Self::Store(StoreError::Record(source))
    }
}

type Result<T> = std::result::Result<T, ObjectError>;

/// The store of objects. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Objects {
    db: Arc<Db>,
    blobs: Arc<Blobs>,
    /// Ids of contents are never used twice by one process: see [`Objects::find`].
    next: Arc<AtomicI64>,
}

impl Objects {
    /// Opens or makes the store below `folder`, which only one process may have open, and removes
    /// what an interrupted upload left.
    ///
    /// # Errors
    /// If a file cannot be opened, or is of a newer format.
    pub fn open(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(|source| StoreError::File {
            operation: "create",
            path: folder.to_path_buf(),
            source,
        })?;
        let db = Db::open(&folder.join("objects.db"), schema::MIGRATIONS)?;
        let (blobs, next) = db.read(|c| -> Result<_> {
            let next = "SELECT coalesce(max(id), 0) + 1 FROM contents";
            Ok((Blobs::open(folder, c)?, c.query_row(next, [], |row| row.get(0))?))
        })?;
        Ok(Self { db: Arc::new(db), blobs, next: Arc::new(AtomicI64::new(next)) })
    }

    /// Begins to receive an object, with these checksums beside its MD5.
    #[must_use]
    pub fn receive(&self, algorithms: &[Algorithm]) -> Incoming {
        Incoming::new(&self.blobs, algorithms, Some(MAX_INLINE))
    }

    /// Begins to receive a part.
    #[must_use]
    pub fn receive_part(&self, algorithms: &[Algorithm]) -> Incoming {
        Incoming::new(&self.blobs, algorithms, None)
    }

    fn next_content(&self) -> i64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Writes, then unlinks the blobs that `work` orphaned. Goes on if the caller goes away, so
    /// that these are not left until the next start.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection, &mut Vec<BlobId>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (db, blobs) = (Arc::clone(&self.db), Arc::clone(&self.blobs));
        let whole = async move {
            let mut orphans = Vec::new();
            let work = move |c: &Connection| Ok((work(c, &mut orphans)?, orphans));
            let (done, orphans) = db.write::<_, ObjectError>(work).await?;
            if !orphans.is_empty() {
                blobs.unlink(orphans);
            }
            Ok(done)
        };
        tokio::spawn(whole).await.map_err(|_| StoreError::Closed)?
    }
}

/// Seconds since the Unix epoch.
fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

fn size_of(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let size: i64 = row.get(column)?;
    Ok(u64::try_from(size).unwrap_or(0))
}

fn size_in(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

fn bucket_id(c: &Connection, name: &str) -> Result<i64> {
    let mut find = c.prepare_cached("SELECT id FROM buckets WHERE name = ?1")?;
    find.query_row([name], |row| row.get(0)).optional()?.ok_or(ObjectError::NoSuchBucket)
}

/// Removes a content with its parts; adds the blobs that nothing names any more to `orphans`.
fn remove_content(c: &Connection, content: i64, orphans: &mut Vec<BlobId>) -> Result<()> {
    let inline = c
        .prepare_cached("DELETE FROM contents WHERE id = ?1 RETURNING body IS NOT NULL")?
        .query_row([content], |row| row.get::<_, bool>(0))
        .optional()?;
    if inline == Some(true) {
        return Ok(());
    }
    remove_parts(c, content, None, orphans)
}

/// Removes all parts of a content, or one.
fn remove_parts(
    c: &Connection,
    content: i64,
    number: Option<u32>,
    orphans: &mut Vec<BlobId>,
) -> Result<()> {
    let mut delete = c.prepare_cached(
        "DELETE FROM parts WHERE content = ?1 AND number = coalesce(?2, number) RETURNING blob",
    )?;
    let blobs = delete.query_map((content, number), |row| row.get(0))?;
    let blobs = blobs.collect::<rusqlite::Result<Vec<BlobId>>>()?;
    let mut named = c.prepare_cached("SELECT 1 FROM parts WHERE blob = ?1")?;
    for blob in blobs {
        if !named.exists([blob])? {
            orphans.push(blob);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
