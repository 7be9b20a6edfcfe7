//! Removes what a warden left: its own at the end, or a killed one's. Everything here can be
//! repeated, and knows where to look without being told.

use crate::job::{JobDir, JobError};
use crate::staging;
use belljar_domain::{Assignment, Stage};
use belljar_linux::cgroup;
use rustix::mount::{UnmountFlags, unmount};
use std::fs;
use std::path::Path;

/// Undoes every stage, the last first. One that fails does not keep the others from it.
pub(crate) async fn undo_all(
    job: &JobDir,
    assignment: &Assignment,
) -> Vec<(Stage, Result<(), String>)> {
    let mut all = Vec::new();
    for stage in Stage::ALL.into_iter().rev() {
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
        Stage::Image | Stage::Network | Stage::Evidence => return None,
        Stage::StageOut => staging::sweep(&a.output, &a.job, &job.uploads())
            .await
            .map_err(|e| crate::failure::chain(&e)),
        Stage::Container => cgroup::sweep(&job.cgroup()).map_err(|e| crate::failure::chain(&e)),
        Stage::StageIn => remove(&job.opt_ml()),
        Stage::Root => {
            // Mounted only in the warden's own namespace; a sweeper finds nothing there.
            while unmount(job.scratch().join("mnt"), UnmountFlags::DETACH).is_ok() {}
            remove(&job.scratch())
        }
    })
}

fn remove(folder: &Path) -> Result<(), String> {
    crate::remove::tree(folder).map_err(|e| format!("remove {}: {e}", folder.display()))
}

/// Sweeps one job, unless its warden lives.
pub(crate) async fn job(job: &JobDir) -> Result<(), JobError> {
    let _lock = job.lock()?;
    let assignment = job.assignment()?;
    let problems: Vec<String> =
        undo_all(job, &assignment).await.into_iter().filter_map(|(_, r)| r.err()).collect();
    if problems.is_empty() {
        return Ok(());
    }
    let text = std::io::Error::other(problems.join("; "));
    Err(JobError::Write(job.journal(), text))
}

/// Sweeps every job of a state directory whose warden has died.
pub(crate) async fn state(state: &Path) -> Result<(), String> {
    let Ok(jobs) = fs::read_dir(state.join("jobs")) else { return Ok(()) };
    let mut problems = Vec::new();
    for entry in jobs.flatten() {
        let Ok(dir) = JobDir::open(entry.path()) else { continue };
        if !dir.left_something() {
            continue;
        }
        match job(&dir).await {
            // A job that runs is nobody's to sweep.
            Ok(()) | Err(JobError::Taken(_)) => {}
            Err(e) => problems.push(crate::failure::chain(&e)),
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.join("; ")) }
}
