//! A registry on the loopback, just enough of the distribution specification to pull from.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// How the registry behaves.
#[derive(Default, Clone)]
pub(crate) struct Behaviour {
    /// Wants a token from its token server.
    pub(crate) token: bool,
    /// Breaks off the first answer for each of these paths halfway.
    pub(crate) break_once: Vec<String>,
    /// Answers all with an endless body.
    pub(crate) endless: bool,
}

/// A running registry; its threads end with the test process.
pub(crate) struct Server {
    pub(crate) address: String,
    /// The requests' paths, in order.
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
}

type Files = HashMap<String, Vec<u8>>;

impl Server {
    /// Serves these paths.
    pub(crate) fn start(files: Files, behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, host) = (Arc::clone(&asked), address.clone());
        let behaviour = Arc::new(Mutex::new(behaviour));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (files, log, host) = (files.clone(), Arc::clone(&log), host.clone());
                let behaviour = Arc::clone(&behaviour);
                std::thread::spawn(move || {
                    // A client that hangs up ends its connection, nothing else.
                    let _ = answer(&stream.unwrap(), &files, &log, &host, &behaviour);
                });
            }
        });
        Self { address, asked }
    }
}

fn answer(
    stream: &TcpStream,
    files: &Files,
    log: &Mutex<Vec<String>>,
    host: &str,
    behaviour: &Mutex<Behaviour>,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    let path = first.split(' ').nth(1).unwrap_or("/").to_owned();
    let mut authorized = false;
    for line in lines {
        let line = line?;
        authorized |= line.eq_ignore_ascii_case("authorization: Bearer let-me-in");
        if line.is_empty() {
            break;
        }
    }
    log.lock().unwrap().push(path.clone());
    let mut stream = stream;
    let how = behaviour.lock().unwrap().clone();
    if how.endless {
        stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")?;
        loop {
            stream.write_all(&[b' '; 65536])?;
        }
    }
    if path.starts_with("/token?") {
        let asks =
            path.contains("scope=repository%3Ateam%2Fdemo%3Apull") && path.contains("service=s");
        let body = if asks { r#"{"token":"let-me-in"}"# } else { "{}" };
        return whole(stream, "200 OK", "", body.as_bytes());
    }
    if how.token && !authorized {
        let header =
            format!("www-authenticate: Bearer realm=\"http://{host}/token\",service=\"s\"\r\n");
        return whole(stream, "401 Unauthorized", &header, b"{}");
    }
    match files.get(&path) {
        Some(body) if how.break_once.contains(&path) => {
            behaviour.lock().unwrap().break_once.retain(|p| *p != path);
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            stream.write_all(head.as_bytes())?;
            stream.write_all(&body[..body.len() / 2])
        }
        Some(body) => whole(stream, "200 OK", "", body),
        None => whole(stream, "404 Not Found", "", b"{}"),
    }
}

fn whole(mut stream: &TcpStream, status: &str, header: &str, body: &[u8]) -> std::io::Result<()> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\n{header}content-length: {length}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)
}
