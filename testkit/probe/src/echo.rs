//! A model server that costs as little as one can: it says what it is told, and keeps connections.
//! Measurements put it behind whatever is measured.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::thread;

/// Bytes of a body.
const MAX_BODY: usize = 32 << 20;

/// Serves on a port until it is killed.
pub(crate) fn run(port: u16) -> io::Result<ExitCode> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?;
    println!("echoing");
    for stream in listener.incoming() {
        let stream = stream?;
        thread::spawn(move || {
            // A client that went away is no failure.
            let _ = connection(&stream);
        });
    }
    Ok(ExitCode::SUCCESS)
}

fn connection(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::with_capacity(64 << 10, stream);
    let (mut head, mut body, mut out) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        head.clear();
        while !head.ends_with(b"\r\n\r\n") {
            if reader.read_until(b'\n', &mut head)? == 0 {
                return Ok(());
            }
        }
        let text = String::from_utf8_lossy(&head).to_ascii_lowercase();
        let length =
            text.lines().find_map(|l| l.strip_prefix("content-length:")?.trim().parse().ok());
        body.resize(length.unwrap_or(0).min(MAX_BODY), 0);
        reader.read_exact(&mut body)?;
        out.clear();
        write!(
            out,
            "HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\ncontent-length: {}\r\n\r\n",
            body.len()
        )?;
        out.extend_from_slice(&body);
        (&*stream).write_all(&out)?;
    }
}
