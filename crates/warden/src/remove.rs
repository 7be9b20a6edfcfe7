//! Removes a folder that a container has filled.
//!
//! Whoever makes folders within folders needs one descriptor for it, and no path. So must whoever
//! removes them: a recursion would end at the stack or at the limit of descriptors, and leave all
//! of it behind.

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, fstat, openat, statat, unlinkat,
};
use rustix::io::{Errno, Result};
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

const FOLDER: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A folder on the way down: its name in its parent, and who the parent is.
struct Step {
    name: OsString,
    parent: (u64, u64),
}

/// Removes a folder and all below it, however deep; no link is followed. Nothing there is no
/// error.
///
/// The container must be dead: the way back up is `..`, which is checked, but not protected.
pub(crate) fn tree(folder: &Path) -> Result<()> {
    let mut at = match openat(CWD, folder, FOLDER, Mode::empty()) {
        Ok(at) => at,
        Err(Errno::NOENT) => return Ok(()),
        Err(e) => return Err(e),
    };
    let mut way: Vec<Step> = Vec::new();
    loop {
        if let Some(name) = clear(&at)? {
            let parent = id(&fstat(&at)?);
            at = openat(&at, &name, FOLDER, Mode::empty())?;
            way.push(Step { name, parent });
            continue;
        }
        let Some(Step { name, parent }) = way.pop() else { break };
        at = openat(&at, "..", FOLDER, Mode::empty())?;
        if id(&fstat(&at)?) != parent {
            // Somebody moves folders about: nothing here is what it was.
            return Err(Errno::STALE);
        }
        unlinkat(&at, &name, AtFlags::REMOVEDIR)?;
    }
    unlinkat(CWD, folder, AtFlags::REMOVEDIR)
}

/// Removes what is in a folder, up to the first folder that is not empty: its name.
fn clear(at: &OwnedFd) -> Result<Option<OsString>> {
    for entry in Dir::read_from(at)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let stat = statat(at, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            unlinkat(at, name, AtFlags::empty())?;
            continue;
        }
        match unlinkat(at, name, AtFlags::REMOVEDIR) {
            Ok(()) => {}
            // POSIX allows either for a folder that is not empty.
            Err(Errno::NOTEMPTY | Errno::EXIST) => {
                return Ok(Some(OsString::from_vec(name.to_bytes().to_vec())));
            }
            Err(e) => return Err(e),
        }
    }
    Ok(None)
}

fn id(stat: &Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::mkdirat;
    use std::fs;

    #[test]
    fn links_are_removed_and_what_they_lead_to_is_not() {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(other.path().join("kept"), "x").unwrap();
        let folder = dir.path().join("f");
        fs::create_dir_all(folder.join("a/b/c")).unwrap();
        fs::create_dir_all(folder.join("a/empty")).unwrap();
        for at in ["a", "a/b", "a/b/c"] {
            fs::write(folder.join(at).join("file"), "x").unwrap();
            std::os::unix::fs::symlink(other.path(), folder.join(at).join("link")).unwrap();
        }
        tree(&folder).unwrap();
        assert!(!folder.exists() && other.path().join("kept").exists());
        tree(&folder).unwrap();
        assert_eq!(tree(&other.path().join("kept")).unwrap_err(), Errno::NOTDIR);
    }

    #[test]
    fn deeper_than_a_path_or_the_usual_limit_of_descriptors() {
        const LEVELS: u32 = 5_000;
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("f");
        fs::create_dir(&folder).unwrap();
        let mut at = openat(CWD, &folder, FOLDER, Mode::empty()).unwrap();
        for _ in 0..LEVELS {
            mkdirat(&at, "d", Mode::RWXU).unwrap();
            at = openat(&at, "d", FOLDER, Mode::empty()).unwrap();
        }
        tree(&folder).unwrap();
        assert!(!folder.exists());
    }
}
