//! A channel from a local file or folder.

use super::Owner;
use super::copy::{self, Item};
use super::error::{FileError, InputError};
use super::limits;
use super::meter::Meter;
use super::names;
use belljar_domain::{Shard, StagedFile};
use rustix::fs::{
    Access, AtFlags, CWD, Dir, FileType, Mode, OFlags, access, fstat, openat, statat,
};
use rustix::io::Errno;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

const FOLDER: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// For files: a FIFO put in a file's place must not block.
pub(super) const FILE: OFlags =
    OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// Copies what was listed into the folder `target`, which exists and is empty.
pub(super) fn copy_in(
    listing: Listing,
    target: &Path,
    owner: Option<Owner>,
    meter: &Meter,
) -> Result<Vec<StagedFile>, InputError> {
    meter.set_total(listing.files.iter().map(|f| f.size).sum());
    // Names of a walk are plain and differ; those of a manifest need not be.
    if let Some(bad) = listing.files.iter().find(|f| !names::is_file_name(&f.name)) {
        return Err(InputError::Name(bad.name.clone()));
    }
    if let Some(name) = names::clash(listing.files.iter().map(|f| f.name.as_str())) {
        return Err(InputError::Clash(name));
    }
    for folder in &listing.folders {
        copy::make_folder(&target.join(folder), owner)?;
    }
    for file in &listing.files {
        copy::make_parents(target, &file.name, owner)?;
    }
    copy::copy_all(&listing.root, listing.files, target, owner, meter)
}

/// Whether there is something at `source` that can be opened, and `data_dir` lies elsewhere.
pub(super) fn check(source: &Path, data_dir: &Path) -> Result<(), InputError> {
    let real = resolve(source)?;
    let unreadable = |e: Errno| FileError::new("read", source, e);
    let stat = statat(CWD, &real, AtFlags::SYMLINK_NOFOLLOW).map_err(unreadable)?;
    let needed = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Access::READ_OK | Access::EXEC_OK,
        FileType::RegularFile => Access::READ_OK,
        _ => return Err(InputError::Special(source.display().to_string())),
    };
    access(&real, needed).map_err(unreadable)?;
    // The data folder need not exist yet; the nearest folder that does decides.
    let data_dir =
        std::path::absolute(data_dir).map_err(|e| FileError::new("find", data_dir, e))?;
    let place = data_dir.ancestors().find_map(|a| std::fs::canonicalize(a).ok());
    if place.is_some_and(|place| place.starts_with(&real)) {
        return Err(InputError::Inside(source.display().to_string()));
    }
    Ok(())
}

fn resolve(source: &Path) -> Result<PathBuf, InputError> {
    std::fs::canonicalize(source).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => {
            InputError::Nothing(source.display().to_string())
        }
        _ => FileError::new("open", source, e).into(),
    })
}

/// What a local channel consists of.
pub(super) struct Listing {
    /// The folder that all files are opened from.
    pub(super) root: PathBuf,
    /// Also those in which there is no file.
    pub(super) folders: Vec<String>,
    pub(super) files: Vec<Item>,
}

impl Listing {
    /// What of it is in `shard`. Files are dealt out, and take along the folders in which they lie;
    /// a folder without files belongs to nobody, as in S3, which knows none.
    pub(super) fn part(self, shard: Option<Shard>) -> Self {
        if shard.is_none() {
            return self;
        }
        Self { folders: Vec::new(), files: Shard::of(shard, self.files), ..self }
    }
}

/// Lists a file or folder of at most `limit` files and folders; files in the order of their names,
/// which is that of S3's keys. A link given as the channel itself is followed: it was named by
/// the user; links below must stay below.
pub(super) fn list(source: &Path, limit: usize) -> Result<Listing, InputError> {
    let real = resolve(source)?;
    let stat = statat(CWD, &real, AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|e| FileError::new("open", source, e))?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => {
            let mut walk = Walk::new(&real, limit);
            let root = openat(CWD, &real, FOLDER, Mode::empty())
                .map_err(|e| FileError::new("open", source, e))?;
            walk.folder(&root, "", Path::new(""))?;
            let Walk { folders, mut files, .. } = walk;
            files.sort_unstable_by(|a, b| a.name.cmp(&b.name));
            Ok(Listing { root: real, folders, files })
        }
        FileType::RegularFile => {
            // The name is the one that was given, not the one a link leads to.
            let name = utf8(Path::new(source.file_name().unwrap_or_default()))?;
            let root = real.parent().unwrap_or(Path::new("/")).to_owned();
            let from = PathBuf::from(real.file_name().unwrap_or_default());
            let size = u64::try_from(stat.st_size).unwrap_or(0);
            Ok(Listing { root, folders: Vec::new(), files: vec![Item { from, name, size }] })
        }
        _ => Err(InputError::Special(source.display().to_string())),
    }
}

fn utf8(path: &Path) -> Result<String, InputError> {
    let text = path.to_str().ok_or_else(|| InputError::NotUtf8(path.display().to_string()))?;
    Ok(text.to_owned())
}

