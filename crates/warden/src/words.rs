//! What is said through a unix socket: one line (JSON) each way, and at most one descriptor along
//! with each (`SCM_RIGHTS`).

use rustix::fs::{Mode, OFlags};
use rustix::io::retry_on_intr;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType, recvmsg,
};
use serde::Serialize;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::UnixStream;

/// Connections that wait to be taken.
const BACKLOG: i32 = 1024;
/// How long whoever takes connections is left alone that has more of them than it takes.
const PAUSE: Duration = Duration::from_millis(5);
/// Bytes that are read at a time.
const CHUNK: usize = 16 << 10;

/// A path of any length within reach: by its folder's descriptor, which is to be held.
fn short(path: &Path) -> io::Result<(OwnedFd, PathBuf)> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rustix::fs::open(folder, flags, Mode::empty())?;
    let short = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name);
    Ok((folder, short))
}

/// Makes a socket (0600), in the place of one that is left. Nobody can connect before its mode is
/// set, because it does not listen before.
pub(crate) fn bind(path: &Path) -> io::Result<UnixListener> {
    let (_folder, short) = short(path)?;
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

/// Connects to a socket; waits for its turn where others are first.
pub(crate) async fn connect(path: &Path) -> io::Result<UnixStream> {
    let (_folder, short) = short(path)?;
    loop {
        match UnixStream::connect(&short).await {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => tokio::time::sleep(PAUSE).await,
            result => return result,
        }
    }
}

/// The process that listens at a socket. To be asked where there is no event loop yet.
///
/// # Errors
/// If nobody does.
pub(crate) fn listener_of(path: &Path) -> io::Result<i32> {
    let (_folder, short) = short(path)?;
    let stream = std::os::unix::net::UnixStream::connect(short)?;
    Ok(rustix::net::sockopt::socket_peercred(&stream)?.pid.as_raw_nonzero().get())
}

/// One line of at most `limit` bytes, and the descriptor that came along.
///
/// # Errors
/// If it is longer, or does not come whole.
pub(crate) async fn hear(
    stream: &UnixStream,
    limit: usize,
) -> io::Result<(Vec<u8>, Option<OwnedFd>)> {
    let (mut line, mut descriptor) = (Vec::new(), None);
    let mut chunk = vec![0; CHUNK];
    while line.len() < limit {
        let (count, come) =
            stream.async_io(Interest::READABLE, || receive(stream, &mut chunk)).await?;
        let bytes = &chunk[..count];
        if bytes.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        descriptor = come.or(descriptor);
        line.extend_from_slice(bytes);
        if line.last() == Some(&b'\n') && line.len() <= limit {
            return Ok((line, descriptor));
        }
    }
    Err(io::Error::other(format!("a line has at most {limit} bytes")))
}

fn receive(stream: &UnixStream, into: &mut [u8]) -> io::Result<(usize, Option<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = retry_on_intr(|| {
        let into = &mut [IoSliceMut::new(into)];
        recvmsg(stream, into, &mut control, RecvFlags::CMSG_CLOEXEC)
    })?;
    let rights = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    let descriptor = rights.flatten().last();
    Ok((received.bytes, descriptor))
}

/// Says a line, with a descriptor in the same message as its beginning if there is one.
///
/// # Errors
/// If the other side is gone.
pub(crate) async fn tell(
    stream: &UnixStream,
    words: &impl Serialize,
    descriptor: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let mut line = serde_json::to_vec(words)?;
    line.push(b'\n');
    let (mut rest, mut along) = (line.as_slice(), descriptor);
    while !rest.is_empty() {
        let sent = stream.async_io(Interest::WRITABLE, || send(stream, rest, along)).await?;
        rest = rest.get(sent..).unwrap_or_default();
        along = None;
    }
    Ok(())
}

fn send(stream: &UnixStream, bytes: &[u8], fd: Option<BorrowedFd<'_>>) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds: Vec<BorrowedFd<'_>> = fd.into_iter().collect();
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&fds)) {
        return Err(io::ErrorKind::OutOfMemory.into());
    }
    let flags = SendFlags::NOSIGNAL;
    Ok(rustix::net::sendmsg(stream, &[IoSlice::new(bytes)], &mut control, flags)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[tokio::test]
    async fn long_lines_and_descriptors_come_through() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x".repeat(120)).join("socket");
        std::fs::create_dir(path.parent().unwrap()).unwrap();
        let listener = tokio::net::UnixListener::from_std(bind(&path).unwrap()).unwrap();
        let words = "ä".repeat(300_000);
        let say = async {
            let stream = connect(&path).await.unwrap();
            let file = std::fs::File::open("/dev/null").unwrap();
            tell(&stream, &words, Some(file.as_fd())).await.unwrap();
            // Nothing more comes.
            assert!(hear(&stream, 10).await.is_err());
        };
        let listen = async {
            let (stream, _) = listener.accept().await.unwrap();
            let (line, descriptor) = hear(&stream, 1 << 20).await.unwrap();
            assert_eq!(serde_json::from_slice::<String>(&line).unwrap(), words);
            assert!(descriptor.is_some());
            // Whoever has heard enough is gone.
            let _ = tell(&stream, &words, None).await;
        };
        tokio::join!(say, listen);
    }
}
