//! A user's own command in a bell jar: a network and a process table of its own; all else, its
//! files, its user, its terminal and its working folder, stays as it was.
//!
//! The warden forks a keeper, the first process of the command's pid namespace; the keeper forks
//! the command into a user namespace in which it is who it was before, and which has no power
//! over the network namespace. Whoever dies, all below die: the keeper with the warden
//! (`PR_SET_PDEATHSIG`), and every process of the command with the keeper.
//!
//! All are in the process group that the shell made. What a terminal sends reaches them all, so
//! the command hears Ctrl-C as it would without a jar; what is sent to the warden alone is passed
//! on ([`Running::pass_on`]).

use crate::error::{During, Error, Result};
use crate::netns::NetNs;
use crate::privilege::{Privilege, assert_single_threaded};
use crate::process::ProcessHandle;
use rustix::process::{Pid, WaitOptions, waitpid};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::io::Write;
use std::os::unix::net::UnixStream as StdStream;
use std::path::PathBuf;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

#[path = "jar_keeper.rs"]
mod keeper;
use keeper::Born;
#[path = "jar_signals.rs"]
mod signals;
pub use signals::{PASSED_ON, end_by, take_over};

/// The keeper's word that all is prepared. No signal has this number.
const GO: u8 = 0;
/// Exit code of a command that could not be executed, as env(1) has it.
const CANNOT_EXECUTE: i32 = 126;
/// Exit code of a command that does not exist.
const NOT_FOUND: i32 = 127;
/// Exit code of a keeper that failed.
const FAILED: i32 = 70;

/// The operation that fails when the keeper is killed.
const KEEP: &str = "keep the command";

/// Whether an error of [`Running::wait`] is that the keeper was killed, and so the command.
#[must_use]
pub fn is_keepers_death(e: &Error) -> bool {
    e.operation == KEEP
}

/// What the command sees at a path that exists; others are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Face {
    /// A file of this content.
    Content(String),
    /// Another file.
    File(PathBuf),
    /// Nothing that could be read, or be connected to.
    Nothing,
}

/// A command and what it sees.
#[derive(Debug, Clone)]
pub struct Spec {
    /// Program and arguments; the program by path, or along `PATH`.
    pub command: Vec<OsString>,
    /// What it sees in the place of the host's files.
    pub faces: Vec<(PathBuf, Face)>,
    /// Whose command it is.
    pub privilege: Privilege,
    /// The user's group on the host.
    pub gid: u32,
}

/// What keeper and command say.
#[derive(Debug, Serialize, Deserialize)]
enum Word {
    Failed { operation: String, errno: i32, text: String },
    Exited { code: i32, signal: Option<i32> },
}

/// A jar whose command has not been started.
#[derive(Debug)]
pub struct Jar {
    net: NetNs,
    keeper: Pid,
    link: StdStream,
}

/// A command that runs.
#[derive(Debug)]
pub struct Running {
    keeper: Pid,
    words: BufReader<OwnedReadHalf>,
    orders: OwnedWriteHalf,
}

/// How the command ended.
#[derive(Debug)]
pub struct Ended {
    /// Exit code, or 128 and the signal's number.
    pub code: i32,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Why it could not be executed, if so.
    pub not_executed: Option<Error>,
}

/// Makes the jar. The process must have entered its namespaces ([`crate::privilege::enter`]) and
/// have one thread; from here on signals of [`PASSED_ON`] wait until [`take_over`].
///
/// # Errors
/// If the kernel refuses a namespace.
pub fn make(spec: &Spec) -> Result<Jar> {
    assert_single_threaded()?;
    let warden = ProcessHandle::own()?;
    let net = NetNs::create()?;
    let mask = signals::hold()?;
    let (link, theirs) = StdStream::pair().during("make the keeper's socket")?;
    let flags = libc::CLONE_NEWPID | libc::CLONE_NEWNS | libc::CLONE_NEWIPC | libc::SIGCHLD;
    // SAFETY: without CLONE_VM the child has a copy of everything, and this process has one
    // thread, so the copy is complete. The zeros (stack, where to write ids, thread pointer) mean
    // "as in the parent" and "not asked for", in whatever order an architecture has them.
    #[expect(unsafe_code, reason = "there is no safe clone(2)")]
    let pid = unsafe {
        libc::syscall(
            libc::SYS_clone,
            libc::c_long::from(flags),
            0_usize,
            0_usize,
            0_usize,
            0_usize,
        )
    };
    if pid == 0 {
        drop(link);
        std::process::exit(keeper::life(&theirs, spec, &net, &Born { warden, mask }));
    }
    let made = i32::try_from(pid).ok().and_then(Pid::from_raw).filter(|_| pid > 0);
    let keeper = made.ok_or_else(|| Error {
        operation: "make a process namespace".into(),
        source: std::io::Error::last_os_error(),
    })?;
    Ok(Jar { net, keeper, link })
}

