//! A job from its first stage to its report.

use crate::failure::{Explain, Failure, chain};
use crate::gang::{self, Membership};
use crate::job::{JobDir, JobError};
use crate::journal::{Audience, Journal, now};
use crate::orders::Orders;
use crate::stages::{self, Facts};
use crate::staging::S3Settings;
use crate::staging::limits::MAX_REPORTED_ARTIFACTS;
use crate::sweep;
use belljar_domain::failure::{Blame, truncate};
use belljar_domain::status::Transitions;
use belljar_domain::{
    Assignment, Event, Outcome, Report, SecondaryStatus, Stage, StageState, Stream,
};
use belljar_linux::privilege::Privilege;
use belljar_linux::reading::Namespaces;
use rustix::io::Errno;
use std::cell::RefCell;

/// What every stage needs.
pub(crate) struct Context {
    pub(crate) job: JobDir,
    pub(crate) assignment: Assignment,
    pub(crate) privilege: Privilege,
    /// The host's namespaces, as they were before this process left them.
    pub(crate) host: Namespaces,
    pub(crate) journal: Journal,
    pub(crate) orders: Orders,
    /// What makes this the warden of one instance of several.
    pub(crate) member: Option<Membership>,
    transitions: RefCell<Transitions>,
}

/// How a stage can end a job before its last one.
pub(crate) enum Ending {
    /// It failed.
    Failed(Failure),
    /// It was told to stop.
    Stopped,
    /// An instance of several ended it, and has said how.
    Reported(Outcome),
    /// The machine failed it, not the job: a sentence. It is for whoever started the job to try
    /// again.
    Lost(String),
}

impl From<Failure> for Ending {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl<E: Explain> From<E> for Ending {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Runs the job in `job` to its report, as whom `privilege` says, or to the end that kept this
/// process from being anybody. An error is one that could not even be reported.
pub(crate) async fn run(
    job: JobDir,
    privilege: Result<Privilege, Ending>,
    host: Namespaces,
    audience: Audience,
    member: Option<Membership>,
) -> Result<(), JobError> {
    let assignment = job.assignment()?;
    let failed = |e: std::io::Error| match e.kind() {
        std::io::ErrorKind::AlreadyExists => JobError::Begun(job.path().to_path_buf()),
        _ => JobError::Write(job.journal(), e),
    };
    if audience == Audience::Spool && job.has_leftovers() && !job.journal().exists() {
        sweep::clear(&job, &assignment).await?;
    }
    let (journal, writer) = Journal::open(&job, audience).map_err(failed)?;
    let orders = match audience {
        Audience::Pipe => Orders::of_stdin(journal.deaf()),
        Audience::Spool => Orders::of_fifo(journal.deaf(), &job.orders()),
    };
    let orders = orders.map_err(failed)?;
    let mut facts = Facts::default();
    // The job's own warden says them once, for all instances.
    let mut notices = assignment.notices.clone();
    if member.is_some() {
        notices.clear();
    } else if let Some(notice) = stages::limits_left_out(&assignment) {
        facts.warnings.push(notice.clone());
        notices.push(notice);
    }
    say_notices(&journal, &notices).await;
    let (report, journal) = match privilege {
        Err(Ending::Lost(why)) => return Err(JobError::Lost(why)),
        Err(ending) => {
            let outcome = outcome_of(&assignment, Err(ending));
            (report(&assignment, facts, outcome, Transitions::default()), journal)
        }
        Ok(privilege) => {
            let transitions = RefCell::default();
            let cx = Context {
                job: job.clone(),
                assignment,
                privilege,
                host,
                journal,
                orders,
                member,
                transitions,
            };
            let ended = work(&cx, &mut facts).await;
            if let Err(Ending::Lost(why)) = ended {
                tidy(&cx, &mut facts).await;
                return Err(JobError::Lost(why));
            }
            let outcome = outcome_of(&cx.assignment, ended);
            let outcome = stages::evidence(&cx, &mut facts, outcome).await;
            tidy(&cx, &mut facts).await;
            cx.status(outcome.status()).await;
            (report(&cx.assignment, facts, outcome, cx.transitions.take()), cx.journal)
        }
    };
    let kept = job.write_report(&report);
    // Told also if it cannot be kept: whoever reads it can still say how the job ended.
    journal.tell(Event::Report(Box::new(report))).await;
    drop(journal);
    writer.finish();
    kept
}

/// Everything but the evidence.
async fn work(cx: &Context, facts: &mut Facts) -> Result<Outcome, Ending> {
    if cx.member.is_some() {
        return gang::instance(cx, facts).await;
    }
    // This job's folder is locked: the sweep leaves it alone.
    if let Err(e) = sweep::state(cx.job.state()).await {
        facts.warnings.push(format!("what earlier jobs left could not be swept: {e}"));
    }
    match &cx.assignment.cluster {
        Some(cluster) => gang::all(cx, facts, cluster).await,
        None => stages::all(cx, facts).await,
    }
}

/// The first lines of the log. They are Belljar's own, and do not wait.
async fn say_notices(journal: &Journal, notices: &[String]) {
    for notice in notices {
        let (stream, line) = (Stream::Stdout, notice.clone());
        journal.tell(Event::Log { stream, line, raw: None, at: now() }).await;
    }
}

impl Context {
    /// How this instance reaches S3: in a VPC, by its interface.
    pub(crate) fn s3(&self) -> S3Settings {
        S3Settings::from_env().by(self.job.state(), self.assignment.vpc.as_deref())
    }

