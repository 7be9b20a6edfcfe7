//! Mounts, by file descriptor wherever the target could be of an image's making.

use crate::error::{During, Error, Result};
use crate::idmap::UserNs;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};
use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// A mount that is not attached anywhere yet.
#[derive(Debug)]
pub struct Detached(OwnedFd);

/// How a mount is restricted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Restrict {
    /// Nothing can be written.
    pub read_only: bool,
    /// Nothing can be executed.
    pub no_exec: bool,
}

impl Restrict {
    /// Read-only, nothing executable.
    pub const INERT: Self = Self { read_only: true, no_exec: true };
    /// Writable; nothing executable.
    pub const DATA: Self = Self { read_only: false, no_exec: true };
    /// Writable and executable.
    pub const OPEN: Self = Self { read_only: false, no_exec: false };

    /// No mount of Belljar honours setuid files or device nodes, but those of `/dev` itself.
    fn flags(self) -> MountAttrFlags {
        let mut flags = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
        flags.set(MountAttrFlags::MOUNT_ATTR_RDONLY, self.read_only);
        flags.set(MountAttrFlags::MOUNT_ATTR_NOEXEC, self.no_exec);
        flags
    }
}

impl Detached {
    /// A new file system: `proc`, `sysfs`, `tmpfs`, `devpts`.
    ///
    /// # Errors
    /// If the kernel refuses it.
    pub fn new(kind: &str, options: &[(&str, &str)], restrict: Restrict) -> Result<Self> {
        let doing = || format!("mount a {kind}");
        let fs = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).during(doing())?;
        for (key, value) in options {
            if value.is_empty() {
                fsconfig_set_flag(fs.as_fd(), *key).during(format!("{} with {key}", doing()))?;
            } else {
                fsconfig_set_string(fs.as_fd(), *key, *value)
                    .during(format!("{} with {key}={value}", doing()))?;
            }
        }
        fsconfig_create(fs.as_fd()).during(doing())?;
        let mount = fsmount(fs.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, restrict.flags());
        mount.map(Self).during(doing())
    }

    /// A second view of a folder or file that exists.
    ///
    /// # Errors
    /// If it does not exist.
    pub fn clone_of(path: &Path) -> Result<Self> {
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        open_tree(CWD, path, flags).map(Self).during(format!("clone the mount {}", path.display()))
    }

    /// A second view of what a descriptor is open on.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn clone_of_fd(fd: BorrowedFd<'_>) -> Result<Self> {
        let flags = OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_EMPTY_PATH;
        open_tree(fd, "", flags).map(Self).during("clone a mount")
    }

    /// A second view of the working folder, with all that is mounted below.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn clone_of_working_dir() -> Result<Self> {
        let flags = OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_RECURSIVE;
        open_tree(CWD, ".", flags).map(Self).during("bind the root file system")
    }

    /// Restricts it further.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn restrict(self, restrict: Restrict) -> Result<Self> {
        self.set_attributes(restrict.flags().bits(), None).during("restrict a mount")?;
        Ok(self)
    }

    /// Makes it read-only, and nothing else: for device nodes.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn read_only(self) -> Result<Self> {
        let flags = MountAttrFlags::MOUNT_ATTR_RDONLY | MountAttrFlags::MOUNT_ATTR_NOSUID;
        self.set_attributes(flags.bits(), None).during("make a mount read-only")?;
        Ok(self)
    }

    /// Shifts the owners of its files by a user namespace's map: what is root's on disk is the
    /// container's root's here. (mount_setattr(2), `MOUNT_ATTR_IDMAP`, Linux 5.12; below
    /// overlayfs 5.19.)
    ///
    /// # Errors
    /// `EINVAL` if the file system or the kernel cannot do it.
    pub fn idmapped(self, ns: &UserNs) -> Result<Self> {
        if ns.shifts() {
            self.set_attributes(libc::MOUNT_ATTR_IDMAP, Some(ns.as_fd()))
                .during("map the owners of a layer's files")?;
        }
        Ok(self)
    }

    fn set_attributes(
        &self,
        set: impl Into<u64>,
        user_ns: Option<BorrowedFd<'_>>,
    ) -> std::io::Result<()> {
        let attributes = libc::mount_attr {
            attr_set: set.into(),
            attr_clr: 0,
            propagation: 0,
            userns_fd: user_ns.map_or(0, |fd| fd.as_raw_fd().cast_unsigned().into()),
        };
        // SAFETY: both pointers are to live, initialised values of the size that is passed, and
        // the kernel only reads them.
        #[expect(unsafe_code, reason = "rustix has no mount_setattr")]
        let result = unsafe {
            libc::syscall(
                libc::SYS_mount_setattr,
                self.0.as_raw_fd(),
                c"".as_ptr(),
                libc::AT_EMPTY_PATH,
                &raw const attributes,
                size_of::<libc::mount_attr>(),
            )
        };
        if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
    }

    /// Attaches it over what a descriptor is open on.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn attach(self, target: BorrowedFd<'_>) -> Result<()> {
        let flags =
            MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        move_mount(self.0.as_fd(), "", target, "", flags).during("attach a mount")
    }

    /// Attaches it at a path of Belljar's own making.
    ///
    /// # Errors
    /// If the path does not exist.
    pub fn attach_at(self, path: &Path) -> Result<()> {
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        move_mount(self.0.as_fd(), "", CWD, path, flags)
            .during(format!("attach a mount at {}", path.display()))
    }
}

