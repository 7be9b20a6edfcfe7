//! A job's folder in the state directory: the assignment that came in, the report that goes out,
//! and what is there only while the job runs.

use belljar_domain::{Assignment, Report, serving, spool};
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The file with what a warden is to do.
pub(crate) const ASSIGNMENT: &str = "assignment.json";
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
    #[error("an earlier warden began the job in {0}")]
    Begun(PathBuf),
    #[error("{0}")]
    Lost(String),
    #[error("start")]
    Start(#[source] io::Error),
    #[error("write {0}")]
    Write(PathBuf, #[source] io::Error),
    #[error("clear what the job left")]
    Clear(#[source] io::Error),
}

/// A job's folder.
#[derive(Debug, Clone)]
pub(crate) struct JobDir {
    path: PathBuf,
    state: PathBuf,
}

impl JobDir {
    /// Opens a folder that exists.
    pub(crate) fn open(path: PathBuf) -> Result<Self, JobError> {
        let path = fs::canonicalize(&path).map_err(|e| JobError::Open(path, e))?;
        let state = path.parent().and_then(Path::parent).unwrap_or(&path).to_owned();
        Ok(Self { path, state })
    }

    /// The folder of one instance of several, in the state directory `state`.
    pub(crate) fn of_instance(path: &Path, state: &Path) -> io::Result<Self> {
        Ok(Self { path: fs::canonicalize(path)?, state: state.to_owned() })
    }

    /// Marks the job as run by this process, for as long as the value lives. The kernel ends the
    /// mark with the process, however it ends.
    pub(crate) fn lock(&self) -> Result<File, JobError> {
        let path = self.path.join(spool::LOCK);
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(|e| JobError::Write(path.clone(), e))?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(file),
            Err(Errno::WOULDBLOCK) => Err(JobError::Taken(self.path.clone())),
            Err(e) => Err(JobError::Write(path, e.into())),
        }
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What the warden is to do.
    pub(crate) fn assignment(&self) -> Result<Assignment, JobError> {
        let path = self.path.join(ASSIGNMENT);
        let size = fs::metadata(&path).map_err(|e| JobError::Read(path.clone(), e))?.len();
        if size > MAX_ASSIGNMENT {
            return Err(JobError::TooLarge(path));
        }
        let text = fs::read(&path).map_err(|e| JobError::Read(path.clone(), e))?;
        serde_json::from_slice(&text).map_err(|e| JobError::Parse(path, e))
    }

    /// Writes the report, whole or not at all.
    pub(crate) fn write_report(&self, report: &Report) -> Result<(), JobError> {
        let path = self.report();
        let failed = |e| JobError::Write(path.clone(), e);
        let text = serde_json::to_vec_pretty(report).map_err(|e| failed(e.into()))?;
        let temporary = self.half_report();
        let write = || -> io::Result<()> {
            let mut file = File::create(&temporary)?;
            file.write_all(&text)?;
            file.sync_all()?;
            fs::rename(&temporary, &path)?;
            File::open(&self.path)?.sync_all()
        };
        write().map_err(|e| {
            // If this fails too the sweeper will meet it; the first error is the one to tell.
            let _ = fs::remove_file(&temporary);
            failed(e)
        })
    }

    /// Removes what a warden left that died while it wrote its report.
    pub(crate) fn discard_half_report(&self) -> Result<(), JobError> {
        match fs::remove_file(self.half_report()) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                Err(JobError::Write(self.half_report(), e))
            }
            _ => Ok(()),
        }
    }

    /// Whether the job has been reported on.
    pub(crate) fn has_report(&self) -> bool {
        self.report().exists()
    }

    pub(crate) fn report(&self) -> PathBuf {
        self.path.join("report.json")
    }

    fn half_report(&self) -> PathBuf {
        self.path.join("report.json.part")
    }

    /// `/opt/ml` of the container.
    pub(crate) fn opt_ml(&self) -> PathBuf {
        self.path.join("ml")
    }

    /// Mount points and the writable top of the root file system.
    pub(crate) fn scratch(&self) -> PathBuf {
        self.path.join("scratch")
    }

    /// Where a container that serves can be reached.
    pub(crate) fn door(&self) -> PathBuf {
        self.path.join(serving::DOOR)
    }

    /// Where a multi-model container's models are until they are whole, out of its reach.
    pub(crate) fn aside(&self) -> PathBuf {
        self.opt_ml().join("aside")
    }

    /// Where staging notes what it has begun.
    pub(crate) fn uploads(&self) -> PathBuf {
        self.path.join("uploads")
    }

    /// The stages as they began and ended.
    pub(crate) fn journal(&self) -> PathBuf {
        self.path.join(spool::JOURNAL)
    }

    /// The segments of a detached warden's events.
    pub(crate) fn events(&self) -> PathBuf {
        self.path.join(spool::FOLDER)
    }

    /// Where a detached warden hears orders.
    pub(crate) fn orders(&self) -> PathBuf {
        self.path.join(spool::ORDERS)
    }

    /// Whether the service follows this job: then it owes the report of a warden that could not
    /// write its own.
    fn is_followed(&self) -> bool {
        self.events().exists()
    }

    /// Where the folders of a job's instances are, if it has several.
    pub(crate) fn instances(&self) -> PathBuf {
        self.path.join(spool::INSTANCES)
    }

    /// The folders of the instances that there are. One that cannot be opened has just gone.
    pub(crate) fn each_instance(&self) -> Vec<Self> {
        let entries = fs::read_dir(self.instances()).into_iter().flatten().flatten();
        entries.filter_map(|e| Self::of_instance(&e.path(), &self.state).ok()).collect()
    }

    /// Whether a warden began here that left no mark of it, as after a power failure.
    pub(crate) fn has_leftovers(&self) -> bool {
        let here = self.opt_ml().exists() || self.scratch().exists();
        here || self.each_instance().iter().any(Self::has_leftovers)
    }

    /// Whether there is anything that a finished job would have cleared.
    fn has_remains(&self) -> bool {
        let left = [self.opt_ml(), self.scratch(), self.uploads(), self.half_report(), self.door()];
        left.iter().any(|p| p.exists()) || self.each_instance().iter().any(Self::has_remains)
    }

    /// Whether a warden began and there is anything that a finished job would have cleared, or a
    /// report is owed. A job whose warden has yet to take its lock is never unfinished, so that no sweeper
    /// takes the lock first.
    pub(crate) fn is_unfinished(&self) -> bool {
        self.journal().exists() && (self.owes_report() || self.has_remains())
    }

    /// Whether a sweeper has to write the report.
    pub(crate) fn owes_report(&self) -> bool {
        !self.has_report() && !self.is_followed()
    }

    /// The state directory that this folder is of: `jobs/<name>`, or `jobs/<name>/instances/<host>`.
    pub(crate) fn state(&self) -> &Path {
        &self.state
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
