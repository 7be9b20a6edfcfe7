//! Many events as bytes.
//!
//! Format 1: the byte 1, then for each event, in the order of keys: the timestamp, as the
//! difference to the one before (to 0 for the first); the sequence, as the signed difference to the
//! one that would follow the one before; the time of ingestion, as the signed difference to the
//! timestamp; the length of the message; the message in UTF-8. Numbers are LEB128, signed ones
//! zigzag. `golden/log-block-1.bin` is one such block.

use super::{Key, StoredEvent};
use belljar_domain::Timestamp;

/// The format that is written.
const FORMAT: u8 = 1;

/// A block that grows at its end.
#[derive(Debug)]
pub(super) struct Writer {
    body: Vec<u8>,
    last: Option<Key>,
}

impl Writer {
    /// A new block.
    pub(super) fn new() -> Self {
        Self { body: vec![FORMAT], last: None }
    }

    /// What is to be put behind a block of this format that ends at `last`.
    pub(super) fn behind(last: Key) -> Self {
        Self { body: Vec::new(), last: Some(last) }
    }

    pub(super) fn push(&mut self, key: Key, ingested: i64, message: &str) {
        let before = self.last.unwrap_or(Key { at: 0, seq: -1 });
        // A first timestamp may lie before 1970: the difference wraps, here and when it is read.
        unsigned(&mut self.body, key.at.wrapping_sub(before.at).cast_unsigned());
        signed(&mut self.body, key.seq.wrapping_sub(before.next().seq));
        signed(&mut self.body, ingested.wrapping_sub(key.at));
        unsigned(&mut self.body, message.len() as u64);
        self.body.extend_from_slice(message.as_bytes());
        self.last = Some(key);
    }

    pub(super) fn len(&self) -> usize {
        self.body.len()
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.body
    }
}

fn unsigned(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push((n as u8) | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn signed(out: &mut Vec<u8>, n: i64) {
    unsigned(out, ((n << 1) ^ (n >> 63)).cast_unsigned());
}

/// Why a block cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum BlockError {
    /// Of a format that this program does not know.
    #[error("a block of logs has format {0}, and this Belljar knows 1")]
    Format(u8),
    /// Not what was written.
    #[error("a block of logs is damaged")]
    Damaged,
}

impl From<BlockError> for rusqlite::Error {
    fn from(e: BlockError) -> Self {
        Self::FromSqlConversionFailure(0, rusqlite::types::Type::Blob, Box::new(e))
    }
}

/// One event, its message still in the block.
#[derive(Debug, Clone, Copy)]
pub(super) struct Raw<'a> {
    pub(super) key: Key,
    pub(super) ingested: i64,
    pub(super) message: &'a str,
}

impl Raw<'_> {
    pub(super) fn to_event(self) -> StoredEvent {
        StoredEvent {
            key: self.key,
            ingested: Timestamp::from_millis(self.ingested),
            message: self.message.to_owned(),
        }
    }
}

/// Reads a block, event by event.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    last: Key,
}

impl<'a> Reader<'a> {
    pub(super) fn new(body: &'a [u8]) -> Result<Self, BlockError> {
        match body.split_first() {
            Some((&FORMAT, rest)) => Ok(Self { rest, last: Key { at: 0, seq: -1 } }),
            Some((&other, _)) => Err(BlockError::Format(other)),
            None => Err(BlockError::Damaged),
        }
    }

    fn event(&mut self) -> Option<Raw<'a>> {
        let at = self.last.at.wrapping_add(self.unsigned()?.cast_signed());
        let seq = self.last.next().seq.wrapping_add(self.signed()?);
        let ingested = at.wrapping_add(self.signed()?);
        let length = usize::try_from(self.unsigned()?).ok()?;
        let (message, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        self.last = Key { at, seq };
        Some(Raw { key: self.last, ingested, message: std::str::from_utf8(message).ok()? })
    }

    fn unsigned(&mut self) -> Option<u64> {
        let mut n = 0;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            n |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(n);
            }
        }
        None
    }

    fn signed(&mut self) -> Option<i64> {
        let n = self.unsigned()?;
        Some((n >> 1).cast_signed() ^ -(n & 1).cast_signed())
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = Result<Raw<'a>, BlockError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let event = self.event().ok_or(BlockError::Damaged);
        if event.is_err() {
            self.rest = &[];
        }
        Some(event)
    }
}

#[cfg(test)]
#[path = "block_tests.rs"]
mod tests;
