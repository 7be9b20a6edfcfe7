//! The writer: entries become files below one directory descriptor.
//!
//! **Invariant**: every path is resolved by `openat2` with that directory as its root, so that
//! links of the archive lead nowhere else, and the last name is never followed: it is created
//! afresh, removed, or linked by name. Modes, owners and times are set through descriptors.

mod hide;
mod parents;

use super::path::SafePath;
use super::remove::remove_tree;
use super::tar_stream::{Entry, Skip, TarStream};
use super::whiteout::{Meaning, meaning};
use super::{UnpackError, Unpacked};
use crate::image::digest::Digest;
use crate::image::limits::{MAX_DIRECTORIES, MAX_ENTRIES, MAX_LEFT_OUT_NAMES, MAX_PATH};
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid, XattrFlags,
};
use rustix::io::Errno;
use std::collections::{HashMap, HashSet};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use tar::EntryType;

/// Parent directories kept open: archives are nearly sorted, so few are enough.
const OPEN_PARENTS: usize = 16;

/// What an archive is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Content {
    /// A layer of an image: owners are its own, and some names delete what is below it.
    Layer,
    /// Files for somebody, whoever they belonged to. No link may lead out of them, and there is
    /// nothing but files, folders and links.
    Files {
        /// Whom they are to belong to; without one, the user that this process runs as.
        owner: Option<(u32, u32)>,
    },
}

/// Refuses what files for a container are not.
fn may_be_in_files(path: &SafePath, entry: &Entry) -> Result<(), UnpackError> {
    match entry.kind {
        EntryType::Symlink if !path.holds_link(&entry.link) => {
            Err(refused(path, "it is a link that leads out of the archive"))
        }
        EntryType::Fifo | EntryType::Char | EntryType::Block => {
            Err(refused(path, "it is neither a file nor a folder nor a link"))
        }
        _ => Ok(()),
    }
}

/// What is set on a directory once all in it is written.
struct Late {
    mode: u32,
    owner: (u32, u32),
    mtime: (i64, u32),
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// A layer's folder being written, or another archive's.
pub(super) struct Tree<'a> {
    root: BorrowedFd<'a>,
    content: Content,
    /// As root, owners are kept.
    keep_owners: bool,
    /// Who new files belong to.
    own: (u32, u32),
    /// Most recently used last.
    parents: Vec<(Vec<u8>, Rc<OwnedFd>)>,
    directories: HashMap<Vec<u8>, Late>,
    /// Whiteouts of this very layer: a later entry of the same name replaces them.
    whiteouts: HashSet<Vec<u8>>,
    opaque_root: bool,
    entries: u64,
    left_out: u64,
    left_out_names: Vec<String>,
}

fn failed<E: Into<std::io::Error>>(path: &SafePath) -> impl FnOnce(E) -> UnpackError {
    let path = path.text();
    move |error| UnpackError::Write { path, source: error.into() }
}

fn refused(path: &SafePath, reason: &'static str) -> UnpackError {
    UnpackError::Path { path: path.text(), reason }
}

fn inside() -> ResolveFlags {
    ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV
}

fn times(mtime: (i64, u32)) -> Timestamps {
    let time = Timespec { tv_sec: mtime.0, tv_nsec: i64::from(mtime.1) };
    Timestamps { last_access: time, last_modification: time }
}