/// A walk through a folder, without following a link out of it.
struct Walk<'r> {
    root: &'r Path,
    limit: usize,
    folders: Vec<String>,
    files: Vec<Item>,
    /// Device and inode of the folders that are open, to see links that lead back.
    open: Vec<(u64, u64)>,
}

impl<'r> Walk<'r> {
    fn new(root: &'r Path, limit: usize) -> Self {
        Self { root, limit, folders: Vec::new(), files: Vec::new(), open: Vec::new() }
    }

    /// Lists the folder `dir`: `name` is its path below the channel, `from` its true path below
    /// the root (they differ below a link to a folder).
    fn folder(&mut self, dir: &OwnedFd, name: &str, from: &Path) -> Result<(), InputError> {
        let here = self.root.join(from);
        let failed = |e: Errno| FileError::new("list", &here, e);
        let stat = fstat(dir).map_err(failed)?;
        let id = (stat.st_dev, stat.st_ino);
        if self.open.contains(&id) {
            return Err(InputError::LinkCycle(self.root.join(name).display().to_string()));
        }
        if self.open.len() >= limits::MAX_DEPTH {
            return Err(self.too_many(limits::MAX_DEPTH, "levels of folders"));
        }
        self.open.push(id);
        for entry in Dir::read_from(dir).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let bytes = entry.file_name().to_bytes();
            if bytes == b"." || bytes == b".." {
                continue;
            }
            let leaf = Path::new(std::ffi::OsStr::from_bytes(bytes));
            let below = from.join(leaf);
            let leaf_name = utf8(leaf)
                .map_err(|_| InputError::NotUtf8(self.root.join(&below).display().to_string()))?;
            let name = if name.is_empty() { leaf_name } else { format!("{name}/{leaf_name}") };
            self.entry(dir, leaf, name, below)?;
        }
        self.open.pop();
        Ok(())
    }

    fn entry(
        &mut self,
        dir: &OwnedFd,
        leaf: &Path,
        name: String,
        from: PathBuf,
    ) -> Result<(), InputError> {
        let failed = |e: Errno| FileError::new("read", self.root.join(&from), e);
        let stat = statat(dir, leaf, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => self.add(name, from, stat.st_size),
            FileType::Directory => {
                let child = openat(dir, leaf, FOLDER, Mode::empty()).map_err(failed)?;
                self.add_folder(&name)?;
                self.folder(&child, &name, &from)
            }
            FileType::Symlink => self.link(name, &from),
            _ => Err(InputError::Special(self.root.join(&from).display().to_string())),
        }
    }

    fn link(&mut self, name: String, from: &Path) -> Result<(), InputError> {
        let link = self.root.join(from);
        let real = std::fs::canonicalize(&link).map_err(|e| FileError::new("follow", &link, e))?;
        let Ok(below) = real.strip_prefix(self.root) else {
            return Err(InputError::LinkOut {
                link: link.display().to_string(),
                root: self.root.display().to_string(),
            });
        };
        let failed = |e: Errno| FileError::new("follow", &link, e);
        let target =
            open_below(self.root, below, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC)
                .map_err(failed)?;
        let stat = fstat(&target).map_err(failed)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => self.add(name, below.to_owned(), stat.st_size),
            FileType::Directory => {
                let child = open_below(self.root, below, FOLDER).map_err(failed)?;
                self.add_folder(&name)?;
                self.folder(&child, &name, below)
            }
            _ => Err(InputError::Special(link.display().to_string())),
        }
    }

    fn add(&mut self, name: String, from: PathBuf, size: i64) -> Result<(), InputError> {
        self.room()?;
        let size = u64::try_from(size).unwrap_or(0);
        self.files.push(Item { from, name, size });
        Ok(())
    }

    fn add_folder(&mut self, name: &str) -> Result<(), InputError> {
        self.room()?;
        self.folders.push(name.to_owned());
        Ok(())
    }

    fn room(&self) -> Result<(), InputError> {
        if self.files.len() + self.folders.len() >= self.limit {
            return Err(self.too_many(self.limit, "files and folders"));
        }
        Ok(())
    }

    fn too_many(&self, limit: usize, what: &'static str) -> InputError {
        InputError::Limit { root: self.root.display().to_string(), limit, what }
    }
}

/// Opens `below` under `root` segment by segment, following no link: what was checked is what is
/// opened, though somebody exchanges a folder meanwhile.
pub(super) fn open_below(root: &Path, below: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let mut at = openat(CWD, root, FOLDER, Mode::empty())?;
    let mut parts = below.components().peekable();
    while let Some(part) = parts.next() {
        let Component::Normal(part) = part else { return Err(Errno::INVAL) };
        let wanted = if parts.peek().is_some() { FOLDER } else { flags };
        at = openat(at.as_fd(), part, wanted, Mode::empty())?;
    }
    Ok(at)
}
