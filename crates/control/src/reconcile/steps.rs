//! Carries out what was planned. Each step can be begun again by a service that finds it half
//! done, and refuses itself if the record has gone on.

use super::follow::Follower;
use super::ingest::{IngestError, Whose};
use super::pause::{self, Point};
use super::start::{self, StartError, Started};
use super::{Reconciler, folder, vpc};
use crate::local::Warden;
use crate::network::instances::Provided;
use crate::nodes;
use crate::service::Service;
use crate::state;
use belljar_domain::failure::Blame;
use belljar_domain::plan::{Planned, Step};
use belljar_domain::spool::{self, Order};
use belljar_domain::training_job::Progress;
use belljar_domain::{Assignment, JobName, NodeName, SecondaryStatus, Timestamp, VpcLink};
use belljar_store::jobs::{self, JobError};
use belljar_store::{Connection, StoreError, identity};
use rustix::fs::{Mode, OFlags};
use std::io;
use std::net::IpAddr;
use std::path::Path;

/// What a step fails with.
pub(super) type StepError = Box<dyn std::error::Error + Send + Sync>;

impl Reconciler {
    /// Carries out one step. Answers whether it may have made another one possible.
    pub(super) async fn execute(&mut self, planned: &Planned) -> Result<bool, StepError> {
        let Planned { job, generation, step } = planned;
        match step {
            Step::Begin { generation, max_runtime_seconds } => {
                self.begin(job, *generation, *max_runtime_seconds).await
            }
            Step::Start => self.start_recorded(job, *generation).await,
            Step::Follow => {
                self.follower(job, *generation);
                Ok(false)
            }
            Step::Tell(order) => {
                self.follower(job, *generation);
                pause::before(Point::Tell);
                tell(&self.folder(job, *generation), *order)?;
                pause::after(Point::Tell);
                Ok(false)
            }
            Step::Finish => self.finish(job, *generation).await,
            Step::Wait => self.wait(job).await,
            Step::Retry { generation: next, max_runtime_seconds, known } => {
                self.retry(job, *generation, *next, *max_runtime_seconds, known).await
            }
            Step::Stopped => {
                self.end(job, *generation, move |p, now| {
                    p.transitions.enter(SecondaryStatus::Stopped, now)
                })
                .await
            }
            Step::OutOfTime => {
                let over = SecondaryStatus::MaxRuntimeExceeded;
                self.end(job, *generation, move |p, now| p.transitions.enter(over, now)).await
            }
            Step::Fail { reason } => {
                let reason = reason.clone();
                self.end(job, *generation, move |p, now| p.fail(reason, now)).await
            }
        }
    }

    fn folder(&self, job: &JobName, generation: u64) -> std::path::PathBuf {
        folder::of(&self.service.config.state, job, generation)
    }

    fn follower(&mut self, job: &JobName, generation: u64) -> &Follower {
        let folder = self.folder(job, generation);
        let service = &self.service;
        self.followers.entry((job.clone(), generation)).or_insert_with(|| {
            let whose = Whose::Attempt(job.clone(), generation);
            Follower::start(service.clone(), whose, &folder)
        })
    }

    async fn begin(
        &mut self,
        job: &JobName,
        generation: u64,
        left: u64,
    ) -> Result<bool, StepError> {
        let links = match self.provide(job, generation).await? {
            Ok(links) => links,
            Err(reason) => {
                return self.record_end(job, 0, move |p, now| p.fail(reason, now)).await;
            }
        };
        let (name, now) = (job.clone(), self.service.now());
        let next = self.next(generation, left, links);
        pause::before(Point::Begin);
        let recorded = self.service.db().write(move |c| record_attempt(c, &name, next, now));
        let assignment = recorded.await?;
        pause::after(Point::Begin);
        self.start_or_fail(&assignment).await
    }

    /// The interfaces of an attempt's instances; none if the job is in no VPC. Otherwise why it
    /// cannot start, its `FailureReason`.
    async fn provide(&self, job: &JobName, generation: u64) -> Result<Provided, StepError> {
        let found = self.service.db().read(|c| {
            Ok::<_, JobError>((jobs::get(c, job.as_str())?, jobs::assignment(c, job)?))
        })?;
        let (Some(record), assignment) = found else { return Err(IngestError::Gone.into()) };
        let Some(placement) = record.definition.vpc else { return Ok(Ok(Vec::new())) };
        vpc::provide(&self.service, &assignment, placement, generation).await
    }

    /// An attempt's number, what is left of the job's time, and the machines that it can use.
    fn next(&self, generation: u64, max_runtime_seconds: u64, links: Vec<VpcLink>) -> Next {
        let own = self.service.config.listen.ip();
        Next { generation, max_runtime_seconds, own, nodes: self.service.nodes.alive(), links }
    }

    async fn start_recorded(&mut self, job: &JobName, generation: u64) -> Result<bool, StepError> {
        let attempt = self.service.db().read(|c| jobs::attempt(c, job, generation))?;
        let attempt = attempt.ok_or(IngestError::Gone)?;
        self.start_or_fail(&attempt.assignment).await
    }

