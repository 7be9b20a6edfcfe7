//! Removing a tree that a stranger shaped: no link followed, any depth, any modes.

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Removes `name` in `parent`, with all below it if it is a directory. Nothing there is fine.
///
/// If somebody else changes the tree meanwhile this fails and may be repeated; it never leaves the
/// tree. One descriptor is held at a time, and no stack grows with the depth but a list of names.
pub(crate) fn remove_tree(parent: impl AsFd, name: &[u8]) -> io::Result<()> {
    match rustix::fs::unlinkat(&parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(error) => return Err(error.into()),
    }
    let mut here = open_directory(&parent, name)?;
    let mut above: Vec<(CString, Id)> = Vec::new();
    loop {
        match empty(&here)? {
            Some(below) => {
                let parent = id(&here)?;
                here = open_directory(&here, below.to_bytes())?;
                above.push((below, parent));
            }
            None => match above.pop() {
                Some((done, parent)) => {
                    here = rustix::fs::openat(&here, c"..", DIRECTORY, Mode::empty())?;
                    if id(&here)? != parent {
                        return Err(Errno::AGAIN.into());
                    }
                    rustix::fs::unlinkat(&here, done, AtFlags::REMOVEDIR)?;
                }
                None => break,
            },
        }
    }
    drop(here);
    Ok(rustix::fs::unlinkat(&parent, name, AtFlags::REMOVEDIR)?)
}

/// What a directory is, whatever its name.
type Id = (u64, u64);

fn id(directory: &OwnedFd) -> io::Result<Id> {
    let stat = rustix::fs::fstat(directory)?;
    Ok((stat.st_dev, stat.st_ino))
}

/// Removes the files of a directory until a directory is met, which is returned.
fn empty(directory: &OwnedFd) -> io::Result<Option<CString>> {
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        if entry.file_type() == FileType::Directory {
            return Ok(Some(name.to_owned()));
        }
        match rustix::fs::unlinkat(directory, name, AtFlags::empty()) {
            Ok(()) => {}
            // Some file systems do not tell the type.
            Err(Errno::ISDIR) => return Ok(Some(name.to_owned())),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}

/// Opens a directory whatever its mode; it is about to be removed, so it may as well be ours.
fn open_directory(parent: impl AsFd, name: &[u8]) -> io::Result<OwnedFd> {
    let owned = Mode::RWXU;
    let path = rustix::fs::openat(
        &parent,
        name,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let mode = Mode::from_raw_mode(rustix::fs::fstat(&path)?.st_mode);
    if !mode.contains(owned) {
        // `parent` is ours alone, so the name still means the directory seen above.
        rustix::fs::chmodat(&parent, name, owned, AtFlags::empty())?;
    }
    Ok(rustix::fs::openat(&parent, name, DIRECTORY, Mode::empty())?)
}
