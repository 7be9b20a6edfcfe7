//! Copying files with their digest, by a few threads.

use super::Owner;
use super::error::{FileError, InputError};
use super::limits;
use super::local::{FILE, open_below};
use super::meter::Meter;
use belljar_domain::StagedFile;
use rustix::fs::{FileType, Gid, Mode, OFlags, Uid, fchmod, fchown, fstat, ioctl_ficlone, openat};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// One file to copy.
pub(super) struct Item {
    /// Below the source's root, free of links.
    pub(super) from: PathBuf,
    /// Below the channel's folder.
    pub(super) name: String,
    /// Bytes when it was listed.
    pub(super) size: u64,
}

/// Lower-case hexadecimal of a finished digest.
pub(crate) fn hex(digest: Sha256) -> String {
    use std::fmt::Write as _;
    digest.finalize().iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Makes a folder of mode 0755 that belongs to `owner`; it may exist.
pub(super) fn make_folder(path: &Path, owner: Option<Owner>) -> Result<(), FileError> {
    let failed = |e: std::io::Error| FileError::new("make the folder", path, e);
    std::fs::create_dir_all(path).map_err(failed)?;
    let folder = File::open(path).map_err(failed)?;
    settle(&folder, Mode::from_raw_mode(0o755), owner).map_err(|e| failed(e.into()))
}

/// Makes the folders between `root`, which exists, and the file `name` below it.
pub(super) fn make_parents(root: &Path, name: &str, owner: Option<Owner>) -> Result<(), FileError> {
    for (slash, _) in name.match_indices('/') {
        let folder = root.join(&name[..slash]);
        if !folder.is_dir() {
            make_folder(&folder, owner)?;
        }
    }
    Ok(())
}

/// Makes a new file of mode 0644 that belongs to `owner`.
pub(super) fn make_file(path: &Path, owner: Option<Owner>) -> Result<File, FileError> {
    let failed = |e: rustix::io::Errno| FileError::new("write", path, e);
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(0o644);
    let file = File::from(openat(rustix::fs::CWD, path, flags, mode).map_err(failed)?);
    settle(&file, mode, owner).map_err(failed)?;
    Ok(file)
}

fn settle(file: &File, mode: Mode, owner: Option<Owner>) -> Result<(), rustix::io::Errno> {
    if let Some(Owner { uid, gid }) = owner {
        fchown(file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
    }
    fchmod(file, mode)
}

/// Copies `files` from below `root` to below `target`, whose folders exist; returns them sorted.
pub(super) fn copy_all(
    root: &Path,
    files: Vec<Item>,
    target: &Path,
    owner: Option<Owner>,
    meter: &Meter,
) -> Result<Vec<StagedFile>, InputError> {
    let next = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let staged = Mutex::new(Vec::with_capacity(files.len()));
    let worker = || -> Result<(), InputError> {
        let mut buffer = vec![0; limits::COPY_BUFFER];
        while !stop.load(Ordering::Relaxed) && !meter.cancelled() {
            let Some(item) = files.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
            let file = copy_one(root, item, target, owner, &mut buffer, meter)
                .inspect_err(|_| stop.store(true, Ordering::Relaxed))?;
            staged.lock().map_err(|_| InputError::Broken)?.push(file);
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..limits::COPY_WORKERS.min(files.len())).map(|_| scope.spawn(worker)).collect();
        let results: Vec<Result<(), InputError>> = threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or(Err(InputError::Broken)))
            .collect();
        results.into_iter().collect::<Result<(), InputError>>()
    })?;
    if meter.cancelled() {
        return Err(InputError::Broken);
    }
    let mut staged = staged.into_inner().map_err(|_| InputError::Broken)?;
    staged.sort_unstable_by(|a: &StagedFile, b| a.path.cmp(&b.path));
    Ok(staged)
}

fn copy_one(
    root: &Path,
    item: &Item,
    target: &Path,
    owner: Option<Owner>,
    buffer: &mut [u8],
    meter: &Meter,
) -> Result<StagedFile, InputError> {
    let source = root.join(&item.from);
    let unreadable = |e: rustix::io::Errno| FileError::new("read", &source, e);
    let input = File::from(open_below(root, &item.from, FILE).map_err(unreadable)?);
    let stat = fstat(input.as_fd()).map_err(unreadable)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(InputError::Special(source.display().to_string()));
    }
    let path = target.join(&item.name);
    let output = make_file(&path, owner)?;
    let (copied, sha256) = pump(&input, &output, item.size, buffer, meter, (&source, &path))?;
    if copied != item.size {
        return Err(InputError::Changed {
            path: source.display().to_string(),
            expected: item.size,
            found: copied,
        });
    }
    Ok(StagedFile { path: item.name.clone(), size: copied, sha256 })
}

/// Copies at most one byte more than `expected`, so that a file that grows is seen and one that
/// never ends is left. The digest is of what the container is given, whatever happens to the
/// source meanwhile: of the bytes that were written, or of those that the copy shares.
fn pump(
    input: &File,
    mut output: &File,
    expected: u64,
    buffer: &mut [u8],
    meter: &Meter,
    (from, to): (&Path, &Path),
) -> Result<(u64, String), InputError> {
    // Some file systems (Btrfs, XFS) let the copy share the blocks. Elsewhere one pass of reading,
    // writing and hashing is cheaper than to have the kernel copy and to read that back.
    let shared = ioctl_ficlone(output, input).is_ok();
    let mut source = if shared { output } else { input };
    let mut digest = Sha256::new();
    let mut copied = 0;
    loop {
        let room = expected.saturating_add(1) - copied;
        let length = usize::try_from(room).unwrap_or(usize::MAX).min(buffer.len());
        let read = match source.read(&mut buffer[..length]) {
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            read => read.map_err(|e| FileError::new("read", from, e))?,
        };
        if read == 0 || meter.cancelled() {
            return Ok((copied, hex(digest)));
        }
        let part = &buffer[..read];
        if !shared {
            output.write_all(part).map_err(|e| FileError::new("write", to, e))?;
        }
        digest.update(part);
        copied += read as u64;
        meter.add(read);
    }
}
