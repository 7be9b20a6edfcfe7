//! A `.tar.gz` of what a hostile container left behind. It is dead by now, so nothing moves;
//! still no link is followed, and nothing but files, folders and links is archived.

use super::error::{FileError, StageOutError};
use super::limits;
use super::local::{FILE, open_below};
use super::meter::Meter;
use crate::evidence::show::printable;
use flate2::{Compression, GzBuilder, write::GzEncoder};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, fstat, openat, readlinkat, statat};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use tar::{Builder, EntryType, Header};

const FOLDER: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// What may be archived.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) entries: u64,
    pub(super) bytes: u64,
    pub(super) depth: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            entries: limits::MAX_ARTIFACT_ENTRIES,
            bytes: limits::MAX_ARTIFACT_BYTES,
            depth: limits::MAX_DEPTH,
        }
    }
}

/// One archive to be made.
pub(super) struct Archive<'a> {
    /// `model.tar.gz`; for errors.
    pub(super) name: &'a str,
    /// A folder that the container could not rename.
    pub(super) root: &'a Path,
    /// Below it.
    pub(super) folder: &'a Path,
    pub(super) bounds: Bounds,
    pub(super) meter: &'a Meter,
}

/// How an archive went.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Files, folders and links in it.
    pub(super) entries: u64,
    /// A sentence for each thing that was left out.
    pub(super) warnings: Vec<String>,
}

impl Archive<'_> {
    /// Whether there is nothing to archive: the folder is empty or not there.
    pub(super) fn is_empty(&self) -> Result<bool, StageOutError> {
        let Some(dir) = self.open()? else { return Ok(true) };
        Ok(self.children(&dir, Path::new(""), 0)?.is_empty())
    }

    /// Writes the archive: sorted, owned by 0:0, so that equal folders give equal bytes.
    pub(super) fn write<W: Write>(&self, out: W) -> Result<(Outcome, W), StageOutError> {
        let failed = |source| StageOutError::Archive { name: self.name.to_owned(), source };
        let gzip = GzBuilder::new().mtime(0).write(out, Compression::fast());
        let mut walk =
            Walk { archive: self, tar: Builder::new(gzip), outcome: Outcome::default(), bytes: 0 };
        if let Some(dir) = self.open()? {
            walk.folder(&dir, Path::new(""), 0)?;
        }
        let out = walk.tar.into_inner().and_then(GzEncoder::finish).map_err(failed)?;
        Ok((walk.outcome, out))
    }

    /// The folder; `None` if the container removed it or put something else in its place.
    fn open(&self) -> Result<Option<OwnedFd>, StageOutError> {
        use rustix::io::Errno;
        match open_below(self.root, self.folder, FOLDER) {
            Ok(dir) => Ok(Some(dir)),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(e) => Err(FileError::new("open", self.root.join(self.folder), e).into()),
        }
    }

    fn path(&self, below: &Path) -> PathBuf {
        self.root.join(self.folder).join(below)
    }

    /// Sorted names in a folder; at most as many as there is room for.
    fn children(
        &self,
        dir: &OwnedFd,
        below: &Path,
        taken: u64,
    ) -> Result<Vec<OsString>, StageOutError> {
        let failed = |e| FileError::new("list", self.path(below), e);
        let mut names = Vec::new();
        for entry in Dir::read_from(dir).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            if taken + names.len() as u64 >= self.bounds.entries {
                return Err(self.limit(self.bounds.entries, "entries"));
            }
            names.push(OsString::from_vec(name.to_vec()));
        }
        names.sort_unstable();
        Ok(names)
    }

    fn limit(&self, limit: u64, what: &'static str) -> StageOutError {
        StageOutError::Limit { name: self.name.to_owned(), limit, what }
    }
}

struct Walk<'a, W: Write> {
    archive: &'a Archive<'a>,
    tar: Builder<GzEncoder<W>>,
    outcome: Outcome,
    bytes: u64,
}

