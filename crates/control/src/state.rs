//! The state folder: one folder for each job, never shared, never reused.

use belljar_domain::{Assignment, JobName, Report, serving};
use std::ffi::OsString;
use std::fs::{DirBuilder, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The file that tells a warden what to make true.
pub const ASSIGNMENT_FILE: &str = "assignment.json";
/// The file that tells how it ended.
pub const REPORT_FILE: &str = "report.json";
/// Bytes of a report that are read: room for a million staged files.
const MAX_REPORT_BYTES: u64 = 512 << 20;

/// What went wrong with the state folder.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// None of the places is known.
    #[error(
        "there is no place for Belljar's state: neither BELLJAR_STATE, XDG_DATA_HOME nor HOME is set"
    )]
    NoPlace,
    /// A folder cannot be made.
    #[error("cannot make the folder {}", .path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// SageMaker's rule: names are used once.
    #[error(
        "Training job names must be unique within an AWS account and region, and a training job with this name already exists ({0})"
    )]
    NameUsed(JobName),
    /// A file cannot be written.
    #[error("cannot write {}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// A report is there and cannot be read.
    #[error("cannot read the report {}", .path.display())]
    Report {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: io::Error,
    },
}

impl StateError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoPlace => Some("give --state DIR".into()),
            Self::Folder { .. } | Self::Write { .. } => {
                Some("give a folder that you may write with --state DIR".into())
            }
            Self::NameUsed(_) => Some("give another --job-name, or none to get a new one".into()),
            Self::Report { .. } => None,
        }
    }
}

/// Finds the state folder: `given`, else `BELLJAR_STATE`, else `/var/lib/belljar` for root, else
/// `$XDG_DATA_HOME/belljar`, else `~/.local/share/belljar`.
///
/// # Errors
/// If none of these is known.
pub fn find(
    given: Option<&Path>,
    environment: impl Fn(&str) -> Option<OsString>,
    root: bool,
) -> Result<PathBuf, StateError> {
    let variable = |name: &str| environment(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    if let Some(path) = given.map(Path::to_path_buf).or_else(|| variable("BELLJAR_STATE")) {
        return Ok(path);
    }
    if root {
        return Ok(PathBuf::from("/var/lib/belljar"));
    }
    variable("XDG_DATA_HOME")
        .filter(|p| p.is_absolute())
        .or_else(|| variable("HOME").map(|home| home.join(".local/share")))
        .map(|data| data.join("belljar"))
        .ok_or(StateError::NoPlace)
}

/// The state folder, made.
#[derive(Debug, Clone)]
pub struct State {
    path: PathBuf,
}

impl State {
    /// Makes the folder (0700) if it is not there.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        let wrong = |source| StateError::Folder { path: path.to_path_buf(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(wrong)?;
        let path = path.canonicalize().map_err(wrong)?;
        Ok(Self { path })
    }

    /// The folder, absolute.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the image store is.
    #[must_use]
    pub fn images(&self) -> PathBuf {
        self.path.join("images")
    }

    /// Makes a new job's folder (0700) and writes its Assignment (0600). The folder's creation
    /// decides who owns the name: two jobs of one name cannot both get it.
    ///
    /// # Errors
    /// If the name was used before, or the folder or file cannot be made.
    pub fn create_job(&self, assignment: &Assignment) -> Result<PathBuf, StateError> {
        self.create("jobs", assignment)
    }

    /// The same for a container that serves.
    ///
    /// # Errors
    /// As [`State::create_job`].
    pub fn create_serving(&self, assignment: &Assignment) -> Result<PathBuf, StateError> {
        self.create(serving::FOLDER, assignment)
    }

    fn create(&self, below: &str, assignment: &Assignment) -> Result<PathBuf, StateError> {
        let jobs = self.path.join(below);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&jobs)
            .map_err(|source| StateError::Folder { path: jobs.clone(), source })?;
        let job = jobs.join(assignment.job.as_str());
        DirBuilder::new().mode(0o700).create(&job).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => StateError::NameUsed(assignment.job.clone()),
            _ => StateError::Folder { path: job.clone(), source },
        })?;
        write_json(&job.join(ASSIGNMENT_FILE), assignment)?;
        Ok(job)
    }
}

