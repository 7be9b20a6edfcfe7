//! A container's root file system, assembled from outside: everything is mounted here, in the
//! warden's own mount namespace, before a process of the container exists. The container's
//! namespace is a copy in which these mounts are locked: it can neither undo nor widen them.

use crate::error::{During, Error, Result};
use crate::idmap::UserNs;
use crate::mounts::{Detached, Restrict, make_dirs_in_root, open_in_root, overlay};
use crate::netns::NetNs;
use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid, chownat, openat, symlinkat, unlinkat};
use std::ffi::CString;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What a root is made of.
#[derive(Debug)]
pub struct Plan<'a> {
    /// Unpacked layers, lowest first.
    pub layers: &'a [PathBuf],
    /// A folder of the job's own, on a file system that can carry an overlay.
    pub scratch: &'a Path,
    /// Folders of the host that are seen inside: where they are, and where they are mounted.
    pub volumes: &'a [(PathBuf, &'a str)],
    /// The container's ids.
    pub user_ns: &'a UserNs,
    /// The container's name.
    pub host_name: &'a str,
    /// Addresses of names: its own, and its peers'.
    pub hosts: &'a [(Ipv4Addr, String)],
    /// `/etc/resolv.conf`.
    pub resolv_conf: &'a str,
    /// Bytes of `/dev/shm`; `None` is half of the memory.
    pub shm_bytes: Option<u64>,
}

/// An assembled root. It is gone with the warden's mount namespace.
#[derive(Debug)]
pub struct Root {
    path: PathBuf,
    fd: OwnedFd,
    owner: u32,
}

/// Device nodes of a container: those of the host, by bind mount.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
/// Links in `/dev` that programs expect.
const DEVICE_LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];
/// Parts of sysfs that are hidden behind an empty folder.
const HIDDEN_SYS: [&str; 3] = ["firmware", "devices/virtual/powercap", "kernel/security"];

/// Assembles everything but `/proc` and `/sys`, which need the container's namespaces.
///
/// # Errors
/// If a mount is refused, or the image has a file where a folder must be.
pub fn assemble(plan: &Plan<'_>) -> Result<Root> {
    let base = plan.scratch.join("mnt");
    make_dir(&base)?;
    Detached::new("tmpfs", &[("mode", "0700"), ("size", "1m")], Restrict::DATA)?
        .attach_at(&base)?;
    let layers = base.join("layers");
    make_dir(&layers)?;
    for (i, layer) in plan.layers.iter().enumerate() {
        let target = layers.join(i.to_string());
        make_dir(&target)?;
        let layer = Detached::clone_of(layer)?.idmapped(plan.user_ns)?;
        layer.restrict(Restrict { read_only: true, no_exec: false })?.attach_at(&target)?;
    }
    let path = base.join("root");
    make_dir(&path)?;
    let owner = plan.user_ns.root_id();
    let (upper, work) = (plan.scratch.join("upper"), plan.scratch.join("work"));
    for folder in [&upper, &work] {
        make_dir(folder)?;
    }
    std::os::unix::fs::chown(&upper, Some(owner), Some(owner)).during("give away the root")?;
    rustix::fs::chmod(&upper, Mode::from_raw_mode(0o755)).during("open the root to read")?;
    overlay(&layers, plan.layers.len(), &c_path(&upper)?, &c_path(&work)?)?.attach_at(&path)?;
    let fd = open_dir(&path)?;
    let root = Root { path, fd, owner };
    root.furnish(plan)?;
    Ok(root)
}

impl Root {
    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a folder of the container's own, if it is not there.
    ///
    /// # Errors
    /// If something on the way is no folder.
    pub fn make_folder(&self, path: &str) -> Result<()> {
        self.folder(path).map(drop)
    }

    fn furnish(&self, plan: &Plan<'_>) -> Result<()> {
        for folder in ["proc", "sys"] {
            self.folder(folder)?;
        }
        self.make_tmp()?;
        for (from, at) in plan.volumes {
            Detached::clone_of(from)?.restrict(Restrict::OPEN)?.attach(self.folder(at)?.as_fd())?;
        }
        self.make_devices(plan)?;
        let mut hosts =
            "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n".to_owned();
        for (address, name) in plan.hosts {
            hosts.push_str(&format!("{address}\t{name}\n"));
        }
        self.write_etc("hosts", &hosts)?;
        self.write_etc("hostname", format!("{}\n", plan.host_name))?;
        self.write_etc("resolv.conf", plan.resolv_conf)
    }

    fn folder(&self, path: &str) -> Result<OwnedFd> {
        make_dirs_in_root(self.fd.as_fd(), path, self.owner)
    }

