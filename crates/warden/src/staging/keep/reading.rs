//! Reading a file that may change meanwhile.

use super::scan::{Stamp, is_gone};
use super::{KeepError, Kept, Put};
use crate::evidence::show::printable;
use crate::staging::copy::hex;
use crate::staging::error::FileError;
use crate::staging::limits;
use crate::staging::local::{FILE, open_below};
use crate::staging::sink::Unfinished;
use rustix::fs::{FileType, fstat};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

/// A file that is being read, to the size that it had when it was opened.
pub(super) struct Reading {
    file: File,
    /// For errors.
    shown: String,
    pub(super) size: u64,
    left: u64,
    digest: Sha256,
    /// What it must still be at the end; `None` if it may change.
    stamp: Option<Stamp>,
}

impl Reading {
    /// `None` if the file is gone, or another than it was.
    pub(super) fn open(kept: &Kept<'_>) -> Result<Option<Self>, KeepError> {
        let path = kept.folder.join(kept.name);
        let shown = printable(&path.to_string_lossy());
        let unreadable = |e| KeepError::from(FileError::new("read", &shown, e));
        let file = match open_below(kept.root, &path, FILE) {
            Ok(file) => File::from(file),
            Err(e) if is_gone(e) => return Ok(None),
            Err(e) => return Err(unreadable(e)),
        };
        let stat = fstat(&file).map_err(unreadable)?;
        let same = kept.changing || Stamp::of(&stat) == kept.stamp;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || !same {
            return Ok(None);
        }
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        let stamp = (!kept.changing).then_some(kept.stamp);
        Ok(Some(Self { file, shown, size, left: size, digest: Sha256::new(), stamp }))
    }

    /// The next bytes, at most so many; fewer only at the end. `None` if the file shrank.
    pub(super) fn part(&mut self, size: usize) -> Result<Option<Vec<u8>>, KeepError> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(size);
        let mut bytes = vec![0; wanted];
        match self.file.read_exact(&mut bytes) {
            Ok(()) => {}
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(e) => return Err(FileError::new("read", &self.shown, e).into()),
        }
        self.left -= wanted as u64;
        self.digest.update(&bytes);
        Ok(Some(bytes))
    }

    /// Whether everything has been read, and is what it was.
    pub(super) fn holds(&self) -> bool {
        let same = |stamp| fstat(&self.file).is_ok_and(|s| Stamp::of(&s) == stamp);
        self.left == 0 && self.stamp.is_none_or(same)
    }

    pub(super) fn done(self) -> Put {
        (self.size, hex(self.digest))
    }

    /// Copies it to `path`, whole or not at all.
    pub(super) fn into_folder(mut self, path: &Path) -> Result<Option<Put>, KeepError> {
        let (unfinished, mut out) = Unfinished::begin(path)?;
        while self.left > 0 {
            let Some(bytes) = self.part(limits::COPY_BUFFER)? else { return Ok(None) };
            out.write_all(&bytes).map_err(|e| FileError::new("write", path, e))?;
        }
        if !self.holds() {
            return Ok(None);
        }
        unfinished.settle(out)?;
        unfinished.publish()?;
        Ok(Some(self.done()))
    }
}
