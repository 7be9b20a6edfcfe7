//! What is said at the door.

use super::Asked;
use belljar_domain::serving::{Answer, Ask, CONNECT_MILLIS, MAX_DOOR_LINE};
use rustix::fs::{Mode, OFlags};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType,
};
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Interest};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;

/// Questions that are dealt with at once: each holds two descriptors, of which a process has 1,024
/// by default. Others wait in the kernel's queue.
const AT_ONCE: usize = 256;
/// Questions about models that are dealt with at once: they take long, and must not be in the way
/// of connections.
const MODELS_AT_ONCE: usize = 128;
/// Connections that wait to be taken.
const BACKLOG: i32 = 1024;
/// How long whoever asks may take to do so, and to take the answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long nobody is let in after the kernel would not.
const BREATH: Duration = Duration::from_millis(10);

/// Makes the socket. A path of any length is within reach by the folder's descriptor. Nobody can
/// connect before the socket's mode is set, because it does not listen before.
pub(super) fn bind(path: &Path) -> io::Result<UnixListener> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rustix::fs::open(folder, flags, Mode::empty())?;
    let short = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name);
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(&short)?)?;
    rustix::fs::chmod(&short, Mode::RUSR | Mode::WUSR)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket.into())
}

/// Answers whoever comes, for ever.
pub(super) async fn serve(
    listener: tokio::net::UnixListener,
    port: u16,
    models: Option<mpsc::Sender<Asked>>,
) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let waiting = Arc::new(Semaphore::new(MODELS_AT_ONCE));
    loop {
        // It is never closed.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(BREATH).await;
            continue;
        };
        let (models, waiting) = (models.clone(), Arc::clone(&waiting));
        tokio::spawn(async move {
            // Whoever does not ask, or goes away, gets no answer.
            let Ok(Ok(asked)) = timeout(PATIENCE, hear(&stream)).await else { return };
            let (answer, connection) = match asked {
                Ok(Ask::Connect) => connect(port).await,
                Ok(ask) => {
                    drop(place);
                    let Ok(_place) = waiting.try_acquire() else {
                        let why = "too many models are being brought in at once";
                        return tell(&stream, &failed(why), None).await;
                    };
                    (bring(ask, models).await, None)
                }
                Err(why) => (failed(&why), None),
            };
            tell(&stream, &answer, connection.as_ref().map(AsFd::as_fd)).await;
        });
    }
}

fn failed(why: &str) -> Answer {
    Answer::Failed { why: why.to_owned() }
}

/// One line, or why it is none.
async fn hear(stream: &UnixStream) -> io::Result<Result<Ask, String>> {
    let mut line = Vec::new();
    let mut reader = BufReader::new(Readable(stream)).take(MAX_DOOR_LINE as u64);
    reader.read_until(b'\n', &mut line).await?;
    if line.last() != Some(&b'\n') {
        return Ok(Err(format!("a question is a line of at most {MAX_DOOR_LINE} bytes")));
    }
    Ok(serde_json::from_slice(&line).map_err(|e| format!("this is no question: {e}")))
}

/// Reads from a stream that is written to later.
struct Readable<'a>(&'a UnixStream);

impl tokio::io::AsyncRead for Readable<'_> {
    fn poll_read(
        self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        use std::task::{Poll, ready};
        loop {
            ready!(self.0.poll_read_ready(cx))?;
            match self.0.try_read_buf(buffer) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => return Poll::Ready(Err(e)),
                Ok(_) => return Poll::Ready(Ok(())),
            }
        }
    }
}

/// A connection to the container's server. This thread is in its namespace, and so is the socket.
async fn connect(port: u16) -> (Answer, Option<TcpStream>) {
    let limit = Duration::from_millis(CONNECT_MILLIS);
    let closed = |why: String| (Answer::Closed { why }, None);
    match timeout(limit, TcpStream::connect((Ipv4Addr::LOCALHOST, port))).await {
        Ok(Ok(stream)) => {
            // Requests and answers are written whole; a socket without this option works as well.
            let _ = stream.set_nodelay(true);
            (Answer::Done, Some(stream))
        }
        Ok(Err(e)) => {
            closed(format!("the container does not accept connections at port {port}: {e}"))
        }
        Err(_) => closed(format!(
            "the container did not accept a connection at port {port} within {CONNECT_MILLIS} ms"
        )),
    }
}

/// Has the warden's own thread see to a model.
async fn bring(ask: Ask, models: Option<mpsc::Sender<Asked>>) -> Answer {
    let Some(models) = models else { return failed("this is no multi-model container") };
    let (answer, answered) = oneshot::channel();
    if models.send((ask, answer)).await.is_err() {
        return failed("the container is being stopped");
    }
    answered.await.unwrap_or_else(|_| failed("the container is being stopped"))
}

/// Answers, with a descriptor in the same message if there is one. Whoever has gone away, or does
/// not listen, misses it.
async fn tell(stream: &UnixStream, answer: &Answer, descriptor: Option<BorrowedFd<'_>>) {
    let Ok(mut line) = serde_json::to_vec(answer) else { return };
    line.push(b'\n');
    // A fresh socket's buffer holds far more than one line, so it goes as a whole or not at all.
    let send = stream.async_io(Interest::WRITABLE, || send(stream, &line, descriptor));
    let _ = timeout(PATIENCE, send).await;
}

fn send(stream: &UnixStream, line: &[u8], fd: Option<BorrowedFd<'_>>) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds: Vec<BorrowedFd<'_>> = fd.into_iter().collect();
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&fds)) {
        return Err(io::ErrorKind::OutOfMemory.into());
    }
    let flags = SendFlags::NOSIGNAL;
    Ok(rustix::net::sendmsg(stream, &[IoSlice::new(line)], &mut control, flags)?)
}
