//! Starts the one process tree of a container, already sealed.
//!
//! A helper (this same program, [`HELPER`]) has one thread, as joining namespaces needs. It
//! enters the container's network and user namespace, makes the others, and forks a keeper, which
//! forks the container's first process and waits for it. That process gives up everything, says
//! `ready` and waits: its next instruction after the warden's word is the `execve` of the image's
//! program. So the warden reads the finished seal back before any foreign code has run.
//!
//! Whoever dies, all below die: the helper with the warden's thread, the keeper with the helper
//! (`PR_SET_PDEATHSIG`), and all of the container with the keeper, which is the first process of a
//! pid namespace around the container's own. Nothing of this is in the container's hands.

use crate::cgroup::Cgroup;
use crate::error::{During, Error, Result};
use crate::idmap::UserNs;
use crate::netns::NetNs;
use crate::process::ProcessHandle;
use serde::{Deserialize, Serialize};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream as StdStream;
use std::path::PathBuf;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::{Child, Command};

#[path = "container_init.rs"]
mod init;
pub use init::helper_main;

/// The word on a helper's command line that makes it [`helper_main`].
pub const HELPER: &str = "box";
/// A message is a line of at most this many bytes; environment and arguments are in the largest.
const MAX_MESSAGE: usize = 4 << 20;

/// What the container's first process is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Spec {
    /// The assembled root.
    pub root: PathBuf,
    /// Its name.
    pub host_name: String,
    /// Program and arguments; the program by path, or along `PATH` of the environment.
    pub command: Vec<String>,
    /// The whole environment.
    pub environment: Vec<(String, String)>,
    /// The folder it starts in.
    pub working_dir: String,
    /// User id inside.
    pub uid: u32,
    /// Group id inside.
    pub gid: u32,
    /// Processes and threads, by `RLIMIT_NPROC`: holds also where there is no cgroup.
    pub processes: u32,
}

#[derive(Debug, Serialize, Deserialize)]
struct Order {
    spec: Spec,
    warden: u32,
    net_ns: i32,
    user_ns: i32,
}

/// What the helper and the first process say.
#[derive(Debug, Serialize, Deserialize)]
enum Word {
    Forked { pid: i32 },
    Ready,
    Failed { operation: String, errno: i32, text: String },
    Exited { code: i32, signal: Option<i32> },
}

/// How the first process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Exit code, or 128 and the signal's number.
    pub code: i32,
    /// The signal that ended it.
    pub signal: Option<i32>,
}

struct Link {
    helper: Child,
    words: BufReader<OwnedReadHalf>,
    orders: OwnedWriteHalf,
}

/// A container that is complete and sealed and has not run an instruction of its own.
pub struct Sealed {
    link: Link,
    process: ProcessHandle,
    output: Output,
}

/// The reading ends of the container's output.
#[derive(Debug)]
pub struct Output {
    /// Its standard output.
    pub stdout: OwnedFd,
    /// Its standard error.
    pub stderr: OwnedFd,
}

/// A container that runs.
pub struct Running {
    link: Link,
    process: ProcessHandle,
}

/// A container whose first process has ended, and with it all others; its record in the process
/// table is still there to be read.
pub struct Exited {
    link: Link,
    process: ProcessHandle,
    /// How.
    pub ended: Ended,
}

/// Starts the helper and brings it to the point before the program's first instruction.
///
/// # Errors
/// If a step is refused. Nothing is left running then.
pub async fn seal(spec: Spec, net_ns: &NetNs, user_ns: &UserNs, cgroup: &Cgroup) -> Result<Sealed> {
    let (ours, theirs) = StdStream::pair().during("make the helper's socket")?;
    ours.set_nonblocking(true).during("make a socket non-blocking")?;
    let (stdout, stdout_in) = output_pipe(user_ns, spec.uid, spec.gid)?;
    let (stderr, stderr_in) = output_pipe(user_ns, spec.uid, spec.gid)?;
    let helper = Command::new("/proc/self/exe")
        .arg(HELPER)
        .env_clear()
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::from(stdout_in))
        .stderr(Stdio::from(stderr_in))
        .kill_on_drop(true)
        .spawn()
        .during("start the container's helper")?;
    let stream = UnixStream::from_std(ours).during("use the helper's socket")?;
    let (read, orders) = stream.into_split();
    let mut link = Link { helper, words: BufReader::new(read), orders };
    let pid = link.helper.id().ok_or_else(|| Error::other("start the helper", "it ended"))?;
    cgroup.add(pid.cast_signed())?;
    let order = Order {
        spec,
        warden: std::process::id(),
        net_ns: net_ns.as_fd().as_raw_fd(),
        user_ns: user_ns.as_fd().as_raw_fd(),
    };
    link.send(&order).await?;
    let Word::Forked { pid } = link.hear().await? else {
        return Err(out_of_turn());
    };
    let process = ProcessHandle::open(pid)?;
    match link.hear().await {
        Ok(Word::Ready) => {}
        Ok(_) => return Err(out_of_turn()),
        Err(e) => {
            process.kill();
            return Err(e);
        }
    }
    Ok(Sealed { link, process, output: Output { stdout, stderr } })
}

