//! A job with several instances: one warden that starts a warden for each, brings them to the
//! point before their containers' first instruction, lets all go at once, and answers for them as
//! for one.
//!
//! **Invariant**: whoever started this warden sees one job: one stream of events, one set of
//! orders, one report. Should it die, its instances die with it.

mod away;
pub(crate) mod member;
mod merge;
mod state;

use crate::failure::chain;
use crate::job::JobDir;
use crate::run::{Context, Ending};
use crate::stages::{self, Facts, internal};
use belljar_domain::evidence::HubReading;
use belljar_domain::metrics::keep_last;
use belljar_domain::spool::{Order, Word};
use belljar_domain::{
    Assignment, Cluster, Event, HostName, Outcome, Report, SecondaryStatus, Stage,
};
use belljar_linux::peer_net::Hub;
use belljar_linux::tun;
use member::{Birth, Ears, Member, prepare};
use state::{Act, Gang, Happening};
use std::io;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// What of `/opt/ml` the instances' are put together.
pub(crate) const PARTS: [&str; 2] = ["model", "output/data"];
/// What instances tell that waits to be dealt with.
const QUEUE: usize = 256;
/// Seconds that the peers of an instance that failed have between TERM and KILL. There is nothing
/// left for them to finish.
const PEERS_GRACE: Duration = Duration::from_secs(10);

/// All stages of the job but the last.
pub(crate) async fn all(
    cx: &Context,
    facts: &mut Facts,
    cluster: &Cluster,
) -> Result<Outcome, Ending> {
    cx.status(SecondaryStatus::Starting).await;
    // Held, so that the layers stay in the store until every instance has taken them.
    let image = cx.stage(Stage::Image, stages::checked_image(cx, facts)).await?;
    let outcome = cx.stage(Stage::Instances, instances(cx, facts, cluster)).await?;
    drop(image);
    cx.status(SecondaryStatus::Uploading).await;
    let gathered = gather(&cx.job, cluster);
    facts
        .warnings
        .extend(gathered.map_err(|e| internal(format!("gather what the instances left: {e}")))?);
    cx.stage(Stage::StageOut, stages::stage_out(cx, facts)).await?;
    Ok(outcome)
}

/// Puts what the instances left in the job's own `/opt/ml`, from which it is staged out.
fn gather(job: &JobDir, cluster: &Cluster) -> io::Result<Vec<String>> {
    let mut clashes = merge::Clashes::default();
    for part in PARTS {
        let into = job.opt_ml().join(part);
        std::fs::create_dir_all(&into)?;
        for instance in &cluster.instances {
            let host = instance.host.as_str();
            let from = job.instances().join(host).join("ml").join(part);
            // A container may have put something else in its folder's place: that is no output.
            if std::fs::symlink_metadata(&from).is_ok_and(|m| m.is_dir()) {
                merge::merge(&from, &into, host, &mut clashes)?;
            }
        }
    }
    Ok(clashes.into_warnings())
}

async fn instances(cx: &Context, facts: &mut Facts, cluster: &Cluster) -> Result<Outcome, Ending> {
    // Never in clear where encryption was asked for: there is no hub then, and no way around it.
    let hub = if cluster.needs_tunnel() {
        tun::check().map_err(|e| stages::no_encryption(&e))?;
        None
    } else if cluster.is_in_vpc() {
        None
    } else {
        Some(Hub::create().await?)
    };
    cx.journal.point(Stage::Instances, "during");
    let (happenings, told) = mpsc::channel(QUEUE);
    let ears = Ears { happenings, events: cx.journal.sender(), output: cx.journal.output() };
    let members = start_all(cx, cluster, hub.as_ref(), &ears)
        .map_err(|e| Ending::from(internal(format!("start the warden of an instance: {e}"))))?;
    let mut leader = Leader {
        cx,
        gang: Gang::new(members.iter().map(|m| m.host.clone()).collect()),
        members,
        hub,
        hub_reading: None,
        late_at: None,
    };
    leader.lead(told).await?;
    leader.account(facts)
}

fn start_all(
    cx: &Context,
    cluster: &Cluster,
    hub: Option<&Hub>,
    ears: &Ears,
) -> io::Result<Vec<Member>> {
    let hub = hub.map(Hub::path);
    let start = |(number, instance): (usize, &belljar_domain::Instance)| {
        let own = cx.assignment.of_instance(&instance.host);
        let own: Assignment = own.ok_or(io::ErrorKind::InvalidData)?;
        if instance.node().is_some() {
            return Member::leave(&cx.job, &own, number, ears.clone());
        }
        let dir = prepare(&cx.job, &own)?;
        let birth = Birth { number, privilege: cx.privilege, hub: hub.as_deref() };
        Member::start(dir, &own, &birth, ears.clone())
    };
    cluster.instances.iter().enumerate().map(start).collect()
}

struct Leader<'a> {
    cx: &'a Context,
    gang: Gang,
    members: Vec<Member>,
    hub: Option<Hub>,
    hub_reading: Option<HubReading>,
    late_at: Option<Instant>,
}

