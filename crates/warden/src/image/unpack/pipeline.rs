//! The two halves of a layer's work and the bounded channel between them.

use super::UnpackError;
use super::tar_stream::Skip;
use crate::image::digest::Digest;
use crate::image::limits::{
    CHUNK, MAX_LAYER_BLOB, MAX_LAYER_TAR, MAX_RATIO, MAX_ZSTD_WINDOW_LOG, RATIO_FREE,
};
use sha2::{Digest as _, Sha256};
use std::io::{self, BufRead, BufReader, Read};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender};

pub(super) type Chunk = Result<Vec<u8>, UnpackError>;

/// Reads, checks and decompresses `input` into `full`, reusing buffers that come from `spares`.
///
/// Ends early, silently, if the other half is gone: that one has the reason.
pub(super) fn decode(
    input: Box<dyn Read + Send + '_>,
    blob: Option<&(Digest, u64)>,
    full: &SyncSender<Chunk>,
    spares: &Receiver<Vec<u8>>,
    progress: &(dyn Fn(u64) + Sync),
    stop: &AtomicBool,
) {
    let read = AtomicU64::new(0);
    let limit = blob.map_or(MAX_LAYER_BLOB, |(_, size)| *size);
    let counted =
        Counted { inner: input, hasher: Sha256::new(), read: &read, limit, progress, stop };
    let mut raw = BufReader::with_capacity(CHUNK, counted);
    let result = pump(&mut raw, full, spares, &read).and_then(|sent| match sent {
        Sent::All => check_blob(raw, blob),
        Sent::Unwanted => Ok(()),
    });
    if let Err(error) = result {
        // The receiver may be gone, and then it has an error of its own.
        let _ = full.send(Err(error));
    }
}

enum Sent {
    All,
    Unwanted,
}

fn pump<R: BufRead>(
    raw: &mut R,
    full: &SyncSender<Chunk>,
    spares: &Receiver<Vec<u8>>,
    read: &AtomicU64,
) -> Result<Sent, UnpackError> {
    let magic = raw.fill_buf().map_err(UnpackError::from_read)?;
    let mut decoder: Box<dyn Read + '_> = if magic.starts_with(&[0x1f, 0x8b]) {
        Box::new(flate2::bufread::MultiGzDecoder::new(raw))
    } else if magic.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) || is_skippable_frame(magic) {
        let mut zstd = zstd::Decoder::with_buffer(raw).map_err(UnpackError::Read)?;
        zstd.window_log_max(MAX_ZSTD_WINDOW_LOG).map_err(UnpackError::Read)?;
        Box::new(zstd)
    } else if magic.starts_with(b"BZh") || magic.starts_with(b"\xfd7zXZ") {
        return Err(UnpackError::Malformed {
            reason: "layers are plain, gzip or zstd; this one is bzip2 or xz".to_owned(),
        });
    } else {
        Box::new(raw)
    };
    let mut total = 0_u64;
    loop {
        let mut chunk = spares.try_recv().unwrap_or_default();
        chunk.resize(CHUNK, 0);
        let filled = fill(&mut *decoder, &mut chunk)?;
        if filled == 0 {
            return Ok(Sent::All);
        }
        chunk.truncate(filled);
        total += filled as u64;
        check_size(total, read.load(Ordering::Relaxed))?;
        if full.send(Ok(chunk)).is_err() {
            return Ok(Sent::Unwanted);
        }
    }
}

/// zstd:chunked and pzstd begin with a frame to be skipped: 0x184D2A5?, little endian.
fn is_skippable_frame(magic: &[u8]) -> bool {
    magic.len() >= 4 && magic[0] & 0xf0 == 0x50 && magic[1..4] == [0x2a, 0x4d, 0x18]
}

fn check_size(total: u64, read: u64) -> Result<(), UnpackError> {
    if total > MAX_LAYER_TAR {
        return Err(UnpackError::Limit { what: "bytes unpacked", limit: MAX_LAYER_TAR });
    }
    if total > RATIO_FREE && total / MAX_RATIO > read {
        let what = "times its compressed size (a decompression bomb?)";
        return Err(UnpackError::Limit { what, limit: MAX_RATIO });
    }
    Ok(())
}