impl Jar {
    /// Its network namespace: empty and without `lo`, until somebody makes something of it.
    #[must_use]
    pub fn net(&self) -> &NetNs {
        &self.net
    }

    /// Starts the command.
    ///
    /// # Errors
    /// If the keeper has died.
    pub async fn start(self) -> Result<Running> {
        self.link.set_nonblocking(true).during("make a socket non-blocking")?;
        let stream = UnixStream::from_std(self.link).during("use the keeper's socket")?;
        let (read, mut orders) = stream.into_split();
        orders.write_all(&[GO]).await.during("start the command")?;
        Ok(Running { keeper: self.keeper, words: BufReader::new(read), orders })
    }
}

impl Running {
    /// Passes a signal on that this process was sent, unless it was for the whole process group:
    /// then the command has it already.
    ///
    /// # Errors
    /// If the keeper has died.
    pub async fn pass_on(&mut self, signal: i32) -> Result<()> {
        let byte = u8::try_from(signal).unwrap_or(GO);
        self.orders.write_all(&[byte]).await.during("pass a signal on")
    }

    /// Waits until the command and all that it started have ended. Cancel-safe between lines.
    ///
    /// # Errors
    /// If the keeper failed or was killed.
    pub async fn wait(&mut self, heard: &mut Heard) -> Result<Ended> {
        loop {
            match self.words.read_line(&mut heard.line).await {
                Ok(0) => break,
                Ok(_) => {}
                // It has ended before it could hear the last signal.
                Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => break,
                Err(e) => return Err(e).during("hear the keeper"),
            }
            let word = serde_json::from_str(&heard.line)
                .map_err(|e| Error::other("hear the keeper", e.to_string()))?;
            heard.line.clear();
            match word {
                Word::Exited { code, signal } => heard.exited = Some((code, signal)),
                Word::Failed { operation, errno: 0, text } => {
                    heard.failed = Some(Error::other(operation, text));
                }
                Word::Failed { operation, errno, .. } => {
                    let source = std::io::Error::from_raw_os_error(errno);
                    heard.failed = Some(Error { operation, source });
                }
            }
        }
        // Its socket is closed, so it is at its end.
        let _ = waitpid(Some(self.keeper), WaitOptions::empty());
        match (heard.exited, heard.failed.take()) {
            (Some((code, signal)), not_executed) => Ok(Ended { code, signal, not_executed }),
            (None, Some(e)) => Err(e),
            (None, None) => Err(Error::other(KEEP, "its keeper was killed")),
        }
    }
}

/// What [`Running::wait`] has heard so far, so that it can be asked again.
#[derive(Debug, Default)]
pub struct Heard {
    line: String,
    exited: Option<(i32, Option<i32>)>,
    failed: Option<Error>,
}

fn tell(mut link: &StdStream, word: &Word) -> Result<()> {
    let mut line =
        serde_json::to_vec(word).map_err(|e| Error::other("write to the warden", e.to_string()))?;
    line.push(b'\n');
    link.write_all(&line).during("write to the warden")
}

fn tell_failure(link: &StdStream, e: &Error) {
    let (operation, errno) = (e.operation.clone(), e.errno().unwrap_or(0));
    // If the warden is gone there is nobody to tell.
    let _ = tell(link, &Word::Failed { operation, errno, text: e.source.to_string() });
}
