//! From the dead container's folders to `O/JOB/output/`.

use super::archive::{Archive, Bounds, Outcome};
use super::error::{FileError, StageOutError};
use super::location::Location;
use super::loose;
use super::meter::{Meter, metered};
use super::s3::S3Settings;
use super::s3_out::{self, Target};
use super::sink::{Tally, Unfinished, remove_unfinished, write_whole};
use crate::progress::Progress;
use belljar_domain::{Artifact, JobName, OutputCompression};
use rustix::fs::{Access, access};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Every archive that a job can leave.
pub(super) const ARTIFACTS: [&str; 2] = ["model.tar.gz", "output.tar.gz"];
/// Folders below `/opt/ml` that they are made of.
const FOLDERS: [&str; 2] = ["model", "output/data"];

/// What to stage out, and where to.
#[derive(Debug, Clone, Copy)]
pub struct StageOut<'a> {
    /// The container's `/opt/ml` on the host: no container could rename this folder, whatever it
    /// did below. Its `model` and `output/data` are archived.
    pub ml_dir: &'a Path,
    /// `--output`: a path, `file://` or `s3://`.
    pub destination: &'a str,
    /// The job; its name is appended to the destination.
    pub job: &'a JobName,
    /// Whether as archives, or every file by itself.
    pub compression: OutputCompression,
    /// A folder of the warden's own where unfinished uploads are noted, for [`sweep`].
    pub journal: &'a Path,
}

/// One archive to be made, owned, so that a thread can take it along.
pub(super) struct Plan {
    pub(super) name: &'static str,
    /// `JOB/output/model.tar.gz`.
    pub(super) below: String,
    root: PathBuf,
    folder: &'static str,
    meter: Arc<Meter>,
}

impl Plan {
    pub(super) fn archive(&self) -> Archive<'_> {
        Archive {
            name: self.name,
            root: &self.root,
            folder: Path::new(self.folder),
            bounds: Bounds::default(),
            meter: &self.meter,
        }
    }
}

/// What to archive. The model always is, even when empty, so that `S3ModelArtifacts` names an
/// object; `output.tar.gz` only if there is something.
fn plans(
    request: &StageOut<'_>,
    meter: &Arc<Meter>,
) -> Result<(Vec<Plan>, Vec<String>), StageOutError> {
    let (mut plans, mut warnings) = (Vec::new(), Vec::new());
    for (name, folder) in ARTIFACTS.into_iter().zip(FOLDERS) {
        let plan = Plan {
            name,
            below: format!("{}/output/{name}", request.job),
            root: request.ml_dir.to_owned(),
            folder,
            meter: Arc::clone(meter),
        };
        let empty = plan.archive().is_empty()?;
        if empty && name == ARTIFACTS[0] {
            warnings.push("The job left nothing in /opt/ml/model: model.tar.gz is empty.".into());
        }
        if !empty || name == ARTIFACTS[0] {
            plans.push(plan);
        }
    }
    Ok((plans, warnings))
}

/// Archives `/opt/ml/model` and `/opt/ml/output/data` of a dead container. Nothing appears under
/// its final name before all of it is whole. Returns the artifacts and warnings for a person.
///
/// # Errors
/// If something cannot be read or written, or breaks a limit of [`super::limits`].
pub async fn stage_out(
    request: &StageOut<'_>,
    progress: &dyn Progress,
) -> Result<(Vec<Artifact>, Vec<String>), StageOutError> {
    stage_out_with(&S3Settings::from_env(), request, progress).await
}