impl<'a> Tree<'a> {
    pub(super) fn new(root: BorrowedFd<'a>, content: Content) -> Result<Self, UnpackError> {
        let stat = rustix::fs::fstat(root)
            .map_err(|e| UnpackError::Write { path: ".".to_owned(), source: e.into() })?;
        Ok(Self {
            root,
            content,
            keep_owners: rustix::process::geteuid().is_root(),
            own: match content {
                Content::Layer => (stat.st_uid, stat.st_gid),
                // The folder may be somebody else's already.
                Content::Files { .. } => {
                    (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
                }
            },
            parents: Vec::with_capacity(OPEN_PARENTS),
            directories: HashMap::new(),
            whiteouts: HashSet::new(),
            opaque_root: false,
            entries: 0,
            left_out: 0,
            left_out_names: Vec::new(),
        })
    }

    /// Creates what the entry describes.
    pub(super) fn add<R: Skip>(
        &mut self,
        entry: &Entry,
        stream: &mut TarStream<R>,
    ) -> Result<(), UnpackError> {
        self.entries += 1;
        if self.entries > MAX_ENTRIES {
            return Err(UnpackError::Limit { what: "entries", limit: MAX_ENTRIES });
        }
        let path = SafePath::new(&entry.path)?;
        if path.is_root() {
            if !entry.kind.is_dir() {
                return Err(refused(&path, "the root is not a directory"));
            }
            return self.remember(&path, entry);
        }
        if let Content::Files { .. } = self.content {
            may_be_in_files(&path, entry)?;
            return self.make(&path, entry, stream);
        }
        match meaning(&path)? {
            Meaning::File => self.make(&path, entry, stream),
            Meaning::Ignored => Ok(()),
            Meaning::Deleted(target) => self.delete(&target),
            Meaning::Opaque(directory) => self.hide_below(&directory),
        }
    }

    fn make<R: Skip>(
        &mut self,
        path: &SafePath,
        entry: &Entry,
        stream: &mut TarStream<R>,
    ) -> Result<(), UnpackError> {
        match entry.kind {
            EntryType::Directory => self.directory(path, entry),
            EntryType::Regular | EntryType::Continuous => self.file(path, entry, stream),
            EntryType::Symlink => self.symlink(path, entry),
            EntryType::Link => self.hard_link(path, entry),
            EntryType::Fifo => self.fifo(path, entry),
            EntryType::Char | EntryType::Block => {
                self.left_out += 1;
                if self.left_out_names.len() < MAX_LEFT_OUT_NAMES {
                    self.left_out_names.push(path.text());
                }
                Ok(())
            }
            _ => Err(refused(path, "its type is unknown")),
        }
    }

    /// Whom what an entry describes belongs to.
    fn owner_of(&self, entry: &Entry) -> (u32, u32) {
        match self.content {
            Content::Files { owner: Some(owner) } => owner,
            Content::Files { owner: None } => self.own,
            Content::Layer => (entry.uid, entry.gid),
        }
    }

    fn directory(&mut self, path: &SafePath, entry: &Entry) -> Result<(), UnpackError> {
        let (parent, name) = self.parent(path)?;
        let existed = self.create(path, &parent, true, || {
            rustix::fs::mkdirat(&*parent, name.as_slice(), Mode::RWXU)
        })?;
        if existed == Before::Whiteout {
            self.set_opaque(path)?;
        }
        self.remember(path, entry)
    }

    fn file<R: Skip>(
        &mut self,
        path: &SafePath,
        entry: &Entry,
        stream: &mut TarStream<R>,
    ) -> Result<(), UnpackError> {
        let (parent, name) = self.parent(path)?;
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = None;
        self.create(path, &parent, false, || {
            let mode = Mode::RUSR | Mode::WUSR;
            file = Some(rustix::fs::openat(&*parent, name.as_slice(), flags, mode)?);
            Ok(())
        })?;
        let Some(file) = file else { return Ok(()) };
        loop {
            let data = stream.content()?;
            if data.is_empty() {
                break;
            }
            let written = rustix::io::write(&file, data).map_err(failed(path))?;
            stream.consume(written);
        }
        self.own(&file, entry).map_err(failed(path))?;
        set_xattrs(&file, &entry.xattrs).map_err(failed(path))?;
        // Set-user-id and set-group-id are dropped (see the module's head).
        let mode = Mode::from_raw_mode(entry.mode & 0o1777);
        rustix::fs::fchmod(&file, mode).map_err(failed(path))?;
        rustix::fs::futimens(&file, &times(entry.mtime)).map_err(failed(path))
    }

    fn symlink(&mut self, path: &SafePath, entry: &Entry) -> Result<(), UnpackError> {
        if entry.link.is_empty() || entry.link.contains(&0) {
            return Err(refused(path, "it is a link to nothing"));
        }
        if entry.link.len() > MAX_PATH {
            return Err(UnpackError::Limit { what: "bytes in a link", limit: MAX_PATH as u64 });
        }
        let (parent, name) = self.parent(path)?;
        let target = entry.link.as_slice();
        self.create(path, &parent, false, || {
            rustix::fs::symlinkat(target, &*parent, name.as_slice())
        })?;
        self.settle(path, &parent, &name, entry)
    }

    fn fifo(&mut self, path: &SafePath, entry: &Entry) -> Result<(), UnpackError> {
        let (parent, name) = self.parent(path)?;
        // Nobody else sees the folder yet, and a pipe's mode endangers nobody, but the umask
        // would cut it: so it is set afterwards, on the name just created.
        let mode = Mode::from_raw_mode(entry.mode & 0o777);
        self.create(path, &parent, false, || {
            rustix::fs::mknodat(&*parent, name.as_slice(), FileType::Fifo, mode, 0)?;
            rustix::fs::chmodat(&*parent, name.as_slice(), mode, AtFlags::empty())
        })?;
        self.settle(path, &parent, &name, entry)
    }

    /// Owner and time of what cannot be opened.
    fn settle(
        &self,
        path: &SafePath,
        parent: &OwnedFd,
        name: &[u8],
        entry: &Entry,
    ) -> Result<(), UnpackError> {
        let nofollow = AtFlags::SYMLINK_NOFOLLOW;
        if self.keep_owners {
            let (uid, gid) = self.owner_of(entry);
            let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
            rustix::fs::chownat(parent, name, Some(uid), Some(gid), nofollow)
                .map_err(failed(path))?;
        }
        rustix::fs::utimensat(parent, name, &times(entry.mtime), nofollow).map_err(failed(path))
    }

    fn hard_link(&mut self, path: &SafePath, entry: &Entry) -> Result<(), UnpackError> {
        let target = SafePath::new(&entry.link)?;
        if target.is_root() {
            return Err(refused(path, "it is a hard link to a directory"));
        }
        if target == *path {
            return Ok(());
        }
        let (target_parent, target_name) = target.split();
        let from = self.open(&target_parent).map_err(failed(&target))?;
        let (parent, name) = self.parent(path)?;
        self.create(path, &parent, false, || {
            let flags = AtFlags::empty();
            rustix::fs::linkat(&from, target_name, &*parent, name.as_slice(), flags)
        })?;
        Ok(())
    }

    /// Runs `make`; if the name is taken, removes what is there and runs it again. A directory
    /// stays if a directory is to be made.
    fn create(
        &mut self,
        path: &SafePath,
        parent: &OwnedFd,
        directory: bool,
        mut make: impl FnMut() -> rustix::io::Result<()>,
    ) -> Result<Before, UnpackError> {
        match make() {
            Ok(()) => return Ok(Before::Nothing),
            Err(Errno::EXIST) => {}
            Err(error) => return Err(failed(path)(error)),
        }
        let (_, name) = path.split();
        let stat =
            rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).map_err(failed(path))?;
        let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        if is_directory && directory {
            return Ok(Before::Directory);
        }
        if is_directory {
            // Descriptors of directories below it would lead into what is gone.
            self.parents.clear();
        }
        remove_tree(parent, name).map_err(failed(path))?;
        make().map_err(failed(path))?;
        let whiteout = self.whiteouts.remove(path.bytes());
        Ok(if whiteout { Before::Whiteout } else { Before::Other })
    }

