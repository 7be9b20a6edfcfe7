//! The folder of an attempt: `jobs/<name>`, and `jobs/<name>~<n>` from the second on. (No job's
//! name has a `~`.)

use belljar_domain::{Assignment, JobName, serving, spool};
use rustix::fs::{FlockOperation, flock};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// Where an attempt has its files.
pub(crate) fn of(state: &Path, job: &JobName, generation: u64) -> PathBuf {
    let jobs = state.join("jobs");
    match generation {
        0 | 1 => jobs.join(job.as_str()),
        n => jobs.join(format!("{job}~{n}")),
    }
}

/// Where the warden of an Assignment has its files; that of a container that serves is its own.
pub(crate) fn of_assignment(state: &Path, assignment: &Assignment) -> PathBuf {
    match &assignment.serving {
        Some(_) => state.join(serving::FOLDER).join(assignment.job.as_str()),
        None => of(state, &assignment.job, assignment.generation),
    }
}

/// Where the `number`-th container of an endpoint's instance has its files.
pub(crate) fn of_container(state: &Path, server: &str, number: u32) -> PathBuf {
    state.join(serving::FOLDER).join(format!("{server}-{number}"))
}

/// Every folder that attempts of a job can have left.
pub(crate) fn all(state: &Path, job: &JobName, generation: u64) -> Vec<PathBuf> {
    (1..=generation.max(1)).map(|n| of(state, job, n)).collect()
}

/// Whether a warden holds the folder's lock.
pub(crate) fn is_held(folder: &Path) -> io::Result<bool> {
    let file = match File::open(folder.join(spool::LOCK)) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(e),
    };
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(false),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
        Err(e) => Err(e.into()),
    }
}

/// Whether a warden has begun there.
pub(crate) fn is_begun(folder: &Path) -> bool {
    folder.join(spool::JOURNAL).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_have_folders_of_their_own() {
        let job: JobName = "j-1".parse().unwrap();
        let state = Path::new("/s");
        assert_eq!(of(state, &job, 1), Path::new("/s/jobs/j-1"));
        assert_eq!(of(state, &job, 3), Path::new("/s/jobs/j-1~3"));
        assert_eq!(all(state, &job, 2).len(), 2);
    }

    #[test]
    fn a_lock_is_seen_while_it_is_held() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!is_held(dir.path()).unwrap());
        let file = File::create(dir.path().join(spool::LOCK)).unwrap();
        assert!(!is_held(dir.path()).unwrap());
        flock(&file, FlockOperation::LockExclusive).unwrap();
        assert!(is_held(dir.path()).unwrap());
        drop(file);
        assert!(!is_held(dir.path()).unwrap());
    }
}