impl AsFd for Detached {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Opens something below `root` as a process with that root would see it: symbolic links are
/// followed within, and lead nowhere else.
///
/// # Errors
/// If it does not exist, or is not what `flags` ask for.
pub fn open_in_root(root: BorrowedFd<'_>, path: &str, flags: OFlags) -> Result<OwnedFd> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve)
        .during(format!("open /{} of the image", path.trim_start_matches('/')))
}

/// Opens a folder below `root`, making what is missing of it and giving that to `owner`.
///
/// # Errors
/// If something on the way is no folder.
pub fn make_dirs_in_root(root: BorrowedFd<'_>, path: &str, owner: u32) -> Result<OwnedFd> {
    let folder = OFlags::PATH | OFlags::DIRECTORY;
    let mut sofar = String::from(".");
    let mut at = open_in_root(root, ".", folder)?;
    for part in path.split('/').filter(|p| !p.is_empty()) {
        let next = format!("{sofar}/{part}");
        at = match open_in_root(root, &next, folder) {
            Ok(fd) => fd,
            Err(e) if e.errno() == Some(libc::ENOENT) => {
                match rustix::fs::mkdirat(&at, part, Mode::from_raw_mode(0o755)) {
                    // Present and yet not there: a dangling link, whose target is made by nobody.
                    Ok(()) => {
                        crate::root::give(at.as_fd(), part, owner)?;
                        open_in_root(root, &next, folder)?
                    }
                    Err(rustix::io::Errno::EXIST) => open_in_root(root, &next, folder)?,
                    Err(e) => return Err(e).during(format!("make the folder {path} of the image")),
                }
            }
            Err(e) => return Err(e),
        };
        sofar = next;
    }
    Ok(at)
}

/// The overlay of `layers` (lowest first) with `upper` as its writable top. The layers must be
/// mounted below `base` under the names `0`, `1`, ...: the kernel takes all names in one page.
///
/// # Errors
/// If the file system of `upper` cannot carry an overlay.
pub fn overlay(base: &Path, layers: usize, upper: &CStr, work: &CStr) -> Result<Detached> {
    let text = |s: &CStr| s.to_str().map(str::to_owned);
    let (upper, work) = match (text(upper), text(work)) {
        (Ok(u), Ok(w)) => (u, w),
        _ => return Err(Error::other("mount the root file system", "a path is not UTF-8")),
    };
    let lower: Vec<String> = (0..layers).rev().map(|i| i.to_string()).collect();
    let base = base.to_owned();
    crate::netns::on_thread("mount the root file system", move || {
        // Only this thread's working folder changes, so that the layers' names can be short.
        // SAFETY: the thread ends with the closure.
        #[expect(unsafe_code, reason = "unshare of the working folder of one thread")]
        unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::FS) }
            .during("take a working folder of its own")?;
        rustix::process::chdir(&base).during("enter the layers' folder")?;
        let options = [
            ("lowerdir", lower.join(":")),
            ("upperdir", upper),
            ("workdir", work),
            ("userxattr", String::new()),
            // The top is thrown away with the container: nothing in it need survive a crash.
            ("volatile", String::new()),
        ];
        let options: Vec<(&str, &str)> = options.iter().map(|(k, v)| (*k, v.as_str())).collect();
        Detached::new("overlay", &options, Restrict::OPEN)
    })
}