    fn remember(&mut self, path: &SafePath, entry: &Entry) -> Result<(), UnpackError> {
        // The root stays open to its owner: leases are taken on it.
        let always = if path.is_root() { 0o700 } else { 0 };
        let late = Late {
            mode: entry.mode | always,
            owner: self.owner_of(entry),
            mtime: entry.mtime,
            xattrs: entry.xattrs.clone(),
        };
        self.remember_late(path, late)
    }

    fn remember_late(&mut self, path: &SafePath, late: Late) -> Result<(), UnpackError> {
        self.directories.insert(path.bytes().to_vec(), late);
        if self.directories.len() > MAX_DIRECTORIES {
            let limit = MAX_DIRECTORIES as u64;
            return Err(UnpackError::Limit { what: "directories", limit });
        }
        Ok(())
    }

    fn own(&self, file: impl AsFd, entry: &Entry) -> rustix::io::Result<()> {
        self.own_as(file, self.owner_of(entry))
    }

    fn own_as(&self, file: impl AsFd, owner: (u32, u32)) -> rustix::io::Result<()> {
        if !self.keep_owners || owner == self.own {
            return Ok(());
        }
        rustix::fs::fchown(file, Some(Uid::from_raw(owner.0)), Some(Gid::from_raw(owner.1)))
    }

    /// Sets what was put off for directories, the deepest first: a directory may forbid its own
    /// user to enter it.
    pub(super) fn finish(mut self, diff_id: Digest, bytes: u64) -> Result<Unpacked, UnpackError> {
        let mut directories: Vec<(Vec<u8>, Late)> =
            std::mem::take(&mut self.directories).into_iter().collect();
        directories.sort_unstable_by(|a, b| b.0.cmp(&a.0));
        for (raw, late) in &directories {
            let path = SafePath::new(raw)?;
            let directory = match self.open_for_change(&path) {
                Ok(directory) => directory,
                // A later entry replaced it.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => continue,
                Err(error) => return Err(failed(&path)(error)),
            };
            self.own_as(&directory, late.owner).map_err(failed(&path))?;
            set_xattrs(&directory, &late.xattrs).map_err(failed(&path))?;
            let mode = Mode::from_raw_mode(late.mode);
            rustix::fs::fchmod(&directory, mode).map_err(failed(&path))?;
            rustix::fs::futimens(&directory, &times(late.mtime)).map_err(failed(&path))?;
        }
        Ok(Unpacked {
            diff_id,
            bytes,
            entries: self.entries,
            left_out: self.left_out,
            left_out_names: self.left_out_names,
            opaque_root: self.opaque_root,
        })
    }
}

/// What stood where something was created.
#[derive(Debug, PartialEq, Eq)]
enum Before {
    Nothing,
    Directory,
    Whiteout,
    Other,
}

fn set_xattrs(file: impl AsFd, xattrs: &[(Vec<u8>, Vec<u8>)]) -> rustix::io::Result<()> {
    for (name, value) in xattrs {
        if name.starts_with(b"user.") && !name.starts_with(b"user.overlay.") {
            rustix::fs::fsetxattr(&file, name.as_slice(), value, XattrFlags::empty())?;
        }
    }
    Ok(())
}