/// [`stage_out`] with S3 reached as `settings` say.
///
/// # Errors
/// As [`stage_out`].
pub async fn stage_out_with(
    settings: &S3Settings,
    request: &StageOut<'_>,
    progress: &dyn Progress,
) -> Result<(Vec<Artifact>, Vec<String>), StageOutError> {
    let location: Location = request.destination.parse()?;
    let meter = Arc::new(Meter::default());
    if request.compression == OutputCompression::None {
        let work = loose::stage_out(settings, request, &meter);
        return metered("artifacts", progress, &meter, work).await;
    }
    let (plans, mut warnings) = plans(request, &meter)?;
    let done = metered("artifacts", progress, &meter, async {
        match &location {
            Location::Path(folder) => {
                let (folder, job) = (absolute(folder)?, request.job.clone());
                tokio::task::spawn_blocking(move || to_folder(&folder, &job, plans))
                    .await
                    .map_err(|_| StageOutError::Broken)?
            }
            Location::S3 { bucket, prefix } => {
                to_s3(&Target { settings, bucket, prefix }, plans, request.journal).await
            }
        }
    })
    .await?;
    let mut artifacts = Vec::new();
    for (artifact, outcome) in done {
        artifacts.push(artifact);
        warnings.extend(outcome.warnings);
    }
    Ok((artifacts, warnings))
}

fn to_folder(
    destination: &Path,
    job: &JobName,
    plans: Vec<Plan>,
) -> Result<Vec<(Artifact, Outcome)>, StageOutError> {
    let written = write_to_folder(destination, plans);
    if written.is_err() {
        remove_if_empty(destination, job);
    }
    written
}

fn write_to_folder(
    destination: &Path,
    plans: Vec<Plan>,
) -> Result<Vec<(Artifact, Outcome)>, StageOutError> {
    let (mut done, mut unfinished) = (Vec::new(), Vec::new());
    for plan in plans {
        let path = destination.join(&plan.below);
        let (pending, file) = Unfinished::begin(&path)?;
        let (outcome, tally) = plan.archive().write(Tally::new(file))?;
        let (file, size, sha256) = tally.finish();
        pending.settle(file)?;
        let uri = path.display().to_string();
        unfinished.push(pending);
        done.push((Artifact { name: plan.name.to_owned(), uri, size, sha256 }, outcome));
    }
    for pending in unfinished {
        pending.publish()?;
    }
    Ok(done)
}

async fn to_s3(
    target: &Target<'_>,
    plans: Vec<Plan>,
    journal: &Path,
) -> Result<Vec<(Artifact, Outcome)>, StageOutError> {
    let store = target.settings.bucket(target.bucket)?;
    let mut uploads = Vec::new();
    for plan in plans {
        match target.upload(&store, plan, journal).await {
            Ok(uploaded) => uploads.push(uploaded),
            Err(error) => {
                for uploaded in uploads {
                    target.discard(&store, uploaded).await;
                }
                return Err(error);
            }
        }
    }
    let mut done = Vec::new();
    let mut uploads = uploads.into_iter();
    while let Some(uploaded) = uploads.next() {
        match target.publish(&store, uploaded).await {
            Ok(artifact) => done.push(artifact),
            Err(error) => {
                for uploaded in uploads {
                    target.discard(&store, uploaded).await;
                }
                return Err(error);
            }
        }
    }
    Ok(done)
}

/// Writes a small file to `below` (`JOB/evidence/algo-1.intoto.json`) under `destination`, whole
/// or not at all, and returns its URI.
///
/// # Errors
/// If the destination is none or cannot be written to.
pub async fn put_file(
    destination: &str,
    below: &str,
    bytes: Vec<u8>,
) -> Result<String, StageOutError> {
    put_file_with(&S3Settings::from_env(), destination, below, bytes).await
}

/// [`put_file`] with S3 reached as `settings` say.
///
/// # Errors
/// As [`put_file`].
pub async fn put_file_with(
    settings: &S3Settings,
    destination: &str,
    below: &str,
    bytes: Vec<u8>,
) -> Result<String, StageOutError> {
    match destination.parse()? {
        Location::Path(folder) => {
            let path = absolute(&folder)?.join(below);
            write_whole(&path, &bytes)?;
            Ok(path.display().to_string())
        }
        Location::S3 { bucket, prefix } => {
            Target { settings, bucket: &bucket, prefix: &prefix }.put(below, bytes).await
        }
    }
}

/// Whether the results of `job` can be written below `destination`, as far as can be seen without
/// writing: another job of that name has left none there, and the folder can be made or written
/// to, or the bucket be listed.
///
/// # Errors
/// If not, with the reason.
pub async fn check_output(destination: &str, job: &JobName) -> Result<(), StageOutError> {
    check_output_with(&S3Settings::from_env(), destination, job).await
}