    /// `/tmp` as every image should have it, also one that was built from nothing.
    fn make_tmp(&self) -> Result<()> {
        let there = open_in_root(self.fd.as_fd(), "tmp", OFlags::PATH | OFlags::DIRECTORY);
        if there.is_ok() {
            return Ok(());
        }
        let tmp = self.folder("tmp")?;
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&tmp));
        rustix::fs::chmod(path, Mode::from_raw_mode(0o1777)).during("open /tmp to all")
    }

    fn make_devices(&self, plan: &Plan<'_>) -> Result<()> {
        let owner = self.owner.to_string();
        let owned = [("uid", owner.as_str()), ("gid", owner.as_str())];
        let target = self.folder("dev")?;
        let options = [owned[0], owned[1], ("mode", "0755"), ("size", "64k")];
        Detached::new("tmpfs", &options, Restrict::DATA)?.attach(target.as_fd())?;
        let dev = self.folder("dev")?;
        for name in DEVICES {
            let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
            let node = openat(reopen(&dev)?, name, flags, Mode::from_raw_mode(0o666))
                .during(format!("make /dev/{name}"))?;
            Detached::clone_of(&Path::new("/dev").join(name))?.attach(node.as_fd())?;
        }
        for (name, to) in DEVICE_LINKS {
            symlinkat(to, reopen(&dev)?, name).during(format!("make /dev/{name}"))?;
        }
        let shm_size = plan.shm_bytes.map_or_else(|| "50%".to_owned(), |b| b.to_string());
        let options = [owned[0], owned[1], ("mode", "1777"), ("size", shm_size.as_str())];
        let shm = Detached::new("tmpfs", &options, Restrict::OPEN)?;
        shm.attach(self.folder("dev/shm")?.as_fd())?;
        self.folder("dev/pts").map(drop)
    }

    /// Writes a file of `/etc` in place of whatever the image has under that name: never through
    /// a link.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn write_etc(&self, name: &str, text: impl AsRef<[u8]>) -> Result<()> {
        let doing = || format!("write /etc/{name}");
        let etc = reopen(&self.folder("etc")?)?;
        match unlinkat(&etc, name, AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => {}
            Err(e) => return Err(e).during(doing()),
        }
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        let file = openat(&etc, name, flags, Mode::from_raw_mode(0o644)).during(doing())?;
        let mut file = File::from(file);
        file.write_all(text.as_ref()).during(doing())?;
        std::os::unix::fs::fchown(&file, Some(self.owner), Some(self.owner)).during(doing())
    }

    /// Mounts `/sys` as the network namespace sees it, so that it lists no interface but the
    /// container's own. Where the host's own sysfs is covered (Belljar inside a container), the
    /// kernel allows no new one, and `/sys` stays empty: less to see, not more.
    ///
    /// # Errors
    /// If a mount is refused for another reason.
    pub fn mount_sys(&self, ns: &NetNs) -> Result<()> {
        let target = self.folder("sys")?;
        match ns.run(|| Detached::new("sysfs", &[], Restrict::INERT)) {
            Ok(sys) => sys.attach(target.as_fd())?,
            Err(e) if e.errno() == Some(libc::EPERM) => return empty()?.attach(target.as_fd()),
            Err(e) => return Err(e),
        }
        for hidden in HIDDEN_SYS {
            let path = format!("sys/{hidden}");
            let flags = OFlags::PATH | OFlags::DIRECTORY;
            if let Ok(folder) = open_in_root(self.fd.as_fd(), &path, flags) {
                empty()?.attach(folder.as_fd())?;
            }
        }
        Ok(())
    }

    /// What a file holds, wherever in the root its links lead; `None` if there is no such file, or it
    /// is longer than `most` bytes.
    #[must_use]
    pub fn read_file(&self, path: &str, most: u64) -> Option<Vec<u8>> {
        // A FIFO would be waited for.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = File::from(open_in_root(self.fd.as_fd(), path, flags).ok()?);
        let there = file.metadata().ok()?;
        if !there.is_file() || there.len() > most {
            return None;
        }
        let mut bytes = Vec::new();
        file.take(most).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    /// Finds a program as `execvp` in the container would: by path, or along `search`. Returns
    /// where it is, or `None`.
    #[must_use]
    pub fn find_program(&self, name: &str, search: &str) -> Option<String> {
        let is_program = |path: &str| {
            let Ok(fd) = open_in_root(self.fd.as_fd(), path, OFlags::PATH) else { return false };
            rustix::fs::fstat(&fd)
                .is_ok_and(|s| s.st_mode & 0o170_000 == 0o100_000 && s.st_mode & 0o111 != 0)
        };
        if name.contains('/') {
            return is_program(name).then(|| name.to_owned());
        }
        let candidates = search.split(':').map(|folder| format!("{folder}/{name}"));
        candidates.into_iter().find(|path| is_program(path))
    }
}

fn empty() -> Result<Detached> {
    Detached::new("tmpfs", &[("size", "4k"), ("mode", "0555")], Restrict::INERT)
}

fn make_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).during(format!("make the folder {}", path.display()))
}

fn open_dir(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).during("open the root file system")
}

/// A folder that was opened as a mere path, opened to work in.
fn reopen(fd: &OwnedFd) -> Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(fd, ".", flags, Mode::empty()).during("open a folder of the image")
}

fn c_path(path: &Path) -> Result<CString> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|_| Error::other("mount the root file system", "a path has a NUL byte"))
}

/// Gives a file or folder, not followed if it is a link, to an id.
pub(crate) fn give(at: BorrowedFd<'_>, name: &str, id: u32) -> Result<()> {
    let (uid, gid) = (Uid::from_raw(id), Gid::from_raw(id));
    chownat(at, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
        .during(format!("give {name} to the container"))
}
