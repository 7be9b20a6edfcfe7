//! The bytes of one epoch, as they go into its FIFO.

use super::augmented::nameless;
use super::entries::{Entries, Entry};
use super::recordio;
use crate::staging::error::{FileError, InputError};
use crate::staging::limits;
use crate::staging::reading::{Clients, Object, Opened};
use crate::staging::s3::S3Settings;
use crate::staging::s3_in::is_marker;
use belljar_domain::{Compression, RecordWrapper, Shard};
use bytes::Bytes;
use flate2::write::MultiGzDecoder;
use futures_util::{StreamExt, stream};
use std::io::{Read, Seek, Write};
use std::path::PathBuf;
use tokio::sync::mpsc;

/// How a channel is streamed.
#[derive(Clone)]
pub(super) struct Recipe {
    pub(super) settings: S3Settings,
    pub(super) entries: Entries,
    pub(super) compression: Compression,
    pub(super) wrapper: RecordWrapper,
    pub(super) seed: Option<u64>,
    /// Which part of each epoch this instance gets.
    pub(super) shard: Option<Shard>,
    /// A folder of the warden's own.
    pub(super) private: PathBuf,
}

/// Chunks of an epoch; the last may be an error.
pub(super) type Chunks = mpsc::Receiver<Result<Bytes, InputError>>;

/// Nobody takes chunks any more.
struct Gone;

/// Why an epoch ends before its last record.
enum Stopped {
    Gone,
    Failed(InputError),
}

impl From<Gone> for Stopped {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

impl<E: Into<InputError>> From<E> for Stopped {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Starts to fetch an epoch, ahead of its reader by a bounded number of bytes.
pub(super) fn start(recipe: Recipe, epoch: u64) -> Chunks {
    let (sender, receiver) = mpsc::channel(limits::PIPE_CHUNKS);
    tokio::spawn(async move {
        let out = Out { sender: sender.clone() };
        if let Err(Stopped::Failed(error)) = all(recipe, epoch, &out).await {
            // If nobody is there to hear it, nobody is misled.
            let _ = sender.send(Err(error)).await;
        }
    });
    receiver
}

async fn all(recipe: Recipe, epoch: u64, out: &Out) -> Result<(), Stopped> {
    let mut clients = Clients::new(&recipe.settings);
    let entries = stream::iter(recipe.entries.of_epoch(epoch, recipe.seed, recipe.shard));
    let mut ahead = entries
        .map(|entry| {
            let opening = entry.map(|entry| match entry {
                Entry::Inline(bytes) => Opening::Inline(bytes),
                Entry::Object(object) => Opening::Object(object.clone(), clients.open(object)),
            });
            async move {
                match opening? {
                    Opening::Inline(bytes) => Ok(Some(Ahead::Inline(bytes))),
                    Opening::Object(object, opening) => match opening.await {
                        Ok(opened) => Ok(Some(Ahead::Object(object, ahead(opened).await?))),
                        Err(e) if is_marker(&object, &e) => Ok(None),
                        Err(e) => Err(e),
                    },
                }
            }
        })
        .buffered(limits::PIPE_AHEAD);
    while let Some(next) = ahead.next().await {
        match next? {
            Some(Ahead::Inline(bytes)) => recipe.inline(bytes, out).await?,
            Some(Ahead::Object(object, opened)) => recipe.object(&object, opened, out).await?,
            None => {}
        }
    }
    Ok(())
}

/// A record that is asked for.
enum Opening<F> {
    Inline(Bytes),
    Object(Object, F),
}

/// A record that has come.
enum Ahead {
    Inline(Bytes),
    Object(Object, Opened),
}

/// Takes a small object off the network, so that the next one's turn comes sooner.
async fn ahead(opened: Opened) -> Result<Opened, InputError> {
    if opened.size > limits::PIPE_WHOLE {
        return Ok(opened);
    }
    let Opened { size, mut chunks } = opened;
    let mut whole = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    while let Some(chunk) = chunks.next().await {
        whole.extend_from_slice(&chunk?);
    }
    Ok(Opened { size, chunks: stream::iter([Ok(Bytes::from(whole))]).boxed() })
}

struct Out {
    sender: mpsc::Sender<Result<Bytes, InputError>>,
}

impl Out {
    async fn send(&self, bytes: Bytes) -> Result<(), Gone> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.sender.send(Ok(bytes)).await.map_err(|_| Gone)
    }
}

impl Recipe {
    async fn inline(&self, bytes: Bytes, out: &Out) -> Result<(), Stopped> {
        let size = bytes.len() as u64;
        let framed = self.wrapper == RecordWrapper::RecordIO;
        if framed && let Some(header) = recordio::header(size) {
            out.send(header).await?;
        }
        out.send(bytes).await?;
        if framed {
            out.send(recordio::padding(size)).await?;
        }
        Ok(())
    }

