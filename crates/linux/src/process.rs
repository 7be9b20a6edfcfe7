//! Processes: held by pidfd, and tied to the life of the one that made them.

use crate::error::{During, Error, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, PidfdFlags, Signal, getpid, getppid, pidfd_open, pidfd_send_signal,
    set_parent_process_death_signal,
};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A process that cannot be mistaken for another of the same number.
#[derive(Debug)]
pub struct ProcessHandle {
    fd: OwnedFd,
    pid: Pid,
}

impl ProcessHandle {
    /// Takes hold of a process that is known to exist: an unreaped child, or a child's.
    ///
    /// # Errors
    /// If it does not exist.
    pub fn open(pid: i32) -> Result<Self> {
        let pid = Pid::from_raw(pid)
            .ok_or_else(|| Error::other("open a process", format!("{pid} is no process id")))?;
        let fd = pidfd_open(pid, PidfdFlags::empty()).during("open a process")?;
        Ok(Self { fd, pid })
    }

    /// Takes hold of the calling process, to be handed to those that it forks.
    ///
    /// # Errors
    /// If no descriptor is to be had.
    pub(crate) fn own() -> Result<Self> {
        Self::open(getpid().as_raw_nonzero().get())
    }

    /// Its number.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Asks it to end.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Ends it. As the first process of a pid namespace it takes all others with it.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    fn signal(&self, signal: Signal) {
        // The one way to fail is that it has ended already, which is what was wanted.
        let _ = pidfd_send_signal(&self.fd, signal);
    }
}

impl AsFd for ProcessHandle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// As [`die_with_parent`], for the first process of a pid namespace: there the parent has no
/// number to be known by.
///
/// # Errors
/// If the parent has died before.
pub(crate) fn die_with(parent: &ProcessHandle) -> Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL)).during("tie this process to its parent")?;
    // The descriptor of a process is readable once it has ended.
    let mut ended = [PollFd::new(parent, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    if poll(&mut ended, Some(&now)).during("look at the parent")? == 0 {
        return Ok(());
    }
    Err(Error::other("tie this process to its parent", "the parent has ended"))
}

/// From here on, this process dies with the thread that started it. The kernel forgets this at
/// every change of user or capabilities, so it is said again after each.
///
/// # Errors
/// If the parent has died before.
pub fn die_with_parent(parent: i32) -> Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL)).during("tie this process to its parent")?;
    let now = getppid().map_or(0, |p| p.as_raw_nonzero().get());
    if now == parent {
        return Ok(());
    }
    Err(Error::other("tie this process to its parent", "the parent has ended"))
}
