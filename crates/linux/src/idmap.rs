//! A user namespace to map ids by, held by file descriptor.

use crate::error::{During, Error, Result};
use crate::privilege::Privilege;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use std::fs::{self, File};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A user namespace, and how its ids map.
#[derive(Debug)]
pub struct UserNs {
    fd: OwnedFd,
    base: u32,
    count: u32,
}

impl UserNs {
    /// Makes one whose ids `0..count` are `base..base+count` of the caller's. A child is born into
    /// it and lives until the ids are mapped; then the descriptor keeps the namespace.
    ///
    /// # Errors
    /// If user namespaces are forbidden or used up.
    pub fn create(base: u32, count: u32) -> Result<Self> {
        let holder = Holder::start()?;
        for file in ["uid_map", "gid_map"] {
            fs::write(holder.proc(file), format!("0 {base} {count}"))
                .during(format!("write the {file} of a user namespace"))?;
        }
        let file = File::open(holder.proc("ns/user")).during("open a user namespace")?;
        Ok(Self { fd: file.into(), base, count })
    }

    /// The caller's id of the namespace's root.
    #[must_use]
    pub fn root_id(&self) -> u32 {
        self.base
    }

    /// Whether an id exists inside.
    #[must_use]
    pub fn contains(&self, id: u32) -> bool {
        id < self.count
    }

    /// Whether ids inside are others than outside.
    #[must_use]
    pub fn shifts(&self) -> bool {
        self.base != 0
    }
}

impl AsFd for UserNs {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The namespace that a container of this warden runs in.
///
/// # Errors
/// As [`UserNs::create`].
pub fn for_container(privilege: Privilege, slot: u32) -> Result<UserNs> {
    let (base, count) = privilege.id_range(slot);
    UserNs::create(base, count)
}

/// A child in a new user namespace that does nothing; it ends with this value, or with the thread
/// that made it.
struct Holder(Pid);

impl Holder {
    fn start() -> Result<Self> {
        let parent = std::process::id().cast_signed();
        let flags = libc::c_long::from(libc::CLONE_NEWUSER | libc::SIGCHLD);
        // SAFETY: without CLONE_VM the child has a copy of everything and shares no memory. Other
        // threads may hold locks in that copy, so the child only makes system calls. The zeros
        // (stack, where to write ids, thread pointer) mean "as in the parent" and "not asked
        // for", whatever order an architecture has them in.
        #[expect(unsafe_code, reason = "there is no safe clone(2)")]
        let pid =
            unsafe { libc::syscall(libc::SYS_clone, flags, 0_usize, 0_usize, 0_usize, 0_usize) };
        if pid == 0 {
            wait_to_be_killed(parent);
        }
        let made = i32::try_from(pid).ok().and_then(Pid::from_raw).filter(|_| pid > 0);
        made.map(Self).ok_or_else(|| Error {
            operation: "make a user namespace".into(),
            source: std::io::Error::last_os_error(),
        })
    }

    fn proc(&self, file: &str) -> String {
        format!("/proc/{}/{file}", self.0.as_raw_nonzero())
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // It is a child that nobody else waits for: it can be killed, and then there is an end
        // to wait for.
        let _ = kill_process(self.0, Signal::KILL);
        let _ = waitpid(Some(self.0), WaitOptions::empty());
    }
}

/// The life of a [`Holder`].
fn wait_to_be_killed(parent: i32) -> ! {
    // SAFETY: system calls without pointers, in a process of one thread.
    #[expect(unsafe_code, reason = "after clone(2) only bare system calls are sound")]
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        while libc::getppid() == parent {
            libc::pause();
        }
        libc::_exit(0)
    }
}
