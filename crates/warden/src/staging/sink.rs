//! Where artifacts go: a local folder, written under a temporary name until whole.

use super::copy::hex;
use super::error::FileError;
use rustix::fs::{CWD, Mode, OFlags, openat};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Marks a file that is not whole. A warden that comes later removes it by this name.
const UNFINISHED: &str = ".belljar-unfinished";

/// Counts and digests what is written through it.
pub(super) struct Tally<W> {
    out: W,
    size: u64,
    digest: Sha256,
}

impl<W> Tally<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out, size: 0, digest: Sha256::new() }
    }

    /// What was written to, how many bytes, and their digest.
    pub(super) fn finish(self) -> (W, u64, String) {
        (self.out, self.size, hex(self.digest))
    }
}

impl<W: Write> Write for Tally<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.digest.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// A file that appears under its name only by [`Unfinished::publish`]; dropped before, it is gone.
pub(super) struct Unfinished {
    temporary: PathBuf,
    path: PathBuf,
    published: bool,
}

impl Unfinished {
    /// Begins a file; makes its folder. What an earlier try left under the temporary name goes.
    pub(super) fn begin(path: &Path) -> Result<(Self, BufWriter<File>), FileError> {
        let folder = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)
            .map_err(|e| FileError::new("make the folder", folder, e))?;
        let temporary = temporary(path);
        remove(&temporary)?;
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(CWD, &temporary, flags, Mode::from_raw_mode(0o666))
            .map_err(|e| FileError::new("write", &temporary, e))?;
        let this = Self { temporary, path: path.to_owned(), published: false };
        Ok((this, BufWriter::with_capacity(64 << 10, File::from(file))))
    }

    /// Brings the content to the disk; after this only the name is missing.
    pub(super) fn settle(&self, mut file: BufWriter<File>) -> Result<(), FileError> {
        let failed = |e| FileError::new("write", &self.temporary, e);
        file.flush().map_err(failed)?;
        file.get_ref().sync_all().map_err(failed)
    }

    /// Gives the file its name, for good.
    pub(super) fn publish(mut self) -> Result<(), FileError> {
        let failed = |e| FileError::new("write", &self.path, e);
        std::fs::rename(&self.temporary, &self.path).map_err(failed)?;
        self.published = true;
        let folder = self.path.parent().unwrap_or(Path::new("."));
        File::open(folder).and_then(|f| f.sync_all()).map_err(failed)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.published
            && let Err(error) = remove(&self.temporary)
        {
            tracing::warn!(%error, path = %self.temporary.display(), "left behind");
        }
    }
}

/// Whether `path` is the temporary name of a file that is not whole.
pub(super) fn is_unfinished(path: &Path) -> bool {
    path.to_string_lossy().ends_with(UNFINISHED)
}

pub(super) fn temporary(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(UNFINISHED);
    path.with_file_name(name)
}

/// Removes the unfinished form of `path`, if there is one.
pub(super) fn remove_unfinished(path: &Path) -> Result<(), FileError> {
    remove(&temporary(path))
}

fn remove(path: &Path) -> Result<(), FileError> {
    match std::fs::remove_file(path) {
        Err(e)
            if e.kind() != io::ErrorKind::NotFound && e.kind() != io::ErrorKind::NotADirectory =>
        {
            Err(FileError::new("remove", path, e))
        }
        _ => Ok(()),
    }
}

/// Writes a small file at once, whole or not at all.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let (unfinished, mut file) = Unfinished::begin(path)?;
    file.write_all(bytes).map_err(|e| FileError::new("write", path, e))?;
    unfinished.settle(file)?;
    unfinished.publish()
}
