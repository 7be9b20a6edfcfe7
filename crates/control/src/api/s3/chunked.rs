//! `aws-chunked` bodies before s3s reads them. s3s holds each chunk in memory to check its
//! signature, and takes a body that ends early for a whole one. So chunks without signatures are
//! cut into small ones here, too large ones with signatures are refused, and a body must have its
//! last chunk.

use bytes::{Buf as _, Bytes};
use http_body::Frame;
use s3s::{Body, StdError};
use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The largest chunk that carries a signature, in bytes.
const MAX_SIGNED: u64 = 16 << 20;
/// What a chunk without one is cut into, in bytes.
const CUT: usize = 256 << 10;
/// The longest line that begins a chunk, in bytes.
const MAX_LINE: usize = 1024;

/// What is wrong with the form of a body.
#[derive(Debug, thiserror::Error)]
enum Malformed {
    #[error("belljar: a signed chunk is larger than 16 MiB")]
    Large,
    #[error("belljar: FormatError")]
    Form,
    #[error("belljar: Incomplete")]
    Incomplete,
}

/// What a client is told, if these are the words of a refusal of ours.
pub(super) fn refusal(words: &str) -> Option<&'static str> {
    let large = words.contains("belljar: a signed chunk is larger");
    large.then_some("Only chunks of up to 16777216 bytes are served")
}

enum At {
    /// In the line that begins a chunk.
    Line,
    /// Within a chunk; bytes to come.
    Data(u64),
    /// In the line end after a chunk; bytes to come.
    End(u8),
    /// After the last chunk.
    Trailer,
}

/// A body whose chunks are small.
pub(super) struct Chunked {
    inner: Body,
    signed: bool,
    at: At,
    line: Vec<u8>,
    out: VecDeque<Bytes>,
}

impl Chunked {
    /// `signed`: whether each chunk carries a signature, and so must stay as it is.
    pub(super) fn new(inner: Body, signed: bool) -> Self {
        Self { inner, signed, at: At::Line, line: Vec::new(), out: VecDeque::new() }
    }

    fn take(&mut self, mut bytes: Bytes) -> Result<(), Malformed> {
        if self.signed {
            self.out.push_back(bytes.clone());
        }
        while !bytes.is_empty() {
            match self.at {
                At::Line => {
                    let end = bytes.iter().position(|byte| *byte == b'\n');
                    let line = bytes.split_to(end.map_or(bytes.len(), |end| end + 1));
                    self.line.extend_from_slice(&line);
                    if self.line.len() > MAX_LINE {
                        return Err(Malformed::Form);
                    }
                    if end.is_some() {
                        self.begin()?;
                    }
                }
                At::Data(left) => {
                    let most = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                    let data = bytes.split_to(most.min(CUT));
                    let left = left - data.len() as u64;
                    if !self.signed {
                        self.out.push_back(format!("{:x}\r\n", data.len()).into());
                        self.out.push_back(data);
                        self.out.push_back(Bytes::from_static(b"\r\n"));
                    }
                    self.at = if left == 0 { At::End(2) } else { At::Data(left) };
                }
                At::End(left) => {
                    let expected = if left == 2 { b'\r' } else { b'\n' };
                    if bytes.get_u8() != expected {
                        return Err(Malformed::Form);
                    }
                    self.at = if left == 2 { At::End(1) } else { At::Line };
                }
                At::Trailer => {
                    if !self.signed {
                        self.out.push_back(bytes);
                    }
                    break;
                }
            }
        }
        Ok(())
    }

    /// A whole line began a chunk.
    fn begin(&mut self) -> Result<(), Malformed> {
        let line = std::mem::take(&mut self.line);
        let line = std::str::from_utf8(&line).map_err(|_| Malformed::Form)?;
        let line = line.strip_suffix("\r\n").ok_or(Malformed::Form)?;
        let size = line.split_once(';').map_or(line, |(size, _)| size);
        let digits = (1..=16).contains(&size.len()) && size.bytes().all(|b| b.is_ascii_hexdigit());
        let size = u64::from_str_radix(size, 16).ok().filter(|_| digits).ok_or(Malformed::Form)?;
        if self.signed && size > MAX_SIGNED {
            return Err(Malformed::Large);
        }
        self.at = match size {
            0 => At::Trailer,
            size => At::Data(size),
        };
        if size == 0 && !self.signed {
            self.out.push_back(Bytes::from_static(b"0\r\n"));
        }
        Ok(())
    }
}

impl http_body::Body for Chunked {
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        loop {
            if let Some(bytes) = self.out.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            let Poll::Ready(next) = Pin::new(&mut self.inner).poll_frame(cx) else {
                return Poll::Pending;
            };
            match next {
                None if matches!(self.at, At::Trailer) => return Poll::Ready(None),
                None => return Poll::Ready(Some(Err(Malformed::Incomplete.into()))),
                Some(Err(e)) => return Poll::Ready(Some(Err(e))),
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data()
                        && let Err(e) = self.take(bytes)
                    {
                        self.out.clear();
                        return Poll::Ready(Some(Err(e.into())));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;

    /// What comes out of a body that comes in pieces of `size` bytes.
    async fn through(text: &[u8], size: usize, signed: bool) -> Result<Vec<u8>, String> {
        let pieces: Vec<Result<Frame<Bytes>, std::convert::Infallible>> =
            text.chunks(size).map(|piece| Ok(Frame::data(Bytes::copy_from_slice(piece)))).collect();
        let inner = http_body_util::StreamBody::new(futures_util::stream::iter(pieces));
        let body = Chunked::new(Body::http_body(inner), signed);
        body.collect().await.map(|all| all.to_bytes().to_vec()).map_err(|e| e.to_string())
    }

    const WHOLE: &[u8] = b"5\r\nhello\r\n6\r\n world\r\n0\r\nx-amz-checksum-crc32:AA==\r\n\r\n";

    #[tokio::test]
    async fn what_is_cut_means_the_same() {
        assert_eq!(through(WHOLE, 1000, false).await.unwrap(), WHOLE);
        let cut = through(WHOLE, 3, false).await.unwrap();
        let again = through(&cut, 1000, false).await.unwrap();
        assert_eq!(again, cut);
        assert!(cut.len() > WHOLE.len());
        let signed = b"2;chunk-signature=00\r\nab\r\n0;chunk-signature=11\r\n\r\n";
        for size in [1, 7, 1000] {
            assert_eq!(through(signed, size, true).await.unwrap(), signed);
        }
    }

    #[tokio::test]
    async fn every_truncation_is_noticed() {
        let last = WHOLE.windows(3).position(|three| three == b"0\r\n").unwrap() + 3;
        for end in 0..last {
            for signed in [false, true] {
                assert!(through(&WHOLE[..end], 4, signed).await.is_err(), "{end}");
            }
        }
        assert!(through(&WHOLE[..last], 4, false).await.is_ok());
    }

    #[tokio::test]
    async fn nonsense_is_refused() {
        for text in
            ["", "x\r\n", "-1\r\n", "5\nhello", "1\r\nabc\r\n0\r\n\r\n", "11111111111111111\r\n"]
        {
            assert!(through(text.as_bytes(), 1000, false).await.is_err(), "{text:?}");
        }
        assert!(through(&[b'1'; 5000], 1000, false).await.is_err(), "no line end");
        let large = through(b"1000001;chunk-signature=0\r\n", 1000, true).await.unwrap_err();
        assert!(refusal(&large).is_some(), "{large}");
    }
}