impl<W: Write> Walk<'_, W> {
    fn folder(&mut self, dir: &OwnedFd, below: &Path, depth: usize) -> Result<(), StageOutError> {
        let bounds = self.archive.bounds;
        if depth >= bounds.depth {
            return Err(self.archive.limit(bounds.depth as u64, "levels of folders"));
        }
        for name in self.archive.children(dir, below, self.outcome.entries)? {
            if self.archive.meter.cancelled() {
                return Err(StageOutError::Broken);
            }
            let path = below.join(&name);
            let stat = statat(dir, &name, AtFlags::SYMLINK_NOFOLLOW)
                .map_err(|e| FileError::new("read", self.archive.path(&path), e))?;
            self.outcome.entries += 1;
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => self.file(dir, &path)?,
                FileType::Directory => {
                    let mut header = header(&stat, EntryType::Directory, 0);
                    self.append(&mut header, &path, io::empty())?;
                    let child = openat(dir, &name, FOLDER, Mode::empty())
                        .map_err(|e| FileError::new("open", self.archive.path(&path), e))?;
                    self.folder(&child, &path, depth + 1)?;
                }
                FileType::Symlink => self.link(dir, &path, &stat)?,
                kind => self.skip(&path, kind),
            }
        }
        Ok(())
    }

    fn file(&mut self, dir: &OwnedFd, path: &Path) -> Result<(), StageOutError> {
        let shown = self.archive.path(path);
        let unreadable = |e| FileError::new("read", &shown, e);
        let name = path.file_name().unwrap_or_default();
        let file = File::from(openat(dir, name, FILE, Mode::empty()).map_err(unreadable)?);
        let stat = fstat(&file).map_err(unreadable)?;
        let changed = || StageOutError::Changed(printable(&shown.to_string_lossy()));
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(changed());
        }
        let size = u64::try_from(stat.st_size).map_err(|_| changed())?;
        self.bytes = self.bytes.saturating_add(size);
        if self.bytes > self.archive.bounds.bytes {
            return Err(self.archive.limit(self.archive.bounds.bytes, "bytes"));
        }
        let mut header = header(&stat, EntryType::Regular, size);
        let mut content =
            Exactly { file, left: size, meter: self.archive.meter, ended_early: false };
        let appended = self.append(&mut header, path, &mut content);
        if content.ended_early { Err(changed()) } else { appended }
    }

    fn link(&mut self, dir: &OwnedFd, path: &Path, stat: &Stat) -> Result<(), StageOutError> {
        let name = path.file_name().unwrap_or_default();
        let target = readlinkat(dir, name, Vec::new())
            .map_err(|e| FileError::new("read the link", self.archive.path(path), e))?;
        let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
        let mut header = header(stat, EntryType::Symlink, 0);
        self.tar
            .append_link(&mut header, path, &target)
            .map_err(|source| StageOutError::Archive { name: self.archive.name.into(), source })
    }

    fn append(
        &mut self,
        header: &mut Header,
        path: &Path,
        content: impl Read,
    ) -> Result<(), StageOutError> {
        self.tar
            .append_data(header, path, content)
            .map_err(|source| StageOutError::Archive { name: self.archive.name.into(), source })
    }

    fn skip(&mut self, path: &Path, kind: FileType) {
        const MAX_WARNINGS: usize = 20;
        self.outcome.entries -= 1;
        let kind = match kind {
            FileType::Fifo => "a FIFO",
            FileType::Socket => "a socket",
            FileType::CharacterDevice | FileType::BlockDevice => "a device",
            _ => "of an unknown kind",
        };
        let (name, path) = (self.archive.name, printable(&path.to_string_lossy()));
        match self.outcome.warnings.len() {
            n if n < MAX_WARNINGS => {
                self.outcome
                    .warnings
                    .push(format!("'{path}' is {kind} and was left out of {name}."));
            }
            MAX_WARNINGS => {
                self.outcome.warnings.push(format!("More such files were left out of {name}."));
            }
            _ => {}
        }
    }
}

fn header(stat: &Stat, kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(stat.st_mode & 0o777);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(u64::try_from(stat.st_mtime).unwrap_or(0));
    header.set_size(size);
    header
}

/// Yields exactly as many bytes as the header says, or notes that it could not.
struct Exactly<'a> {
    file: File,
    left: u64,
    meter: &'a Meter,
    ended_early: bool,
}

impl Read for Exactly<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 || buffer.is_empty() {
            return Ok(0);
        }
        if self.meter.cancelled() {
            return Err(io::Error::other("the work was given up"));
        }
        let room = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.file.read(&mut buffer[..room])?;
        if read == 0 {
            self.ended_early = true;
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= read as u64;
        self.meter.add(read);
        Ok(read)
    }
}
