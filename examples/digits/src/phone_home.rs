//! Tries to reach the outside, as a curious package or a careless trainer would.
//!
//! Nothing is sent: a connection that succeeds is closed at once. In a sealed container each try
//! fails at once and is recorded; the trainer goes on either way.

use std::fmt;
use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// How long to wait for each target. Inside a seal the answer takes less than a millisecond.
const PATIENCE: Duration = Duration::from_millis(250);

/// Who is called, and what for. The names are reserved for documentation and belong to nobody.
pub(crate) const TARGETS: [(&str, &str); 3] = [
    ("usage telemetry", "telemetry.example.com:443"),
    ("the host's credentials (instance metadata)", "169.254.169.254:80"),
    ("a package index", "packages.example.org:443"),
];

/// What became of one try.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) target: String,
    pub(crate) result: Result<(), Refusal>,
    pub(crate) took: Duration,
}

/// Why a target was not reached.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The name has no address here.
    Name,
    /// The connection failed.
    Connect(io::ErrorKind),
    /// Nobody answered in time.
    Silence,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = match &self.result {
            Ok(()) => "REACHED".to_owned(),
            Err(Refusal::Name) => "name not found".to_owned(),
            Err(Refusal::Connect(kind)) => kind.to_string(),
            Err(Refusal::Silence) => "no answer".to_owned(),
        };
        let ms = self.took.as_secs_f64() * 1e3;
        write!(f, "tried {}: {how} after {ms:.1} ms", self.target)
    }
}

/// Tries `host:port`. The resolver of the C library knows no deadline, so it gets a thread, which
/// is left behind if it is too slow.
pub(crate) fn call(target: &str) -> Outcome {
    let began = Instant::now();
    let (send, receive) = mpsc::channel();
    let name = target.to_owned();
    thread::spawn(move || {
        // The receiver is gone if this took too long: nobody is interested any more.
        let _gone = send.send(connect(&name));
    });
    let result = receive.recv_timeout(PATIENCE).unwrap_or(Err(Refusal::Silence));
    Outcome { target: target.to_owned(), result, took: began.elapsed() }
}

fn connect(target: &str) -> Result<(), Refusal> {
    let Some(address) = target.to_socket_addrs().ok().and_then(|mut found| found.next()) else {
        return Err(Refusal::Name);
    };
    match TcpStream::connect_timeout(&address, PATIENCE) {
        Ok(_closed_at_once) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::TimedOut => Err(Refusal::Silence),
        Err(e) => Err(Refusal::Connect(e.kind())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_listener_is_reached_and_a_closed_port_refuses() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = listener.local_addr().unwrap().to_string();
        let reached = call(&target);
        assert_eq!(reached.result, Ok(()));
        assert!(reached.to_string().starts_with(&format!("tried {target}: REACHED after ")));
        drop(listener);
        let refused = call(&target);
        assert_eq!(refused.result, Err(Refusal::Connect(io::ErrorKind::ConnectionRefused)));
        assert!(refused.to_string().contains(": connection refused after "), "{refused}");
    }
}
