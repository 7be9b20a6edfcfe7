//! The reconciler: makes the jobs of the state happen. It takes no input but what is there: the
//! records (desired), and the job folders with their locks, spools and reports (observed). From
//! both, [`belljar_domain::plan`] says what to do, and executing that makes no choices.
//!
//! It runs when it is woken and once a second, and can be killed between any two instructions:
//! the next service decides the same from what it finds. What a step changes in the database is
//! one transaction, and what it changes elsewhere can be done twice.
//!
//! **Invariant**: an attempt is recorded before its warden is started, and the warden's own lock
//! decides who runs it: nothing is started twice. A job is finished once, in the transaction
//! after which nothing of its events is missing.

mod asks;
mod endpoints;
pub(crate) mod folder;
mod follow;
mod ingest;
mod observe;
mod pause;
mod start;
mod steps;
pub(crate) mod vpc;

use crate::nodes;
use crate::service::Service;
use belljar_domain::JobName;
use belljar_domain::plan::{self, Capacity, Desired, Planned};
use belljar_domain::{SecondaryStatus, TrainingJob};
use belljar_store::jobs;
use endpoints::Endpoints;
use follow::Follower;
use start::{StartError, Started};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use steps::StepError;
use tokio::sync::watch;

/// How long what nobody tells goes unnoticed: the death of a warden that an earlier service
/// started, a time that is up.
const TICK: Duration = Duration::from_secs(1);

/// An attempt, of which there is one warden at most.
type Attempt = (JobName, u64);

/// What the loop remembers. All of it can be forgotten: a new service finds it again.
pub(crate) struct Reconciler {
    service: Arc<Service>,
    /// Wardens that this process started, and how those that ended did.
    started: BTreeMap<Attempt, Started>,
    /// Who takes in the events of which attempt.
    followers: BTreeMap<Attempt, Follower>,
    /// The same for endpoints.
    endpoints: Endpoints,
}

/// Works until `stop` says so. Wardens that run go on.
pub(crate) async fn run(mut reconciler: Reconciler, mut stop: watch::Receiver<bool>) {
    let service = reconciler.service.clone();
    let tidied = [
        reconciler.tidy_all(),
        reconciler.endpoints.tidy_all().await,
        vpc::tidy_all(&service).await,
    ];
    for tidied in tidied {
        if let Err(e) = tidied {
            tracing::error!(error = %crate::chain(&e), "what was left cannot be looked for");
        }
    }
    loop {
        if let Err(e) = reconciler.round().await {
            tracing::error!(error = %crate::chain(&e), "the state of jobs cannot be read");
        }
        match reconciler.endpoints.round().await {
            Ok(true) => service.wanted.notify_one(),
            Ok(false) => {}
            Err(e) => {
                tracing::error!(error = %crate::chain(&*e), "the state of endpoints cannot be read");
            }
        }
        tokio::select! {
            () = service.wanted.notified() => {}
            () = tokio::time::sleep(TICK) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

impl Reconciler {
    /// One that has looked at what is there: requests to endpoints that were in service before this
    /// service began can be answered from its first moment on.
    pub(crate) fn new(service: Arc<Service>) -> Self {
        let mut endpoints = Endpoints::new(service.clone());
        if let Err(e) = endpoints.look() {
            tracing::error!(error = %crate::chain(&*e), "the state of endpoints cannot be read");
        }
        let (started, followers) = (BTreeMap::new(), BTreeMap::new());
        Self { service, started, followers, endpoints }
    }

    /// Looks, decides, and does it. A step that fails is tried again in the next round.
    async fn round(&mut self) -> Result<(), jobs::JobError> {
        self.started.retain(|_, started| started.reap());
        nodes::give_up(&self.service)?;
        let desired = self.desired()?;
        self.forget(&desired);
        let observed = self.observe(&desired);
        let machine = self.service.config.machine;
        let capacity =
            Capacity { cpu_millis: machine.cpu_millis, memory_bytes: machine.memory_bytes };
        let mut again = false;
        for planned in plan::plan(&desired, &observed, capacity, self.service.now()) {
            match self.execute(&planned).await {
                Ok(changed) => again |= changed,
                Err(e) => {
                    let Planned { job, step, .. } = &planned;
                    tracing::error!(%job, ?step, error = %crate::chain(&*e), "a step failed; it will be tried again");
                }
            }
        }
        // What a step changed can make the next one possible: no need to wait for the clock.
        if again {
            self.service.wanted.notify_one();
        }
        Ok(())
    }

    fn desired(&self) -> Result<Vec<Desired>, jobs::JobError> {
        self.service.db().read(|c| {
            let unfinished = jobs::unfinished(c)?;
            unfinished
                .into_iter()
                .map(|job| {
                    let assignment = jobs::assignment(c, &job.name)?;
                    Ok(desired(job, &assignment))
                })
                .collect()
        })
    }

    /// Forgets attempts that are over.
    fn forget(&mut self, desired: &[Desired]) {
        let current = |(name, generation): &Attempt| {
            desired.iter().any(|d| d.name == *name && d.generation == *generation)
        };
        self.started.retain(|attempt, _| current(attempt));
        self.followers.retain(|attempt, _| current(attempt));
    }
}

fn desired(job: TrainingJob, assignment: &belljar_domain::Assignment) -> Desired {
    let transitions = job.progress.transitions.as_slice();
    let first = transitions.iter().find(|t| t.status == SecondaryStatus::Training);
    Desired {
        generation: job.progress.generation,
        created: job.created,
        pending: job.progress.secondary() == SecondaryStatus::Pending,
        stop_requested: job.progress.stop_requested,
        retries: job.definition.retries,
        max_pending_seconds: job.definition.max_pending_seconds,
        max_runtime_seconds: assignment.stop.max_runtime_seconds,
        grace_seconds: assignment.stop.grace_seconds,
        training_since: first.map(|t| t.start),
        resources: assignment.total_resources(),
        name: job.name,
    }
}