fn fill(reader: &mut dyn Read, buffer: &mut [u8]) -> Result<usize, UnpackError> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(UnpackError::from_read(e)),
        }
    }
    Ok(filled)
}

/// Reads what the decompressor left (a blob's digest covers all of it), then compares.
fn check_blob(
    mut raw: BufReader<Counted<'_>>,
    blob: Option<&(Digest, u64)>,
) -> Result<(), UnpackError> {
    loop {
        let rest = raw.fill_buf().map_err(UnpackError::from_read)?.len();
        if rest == 0 {
            break;
        }
        raw.consume(rest);
    }
    let Some((digest, size)) = blob else { return Ok(()) };
    let counted = raw.into_inner();
    let read = counted.read.load(Ordering::Relaxed);
    let actual = Digest::finish(counted.hasher);
    let corrupt = |expected: String, actual: String| {
        Err(UnpackError::Corrupt { what: "the blob", expected, actual })
    };
    if read != *size {
        return corrupt(format!("{size} bytes"), format!("{read} bytes"));
    }
    if actual != *digest {
        return corrupt(digest.to_string(), actual.to_string());
    }
    Ok(())
}

/// Counts and hashes what passes; refuses to pass more than promised.
struct Counted<'a> {
    inner: Box<dyn Read + Send + 'a>,
    hasher: Sha256,
    read: &'a AtomicU64,
    limit: u64,
    progress: &'a (dyn Fn(u64) + Sync),
    stop: &'a AtomicBool,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(io::Error::other(UnpackError::Stopped));
        }
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        let read = self.read.fetch_add(count as u64, Ordering::Relaxed) + count as u64;
        if read > self.limit {
            let expected = format!("{} bytes", self.limit);
            let actual = "more".to_owned();
            let error = UnpackError::Corrupt { what: "the blob", expected, actual };
            return Err(io::Error::other(error));
        }
        (self.progress)(read);
        Ok(count)
    }
}

/// The receiving half: a reader over the chunks that hashes all that passes.
pub(super) struct ChunkReader {
    chunks: Receiver<Chunk>,
    spares: SyncSender<Vec<u8>>,
    current: Vec<u8>,
    at: usize,
    hasher: Sha256,
    total: u64,
}

impl ChunkReader {
    pub(super) fn new(chunks: Receiver<Chunk>, spares: SyncSender<Vec<u8>>) -> Self {
        Self { chunks, spares, current: Vec::new(), at: 0, hasher: Sha256::new(), total: 0 }
    }

    /// Reads to the end, then tells digest and length of everything.
    pub(super) fn finish(mut self) -> Result<(Digest, u64), UnpackError> {
        loop {
            let rest = self.fill_buf().map_err(UnpackError::from_read)?.len();
            if rest == 0 {
                return Ok((Digest::finish(self.hasher), self.total));
            }
            self.consume(rest);
        }
    }
}

impl BufRead for ChunkReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.current.len() {
            self.at = 0;
            // The sender hangs up at the end, after its checks; an error comes as a message.
            let next = match self.chunks.recv() {
                Ok(Ok(chunk)) => chunk,
                Ok(Err(error)) => return Err(io::Error::other(error)),
                Err(_) => Vec::new(),
            };
            self.hasher.update(&next);
            self.total += next.len() as u64;
            let used = std::mem::replace(&mut self.current, next);
            if used.capacity() > 0 {
                // A full or closed channel only means that the buffer is not needed.
                let _ = self.spares.try_send(used);
            }
        }
        Ok(&self.current[self.at..])
    }

    fn consume(&mut self, count: usize) {
        self.at += count;
    }
}

impl Skip for ChunkReader {}

impl Read for ChunkReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let data = self.fill_buf()?;
        let count = data.len().min(buffer.len());
        buffer[..count].copy_from_slice(&data[..count]);
        self.consume(count);
        Ok(count)
    }
}
