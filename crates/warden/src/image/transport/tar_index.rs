//! An archive of an image, opened for reading by member.

use crate::image::error::ImageError;
use crate::image::limits::{CHUNK, MAX_ARCHIVE_MEMBERS, MAX_LAYER_TAR, MAX_ZSTD_WINDOW_LOG};
use crate::image::unpack::UnpackError;
use crate::image::unpack::tar_stream::TarStream;
use rustix::fs::{Mode, OFlags};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where each member's content is.
pub(super) struct TarIndex {
    file: Arc<File>,
    members: HashMap<String, Member>,
}

enum Member {
    Content {
        offset: u64,
        size: u64,
    },
    /// `docker save` of old links equal layers.
    Link(String),
}

/// Opens a file that a user named; a pipe or device would hang.
pub(super) fn open_regular(path: &Path) -> Result<File, ImageError> {
    let failed = |source: io::Error| ImageError::ReadSource { path: path.to_owned(), source };
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file =
        File::from(rustix::fs::open(path, flags, Mode::empty()).map_err(|e| failed(e.into()))?);
    if file.metadata().map_err(failed)?.is_file() {
        Ok(file)
    } else {
        Err(ImageError::NotAnArchive {
            path: path.to_owned(),
            expected: "an archive",
            reason: "it is not a regular file".to_owned(),
        })
    }
}

/// A file without a name in `folder`, gone when closed.
pub(super) fn unnamed(folder: &Path) -> Result<File, ImageError> {
    let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
    let file = rustix::fs::open(folder, flags, Mode::RUSR | Mode::WUSR);
    file.map(File::from)
        .map_err(|e| ImageError::WriteStore { path: folder.to_owned(), source: e.into() })
}

impl TarIndex {
    /// Reads the archive's table; a compressed one is first decompressed into `spool`.
    pub(super) fn open(
        path: &Path,
        expected: &'static str,
        spool: &Path,
    ) -> Result<Self, ImageError> {
        let file = open_regular(path)?;
        let not =
            |reason: String| ImageError::NotAnArchive { path: path.to_owned(), expected, reason };
        let mut magic = [0; 4];
        let known = file.read_at(&mut magic, 0).map_err(|e| not(e.to_string()))?;
        let plain = match &magic[..known] {
            [0x1f, 0x8b, ..] => {
                let reader = BufReader::with_capacity(CHUNK, file);
                decompress(flate2::bufread::MultiGzDecoder::new(reader), spool, &not)?
            }
            [0x28, 0xb5, 0x2f, 0xfd] => {
                let mut reader = zstd::Decoder::new(file).map_err(|e| not(e.to_string()))?;
                reader.window_log_max(MAX_ZSTD_WINDOW_LOG).map_err(|e| not(e.to_string()))?;
                decompress(reader, spool, &not)?
            }
            _ => file,
        };
        Self::of_file(plain).map_err(|e| not(crate::failure::chain(&e)))
    }

    pub(super) fn of_file(mut file: File) -> Result<Self, UnpackError> {
        file.rewind().map_err(UnpackError::Read)?;
        let reader = BufReader::new(file.try_clone().map_err(UnpackError::Read)?);
        let mut stream = TarStream::new(reader);
        let mut members = HashMap::new();
        while let Some(entry) = stream.next_entry()? {
            if members.len() as u64 >= MAX_ARCHIVE_MEMBERS {
                let limit = MAX_ARCHIVE_MEMBERS;
                return Err(UnpackError::Limit { what: "members", limit });
            }
            let Ok(path) = String::from_utf8(entry.path) else { continue };
            let name = normal(&path);
            let kind = entry.kind;
            if kind.is_file() || kind.is_contiguous() {
                let offset = stream.position();
                members.insert(name, Member::Content { offset, size: entry.size });
            } else if kind.is_symlink() || kind.is_hard_link() {
                let Ok(link) = String::from_utf8(entry.link) else { continue };
                let target = match (kind.is_symlink(), name.rsplit_once('/')) {
                    (true, Some((folder, _))) => normal(&format!("{folder}/{link}")),
                    _ => normal(&link),
                };
                members.insert(name, Member::Link(target));
            }
        }
        Ok(Self { file: Arc::new(file), members })
    }

    /// A member's content; `None` if there is none of that name.
    pub(super) fn member(&self, name: &str) -> Option<Section> {
        let mut name = normal(name);
        // A link to a link is the most that real archives have.
        for _ in 0..4 {
            match self.members.get(&name)? {
                Member::Content { offset, size } => {
                    let file = Arc::clone(&self.file);
                    return Some(Section { file, at: *offset, end: offset.checked_add(*size)? });
                }
                Member::Link(target) => name.clone_from(target),
            }
        }
        None
    }
}

fn decompress(
    mut from: impl Read,
    spool: &Path,
    not: &impl Fn(String) -> ImageError,
) -> Result<File, ImageError> {
    let mut file = unnamed(spool)?;
    let limited = &mut (&mut from).take(MAX_LAYER_TAR);
    let mut buffer = vec![0; CHUNK];
    loop {
        let count = limited.read(&mut buffer).map_err(|e| not(e.to_string()))?;
        if count == 0 {
            return Ok(file);
        }
        io::Write::write_all(&mut file, &buffer[..count])
            .map_err(|source| ImageError::WriteStore { path: PathBuf::from(spool), source })?;
    }
}

/// A member's name without `.`, `..` and doubled slashes: only ever a key of the table.
fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

/// A part of a file, read at its own place.
#[derive(Debug)]
pub(super) struct Section {
    file: Arc<File>,
    at: u64,
    end: u64,
}

impl Section {
    pub(super) fn size(&self) -> u64 {
        self.end - self.at
    }
}

impl Read for Section {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let wanted = left.min(buffer.len());
        let count = self.file.read_at(&mut buffer[..wanted], self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}
