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

    /// Whether TERM would reach it now: it handles the signal, or has blocked it to look for it
    /// later. To the first process of a pid namespace the kernel does not even deliver one for
    /// which there is no handler (signal(7), pid_namespaces(7)). One that has ended hears nothing.
    #[must_use]
    pub fn hears_term(&self) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()));
        let bit = 1u64 << (Signal::TERM.as_raw() - 1);
        status.unwrap_or_default().lines().any(|line| {
            let sets = line.strip_prefix("SigCgt:").or_else(|| line.strip_prefix("SigBlk:"));
            sets.and_then(|s| u64::from_str_radix(s.trim(), 16).ok()).is_some_and(|s| s & bit != 0)
        })
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::process::{Child, Command, Stdio};

    /// A shell that has said that it is ready, and waits for its input to end.
    fn shell(begin: &str) -> (Child, ProcessHandle) {
        let script = format!("{begin} echo; read -r end");
        let mut child = Command::new("sh")
            .args(["-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let handle = ProcessHandle::open(i32::try_from(child.id()).unwrap()).unwrap();
        (child, handle)
    }

    #[test]
    fn only_who_handles_term_hears_it() {
        for (begin, hears) in [("", false), ("trap : TERM;", true), ("trap '' TERM;", false)] {
            let (mut child, handle) = shell(begin);
            assert_eq!(handle.hears_term(), hears, "{begin}");
            drop(child.stdin.take());
            child.wait().unwrap();
            assert!(!handle.hears_term(), "the dead hear nothing");
        }
    }
}
