//! Unix sockets of others.

use rustix::fs::{Mode, OFlags};
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::Duration;
use tokio::net::UnixStream;

/// How long somebody is left alone that has more callers than it takes.
const PAUSE: Duration = Duration::from_millis(5);

/// Connects to a socket in a folder; waits for its turn where others are before. The folder is
/// named by its descriptor: a socket's path is short, and a folder's may be long.
pub(crate) async fn connect(folder: &Path, name: &str) -> io::Result<UnixStream> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let held = rustix::fs::open(folder, flags, Mode::empty())?;
    let path = format!("/proc/self/fd/{}/{name}", held.as_raw_fd());
    loop {
        match UnixStream::connect(&path).await {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => tokio::time::sleep(PAUSE).await,
            result => return result,
        }
    }
}