/// A pipe whose writing end the container's user may open again by its name in /proc, as
/// `/dev/stdout` does.
fn output_pipe(user_ns: &UserNs, uid: u32, gid: u32) -> Result<(OwnedFd, OwnedFd)> {
    let flags = rustix::pipe::PipeFlags::CLOEXEC;
    let (read, write) = rustix::pipe::pipe_with(flags).during("make an output pipe")?;
    let base = user_ns.root_id();
    std::os::unix::fs::fchown(&write, Some(base + uid), Some(base + gid))
        .during("give an output pipe to the container")?;
    Ok((read, write))
}

impl Sealed {
    /// The first process, as the host numbers it.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.process.pid()
    }

    /// Lets it run.
    ///
    /// # Errors
    /// If it has died meanwhile.
    pub async fn start(mut self) -> Result<(Running, Output)> {
        self.link.orders.write_all(b"g").await.during("start the container")?;
        Ok((Running { link: self.link, process: self.process }, self.output))
    }
}

impl Running {
    /// The first process.
    #[must_use]
    pub fn process(&self) -> &ProcessHandle {
        &self.process
    }

    /// Waits until it ends. Cancel-safe only in that dropping it kills the container.
    ///
    /// # Errors
    /// [`Error`] if the program could not be executed, or the helper died.
    pub async fn wait(&mut self) -> Result<Ended> {
        match self.link.hear().await? {
            Word::Exited { code, signal } => Ok(Ended { code, signal }),
            _ => Err(out_of_turn()),
        }
    }

    /// After [`Running::wait`].
    #[must_use]
    pub fn exited(self, ended: Ended) -> Exited {
        Exited { link: self.link, process: self.process, ended }
    }
}

impl Exited {
    /// The first process, whose record is still there.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.process.pid()
    }

    /// Clears the record, and waits for the helper.
    ///
    /// # Errors
    /// If the helper is lost.
    pub async fn reap(mut self) -> Result<()> {
        self.link.orders.write_all(b"r").await.during("end the container's helper")?;
        self.link.helper.wait().await.during("end the container's helper")?;
        Ok(())
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // With the helper goes the container. It is killed here too, beside `kill_on_drop`,
        // because that alone does not say so.
        let _ = self.helper.start_kill();
    }
}

impl Link {
    async fn send(&mut self, order: &Order) -> Result<()> {
        let mut line = serde_json::to_vec(order)
            .map_err(|e| Error::other("write the container's order", e.to_string()))?;
        line.push(b'\n');
        if line.len() > MAX_MESSAGE {
            return Err(Error::other("write the container's order", "it is too large"));
        }
        self.orders.write_all(&line).await.during("send the container's order")
    }

    async fn hear(&mut self) -> Result<Word> {
        let mut line = String::new();
        let read = self.words.read_line(&mut line).await.during("hear the container's helper")?;
        if read == 0 {
            return Err(Error::other("hear the container's helper", "it was killed"));
        }
        let word = serde_json::from_str(&line)
            .map_err(|e| Error::other("hear the container's helper", e.to_string()))?;
        match word {
            Word::Failed { operation, errno, text } => {
                let source = if errno == 0 {
                    std::io::Error::other(text)
                } else {
                    std::io::Error::from_raw_os_error(errno)
                };
                Err(Error { operation, source })
            }
            word => Ok(word),
        }
    }
}

fn out_of_turn() -> Error {
    Error::other("hear the container's helper", "it spoke out of turn")
}

macro_rules! opaque_debug {
    ($($type:ident),*) => {$(
        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($type))
                    .field("pid", &self.process.pid())
                    .finish_non_exhaustive()
            }
        }
    )*};
}
opaque_debug!(Sealed, Running, Exited);
