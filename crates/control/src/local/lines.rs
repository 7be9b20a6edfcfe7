//! Lines of bounded length from a stream that is not trusted to end them.

use tokio::io::{AsyncBufRead, AsyncBufReadExt};

/// Bytes of one event that are read. A longer one (a report of very many files) is skipped; the
/// report's own file holds it.
pub const MAX_LINE_BYTES: usize = 4 << 20;

/// One line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Without its newline.
    Whole(Vec<u8>),
    /// Longer than [`MAX_LINE_BYTES`]: dropped.
    TooLong,
}

/// Reads lines. Dropping the future of [`Lines::next`] loses nothing.
pub(super) struct Lines<R> {
    reader: R,
    buffer: Vec<u8>,
    skipping: bool,
    limit: usize,
}

impl<R: AsyncBufRead + Unpin> Lines<R> {
    pub(super) fn new(reader: R, limit: usize) -> Self {
        Self { reader, buffer: Vec::new(), skipping: false, limit }
    }

    /// The next line; `None` at the end. Bytes after the last newline are no line: whoever wrote
    /// them died while writing.
    pub(super) async fn next(&mut self) -> std::io::Result<Option<Line>> {
        loop {
            let chunk = self.reader.fill_buf().await?;
            if chunk.is_empty() {
                return Ok(None);
            }
            let end = chunk.iter().position(|b| *b == b'\n');
            let part = &chunk[..end.unwrap_or(chunk.len())];
            if !self.skipping && self.buffer.len() + part.len() > self.limit {
                self.skipping = true;
                self.buffer = Vec::new();
            }
            if !self.skipping {
                self.buffer.extend_from_slice(part);
            }
            let used = end.map_or(chunk.len(), |at| at + 1);
            self.reader.consume(used);
            if end.is_some() {
                let line = std::mem::take(&mut self.buffer);
                return Ok(Some(match std::mem::take(&mut self.skipping) {
                    true => Line::TooLong,
                    false => Line::Whole(line),
                }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn long_lines_are_dropped_and_the_next_is_whole() {
        let text = b"ab\n0123456789\n\ncd\nrest".as_slice();
        let mut lines = Lines::new(tokio::io::BufReader::with_capacity(3, text), 4);
        let whole = |s: &str| Some(Line::Whole(s.as_bytes().to_vec()));
        assert_eq!(lines.next().await.unwrap(), whole("ab"));
        assert_eq!(lines.next().await.unwrap(), Some(Line::TooLong));
        assert_eq!(lines.next().await.unwrap(), whole(""));
        assert_eq!(lines.next().await.unwrap(), whole("cd"));
        assert_eq!(lines.next().await.unwrap(), None);
    }
}
