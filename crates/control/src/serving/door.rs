//! A container's door: the warden's unix socket through which a request gets into a network
//! namespace that nothing leads to.

use crate::service::socket;
use belljar_domain::serving::{Answer, Ask, DOOR, MAX_DOOR_LINE};
use rustix::io::retry_on_intr;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::{TcpStream, UnixStream};

/// Why there is no connection, or a model was not brought.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DoorError {
    /// The warden cannot be reached: it ended, most likely.
    #[error("the door does not open")]
    Io(#[from] io::Error),
    /// Nothing was said in time.
    #[error("the door did not answer in time")]
    Slow,
    /// What was said is not understood.
    #[error("the door's answer is not understood")]
    Words(#[from] serde_json::Error),
    /// The container does not accept connections.
    #[error("the container does not accept a connection: {0}")]
    Closed(String),
    /// What was asked cannot be done.
    #[error("{0}")]
    Failed(String),
}

/// A connection to the server in a container.
///
/// # Errors
/// If there is none within `limit`.
pub(crate) async fn connect(folder: &Path, limit: Duration) -> Result<TcpStream, DoorError> {
    let descriptor = timed(limit, say(folder, &Ask::Connect)).await?;
    let descriptor = descriptor.ok_or_else(|| io::Error::other("no descriptor came along"))?;
    let stream = std::net::TcpStream::from(descriptor);
    stream.set_nonblocking(true)?;
    // Heads and bodies are written as they are ready; waiting to fill a packet only delays them.
    stream.set_nodelay(true)?;
    Ok(TcpStream::from_std(stream)?)
}

/// Has the warden do something else.
///
/// # Errors
/// If it is not done within `limit`.
pub(crate) async fn ask(folder: &Path, ask: &Ask, limit: Duration) -> Result<(), DoorError> {
    timed(limit, say(folder, ask)).await.map(drop)
}

async fn timed<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, DoorError>>,
) -> Result<T, DoorError> {
    tokio::time::timeout(limit, work).await.unwrap_or(Err(DoorError::Slow))
}

async fn say(folder: &Path, ask: &Ask) -> Result<Option<OwnedFd>, DoorError> {
    let mut stream = socket::connect(folder, DOOR).await?;
    let mut line = serde_json::to_vec(ask)?;
    line.push(b'\n');
    stream.write_all(&line).await?;
    let (line, descriptor) = hear(&stream, MAX_DOOR_LINE).await?;
    match serde_json::from_slice(&line)? {
        Answer::Done => Ok(descriptor),
        Answer::Closed { why } => Err(DoorError::Closed(why)),
        Answer::Failed { why } => Err(DoorError::Failed(why)),
    }
}

/// One line of at most `limit` bytes, and the descriptor that came along.
pub(crate) async fn hear(
    stream: &UnixStream,
    limit: usize,
) -> io::Result<(Vec<u8>, Option<OwnedFd>)> {
    let (mut line, mut descriptor) = (Vec::new(), None);
    while line.len() <= limit {
        let (bytes, come) = stream.async_io(Interest::READABLE, || receive(stream)).await?;
        if bytes.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        descriptor = come.or(descriptor);
        line.extend(bytes);
        if line.last() == Some(&b'\n') {
            return Ok((line, descriptor));
        }
    }
    Err(io::Error::other("the answer is too long"))
}

fn receive(stream: &UnixStream) -> io::Result<(Vec<u8>, Option<OwnedFd>)> {
    let mut bytes = [0; 1024];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = retry_on_intr(|| {
        let into = &mut [IoSliceMut::new(&mut bytes)];
        recvmsg(stream, into, &mut control, RecvFlags::CMSG_CLOEXEC)
    })?;
    let rights = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    let descriptor = rights.flatten().last();
    Ok((bytes.get(..received.bytes).unwrap_or_default().to_vec(), descriptor))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serving::testing::{Fake, say};
    use std::io::{Read, Write};
    use std::os::unix::net::UnixListener;
    use std::time::Instant;

    const LIMIT: Duration = Duration::from_millis(300);

    /// A connection through a door that says `answer` to whoever comes, and then holds the line.
    async fn said(answer: &'static [u8]) -> Result<TcpStream, DoorError> {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join(DOOR)).unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 100]).unwrap();
            // Whoever asked may have heard enough.
            let _ = stream.write_all(answer);
            if answer.ends_with(b"\n") || answer.is_empty() {
                std::thread::sleep(LIMIT * 2);
            }
        });
        connect(dir.path(), LIMIT).await
    }

    #[tokio::test]
    async fn whatever_a_door_says_there_is_an_end() {
        let begun = Instant::now();
        assert!(matches!(said(b"").await, Err(DoorError::Slow)));
        assert!(begun.elapsed() >= LIMIT);
        assert!(matches!(said(b"{\"answer\":\"do").await, Err(DoorError::Io(_))));
        assert!(matches!(said(b"what?\n").await, Err(DoorError::Words(_))));
        // It is done, and nothing came along.
        assert!(matches!(said(b"{\"answer\":\"done\"}\n").await, Err(DoorError::Io(_))));
        static LONG: [u8; 2 * MAX_DOOR_LINE] = [b'x'; 2 * MAX_DOOR_LINE];
        assert!(matches!(said(&LONG).await, Err(DoorError::Io(_))));
    }

    #[tokio::test]
    async fn nobody_at_the_door_is_known_at_once() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(connect(dir.path(), LIMIT).await, Err(DoorError::Io(_))));
        drop(UnixListener::bind(dir.path().join(DOOR)).unwrap());
        assert!(matches!(connect(dir.path(), LIMIT).await, Err(DoorError::Io(_))));
        let fake = Fake::new(|_, stream| say(stream, 200, "", b""));
        fake.closed.store(true, std::sync::atomic::Ordering::SeqCst);
        let closed = connect(&fake.folder(), LIMIT).await;
        assert!(matches!(closed, Err(DoorError::Closed(why)) if why == "refused"));
    }

    #[tokio::test]
    async fn a_connection_that_comes_is_the_containers_and_nobody_elses() {
        let fake = Fake::new(|_, stream| say(stream, 200, "", b""));
        let stream = connect(&fake.folder(), LIMIT).await.unwrap();
        assert!(stream.nodelay().unwrap());
        let flags = rustix::io::fcntl_getfd(&stream).unwrap();
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
    }

    /// More callers than the socket's backlog takes wait for their turn.
    #[tokio::test]
    async fn a_crowd_at_the_door_gets_in() {
        let fake = Fake::new(|_, stream| say(stream, 200, "", b""));
        let folder = fake.folder();
        let crowd: Vec<_> = (0..400)
            .map(|_| {
                let folder = folder.clone();
                tokio::spawn(async move { connect(&folder, Duration::from_secs(10)).await })
            })
            .collect();
        for one in crowd {
            one.await.unwrap().unwrap();
        }
    }
}
