//! Objects read, whole or in part.

use super::blobs::{BlobId, Pinned};
use super::put::{Row, find};
use super::{Info, Meta, ObjectError, Objects, Part, Result, bucket_id};
use bytes::Bytes;
use rusqlite::Connection;
use std::fs::File;
use std::ops::Range;
use std::sync::Arc;
use tokio::task::JoinHandle;

/// Bytes that are read at once, off the async threads, while the ones before are sent: twice
/// this is the memory of one download.
const CHUNK: u64 = 512 << 10;
/// How often a read begins anew because the object was overwritten as it began.
const ATTEMPTS: usize = 100;

/// The bytes of an object.
#[derive(Debug)]
pub enum Body {
    /// A small one.
    Inline(Bytes),
    /// A larger one.
    Files(Files),
}

/// Bytes that lie in files.
#[derive(Debug)]
pub struct Files {
    pieces: Vec<Piece>,
    /// Keeps the files, whatever becomes of the key.
    pinned: Arc<Pinned>,
}

#[derive(Debug, Clone)]
struct Piece {
    number: u32,
    blob: BlobId,
    size: u64,
}

/// An object with its bytes.
#[derive(Debug)]
pub struct Found {
    /// What it shows.
    pub info: Info,
    /// Its bytes.
    pub body: Body,
}

/// What a row of `objects` and its content show, and the content's id.
pub(super) fn info(c: &Connection, row: Row) -> Result<(Info, i64)> {
    let mut find = c.prepare_cached("SELECT meta FROM contents WHERE id = ?1")?;
    let meta = find.query_row([row.content], |found| found.get::<_, String>(0))?;
    Ok((shown(&row, &meta)?, row.content))
}

fn shown(row: &Row, meta: &str) -> Result<Info> {
    let meta: Meta = serde_json::from_str(meta)?;
    Ok(Info { size: row.size, etag: row.etag.clone(), modified: row.modified, meta })
}

fn pieces(c: &Connection, content: i64) -> Result<Vec<Piece>> {
    let mut all = c.prepare_cached(
        "SELECT number, blob, size FROM parts WHERE content = ?1 ORDER BY number",
    )?;
    let piece = |row: &rusqlite::Row<'_>| {
        Ok(Piece { number: row.get(0)?, blob: row.get(1)?, size: super::size_of(row, 2)? })
    };
    Ok(all.query_map([content], piece)?.collect::<rusqlite::Result<_>>()?)
}

impl Objects {
    /// What an object shows, without its bytes.
    ///
    /// # Errors
    /// [`ObjectError::NoSuchBucket`], [`ObjectError::NoSuchKey`], or those of the database.
    pub fn head(&self, bucket: &str, key: &str) -> Result<Info> {
        self.db.read(|c| {
            let row = find(c, bucket_id(c, bucket)?, key)?.ok_or(ObjectError::NoSuchKey)?;
            Ok(info(c, row)?.0)
        })
    }

    /// What an object shows, and its parts if it was uploaded in parts.
    ///
    /// # Errors
    /// [`ObjectError::NoSuchBucket`], [`ObjectError::NoSuchKey`], or those of the database.
    pub fn head_with_parts(&self, bucket: &str, key: &str) -> Result<(Info, Vec<Part>)> {
        self.db.read(|c| {
            let row = find(c, bucket_id(c, bucket)?, key)?.ok_or(ObjectError::NoSuchKey)?;
            let (info, content) = info(c, row)?;
            let parts = match info.meta.parts {
                Some(_) => super::multipart::parts(c, content)?,
                None => Vec::new(),
            };
            Ok((info, parts))
        })
    }

    /// An object. Its bytes stay what they are while they are read.
    ///
    /// # Errors
    /// [`ObjectError::NoSuchBucket`], [`ObjectError::NoSuchKey`], or those of the database.
    pub fn get(&self, bucket: &str, key: &str) -> Result<Found> {
        for _ in 0..ATTEMPTS {
            if let Some(found) = self.find(bucket, key)? {
                return Ok(found);
            }
        }
        Err(ObjectError::Blob(std::io::ErrorKind::NotFound.into()))
    }

    /// None if the object was overwritten meanwhile. It is looked up, its files are pinned, and
    /// it is looked up again: if it is then the same (ids are not used twice), its rows were there
    /// when it was pinned, and nobody unlinks pinned files.
    fn find(&self, bucket: &str, key: &str) -> Result<Option<Found>> {
        let read = |c: &Connection| -> Result<_> {
            let row = find(c, bucket_id(c, bucket)?, key)?.ok_or(ObjectError::NoSuchKey)?;
            let mut content = c.prepare_cached("SELECT meta, body FROM contents WHERE id = ?1")?;
            let mut content = content.query([row.content])?;
            let found = content.next()?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
            let text = |e| ObjectError::from(rusqlite::Error::from(e));
            let info = shown(&row, found.get_ref(0)?.as_str().map_err(text)?)?;
            let body = found.get_ref(1)?.as_blob_or_null().map_err(text)?;
            let body = body.map(Bytes::copy_from_slice);
            let pieces = if body.is_some() { Vec::new() } else { pieces(c, row.content)? };
            Ok((row.content, info, body, pieces))
        };
        let (content, info, body, pieces) = self.db.read(read)?;
        if let Some(body) = body {
            return Ok(Some(Found { info, body: Body::Inline(body) }));
        }
        let pinned = self.blobs.pin(pieces.iter().map(|piece| piece.blob).collect());
        let same = |c: &Connection| -> Result<bool> {
            let row = find(c, bucket_id(c, bucket)?, key)?;
            Ok(row.is_some_and(|row| row.content == content))
        };
        if !self.db.read(same)? {
            return Ok(None);
        }
        let body = Body::Files(Files { pieces, pinned: Arc::new(pinned) });
        Ok(Some(Found { info, body }))
    }
}

