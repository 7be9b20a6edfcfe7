//! The signals of a jar: who hears which.

use crate::error::{During, Result};
use std::os::fd::{FromRawFd, OwnedFd};

/// Signals that are for the command. Those of job control are not among them: the shell sends
/// them to the whole process group, and each process does by itself what they say.
pub const PASSED_ON: [i32; 7] = [
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGTERM,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGWINCH,
];

fn set(signals: &[i32]) -> libc::sigset_t {
    // SAFETY: sigemptyset initialises the whole set; sigaddset only changes it, and refuses
    // numbers that are no signals.
    #[expect(unsafe_code, reason = "there is no safe sigset_t")]
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in signals {
            libc::sigaddset(&raw mut set, *signal);
        }
        set
    }
}

/// Signals that wait.
#[derive(Clone, Copy)]
pub(super) struct Mask(libc::sigset_t);

impl Mask {
    /// Makes them those that wait in this thread, and no other.
    pub(super) fn restore(&self) -> Result<()> {
        mask(libc::SIG_SETMASK, &self.0).map(drop)
    }
}

/// Changes which signals wait; returns which did before.
fn mask(how: i32, signals: &libc::sigset_t) -> Result<Mask> {
    let mut before = set(&[]);
    // SAFETY: both sets are initialised, and the second is written whole.
    #[expect(unsafe_code, reason = "there is no safe pthread_sigmask(3)")]
    let result = unsafe { libc::pthread_sigmask(how, signals, &raw mut before) };
    if result == 0 { Ok(Mask(before)) } else { Err(std::io::Error::from_raw_os_error(result)) }
        .during("change the signal mask")
}

/// Lets signals wait. `SIGTTOU` too, and for good: at the end the terminal is given back by a
/// process that is not its owner.
pub(super) fn hold() -> Result<Mask> {
    let mut all = PASSED_ON.to_vec();
    all.push(libc::SIGTTOU);
    mask(libc::SIG_BLOCK, &set(&all))
}

/// To be called once handlers of [`PASSED_ON`] are in place: what has waited is heard now.
///
/// # Errors
/// If the kernel refuses.
pub fn take_over() -> Result<()> {
    mask(libc::SIG_UNBLOCK, &set(&PASSED_ON)).map(drop)
}

/// Whether a signal of [`PASSED_ON`] waits for this process; it does no more.
pub(super) fn take(signal: i32) -> bool {
    let set = set(&[signal]);
    let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: both pointers are to initialised values; what the signal was is not asked for.
    #[expect(unsafe_code, reason = "there is no safe sigtimedwait(2)")]
    let taken = unsafe { libc::sigtimedwait(&raw const set, std::ptr::null_mut(), &raw const now) };
    taken == signal
}

/// A descriptor that is readable once a child has ended.
pub(super) fn children() -> Result<OwnedFd> {
    let set = set(&[libc::SIGCHLD]);
    mask(libc::SIG_BLOCK, &set)?;
    let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
    // SAFETY: the set is initialised; -1 asks for a new descriptor.
    #[expect(unsafe_code, reason = "there is no safe signalfd(2)")]
    let fd = unsafe { libc::signalfd(-1, &raw const set, flags) };
    if fd < 0 {
        return Err(std::io::Error::last_os_error()).during("listen for ended children");
    }
    // SAFETY: the descriptor is new and nobody else's.
    #[expect(unsafe_code, reason = "a descriptor that a system call returned")]
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Ends this process by a signal, as if it had never been handled.
pub fn end_by(signal: i32) {
    // SAFETY: the default disposition runs no code, and a signal to oneself needs no memory.
    #[expect(unsafe_code, reason = "there is no safe signal(2)")]
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
    }
}
