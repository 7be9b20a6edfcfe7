//! A place for jobs: this machine. Starts one warden for a job, hands on its events, and answers
//! for a report whatever happens to the warden.

pub mod environment;
pub mod front;
pub mod hosting;
mod lines;
mod process;
mod watch;

pub use lines::MAX_LINE_BYTES;
pub use process::Warden;
pub(crate) use process::ended;

use crate::state::{self, StateError};
use belljar_domain::{Assignment, Event, Report};
use std::io;
use std::path::{Path, PathBuf};
use tokio::sync::mpsc;

/// What the caller may ask of a running job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// TERM, the grace of the Assignment, KILL; artifacts are uploaded.
    Stop,
    /// End the warden, and with it the container, now; nothing is uploaded.
    Kill,
}

/// A job's end.
#[derive(Debug)]
pub struct Ended {
    /// The warden's report, or, if it left none, the one that was written in its place.
    pub report: Report,
    /// If the warden left no report: what it last said on standard error.
    pub diagnostics: Option<String>,
}

/// Why a job has no report at all.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// The warden's program does not start.
    #[error("cannot start {}", .program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// The kernel does not tell how a child ended.
    #[error("cannot wait for the warden")]
    Wait(#[source] io::Error),
    /// A sweep failed.
    #[error("the sweep {ended}: {said}")]
    Sweep {
        /// How.
        ended: String,
        /// What it last said.
        said: String,
    },
    /// A sweep was given up.
    #[error("the sweep did not end within {0} s")]
    SweepHangs(u64),
}

/// Runs a job whose folder and Assignment are in place, to its end.
///
/// `events` gets every event in order, the report last. If its receiver goes away the job is
/// asked to stop: nobody would see it. `asks` may be used at any time.
///
/// A report that cannot be kept, as on a full disk, is told all the same, with a warning.
///
/// # Errors
/// If the warden cannot be started or waited for.
pub async fn run(
    warden: &Warden,
    job: &Path,
    assignment: &Assignment,
    events: mpsc::Sender<Event>,
    asks: mpsc::Receiver<Ask>,
) -> Result<Ended, LocalError> {
    let seen = watch::watch(warden.start(job)?, events.clone(), asks).await?;
    let (report, found) = match own_report(job, assignment, &seen) {
        Ok(Some(report)) => (report, true),
        Ok(None) => (seen.report_in_place(assignment, None), false),
        Err(e) => (seen.report_in_place(assignment, Some(&e)), false),
    };
    let ended = match found {
        true => Ended { report, diagnostics: None },
        false => in_place(warden, job, report, seen.diagnostics).await,
    };
    // A caller that no longer listens has the returned report.
    let _ = events.send(Event::Report(Box::new(ended.report.clone()))).await;
    Ok(ended)
}

/// The warden's own report: its file, else its event, if it is of this Assignment.
fn own_report(
    job: &Path,
    assignment: &Assignment,
    seen: &watch::Seen,
) -> Result<Option<Report>, StateError> {
    let ours = |r: &Report| {
        (r.generation, &r.job, &r.host)
            == (assignment.generation, &assignment.job, &assignment.host)
    };
    let kept = state::read_report(job).map(|report| report.filter(ours));
    if let Ok(Some(_)) = kept {
        return kept;
    }
    let Some(mut told) = seen.report.clone().filter(ours) else { return kept };
    keep(job, &mut told);
    Ok(Some(told))
}

/// Sweeps after a warden that left no report, and keeps the report written in its place.
async fn in_place(warden: &Warden, job: &Path, mut report: Report, diagnostics: String) -> Ended {
    if let Err(e) = warden.sweep_job(job).await {
        report.warnings.push(format!("what the job left behind could not be swept: {e}"));
    }
    keep(job, &mut report);
    Ended { report, diagnostics: Some(diagnostics) }
}

fn keep(job: &Path, report: &mut Report) {
    if let Err(e) = state::write_report(job, report) {
        let cause = std::error::Error::source(&e).map(|c| format!(": {c}")).unwrap_or_default();
        report.warnings.push(format!("this report is told only here: {e}{cause}"));
    }
}
