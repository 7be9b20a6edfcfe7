//! A job's folder in the state directory: the assignment that came in, the report that goes out,
//! and what is there only while the job runs.

use belljar_domain::{Assignment, Report};
use rustix::fs::FlockOperation;
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The largest assignment that is read.
const MAX_ASSIGNMENT: u64 = 4 << 20;

/// What is wrong with a job's folder.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JobError {
    #[error("open the job folder {0}")]
    Open(PathBuf, #[source] io::Error),
    #[error("read {0}")]
    Read(PathBuf, #[source] io::Error),
    #[error("{0} is not an assignment")]
    Parse(PathBuf, #[source] serde_json::Error),
    #[error("{0} is larger than an assignment can be")]
    TooLarge(PathBuf),
    #[error("another warden runs the job in {0}")]
    Taken(PathBuf),
    #[error("write {0}")]
    Write(PathBuf, #[source] io::Error),
}

/// A job's folder.
#[derive(Debug, Clone)]
pub(crate) struct JobDir {
    path: PathBuf,
}

impl JobDir {
    /// Opens a folder that exists.
    pub(crate) fn open(path: PathBuf) -> Result<Self, JobError> {
        let path = fs::canonicalize(&path).map_err(|e| JobError::Open(path, e))?;
        Ok(Self { path })
    }

    /// Marks the job as run by this process, for as long as the value lives. The kernel ends the
    /// mark with the process, however it ends.
    pub(crate) fn lock(&self) -> Result<File, JobError> {
        let path = self.path.join("lock");
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(|e| JobError::Write(path, e))?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| JobError::Taken(self.path.clone()))?;
        Ok(file)
    }

    /// What the warden is to do.
    pub(crate) fn assignment(&self) -> Result<Assignment, JobError> {
        let path = self.path.join("assignment.json");
        let size = fs::metadata(&path).map_err(|e| JobError::Read(path.clone(), e))?.len();
        if size > MAX_ASSIGNMENT {
            return Err(JobError::TooLarge(path));
        }
        let text = fs::read(&path).map_err(|e| JobError::Read(path.clone(), e))?;
        serde_json::from_slice(&text).map_err(|e| JobError::Parse(path, e))
    }

    /// Writes the report, whole or not at all.
    pub(crate) fn write_report(&self, report: &Report) -> Result<(), JobError> {
        let path = self.path.join("report.json");
        let failed = |e| JobError::Write(path.clone(), e);
        let text = serde_json::to_vec_pretty(report).map_err(|e| failed(e.into()))?;
        let temporary = self.path.join("report.json.part");
        let mut file = File::create(&temporary).map_err(failed)?;
        file.write_all(&text).and_then(|()| file.sync_all()).map_err(failed)?;
        fs::rename(&temporary, &path).map_err(failed)
    }

    /// `/opt/ml` of the container.
    pub(crate) fn opt_ml(&self) -> PathBuf {
        self.path.join("ml")
    }

    /// Mount points and the writable top of the root file system.
    pub(crate) fn scratch(&self) -> PathBuf {
        self.path.join("scratch")
    }

    /// Where staging notes what it has begun.
    pub(crate) fn uploads(&self) -> PathBuf {
        self.path.join("uploads")
    }

    /// The stages as they began and ended.
    pub(crate) fn journal(&self) -> PathBuf {
        self.path.join("journal.jsonl")
    }

    /// Whether there is anything that a finished job would have cleared.
    pub(crate) fn left_something(&self) -> bool {
        [self.opt_ml(), self.scratch(), self.uploads()].iter().any(|p| p.exists())
    }

    /// The state directory that this folder is `jobs/<name>` of.
    pub(crate) fn state(&self) -> &Path {
        self.path.parent().and_then(Path::parent).unwrap_or(&self.path)
    }

    /// The name of the container's cgroup: unlike that of any other job, also of other state
    /// directories, and the same for every warden of this job.
    pub(crate) fn cgroup(&self) -> String {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let digest = Sha256::digest(self.path.as_os_str().as_encoded_bytes());
        let short: String = digest.iter().take(6).map(|b| format!("{b:02x}")).collect();
        format!("{name}-{short}")
    }
}