impl Body {
    /// Where part `number` lies in the bytes.
    #[must_use]
    pub fn part(&self, number: u32) -> Option<Range<u64>> {
        let Self::Files(files) = self else { return None };
        let mut start = 0;
        for piece in &files.pieces {
            if piece.number == number {
                return Some(start..start + piece.size);
            }
            start += piece.size;
        }
        None
    }

    /// The bytes in `range`, which must lie within the object, chunk by chunk.
    #[must_use]
    pub fn chunks(self, range: Range<u64>) -> Chunks {
        let left = range.end.saturating_sub(range.start);
        match self {
            Self::Inline(bytes) => {
                let at = |offset: u64| {
                    usize::try_from(offset).map_or(bytes.len(), |offset| offset.min(bytes.len()))
                };
                let bytes = bytes.slice(at(range.start)..at(range.end).max(at(range.start)));
                Chunks { state: State::Ready(bytes), left }
            }
            Self::Files(files) => {
                let cursor = Cursor { files, index: 0, file: None, skip: range.start };
                Chunks { state: State::Idle(Box::new(cursor)), left }
            }
        }
    }
}

/// A reader within files.
#[derive(Debug)]
struct Cursor {
    files: Files,
    index: usize,
    file: Option<File>,
    /// The offset of the next byte from the start of the piece at `index`.
    skip: u64,
}

impl Cursor {
    /// Reads up to `most` bytes, at least one.
    fn read(mut self: Box<Self>, most: u64) -> std::io::Result<(Box<Self>, Bytes)> {
        loop {
            let Some(piece) = self.files.pieces.get(self.index) else {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            };
            let rest = piece.size.saturating_sub(self.skip);
            if rest == 0 {
                self.skip -= piece.size;
                self.index += 1;
                self.file = None;
                continue;
            }
            let file = match self.file.take() {
                Some(file) => file,
                None => self.files.pinned.open(piece.blob)?,
            };
            let want = usize::try_from(rest.min(most).min(CHUNK)).unwrap_or(usize::MAX);
            let bytes = read_exact(&file, want, self.skip)?;
            self.file = Some(file);
            self.skip += bytes.len() as u64;
            return Ok((self, bytes));
        }
    }
}

fn read_exact(file: &File, want: usize, mut offset: u64) -> std::io::Result<Bytes> {
    let mut bytes = Vec::with_capacity(want);
    while bytes.len() < want {
        let read = rustix::io::pread(file, rustix::buffer::spare_capacity(&mut bytes), offset)?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        offset += read as u64;
    }
    bytes.truncate(want);
    Ok(bytes.into())
}

type Reading = JoinHandle<std::io::Result<(Box<Cursor>, Bytes)>>;

#[derive(Debug)]
enum State {
    Ready(Bytes),
    Idle(Box<Cursor>),
    Reading(Reading),
    Done,
}

/// Bytes on their way out. One chunk is read ahead.
#[derive(Debug)]
pub struct Chunks {
    state: State,
    left: u64,
}

impl Chunks {
    /// Bytes that are still to come.
    #[must_use]
    pub const fn left(&self) -> u64 {
        self.left
    }

    fn start(cursor: Box<Cursor>, most: u64) -> State {
        if most == 0 {
            return State::Done;
        }
        State::Reading(tokio::task::spawn_blocking(move || cursor.read(most)))
    }

    /// The next bytes, none at the end.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn poll_next(
        &mut self,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<std::io::Result<Bytes>>> {
        use std::task::Poll;
        loop {
            match std::mem::replace(&mut self.state, State::Done) {
                State::Done => return Poll::Ready(None),
                State::Ready(bytes) => {
                    self.left = 0;
                    return Poll::Ready((!bytes.is_empty()).then_some(Ok(bytes)));
                }
                State::Idle(cursor) => self.state = Self::start(cursor, self.left),
                State::Reading(mut task) => {
                    let done = match std::pin::Pin::new(&mut task).poll(context) {
                        Poll::Pending => {
                            self.state = State::Reading(task);
                            return Poll::Pending;
                        }
                        Poll::Ready(done) => done.map_err(std::io::Error::other),
                    };
                    let (cursor, bytes) = match done.and_then(|read| read) {
                        Ok(read) => read,
                        Err(e) => return Poll::Ready(Some(Err(e))),
                    };
                    self.left -= bytes.len() as u64;
                    self.state = Self::start(cursor, self.left);
                    return Poll::Ready(Some(Ok(bytes)));
                }
            }
        }
    }

    /// The next bytes, none at the end.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub async fn next(&mut self) -> Option<std::io::Result<Bytes>> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }
}
