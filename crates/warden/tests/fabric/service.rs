//! A service that says what it hears.

use belljar_domain::proxy::{FIXED, LOCAL, Proxied};
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::mpsc::{self, Receiver, Sender};

use crate::scene::SOON;

/// It answers whatever comes with the same bytes.
pub(crate) struct Service {
    heads: Receiver<Proxied>,
}

impl Service {
    pub(crate) fn start(socket: &Path) -> Self {
        let listener = UnixListener::bind(socket).unwrap();
        let (tell, heads) = mpsc::channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let tell = tell.clone();
                std::thread::spawn(move || echo(stream, &tell));
            }
        });
        Self { heads }
    }

    /// The head of the next connection.
    pub(crate) fn head(&self) -> Proxied {
        self.heads.recv_timeout(SOON).unwrap()
    }
}

fn echo(mut stream: UnixStream, tell: &Sender<Proxied>) {
    let mut fixed = [0; FIXED];
    stream.read_exact(&mut fixed).unwrap();
    if fixed != LOCAL {
        let mut rest = vec![0; Proxied::rest(&fixed).unwrap()];
        stream.read_exact(&mut rest).unwrap();
        // A test that is over does not listen.
        let _ = tell.send(Proxied::decode(&fixed, &rest).unwrap());
    }
    let mut bytes = [0; 1024];
    while let Ok(count @ 1..) = stream.read(&mut bytes) {
        if stream.write_all(&bytes[..count]).is_err() {
            return;
        }
    }
}
