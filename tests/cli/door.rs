//! A container that serves, as the suite plays it: whoever opens the door of the first one that
//! comes below a state folder is answered with the same words, once.

use belljar_domain::serving::{Answer, DOOR, FOLDER};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use std::io::{BufRead, BufReader, IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Answers the body that was sent.
pub(crate) fn answers(state: &Path, words: &'static str) -> JoinHandle<String> {
    let folders = state.join(FOLDER);
    std::thread::spawn(move || {
        let listener = UnixListener::bind(first(&folders).join(DOOR)).unwrap();
        let (asked, _) = listener.accept().unwrap();
        BufReader::new(&asked).read_line(&mut String::new()).unwrap();
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let passed = TcpStream::connect(server.local_addr().unwrap()).unwrap();
        let mut line = serde_json::to_vec(&Answer::Done).unwrap();
        line.push(b'\n');
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let descriptors = [passed.as_fd()];
        assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)));
        sendmsg(&asked, &[IoSlice::new(&line)], &mut control, SendFlags::NOSIGNAL).unwrap();
        speak(&server.accept().unwrap().0, words)
    })
}

fn first(folders: &Path) -> PathBuf {
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < Duration::from_secs(20), "nothing serves");
        let found = std::fs::read_dir(folders).ok().and_then(|mut all| all.next());
        match found {
            Some(folder) => return folder.unwrap().path(),
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// One request, one answer.
fn speak(mut stream: &TcpStream, words: &str) -> String {
    let mut reader = BufReader::new(stream);
    let (mut line, mut length) = (String::new(), 0);
    while line != "\r\n" {
        line.clear();
        assert!(reader.read_line(&mut line).unwrap() > 0);
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", words.len());
    stream.write_all(format!("{head}{words}").as_bytes()).unwrap();
    String::from_utf8(body).unwrap()
}
