//! What lies in a folder of a container, which may run and be hostile: no link is followed,
//! nothing but files is taken, and what vanishes meanwhile is not there.

use super::KeepError;
use crate::evidence::show::printable;
use crate::staging::error::FileError;
use crate::staging::limits;
use crate::staging::local::open_below;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, openat, statat};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

const FOLDER: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Tells versions of a file apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::staging) struct Stamp {
    inode: u64,
    pub(in crate::staging) size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    pub(super) fn of(stat: &Stat) -> Self {
        let nanoseconds = |n: u64| i64::try_from(n).unwrap_or(0);
        Self {
            inode: stat.st_ino,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            modified: (stat.st_mtime, nanoseconds(stat.st_mtime_nsec)),
            changed: (stat.st_ctime, nanoseconds(stat.st_ctime_nsec)),
        }
    }
}

/// What lies in a folder.
#[derive(Debug, Default)]
pub(in crate::staging) struct Scan {
    /// Files by their path below it.
    pub(in crate::staging) files: BTreeMap<String, Stamp>,
    /// Paths of what is there and no file, each with a sentence that says so.
    pub(in crate::staging) others: BTreeMap<String, String>,
    bytes: u64,
}

/// Looks through the folder `below` of `root`, which the container cannot rename. A folder that is
/// not there is empty.
pub(in crate::staging) fn scan(root: &Path, below: &Path) -> Result<Scan, KeepError> {
    let mut scan = Scan::default();
    match open_below(root, below, FOLDER) {
        Ok(dir) => scan.folder(&dir, "", 0)?,
        Err(Errno::NOENT) => {}
        Err(Errno::NOTDIR | Errno::LOOP) => {
            return Err(KeepError::NoFolder(printable(&below.to_string_lossy())));
        }
        Err(e) => return Err(FileError::new("open", root.join(below), e).into()),
    }
    Ok(scan)
}

/// Whether something was taken away or exchanged between two looks at it.
pub(super) fn is_gone(e: Errno) -> bool {
    matches!(e, Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NXIO)
}

impl Scan {
    fn folder(&mut self, dir: &OwnedFd, below: &str, depth: usize) -> Result<(), KeepError> {
        if depth >= limits::MAX_DEPTH {
            return Err(KeepError::Limit(limits::MAX_DEPTH as u64, "levels of folders"));
        }
        let failed = |e| FileError::new("list", below, e);
        for entry in Dir::read_from(dir).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let bytes = entry.file_name().to_bytes();
            if bytes == b"." || bytes == b".." {
                continue;
            }
            let Ok(text) = std::str::from_utf8(bytes) else {
                self.other(&String::from_utf8_lossy(bytes), below, "has a name that is not UTF-8");
                continue;
            };
            let name = if below.is_empty() { text.to_owned() } else { format!("{below}/{text}") };
            match self.entry(dir, OsStr::from_bytes(bytes), name, depth) {
                Err(KeepError::Gone) => {}
                done => done?,
            }
        }
        Ok(())
    }

    fn entry(
        &mut self,
        dir: &OwnedFd,
        leaf: &OsStr,
        name: String,
        depth: usize,
    ) -> Result<(), KeepError> {
        let failed = |e| match e {
            e if is_gone(e) => KeepError::Gone,
            e => FileError::new("read", &name, e).into(),
        };
        let stat = statat(dir, leaf, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => return self.file(name, Stamp::of(&stat)),
            FileType::Directory => {
                let child = openat(dir, leaf, FOLDER, Mode::empty()).map_err(failed)?;
                return self.folder(&child, &name, depth + 1);
            }
            FileType::Symlink => "is a link",
            FileType::Fifo => "is a FIFO",
            FileType::Socket => "is a socket",
            _ => "is a device",
        };
        self.other(&name, "", kind);
        Ok(())
    }

    fn file(&mut self, name: String, stamp: Stamp) -> Result<(), KeepError> {
        self.bytes = self.bytes.saturating_add(stamp.size);
        if self.bytes > limits::MAX_ARTIFACT_BYTES {
            return Err(KeepError::Limit(limits::MAX_ARTIFACT_BYTES, "bytes"));
        }
        self.files.insert(name, stamp);
        self.room()
    }

    fn room(&self) -> Result<(), KeepError> {
        let entries = self.files.len() + self.others.len();
        if entries as u64 > limits::MAX_ARTIFACT_ENTRIES {
            return Err(KeepError::Limit(limits::MAX_ARTIFACT_ENTRIES, "entries"));
        }
        Ok(())
    }

    fn other(&mut self, name: &str, below: &str, kind: &str) {
        // Their number is bounded by what a person reads.
        if self.others.len() < limits::MAX_WARNINGS {
            let path = if below.is_empty() { name.to_owned() } else { format!("{below}/{name}") };
            let text = format!("'{}' {kind} and was left out.", printable(&path));
            self.others.insert(path, text);
        }
    }
}
