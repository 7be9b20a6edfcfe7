//! The container's last words.

use super::limits::MAX_FAILURE_BYTES;
use super::local::{FILE, open_below};
use belljar_domain::limits::MAX_FAILURE_REASON;
use rustix::fs::{FileType, fstat};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Reads `/opt/ml/output/failure` of a container that is dead; `ml_dir` is its `/opt/ml`. `None` if there is no such regular file, or it cannot be read: the exit code
/// alone then tells. No link below `ml_dir` is followed, a FIFO does not block, and at most 1,024 characters
/// are read; bytes that are not UTF-8 are replaced.
#[must_use]
pub fn read_failure_file(ml_dir: &Path) -> Option<String> {
    let file = File::from(open_below(ml_dir, Path::new("output/failure"), FILE).ok()?);
    let stat = fstat(&file).ok()?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(MAX_FAILURE_BYTES).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).chars().take(MAX_FAILURE_REASON).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, Mode};

    #[test]
    fn only_a_regular_file_speaks_and_not_for_long() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read_failure_file(dir.path()), None);
        let output = dir.path().join("output");
        std::fs::create_dir(&output).unwrap();
        let file = output.join("failure");
        std::fs::write(&file, "ä".repeat(5000)).unwrap();
        assert_eq!(read_failure_file(dir.path()).unwrap(), "ä".repeat(1024));
        std::fs::write(&file, b"bad \xff byte").unwrap();
        assert_eq!(read_failure_file(dir.path()).unwrap(), "bad \u{fffd} byte");
        std::fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", &file).unwrap();
        assert_eq!(read_failure_file(dir.path()), None);
        std::fs::remove_file(&file).unwrap();
        rustix::fs::mknodat(CWD, &file, FileType::Fifo, Mode::RWXU, 0).unwrap();
        assert_eq!(read_failure_file(dir.path()), None);
    }

    #[test]
    fn a_link_in_place_of_the_folder_is_not_followed() {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(other.path().join("failure"), "stolen").unwrap();
        std::os::unix::fs::symlink(other.path(), dir.path().join("output")).unwrap();
        assert_eq!(read_failure_file(dir.path()), None);
    }
}