    async fn object(&self, object: &Object, opened: Opened, out: &Out) -> Result<(), Stopped> {
        match (self.compression, self.wrapper) {
            (Compression::None, RecordWrapper::None) => copy(opened, out).await,
            (Compression::None, RecordWrapper::RecordIO) => {
                let size = opened.size;
                out.send(header(object, size)?).await?;
                copy(opened, out).await?;
                Ok(out.send(recordio::padding(size)).await?)
            }
            (Compression::Gzip, RecordWrapper::None) => {
                let mut unzip = Unzip::new(object);
                let mut chunks = opened.chunks;
                while let Some(chunk) = chunks.next().await {
                    for piece in chunk?.chunks(UNZIP_PIECE) {
                        out.send(unzip.push(piece)?).await?;
                    }
                }
                Ok(out.send(unzip.finish()?).await?)
            }
            (Compression::Gzip, RecordWrapper::RecordIO) => {
                self.unzipped(object, opened, out).await
            }
        }
    }

    /// A record's length stands before it: what is decompressed has to be kept until it is known.
    async fn unzipped(&self, object: &Object, opened: Opened, out: &Out) -> Result<(), Stopped> {
        let failed = |e| FileError::new("decompress", object.uri(), e);
        let mut file = nameless(&self.private)?;
        let mut unzip = Unzip::new(object);
        let (mut chunks, mut size) = (opened.chunks, 0);
        let mut keep = |bytes: Bytes| {
            size += bytes.len() as u64;
            header(object, size)?;
            Ok::<_, InputError>(file.write_all(&bytes).map_err(failed)?)
        };
        while let Some(chunk) = chunks.next().await {
            for piece in chunk?.chunks(UNZIP_PIECE) {
                keep(unzip.push(piece)?)?;
            }
        }
        keep(unzip.finish()?)?;
        out.send(header(object, size)?).await?;
        file.rewind().map_err(failed)?;
        loop {
            let mut buffer = vec![0; limits::COPY_BUFFER];
            let read = file.read(&mut buffer).map_err(failed)?;
            if read == 0 {
                return Ok(out.send(recordio::padding(size)).await?);
            }
            buffer.truncate(read);
            out.send(buffer.into()).await?;
        }
    }
}

fn header(object: &Object, size: u64) -> Result<Bytes, InputError> {
    let record = || InputError::Record { path: object.uri(), limit: limits::RECORD_BYTES };
    recordio::header(size).ok_or_else(record)
}

async fn copy(opened: Opened, out: &Out) -> Result<(), Stopped> {
    let mut chunks = opened.chunks;
    while let Some(chunk) = chunks.next().await {
        out.send(chunk?).await?;
    }
    Ok(())
}

/// Compressed bytes that are decompressed at a time: they grow to a thousand times as many at most.
const UNZIP_PIECE: usize = 4 << 10;

/// Decompresses one object, several members after each other included.
struct Unzip<'a> {
    object: &'a Object,
    decoder: MultiGzDecoder<Vec<u8>>,
    begun: bool,
}

impl<'a> Unzip<'a> {
    fn new(object: &'a Object) -> Self {
        Self { object, decoder: MultiGzDecoder::new(Vec::new()), begun: false }
    }

    fn error(&self, e: &std::io::Error) -> InputError {
        InputError::Gzip { path: self.object.uri(), reason: e.to_string() }
    }

    fn push(&mut self, piece: &[u8]) -> Result<Bytes, InputError> {
        self.begun |= !piece.is_empty();
        self.decoder.write_all(piece).map_err(|e| self.error(&e))?;
        self.decoder.flush().map_err(|e| self.error(&e))?;
        Ok(std::mem::take(self.decoder.get_mut()).into())
    }

    fn finish(mut self) -> Result<Bytes, InputError> {
        // Nothing, compressed by nobody, is nothing.
        if self.begun {
            self.decoder.try_finish().map_err(|e| self.error(&e))?;
        }
        Ok(std::mem::take(self.decoder.get_mut()).into())
    }
}