    /// Enters a secondary status, if it may follow, and tells so.
    pub(crate) async fn status(&self, status: SecondaryStatus) {
        if self.assignment.serving.is_some() {
            // They are a training job's.
            return;
        }
        let at = now();
        if self.transitions.borrow_mut().enter(status, at) {
            let message = status.message().to_owned();
            self.journal.tell(Event::Status { status, message, at }).await;
        }
    }

    /// Runs one stage, and says so before and after. A stop ends it, unless it is the
    /// container's, which has its own way of stopping.
    pub(crate) async fn stage<T>(
        &self,
        stage: Stage,
        work: impl Future<Output = Result<T, Ending>>,
    ) -> Result<T, Ending> {
        self.journal.point(stage, "before");
        self.journal.stage(stage, StageState::Begun).await;
        let stoppable =
            matches!(stage, Stage::Image | Stage::Root | Stage::StageIn | Stage::Network);
        let result = tokio::select! {
            result = work => result,
            _ = self.orders.stop(), if stoppable => Err(Ending::Stopped),
        };
        let state = if result.is_ok() { StageState::Done } else { StageState::Failed };
        self.journal.stage(stage, state).await;
        self.journal.point(stage, "after");
        result
    }
}

/// Undoes what must not outlive the job, as the sweeper would.
async fn tidy(cx: &Context, facts: &mut Facts) {
    // What an instance leaves is for its job's warden to take in first.
    let undone = match &cx.member {
        Some(_) => sweep::undo_container(&cx.job, &cx.assignment).await,
        None => sweep::undo_all(&cx.job, &cx.assignment).await,
    };
    for (stage, problem) in undone {
        match problem {
            Ok(()) => cx.journal.stage(stage, StageState::Undone).await,
            Err(text) => {
                facts.warnings.push(format!("could not clear the {} stage: {text}", stage.as_str()))
            }
        }
    }
}

fn outcome_of(a: &Assignment, result: Result<Outcome, Ending>) -> Outcome {
    let failed = |f: Failure| match a.serving {
        // An endpoint's reasons are sentences without a first word.
        Some(_) => Outcome::Failed { reason: truncate(&f.text), hint: f.hint, machine: f.machine },
        None => failed(f),
    };
    match result {
        Ok(outcome) => outcome,
        Err(Ending::Stopped) => Outcome::Stopped,
        Err(Ending::Reported(outcome)) => outcome,
        Err(Ending::Failed(f)) => failed(f),
        // It ends this one without a report; this is for completeness.
        Err(Ending::Lost(why)) => failed(stages::internal(why)),
    }
}

fn failed(f: Failure) -> Outcome {
    Outcome::Failed { reason: f.blame.reason(&f.text), hint: f.hint, machine: f.machine }
}

/// What is told of a job at its end.
pub(crate) fn report(
    a: &Assignment,
    f: Facts,
    outcome: Outcome,
    mut transitions: Transitions,
) -> Report {
    if a.serving.is_none() {
        transitions.enter(outcome.status(), now());
    }
    Report {
        generation: a.generation,
        job: a.job.clone(),
        host: a.host.clone(),
        outcome,
        exit: f.exit,
        transitions,
        metrics: f.metrics,
        inputs: f.inputs,
        artifacts: f.artifacts.into_iter().take(MAX_REPORTED_ARTIFACTS).collect(),
        attempts: f.attempts,
        image_digest: f.image.map(|i| i.digest),
        evidence: f.evidence,
        evidence_sha256: f.evidence_sha256,
        instances: f.instances,
        warnings: f.warnings,
    }
}

/// How a job ends whose warden cannot be who makes containers.
pub(crate) fn cannot_seal(e: belljar_linux::Error) -> Ending {
    Ending::Failed(Failure {
        blame: Blame::Capacity,
        text: format!("this machine cannot seal a container: {}", chain(&e)),
        hint: Some(
            "run 'belljar doctor': user namespaces may be disabled for ordinary users".to_owned(),
        ),
        machine: true,
    })
}

/// A kernel call that failed.
impl Explain for belljar_linux::Error {
    fn blame(&self) -> Blame {
        if is_full(self) { Blame::Capacity } else { Blame::Internal }
    }

    fn hint(&self) -> Option<String> {
        let hint = if is_full(self) {
            "the disk is full: free space in the state directory"
        } else {
            "run 'belljar doctor' to see what this machine can do"
        };
        Some(hint.to_owned())
    }

    fn machine(&self) -> bool {
        true
    }
}

fn is_full(e: &belljar_linux::Error) -> bool {
    let full = [Errno::NOSPC, Errno::DQUOT].map(Errno::raw_os_error);
    e.errno().is_some_and(|n| full.contains(&n))
}