/// Like [`check_output`], but what stands there already is no reason to refuse.
///
/// # Errors
/// If the results cannot be written.
pub async fn check_output_to_replace(
    destination: &str,
    job: &JobName,
) -> Result<(), StageOutError> {
    match check_output(destination, job).await {
        Err(StageOutError::Exists(_)) => Ok(()),
        result => result,
    }
}

/// [`check_output`] with S3 reached as `settings` say.
///
/// # Errors
/// As [`check_output`].
pub async fn check_output_with(
    settings: &S3Settings,
    destination: &str,
    job: &JobName,
) -> Result<(), StageOutError> {
    match destination.parse()? {
        Location::Path(folder) => check_folder(&absolute(&folder)?.join(job.as_str())),
        Location::S3 { bucket, prefix } => {
            let target = Target { settings, bucket: &bucket, prefix: &prefix };
            // SDKs put what goes in beside it, as JOB/source or JOB/input.
            for part in ["output", "evidence"] {
                if target.exists(&format!("{job}/{part}")).await? {
                    let slash = if prefix.is_empty() || prefix.ends_with('/') { "" } else { "/" };
                    let uri = format!("s3://{bucket}/{prefix}{slash}{job}/{part}/");
                    return Err(StageOutError::Exists(uri));
                }
            }
            Ok(())
        }
    }
}

fn check_folder(job: &Path) -> Result<(), StageOutError> {
    for part in ["output", "evidence"] {
        let folder = job.join(part);
        match std::fs::read_dir(&folder) {
            Ok(mut entries) => {
                if entries.next().is_some() {
                    return Err(StageOutError::Exists(folder.display().to_string()));
                }
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(FileError::new("list", &folder, e).into()),
        }
    }
    // The nearest folder that exists decides.
    for folder in job.ancestors() {
        match std::fs::metadata(folder) {
            Ok(found) if found.is_dir() => {
                return access(folder, Access::WRITE_OK | Access::EXEC_OK)
                    .map_err(|e| FileError::new("write to", folder, e).into());
            }
            Ok(_) => {
                let source = rustix::io::Errno::NOTDIR;
                return Err(FileError::new("write to", folder, source).into());
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(FileError::new("write to", folder, e).into()),
        }
    }
    Ok(())
}

/// Removes what a killed warden left half done for `job`: files under a temporary name, folders
/// that are empty, and multipart uploads noted in `journal`. What is whole stays. Can be repeated.
///
/// # Errors
/// If something cannot be removed; the journal then still names it.
pub async fn sweep(destination: &str, job: &JobName, journal: &Path) -> Result<(), StageOutError> {
    sweep_with(&S3Settings::from_env().impatient(), destination, job, journal).await
}

/// [`sweep`] with S3 reached as `settings` say.
///
/// # Errors
/// As [`sweep`].
pub async fn sweep_with(
    settings: &S3Settings,
    destination: &str,
    job: &JobName,
    journal: &Path,
) -> Result<(), StageOutError> {
    if let Location::Path(folder) = destination.parse()? {
        let folder = absolute(&folder)?;
        let job_folder = folder.join(job.as_str());
        for name in ARTIFACTS {
            remove_unfinished(&job_folder.join("output").join(name))?;
        }
        loose::sweep(&job_folder.join("output"))?;
        remove_unfinished(&job_folder.join("evidence/algo-1.intoto.json"))?;
        remove_if_empty(&folder, job);
    }
    s3_out::sweep(settings, journal).await
}

fn remove_if_empty(destination: &Path, job: &JobName) {
    let job = destination.join(job.as_str());
    for folder in [job.join("output"), job.join("evidence"), job] {
        // Not empty, or not there: both are as they should be.
        let _ = std::fs::remove_dir(folder);
    }
}

pub(super) fn absolute(path: &Path) -> Result<PathBuf, FileError> {
    std::path::absolute(path).map_err(|e| FileError::new("find", path, e))
}