    async fn start_or_fail(&mut self, assignment: &Assignment) -> Result<bool, StepError> {
        match Started::start(&self.service, assignment).await {
            Ok(started) => {
                self.started.insert((assignment.job.clone(), assignment.generation), started);
                Ok(true)
            }
            Err(e @ StartError::Foreign(_)) => {
                let reason = Blame::Client.reason(&format!("{e}: give the job another name"));
                self.record_end(&assignment.job, assignment.generation, move |p, now| {
                    p.fail(reason, now)
                })
                .await
            }
            Err(e) => Err(e.into()),
        }
    }

    async fn wait(&self, job: &JobName) -> Result<bool, StepError> {
        let (name, now) = (job.clone(), self.service.now());
        self.service
            .db()
            .write(move |c| {
                jobs::update(c, name.as_str(), now, |p| {
                    p.transitions.enter(SecondaryStatus::Pending, now)
                })
            })
            .await?;
        Ok(false)
    }

    /// Takes in the report, once everything that was said before it is.
    async fn finish(&mut self, job: &JobName, generation: u64) -> Result<bool, StepError> {
        if !self.follower(job, generation).drain() {
            return Ok(false);
        }
        let folder = self.folder(job, generation);
        let attempt = self.service.db().read(|c| jobs::attempt(c, job, generation))?;
        let assignment = attempt.ok_or(IngestError::Gone)?.assignment;
        let report = state::read_report(&folder)?.ok_or(IngestError::Gone)?;
        let model = report.artifacts.iter().any(|a| a.name.starts_with("model"));
        let artifacts = model.then(|| assignment.model_artifacts());
        self.record_end(job, generation, move |p, now| p.finish(&report, artifacts, now)).await
    }

    /// Ends a job for which no warden reports.
    async fn end(
        &mut self,
        job: &JobName,
        generation: u64,
        change: impl FnOnce(&mut Progress, Timestamp) -> bool + Send + 'static,
    ) -> Result<bool, StepError> {
        if generation > 0 {
            if !self.follower(job, generation).drain() {
                return Ok(false);
            }
            self.sweep(job, generation).await?;
        }
        self.record_end(job, generation, change).await
    }

    /// Takes away what a dead warden left, uploads that it had begun included: as that warden, so
    /// with its key. What cannot be taken away the next warden tries again; a job's end does not
    /// wait for it.
    async fn sweep(&self, job: &JobName, generation: u64) -> Result<(), StepError> {
        let folder = self.folder(job, generation);
        if !folder.exists() {
            return Ok(());
        }
        let attempt = self.service.db().read(|c| jobs::attempt(c, job, generation))?;
        let assignment = attempt.ok_or(IngestError::Gone)?.assignment;
        sweep(&self.service, &assignment, &folder).await?;
        Ok(())
    }

    /// Records the end, and with it takes the warden's key away.
    async fn record_end(
        &mut self,
        job: &JobName,
        generation: u64,
        change: impl FnOnce(&mut Progress, Timestamp) -> bool + Send + 'static,
    ) -> Result<bool, StepError> {
        let (name, now) = (job.clone(), self.service.now());
        pause::before(Point::Finish);
        let recorded = self.service.db().write(move |c| {
            jobs::update(c, name.as_str(), now, |p| change(p, now))?;
            identity::revoke_job_keys(c, name.as_str(), generation)?;
            Ok::<_, JobError>(())
        });
        recorded.await?;
        pause::after(Point::Finish);
        vpc::release(&self.service, job, generation).await;
        tidy(&self.folder(job, generation));
        Ok(true)
    }

    async fn retry(
        &mut self,
        job: &JobName,
        generation: u64,
        next: u64,
        left: u64,
        known: &str,
    ) -> Result<bool, StepError> {
        if !self.follower(job, generation).drain() {
            return Ok(false);
        }
        self.sweep(job, generation).await?;
        // First of all: its addresses may be all that a small subnet has for the next attempt.
        vpc::release(&self.service, job, generation).await;
        let links = match self.provide(job, next).await? {
            Ok(links) => links,
            Err(reason) => {
                return self.record_end(job, generation, move |p, now| p.fail(reason, now)).await;
            }
        };
        let (name, now) = (job.clone(), self.service.now());
        let next = self.next(next, left, links);
        let why = format!("Attempt {generation} ended: {known}.");
        pause::before(Point::Retry);
        let recorded = self.service.db().write(move |c| {
            jobs::update(c, name.as_str(), now, |p| {
                let entered = p.transitions.enter(SecondaryStatus::Restarting, now);
                p.transitions.annotate(&why);
                p.warn(&why) || entered
            })?;
            record_attempt(c, &name, next, now)?;
            identity::revoke_job_keys(c, name.as_str(), generation)?;
            Ok::<_, JobError>(())
        });
        recorded.await?;
        pause::after(Point::Retry);
        tidy(&self.folder(job, generation));
        Ok(true)
    }

