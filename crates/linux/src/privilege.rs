//! Who the warden is. As an ordinary user it first becomes root of a user namespace of its own;
//! from there on, one and the same road is taken by both.

use crate::error::{During, Error, Result};
use rustix::process::{getegid, geteuid};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};
use std::fs;
use std::os::fd::AsFd;

/// What the warden can do on this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privilege {
    /// Root of the host.
    Root,
    /// An ordinary user: root of a user namespace in which only that user exists.
    User {
        /// The user's id on the host.
        uid: u32,
    },
}

impl Privilege {
    /// How a container's ids map to the host's: `(first id on the host, how many)`, with 0 as
    /// the first id in the container. `slot` keeps concurrent containers of a root warden apart.
    #[must_use]
    pub fn id_range(self, slot: u32) -> (u32, u32) {
        match self {
            // Within the range that systemd-nspawn(1) too takes for containers, above all that
            // distributions assign to users (/etc/subuid).
            Self::Root => (0x4000_0000 + (slot % SLOTS) * 65_536, 65_536),
            // The container's root is the root of the user's own namespace, that is the user.
            Self::User { .. } => (0, 1),
        }
    }
}

impl std::fmt::Display for Privilege {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Root => f.write_str("root"),
            Self::User { uid } => write!(f, "user:{uid}"),
        }
    }
}

impl std::str::FromStr for Privilege {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let uid = text.strip_prefix("user:").map(str::parse);
        match (text, uid) {
            ("root", _) => Ok(Self::Root),
            (_, Some(Ok(uid))) => Ok(Self::User { uid }),
            _ => Err(Error::other("read a privilege", format!("'{text}' is none"))),
        }
    }
}

/// How many ranges there are.
pub const SLOTS: u32 = 8192;

/// Becomes root of the host (it is already) or of a new user namespace, and leaves the host's
/// mount namespace: what is mounted from here on, the host does not see, and it is gone with
/// this process. To be called before the process has a second thread.
///
/// # Errors
/// If the host forbids user namespaces to ordinary users.
pub fn enter() -> Result<Privilege> {
    let uid = geteuid();
    let privilege =
        if uid.is_root() { Privilege::Root } else { become_root_of_new_namespace(uid.as_raw())? };
    leave_mounts()?;
    Ok(privilege)
}

/// As [`enter`]; but an ordinary user becomes root of the user namespace in which the process
/// `beside` is, which the same user has made so. Each may then use what the other makes: a network
/// namespace belongs to the user namespace that it was made in.
///
/// # Errors
/// If that process is gone, or is another user's.
pub fn enter_beside(beside: i32) -> Result<Privilege> {
    let uid = geteuid();
    if uid.is_root() {
        return enter();
    }
    let path = format!("/proc/{beside}/ns/user");
    let namespace = fs::File::open(path).during("open another process's user namespace")?;
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::User))
        .during("enter another process's user namespace")?;
    leave_mounts()?;
    Ok(Privilege::User { uid: uid.as_raw() })
}

/// As [`enter`], for a child of a process that has entered already: it is who that is, and leaves
/// its mount namespace only.
///
/// # Errors
/// If the kernel refuses.
pub fn leave_mounts() -> Result<()> {
    // SAFETY: the process has one thread (the caller's duty), and no thread relies on shared
    // file system state.
    #[expect(unsafe_code, reason = "unshare is unsafe for processes with threads")]
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }.during("leave the host's mount namespace")?;
    rustix::mount::mount_change(
        "/",
        rustix::mount::MountPropagationFlags::PRIVATE | rustix::mount::MountPropagationFlags::REC,
    )
    .during("make the mounts private")
}

fn become_root_of_new_namespace(uid: u32) -> Result<Privilege> {
    let gid = getegid().as_raw();
    // SAFETY: as above.
    #[expect(unsafe_code, reason = "unshare is unsafe for processes with threads")]
    unsafe { unshare_unsafe(UnshareFlags::NEWUSER) }.during("make a user namespace")?;
    // user_namespaces(7): without privilege a gid_map needs setgroups denied first.
    write_proc("/proc/self/setgroups", "deny")?;
    write_proc("/proc/self/uid_map", &format!("0 {uid} 1"))?;
    write_proc("/proc/self/gid_map", &format!("0 {gid} 1"))?;
    Ok(Privilege::User { uid })
}

fn write_proc(path: &str, text: &str) -> Result<()> {
    fs::write(path, text).during(format!("write {path}"))
}

/// Refuses to go on where threads exist: [`enter`] would leave them behind.
///
/// # Errors
/// If there is more than one thread.
pub fn assert_single_threaded() -> Result<()> {
    let threads = fs::read_dir("/proc/self/task").during("count the threads")?.count();
    if threads == 1 {
        return Ok(());
    }
    Err(Error::other("count the threads", format!("{threads}, must be 1")))
}
