//! A user namespace to map ids by, held by file descriptor.

use crate::error::{During, Error, Result};
use crate::privilege::Privilege;
use rustix::thread::{UnshareFlags, unshare_unsafe};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Command, Stdio};

/// The word on a helper's command line that makes it [`holder_main`].
pub const HOLDER: &str = "hold-user-namespace";

/// A user namespace, and how its ids map.
#[derive(Debug)]
pub struct UserNs {
    fd: OwnedFd,
    base: u32,
    count: u32,
}

impl UserNs {
    /// Makes one whose ids `0..count` are `base..base+count` of the caller's. Runs this same
    /// program with [`HOLDER`] for a moment, because only a process of a single thread can make a
    /// user namespace.
    ///
    /// # Errors
    /// If user namespaces are forbidden or used up.
    pub fn create(base: u32, count: u32) -> Result<Self> {
        let mut holder = Command::new("/proc/self/exe")
            .arg(HOLDER)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .during("start the holder of a user namespace")?;
        let made = Self::adopt(&mut holder, base, count);
        // Its end of the pipe closed, it ends; the descriptor keeps the namespace.
        drop(holder.stdin.take());
        holder.wait().during("end the holder of a user namespace")?;
        made
    }

    fn adopt(holder: &mut std::process::Child, base: u32, count: u32) -> Result<Self> {
        let mut word = [0; 1];
        let said = holder.stdout.as_mut().map(|out| out.read_exact(&mut word));
        if !matches!(said, Some(Ok(()))) {
            return Err(Error::other("make a user namespace", "the kernel refused"));
        }
        let pid = holder.id();
        for file in ["uid_map", "gid_map"] {
            fs::write(format!("/proc/{pid}/{file}"), format!("0 {base} {count}"))
                .during(format!("write the {file} of a user namespace"))?;
        }
        let file = File::open(format!("/proc/{pid}/ns/user")).during("open a user namespace")?;
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

/// The helper: makes a user namespace, says so, and waits for its input to end.
///
/// # Errors
/// If the namespace cannot be made.
pub fn holder_main() -> Result<()> {
    // SAFETY: this process has one thread.
    #[expect(unsafe_code, reason = "unshare is unsafe for processes with threads")]
    unsafe { unshare_unsafe(UnshareFlags::NEWUSER) }.during("make a user namespace")?;
    let mut out = std::io::stdout();
    out.write_all(b".").and_then(|()| out.flush()).during("report the namespace")?;
    std::io::stdin().read_to_end(&mut Vec::new()).during("wait for the warden")?;
    Ok(())
}
