//! Removes what a warden left: its own at the end, or a killed one's. Everything here can be
//! repeated, and knows where to look without being told.

use crate::gang;
use crate::image::unpack::remove::remove_tree;
use crate::job::{JobDir, JobError};
use crate::run;
use crate::stages::Facts;
use crate::staging;
use belljar_domain::failure::Blame;
use belljar_domain::status::Transitions;
use belljar_domain::{Assignment, Outcome, Report, Stage, serving};
use belljar_linux::cgroup;
use rustix::mount::{UnmountFlags, unmount};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often, and how long apart, something is tried again that a dying process still uses.
const TRIES: u32 = 200;
const BETWEEN_TRIES: Duration = Duration::from_millis(20);

/// Undoes every stage, the last first. One that fails does not keep the others from it.
pub(crate) async fn undo_all(
    job: &JobDir,
    assignment: &Assignment,
) -> Vec<(Stage, Result<(), String>)> {
    let mut all = Vec::new();
    if assignment.cluster.is_some() && job.instances().exists() {
        all.push((Stage::Instances, Box::pin(gang::sweep(job)).await));
    }
    for stage in Stage::ALL.into_iter().rev() {
        if let Some(result) = undo(stage, job, assignment).await {
            all.push((stage, result));
        }
    }
    all
}

/// Undoes the container of an instance, and leaves what it left to its job's warden.
pub(crate) async fn undo_container(
    job: &JobDir,
    assignment: &Assignment,
) -> Vec<(Stage, Result<(), String>)> {
    let mut all = Vec::new();
    for stage in [Stage::Container, Stage::Root] {
        if let Some(result) = undo(stage, job, assignment).await {
            all.push((stage, result));
        }
    }
    all
}

/// Undoes one stage; `None` if it leaves nothing that could be undone.
async fn undo(stage: Stage, job: &JobDir, a: &Assignment) -> Option<Result<(), String>> {
    Some(match stage {
        // The store sweeps itself when it is opened; network namespaces end with their holders;
        // evidence is an output like the others.
        Stage::Image | Stage::Network | Stage::Instances | Stage::Evidence => return None,
        Stage::StageOut => sweep_uploads(job, a).await,
        Stage::Container => {
            let swept = cgroup::sweep(&job.cgroup()).map_err(|e| crate::failure::chain(&e));
            swept.and_then(|()| close(&job.door()))
        }
        Stage::StageIn => remove(&job.opt_ml()).await,
        Stage::Root => {
            // Mounted only in the warden's own namespace; a sweeper finds nothing there.
            while unmount(job.scratch().join("mnt"), UnmountFlags::DETACH).is_ok() {}
            remove(&job.scratch()).await
        }
    })
}

/// Removes a socket that nobody listens to any more.
fn close(door: &Path) -> Result<(), String> {
    match fs::remove_file(door) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            Err(format!("remove {}: {e}", door.display()))
        }
        _ => Ok(()),
    }
}

async fn sweep_uploads(job: &JobDir, a: &Assignment) -> Result<(), String> {
    let swept = staging::sweep(&a.output, &a.job, &job.uploads()).await;
    swept.map_err(|e| crate::failure::chain(&e))?;
    match fs::remove_dir(job.uploads()) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            Err(format!("remove {}: {e}", job.uploads().display()))
        }
        _ => Ok(()),
    }
}

/// Removes a folder of the job's that the container could shape as it liked. Where there is no
/// cgroup by which to kill them, its last processes may still be dying, and writing: it is tried
/// until they are gone.
async fn remove(folder: &Path) -> Result<(), String> {
    let mut tries = 0;
    loop {
        let Err(e) = remove_once(folder) else { return Ok(()) };
        tries += 1;
        if tries == TRIES {
            return Err(format!("remove {}: {e}", folder.display()));
        }
        tokio::time::sleep(BETWEEN_TRIES).await;
    }
}

fn remove_once(folder: &Path) -> io::Result<()> {
    let parent = File::open(folder.parent().unwrap_or(Path::new("/")))?;
    let name = folder.file_name().unwrap_or_default();
    remove_tree(&parent, name.as_encoded_bytes())
}

/// Sweeps one job, unless its warden lives.
pub(crate) async fn job(job: &JobDir) -> Result<(), JobError> {
    let _lock = lock_patiently(job).await?;
    clear(job, &job.assignment()?).await
}

/// Whoever asks for one job's sweep knows that its warden is dead: what holds the lock is another
/// sweeper, which is done soon.
async fn lock_patiently(job: &JobDir) -> Result<File, JobError> {
    let mut tries = 0;
    loop {
        match job.lock() {
            Err(JobError::Taken(_)) if tries < TRIES => tries += 1,
            result => return result,
        }
        tokio::time::sleep(BETWEEN_TRIES).await;
    }
}

/// Undoes everything, and says what could not be.
pub(crate) async fn clear(job: &JobDir, assignment: &Assignment) -> Result<(), JobError> {
    let undone = undo_all(job, assignment).await;
    let problems: Vec<String> = undone.into_iter().filter_map(|(_, r)| r.err()).collect();
    job.discard_half_report()?;
    if problems.is_empty() {
        return Ok(());
    }
    Err(JobError::Clear(io::Error::other(problems.join("; "))))
}

/// Sweeps every job of a state directory whose warden has died.
pub(crate) async fn state(state: &Path) -> Result<(), String> {
    let mut problems = Vec::new();
    for dir in begun(state)? {
        // A folder that cannot be opened is no job's, or has just been removed.
        let Ok(dir) = JobDir::open(dir) else { continue };
        if !dir.is_unfinished() {
            continue;
        }
        match abandoned(&dir).await {
            // A job that runs is nobody's to sweep.
            Ok(()) | Err(JobError::Taken(_)) => {}
            Err(e) => problems.push(crate::failure::chain(&e)),
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.join("; ")) }
}

/// The folders of all that was begun: jobs, and containers that serve.
fn begun(state: &Path) -> Result<Vec<PathBuf>, String> {
    let mut all = Vec::new();
    for kind in ["jobs", serving::FOLDER] {
        let failed = |e: io::Error| format!("list the {kind}: {e}");
        match fs::read_dir(state.join(kind)) {
            Ok(entries) => {
                for entry in entries {
                    all.push(entry.map_err(failed)?.path());
                }
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(failed(e)),
        }
    }
    Ok(all)
}

/// Sweeps a job that nobody attends any more, and reports for its warden if that did not.
async fn abandoned(job: &JobDir) -> Result<(), JobError> {
    let _lock = job.lock()?;
    let assignment = job.assignment()?;
    clear(job, &assignment).await?;
    if job.owes_report() { job.write_report(&report_of_lost(&assignment)) } else { Ok(()) }
}

fn report_of_lost(assignment: &Assignment) -> Report {
    let text = "the warden and belljar were both killed before either could report. The container ended with them.";
    let outcome = Outcome::Failed {
        reason: Blame::Internal.reason(text),
        hint: Some("run it again, under another name".to_owned()),
        machine: false,
    };
    run::report(assignment, Facts::default(), outcome, Transitions::default())
}
