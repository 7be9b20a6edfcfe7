//! What an instance left, as one file to be sent. Its container is dead, so nothing changes
//! meanwhile; links are packed as links, and never followed.

use crate::gang::PARTS;
use rustix::fs::{CWD, Mode, OFlags, openat};
use std::fs::{self, File};
use std::io;
use std::path::Path;
use tar::Builder;

/// Folders in folders, at most: as deep as an archive may be.
const MAX_DEPTH: usize = 128;

/// Packs the parts of `/opt/ml` that the job's warden puts together.
pub(crate) fn pack(opt_ml: &Path, into: &Path) -> io::Result<()> {
    let mut tar = Builder::new(File::create(into)?);
    for part in PARTS {
        let folder = opt_ml.join(part);
        // A container may have put something else in its folder's place: that is no output.
        if fs::symlink_metadata(&folder).is_ok_and(|m| m.is_dir()) {
            pack_folder(&mut tar, &folder, Path::new(part), 0)?;
        }
    }
    tar.into_inner()?.sync_all()
}

fn pack_folder(
    tar: &mut Builder<File>,
    folder: &Path,
    name: &Path,
    depth: usize,
) -> io::Result<()> {
    if depth > MAX_DEPTH {
        return Err(io::Error::other(format!("{} is nested too deeply", folder.display())));
    }
    tar.append_dir(name, folder)?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, name, kind) = (entry.path(), name.join(entry.file_name()), entry.file_type()?);
        if kind.is_dir() {
            pack_folder(tar, &path, &name, depth + 1)?;
        } else if kind.is_file() {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            tar.append_file(&name, &mut File::from(openat(CWD, &path, flags, Mode::empty())?))?;
        } else if kind.is_symlink() {
            let mut header = tar::Header::new_gnu();
            header.set_metadata(&fs::symlink_metadata(&path)?);
            header.set_size(0);
            tar.append_link(&mut header, &name, fs::read_link(&path)?)?;
        }
        // Nothing else is ever part of an output.
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{FileType, mknodat};
    use std::os::unix::fs::symlink;

    #[test]
    fn files_folders_and_links_are_packed_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let ml = dir.path().join("ml");
        fs::create_dir_all(ml.join("model/a")).unwrap();
        fs::create_dir_all(ml.join("output")).unwrap();
        fs::write(ml.join("model/a/x"), "1").unwrap();
        symlink("/etc/passwd", ml.join("model/l")).unwrap();
        symlink("/etc", ml.join("output/data")).unwrap();
        mknodat(CWD, ml.join("model/fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        let into = dir.path().join("left.tar");
        pack(&ml, &into).unwrap();
        let mut archive = tar::Archive::new(File::open(into).unwrap());
        let mut names: Vec<String> = archive
            .entries()
            .unwrap()
            .map(|e| e.unwrap().path().unwrap().display().to_string())
            .map(|name| name.trim_end_matches('/').to_owned())
            .collect();
        names.sort_unstable();
        assert_eq!(names, ["model", "model/a", "model/a/x", "model/l"]);
    }
}