impl Leader<'_> {
    /// Until all instances have ended.
    async fn lead(&mut self, mut told: mpsc::Receiver<Happening>) -> Result<(), Ending> {
        let (mut stopped, mut killed) = (false, false);
        while !self.gang.is_over() {
            let late_at = self.late_at.unwrap_or_else(Instant::now);
            let happening = tokio::select! {
                biased;
                _ = self.cx.orders.stop(), if !stopped => { stopped = true; Happening::Stop }
                () = self.cx.orders.at_once(), if !killed => { killed = true; Happening::Kill }
                () = tokio::time::sleep_until(late_at), if self.late_at.is_some() => {
                    self.late_at = None;
                    Happening::Late
                }
                // This side holds a sender's clone in each child's task; the last of them tells an
                // end before it goes.
                happening = told.recv() => match happening {
                    Some(happening) => happening,
                    None => return Err(internal("the instances' wardens went unheard").into()),
                },
            };
            if matches!(happening, Happening::Stop) {
                self.cx.status(SecondaryStatus::Stopping).await;
            }
            for act in self.gang.handle(happening) {
                self.perform(act).await?;
            }
        }
        Ok(())
    }

    async fn perform(&mut self, act: Act) -> Result<(), Ending> {
        match act {
            Act::Introduce(all) => {
                for member in &mut self.members {
                    let mut endpoints = all.clone();
                    endpoints.remove(&member.host);
                    member.tell(&Word::Peers { endpoints }).await;
                }
            }
            Act::Go => {
                self.check_hub().await?;
                for member in &mut self.members {
                    member.tell(&Word::Go).await;
                }
            }
            Act::Stop => self.order(Order::Stop).await,
            Act::Kill => self.order(Order::Kill).await,
            Act::Hurry => self.late_at = Some(Instant::now() + PEERS_GRACE),
            Act::Status(status) => self.cx.status(status).await,
        }
        Ok(())
    }

    async fn order(&mut self, order: Order) {
        for (number, member) in self.members.iter_mut().enumerate() {
            if !self.gang.has_ended(number) {
                member.order(order).await;
            }
        }
    }

    /// Nobody starts before the hub holds the instances' links and nothing else.
    async fn check_hub(&mut self) -> Result<(), Ending> {
        let Some(hub) = &self.hub else { return Ok(()) };
        let read = hub.read().await?;
        let reading = HubReading {
            interfaces: read.interfaces,
            addresses: read.addresses,
            routes: read.routes,
        };
        let breaches = reading.breaches(self.members.len());
        if !breaches.is_empty() {
            let text = format!("the instances' link does not hold: {}", breaches.join("; "));
            return Err(internal(text).into());
        }
        self.hub_reading = Some(reading);
        Ok(())
    }

    /// Puts together what the instances report.
    fn account(self, facts: &mut Facts) -> Result<Outcome, Ending> {
        let generation = self.cx.assignment.generation;
        let mut lost = None;
        for member in &self.members {
            match member.report(generation) {
                Some(report) => take_in(report, facts),
                None => lost = lost.or(Some(member.host.clone())),
            }
        }
        facts.hub = self.hub_reading;
        if let Some(host) = lost {
            return Err(Ending::Lost(format!("the warden of instance {host} died")));
        }
        let first = self.gang.first_failure().and_then(|n| facts.instances.get(n));
        facts.exit = first.or(facts.instances.first()).and_then(|r| r.exit);
        judge(&facts.instances, first.map(|r| &r.host))
    }
}

fn take_in(report: Report, facts: &mut Facts) {
    for attempt in &report.attempts.targets {
        facts.attempts.add(attempt.clone());
    }
    facts.attempts.beyond += report.attempts.beyond;
    facts.attempts.lost += report.attempts.lost;
    for datum in &report.metrics {
        keep_last(&mut facts.metrics, datum.clone());
    }
    let told = |w: &String| format!("{}: {w}", report.host);
    facts.warnings.extend(report.warnings.iter().map(told));
    facts.instances.push(report);
}

/// The job's outcome: its first failure, else what the instances have in common.
fn judge(reports: &[Report], first: Option<&HostName>) -> Result<Outcome, Ending> {
    let failed = |r: &&Report| first.is_none_or(|first| *first == r.host);
    let mut failures = reports.iter().filter(failed);
    let failure = failures.find_map(|r| match &r.outcome {
        Outcome::Failed { reason, hint, machine } => Some((r, reason, hint, *machine)),
        _ => None,
    });
    if let Some((report, reason, hint, machine)) = failure {
        let reason = belljar_domain::failure::of_instance(reason, report.host.as_str());
        return Err(Ending::Reported(Outcome::Failed { reason, hint: hint.clone(), machine }));
    }
    let any = |outcome: &Outcome| reports.iter().any(|r| r.outcome == *outcome);
    if reports.iter().any(|r| r.exit.is_none()) {
        return Err(Ending::Stopped);
    }
    Ok(match () {
        () if any(&Outcome::MaxRuntimeExceeded) => Outcome::MaxRuntimeExceeded,
        () if any(&Outcome::Stopped) => Outcome::Stopped,
        () => Outcome::Completed,
    })
}

/// Undoes what instances left: their wardens have ended, or end with the job's.
pub(crate) async fn sweep(job: &JobDir) -> Result<(), String> {
    let mut problems = Vec::new();
    for dir in job.each_instance() {
        if let Err(e) = crate::sweep::job(&dir).await {
            problems.push(chain(&e));
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.join("; ")) }
}

/// One instance of several: its stages up to the end of its container. What it left is put
/// together by the job's warden.
pub(crate) async fn instance(cx: &Context, facts: &mut Facts) -> Result<Outcome, Ending> {
    stages::until_exit(cx, facts).await
}

/// What an instance's warden is born with.
#[derive(Debug, Clone)]
pub(crate) struct Membership {
    /// Where the links of this host's instances meet; `None` where they are encrypted.
    pub(crate) hub: Option<PathBuf>,
}

impl Membership {
    /// Says that the container is sealed and ready, and waits until all are.
    pub(crate) async fn gate(&self, cx: &Context) -> Result<(), Ending> {
        cx.journal.tell(Event::Ready).await;
        tokio::select! {
            () = cx.orders.go() => Ok(()),
            _ = cx.orders.stop() => Err(Ending::Stopped),
        }
    }
}