/// Writes a report under its final name, whole or not at all.
///
/// # Errors
/// If it cannot be written.
pub fn write_report(job: &Path, report: &Report) -> Result<(), StateError> {
    write_json(&job.join(REPORT_FILE), report)
}

/// Reads a job's report; `None` if there is none.
///
/// # Errors
/// If one is there and is not readable.
pub fn read_report(job: &Path) -> Result<Option<Report>, StateError> {
    let path = job.join(REPORT_FILE);
    let wrong = |source| StateError::Report { path: path.clone(), source };
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(wrong(e)),
    };
    let reader = io::BufReader::new(file.take(MAX_REPORT_BYTES));
    serde_json::from_reader(reader).map(Some).map_err(|e| wrong(e.into()))
}

/// Writes beside the final name (0600), syncs, renames.
pub(crate) fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<(), StateError> {
    let wrong = |source| StateError::Write { path: path.to_path_buf(), source };
    let folder = path.parent().unwrap_or(Path::new("."));
    let write = || -> io::Result<()> {
        let temporary = tempfile::Builder::new()
            .prefix(".new-")
            .permissions(Permissions::from_mode(0o600))
            .tempfile_in(folder)?;
        let mut out = io::BufWriter::new(temporary.as_file());
        serde_json::to_writer(&mut out, value)?;
        out.write_all(b"\n")?;
        out.flush()?;
        drop(out);
        temporary.as_file().sync_all()?;
        temporary.persist(path).map_err(|e| e.error)?;
        File::open(folder)?.sync_all()
    };
    write().map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Machine;
    use crate::request::{Surroundings, TrainRequest};

    fn assignment() -> Assignment {
        let around = Surroundings {
            machine: Machine::read(),
            directory: "/tmp".into(),
            default_name: "j1".into(),
        };
        let request =
            TrainRequest { image: "x".into(), output: "o".into(), ..TrainRequest::default() };
        request.assignment(&around).unwrap().assignment
    }

    #[test]
    fn the_folder_is_where_people_expect_it() {
        let env = |set: &'static [(&str, &str)]| {
            move |name: &str| set.iter().find(|s| s.0 == name).map(|s| OsString::from(s.1))
        };
        let at = |given: Option<&Path>, set, root| find(given, env(set), root).unwrap();
        assert_eq!(at(Some(Path::new("/g")), &[("BELLJAR_STATE", "/b")], true), Path::new("/g"));
        assert_eq!(at(None, &[("BELLJAR_STATE", "/b")], true), Path::new("/b"));
        assert_eq!(at(None, &[("HOME", "/h")], true), Path::new("/var/lib/belljar"));
        let both = &[("XDG_DATA_HOME", "/x"), ("HOME", "/h")];
        assert_eq!(at(None, both, false), Path::new("/x/belljar"));
        let home = &[("XDG_DATA_HOME", "relative"), ("HOME", "/h")];
        assert_eq!(at(None, home, false), Path::new("/h/.local/share/belljar"));
        assert!(matches!(find(None, env(&[]), false), Err(StateError::NoPlace)));
    }

    #[test]
    fn a_name_is_used_once_and_its_files_are_private() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(&dir.path().join("a/b")).unwrap();
        let a = assignment();
        let job = state.create_job(&a).unwrap();
        let mode = |p: &Path| std::fs::metadata(p).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&job), 0o700);
        assert_eq!(mode(state.path()), 0o700);
        assert_eq!(mode(&job.join(ASSIGNMENT_FILE)), 0o600);
        let text = std::fs::read_to_string(job.join(ASSIGNMENT_FILE)).unwrap();
        assert_eq!(serde_json::from_str::<Assignment>(&text).unwrap(), a);
        assert!(matches!(state.create_job(&a), Err(StateError::NameUsed(_))));
        assert_eq!(std::fs::read_dir(&job).unwrap().count(), 1, "no temporary file stays");
    }

    #[test]
    fn no_report_is_not_an_error_and_half_a_report_is() {
        let dir = tempfile::tempdir().unwrap();
        assert!(read_report(dir.path()).unwrap().is_none());
        std::fs::write(dir.path().join(REPORT_FILE), "{\"gen").unwrap();
        assert!(read_report(dir.path()).is_err());
    }
}
