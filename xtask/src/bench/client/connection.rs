//! One HTTP/1.1 connection on a blocking socket.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// No answer of a measurement takes this long.
const TIMEOUT: Duration = Duration::from_secs(30);
const BUFFER: usize = 64 << 10;

/// A connection that is opened when it is needed, and again after the server closed it.
pub(crate) struct Connection {
    address: String,
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
    /// How much of the buffer is filled.
    filled: usize,
}

/// An answer; its body lies in the connection's buffer.
pub(crate) struct Response<'a> {
    pub(crate) status: u16,
    pub(crate) body: &'a [u8],
}

/// What the head of an answer says about its body.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    /// Bytes up to and with the empty line.
    length: usize,
    body: Body,
    /// The server closes the connection after this answer.
    close: bool,
}

#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Body {
    Length(usize),
    Chunked,
}

impl Connection {
    /// A connection to `address`, not yet opened.
    pub(crate) fn new(address: &str) -> Self {
        let buffer = vec![0; BUFFER];
        Self { address: address.to_owned(), stream: None, buffer, filled: 0 }
    }

    /// Writes a whole request.
    pub(crate) fn send(&mut self, request: &[u8]) -> Result<(), String> {
        let told = |what: &str, e: &std::io::Error| format!("{what} {}: {e}", self.address);
        if self.stream.is_none() {
            let stream = TcpStream::connect(&self.address)
                .and_then(|s| s.set_nodelay(true).map(|()| s))
                .and_then(|s| s.set_read_timeout(Some(TIMEOUT)).map(|()| s))
                .and_then(|s| s.set_write_timeout(Some(TIMEOUT)).map(|()| s))
                .map_err(|e| told("connect to", &e))?;
            self.stream = Some(stream);
        }
        self.filled = 0;
        let Some(stream) = self.stream.as_mut() else { return Ok(()) };
        stream.write_all(request).map_err(|e| told("write to", &e))
    }

    /// Reads the answer to the request that was sent.
    pub(crate) fn receive(&mut self) -> Result<Response<'_>, String> {
        let head = self.read_head()?;
        let body = match head.body {
            Body::Length(length) => {
                self.fill(head.length + length)?;
                head.length..head.length + length
            }
            Body::Chunked => self.unchunk(head.length)?,
        };
        if head.close {
            self.stream = None;
        }
        Ok(Response { status: head.status, body: &self.buffer[body] })
    }

    /// Reads an answer and forgets its body as it comes. Answers how many bytes the body had.
    pub(crate) fn discard(&mut self) -> Result<usize, String> {
        let head = self.read_head()?;
        let Body::Length(length) = head.body else {
            return Err(format!("{} does not tell the length of its answer", self.address));
        };
        if head.status != 200 {
            return Err(format!("{} answers with status {}", self.address, head.status));
        }
        self.buffer.resize(1 << 20, 0);
        let mut left = length.saturating_sub(self.filled - head.length);
        while left > 0 {
            self.filled = 0;
            left = left.saturating_sub(self.more()?);
        }
        Ok(length)
    }

    fn read_head(&mut self) -> Result<Head, String> {
        let mut seen = 0;
        loop {
            if let Some(head) = parse(&self.buffer[..self.filled], &mut seen)? {
                return Ok(head);
            }
            self.more()?;
        }
    }

    /// Reads until the buffer holds this many bytes.
    fn fill(&mut self, wanted: usize) -> Result<(), String> {
        while self.filled < wanted {
            if self.buffer.len() < wanted {
                self.buffer.resize(wanted, 0);
            }
            self.more()?;
        }
        Ok(())
    }

    /// Reads what there is; at least a byte. A server that hangs up is an error.
    fn more(&mut self) -> Result<usize, String> {
        if self.filled == self.buffer.len() {
            self.buffer.resize(self.filled * 2, 0);
        }
        let stream = self.stream.as_mut().ok_or("nothing was sent")?;
        let count = stream
            .read(&mut self.buffer[self.filled..])
            .map_err(|e| format!("read from {}: {e}", self.address))?;
        if count == 0 {
            return Err(format!("{} hung up within an answer", self.address));
        }
        self.filled += count;
        Ok(count)
    }

    /// Reads a chunked body and moves its chunks together. Answers where it lies.
    fn unchunk(&mut self, start: usize) -> Result<std::ops::Range<usize>, String> {
        let (mut end, mut at) = (start, start);
        loop {
            let line = loop {
                if let Some(n) = self.buffer[at..self.filled].iter().position(|b| *b == b'\n') {
                    break n;
                }
                self.more()?;
            };
            let text = String::from_utf8_lossy(&self.buffer[at..at + line]);
            let size = usize::from_str_radix(text.trim(), 16)
                .map_err(|_| format!("{} sends a chunk of size '{text}'", self.address))?;
            at += line + 1;
            self.fill(at + size + 2)?;
            self.buffer.copy_within(at..at + size, end);
            (end, at) = (end + size, at + size + 2);
            if size == 0 {
                return Ok(start..end);
            }
        }
    }
}

/// The head, if all of it is there. `seen` bytes hold no empty line.
fn parse(bytes: &[u8], seen: &mut usize) -> Result<Option<Head>, String> {
    let from = seen.saturating_sub(3);
    let Some(end) = bytes[from..].windows(4).position(|w| w == b"\r\n\r\n") else {
        *seen = bytes.len();
        return Ok(None);
    };
    let length = from + end + 4;
    let text = std::str::from_utf8(&bytes[..length]).map_err(|_| "an answer's head is no text")?;
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|l| l.split(' ').nth(1)?.parse().ok());
    let status: u16 = status.ok_or("an answer has no status")?;
    let (mut body, mut close) = (Body::Length(0), false);
    for (name, value) in lines.filter_map(|l| l.split_once(':')) {
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            body = Body::Length(value.parse().map_err(|_| "an answer has a bad length")?);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            body = Body::Chunked;
        } else if name.eq_ignore_ascii_case("connection") {
            close = value.eq_ignore_ascii_case("close");
        }
    }
    Ok(Some(Head { status, length, body, close }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// What a server's bytes, sent in pieces, are read as.
    fn read(pieces: &'static [&'static str]) -> (u16, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.read_exact(&mut [0; 2]).unwrap();
            for piece in pieces {
                stream.write_all(piece.as_bytes()).unwrap();
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        let mut connection = Connection::new(&address);
        connection.send(b"hi").unwrap();
        let answer = connection.receive().unwrap();
        let read = (answer.status, String::from_utf8(answer.body.to_vec()).unwrap());
        server.join().unwrap();
        read
    }

    #[test]
    fn reads_bodies_of_a_length_and_in_chunks() {
        let plain = read(&["HTTP/1.1 200 OK\r\ncontent-len", "gth: 5\r\n\r", "\nhel", "lo"]);
        assert_eq!(plain, (200, "hello".to_owned()));
        let chunks = read(&[
            "HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab",
            "c\r\n2",
            "\r\nde\r\n0\r\n\r\n",
        ]);
        assert_eq!(chunks, (404, "abcde".to_owned()));
        assert_eq!(read(&["HTTP/1.1 204 Gone\r\nConnection: close\r\n\r\n"]), (204, String::new()));
    }
}