    /// Removes what earlier services did not come to remove: the spools of attempts that are over.
    pub(super) fn tidy_all(&self) -> Result<(), StoreError> {
        let unfinished = self.service.db().read(jobs::unfinished)?;
        let state = &self.service.config.state;
        let current: Vec<_> = unfinished
            .iter()
            .map(|job| folder::of(state, &job.name, job.progress.generation))
            .collect();
        // A folder that cannot be listed has nothing that could be removed.
        for entry in std::fs::read_dir(state.join("jobs")).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.join(spool::FOLDER).exists() && !current.contains(&path) {
                tidy(&path);
            }
        }
        Ok(())
    }
}

/// Takes away what the dead warden of an Assignment left, as that warden. Whether it could.
pub(super) async fn sweep(
    service: &Service,
    assignment: &Assignment,
    folder: &Path,
) -> Result<bool, StoreError> {
    let key = start::key(service, assignment).await?;
    let environment = start::environment(service, &key);
    let sweeper = Warden { environment, ..service.config.warden.clone() };
    pause::before(Point::Sweep);
    let swept = sweeper.sweep_job(folder).await;
    if let Err(e) = &swept {
        let job = &assignment.job;
        tracing::warn!(%job, error = %crate::chain(e), "what a job left cannot be swept");
    }
    pause::after(Point::Sweep);
    Ok(swept.is_ok())
}

/// When an attempt begins: a second after the one before at the earliest, because the second is
/// part of its log stream's name, and each has a stream of its own.
fn begun_after(earlier: Option<Timestamp>, now: Timestamp) -> Timestamp {
    earlier.map_or(now, |at| now.max(Timestamp::from_millis(at.millis() + 1000)))
}

/// What an attempt begins with.
struct Next {
    generation: u64,
    max_runtime_seconds: u64,
    own: IpAddr,
    nodes: Vec<(NodeName, IpAddr)>,
    links: Vec<VpcLink>,
}

/// Records the next attempt of a job.
fn record_attempt(
    c: &Connection,
    job: &JobName,
    next: Next,
    now: Timestamp,
) -> Result<Assignment, JobError> {
    let mut assignment = jobs::assignment(c, job)?;
    assignment.generation = next.generation;
    assignment.stop.max_runtime_seconds = next.max_runtime_seconds;
    assignment.vpc = next.links.first().cloned().map(Box::new);
    if let Some(cluster) = &mut assignment.cluster {
        // The routers of a VPC are on this machine, so what is in one is here; and so is what
        // reaches the internet, which is by this machine.
        if next.links.is_empty() && !assignment.internet {
            cluster.spread(next.own, &next.nodes);
        }
        for (instance, link) in cluster.instances.iter_mut().zip(next.links) {
            // Those that encrypt have a link of their own, with addresses of its own.
            if link.inside && !cluster.encrypted {
                instance.address = link.address;
            }
            instance.vpc = Some(Box::new(link));
        }
    }
    let earlier = jobs::attempt(c, job, next.generation.saturating_sub(1))?;
    assignment.begun = Some(begun_after(earlier.and_then(|e| e.assignment.begun), now));
    jobs::begin_attempt(c, &assignment)?;
    Ok(assignment)
}

/// Removes what only the service's following needs. It is in the way of nothing: what cannot be
/// removed is told and left.
pub(super) fn tidy(folder: &Path) {
    pause::before(Point::Tidy);
    let gone = |result: io::Result<()>| match result {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(folder = %folder.display(), error = %e, "what a job left cannot be removed");
        }
        _ => {}
    };
    nodes::remove(folder);
    // The spool last: where it is, a later service tidies again.
    gone(std::fs::remove_file(folder.join(spool::ORDERS)));
    gone(std::fs::remove_dir_all(folder.join(spool::FOLDER)));
    pause::after(Point::Tidy);
}

/// Writes an order. Nobody may listen, yet or any more: it is repeated as long as it is wanted.
pub(super) fn tell(folder: &Path, order: Order) -> io::Result<()> {
    let path = folder.join(spool::ORDERS);
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fifo = match rustix::fs::open(&path, flags, Mode::empty()) {
        Ok(fifo) => fifo,
        Err(rustix::io::Errno::NXIO | rustix::io::Errno::NOENT) => return Ok(()),
        Err(e) => return Err(e.into()),
    };
    match rustix::io::write(&fifo, format!("{order}\n").as_bytes()) {
        // It is full of the same order.
        Ok(_) | Err(rustix::io::Errno::AGAIN) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_attempts_of_one_second_have_streams_of_two() {
        let at = Timestamp::from_millis;
        assert_eq!(begun_after(None, at(5)), at(5));
        assert_eq!(begun_after(Some(at(1999)), at(2000)), at(2999));
        assert_eq!(begun_after(Some(at(1999)), at(9000)), at(9000));
    }
}
