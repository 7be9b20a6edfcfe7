//! A container that serves: image, root, model, network, and then for as long as it is wanted.

use super::container::{broken_since_start, ended_as, sealed, start, start_failure};
use super::end::end;
use super::network::{Held, Lost, Network, network};
use super::root::{Rooted, root, served};
use super::{Facts, evidence, image, internal};
use crate::door::{Door, Models, News};
use crate::failure::Failure;
use crate::journal::now;
use crate::run::{Context, Ending};
use crate::seal;
use crate::staging::{self, ModelIn};
use belljar_domain::failure::Blame;
use belljar_domain::{
    ChannelName, Event, Exit, Outcome, Serving, Stage, StagedChannel, StagedFile,
};
use belljar_linux::container::{Ended, Running};
use belljar_linux::memory;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How often the evidence is renewed.
const RENEW_SECONDS: u64 = 60;
/// How long a container that cannot be read may take to be known as one that has ended.
const END_PATIENCE: Duration = Duration::from_secs(1);
/// Another number of seconds, for tests.
const RENEW_VARIABLE: &str = "BELLJAR_EVIDENCE_SECONDS";

/// Why a container was told to end.
enum Told {
    Asked,
    NeverHealthy,
    /// What it needs of the network was lost.
    Lost(Lost),
    /// The seal, or what says so, does not hold.
    Broken(Failure),
}

/// All stages but the last.
pub(super) async fn all(
    cx: &Context,
    facts: &mut Facts,
    serving: &Serving,
) -> Result<Outcome, Ending> {
    let image = cx.stage(Stage::Image, checked_image(cx, facts, serving)).await?;
    let rooted = cx.stage(Stage::Root, root(cx, facts, &image)).await?;
    cx.stage(Stage::StageIn, stage_in(cx, facts, &rooted, serving)).await?;
    let network = cx.stage(Stage::Network, network(cx, facts)).await?;
    cx.stage(Stage::Container, run(cx, facts, serving, rooted, network)).await
}

/// Checks what can be checked for nothing, then brings the image in.
async fn checked_image(
    cx: &Context,
    facts: &mut Facts,
    serving: &Serving,
) -> Result<crate::image::Image, Ending> {
    staging::check_output_to_replace(&cx.assignment.output, &cx.assignment.job).await?;
    if let Some(data) = &serving.model {
        staging::check_model(&cx.s3(), data, &cx.job.opt_ml()).await?;
    }
    image(cx, facts).await
}

async fn stage_in(
    cx: &Context,
    facts: &mut Facts,
    rooted: &Rooted,
    serving: &Serving,
) -> Result<(), Ending> {
    cx.journal.point(Stage::StageIn, "during");
    let Some(data) = &serving.model else { return Ok(()) };
    let target = cx.job.opt_ml().join(served(serving));
    let (owner, seconds) = (rooted.owner(), serving.download_seconds);
    let request = ModelIn { data, target: &target, owner, seconds };
    let progress = cx.journal.progress(Stage::StageIn);
    let files = staging::stage_model(&cx.s3(), &request, &progress).await?;
    let (channel, uri) = (ChannelName::model(), data.uri.clone());
    facts.inputs = vec![StagedChannel { channel, uri, files, pipe: None }];
    Ok(())
}

async fn run(
    cx: &Context,
    facts: &mut Facts,
    serving: &Serving,
    rooted: Rooted,
    mut network: Network,
) -> Result<Outcome, Ending> {
    let models = serving.models.as_deref();
    let models =
        models.map(|p| Models::new((&cx.job, cx.s3()), serving, p, rooted.owner())).transpose()?;
    let brought = models.as_ref().map(Models::brought);
    let mut held = std::mem::take(&mut network.held);
    let (cgroup, sealed) = sealed(cx, facts, &rooted, &network).await?;
    let (mut running, logs) = start(cx, facts, sealed).await?;
    let mut door = Door::open(&network.ns, &cx.job.door(), serving, models)?;
    let mut account = Account { cx, serving, network: &network, brought, facts };
    let end = attend(&mut account, &mut running, &mut door, &mut held).await;
    drop(door);
    let outcome = match end {
        Ok((ended, told)) => {
            let ended = ended_as(cx, account.facts, &cgroup, running.exited(ended), &network);
            ended.await.map(|(exit, packets)| (exit, told, packets))
        }
        Err(e) => Err(e),
    };
    account.list_models();
    let recorded = match &outcome {
        Ok((_, _, packets)) => *packets,
        Err(_) => network.sealed.read().await?.recorded,
    };
    facts.metrics = logs.finish().await;
    facts.attempts = network.watch.finish(recorded).await;
    let (exit, told, _) = outcome.map_err(start_failure)?;
    drop(held);
    if let Some(Told::Lost(lost)) = told {
        // With it the network is not what it was: that is the reason, not what follows from it.
        return Err(lost.ending());
    }
    let broken = broken_since_start(facts);
    if !broken.is_empty() {
        let text = format!("the seal did not hold to the end: {}", broken.join("; "));
        return Err(internal(text).into());
    }
    judge(facts, serving, exit, told)
}

/// Lets it serve until it ends by itself or is told to. TERM first, then KILL.
async fn attend(
    account: &mut Account<'_>,
    running: &mut Running,
    door: &mut Door,
    held: &mut Held,
) -> belljar_linux::Result<(Ended, Option<Told>)> {
    let cx = account.cx;
    let pid = running.process().pid();
    let told = tokio::select! {
        ended = running.wait() => return Ok((ended?, None)),
        _ = cx.orders.stop() => Told::Asked,
        told = account.tend(pid, door) => told,
        lost = held.lost() => Told::Lost(lost),
    };
    Ok((end(cx, running).await?, Some(told)))
}

/// What is said of a container while it serves.
struct Account<'a> {
    cx: &'a Context,
    serving: &'a Serving,
    network: &'a Network,
    brought: Option<Arc<Mutex<Vec<StagedFile>>>>,
    facts: &'a mut Facts,
}

impl Account<'_> {
    /// Tells the container's health and renews its evidence, until it must end.
    async fn tend(&mut self, pid: i32, door: &mut Door) -> Told {
        let mut renewal = tokio::time::interval(renew_every());
        renewal.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let done = tokio::select! {
                news = door.news() => match news {
                    Some(News::Never) => return Told::NeverHealthy,
                    Some(News::Healthy) => self.healthy(pid, &mut renewal).await,
                    Some(News::Unhealthy(why)) => {
                        self.tell(false, why).await;
                        Ok(())
                    }
                    None => Err(internal("the container's door closed by itself")),
                },
                _ = renewal.tick(), if self.facts.served.is_some() => self.renew(pid).await,
            };
            if let Err(failure) = done {
                return Told::Broken(failure);
            }
        }
    }

    /// It may be given requests. Nobody is told so before there is evidence of it.
    async fn healthy(
        &mut self,
        pid: i32,
        renewal: &mut tokio::time::Interval,
    ) -> Result<(), Failure> {
        if self.facts.served.is_none() {
            self.facts.served = Some(now());
            renewal.reset();
            self.read(pid).await?;
            evidence::renew(self.cx, self.facts).await?;
        }
        self.tell(true, String::new()).await;
        // From here on it waits: an idle container must cost little.
        memory::forget_code();
        Ok(())
    }

    async fn tell(&self, healthy: bool, why: String) {
        self.cx.journal.tell(Event::Health { healthy, why, at: now() }).await;
    }

    /// Writes the evidence anew. That it could not be is told, and it is tried again.
    async fn renew(&mut self, pid: i32) -> Result<(), Failure> {
        if !self.cx.job.path().exists() {
            // Nobody can reach it any more, or tell it to stop.
            return Err(internal("the container's folder is gone"));
        }
        self.read(pid).await?;
        if let Err(failure) = evidence::renew(self.cx, self.facts).await {
            let message = format!("the evidence could not be renewed: {}", failure.text);
            self.cx.journal.tell(Event::Warning { message }).await;
        }
        memory::forget_code();
        Ok(())
    }

    /// Reads the seal back, and what was tried so far.
    async fn read(&mut self, pid: i32) -> Result<(), Failure> {
        let (reading, recorded) = match seal::read(pid, &self.network.sealed, &self.cx.host).await {
            Ok(read) => read,
            Err(e) => {
                // It may just have ended: whoever waits for that then hears of it first.
                tokio::time::sleep(END_PATIENCE).await;
                return Err(e.into());
            }
        };
        // As of a process that has ended, because it may just have.
        let mut broken = reading.breaches_after_exit(self.facts.allowed());
        if let Some(start) = &self.facts.seal_at_start {
            broken.extend(reading.changes_since(start));
        }
        if !broken.is_empty() {
            return Err(internal(format!("the seal does not hold: {}", broken.join("; "))));
        }
        self.facts.seal_at_end = Some(reading);
        self.facts.attempts = self.network.watch.so_far(recorded).await;
        self.list_models();
        Ok(())
    }

    /// Puts the models that were brought while it served among the inputs.
    fn list_models(&mut self) {
        let (Some(brought), Some(uri)) = (&self.brought, &self.serving.models) else { return };
        let Ok(brought) = brought.lock() else { return };
        let mut files = brought.clone();
        files.sort_unstable_by(|a, b| (&a.path, &a.sha256).cmp(&(&b.path, &b.sha256)));
        let (channel, uri) = (ChannelName::models(), uri.clone());
        self.facts.inputs = vec![StagedChannel { channel, uri, files, pipe: None }];
    }
}

fn renew_every() -> Duration {
    let given = std::env::var(RENEW_VARIABLE).ok().and_then(|s| s.parse().ok());
    Duration::from_secs(given.filter(|s| *s > 0).unwrap_or(RENEW_SECONDS))
}

fn judge(
    facts: &Facts,
    serving: &Serving,
    exit: Exit,
    told: Option<Told>,
) -> Result<Outcome, Ending> {
    let how = match exit {
        Exit { out_of_memory: true, .. } => "exceeded its memory limit and was killed".to_owned(),
        Exit { signal: Some(signal), .. } => format!("was ended by signal {signal}"),
        Exit { code, .. } => format!("exited with code {code}"),
    };
    let text = match told {
        Some(Told::Asked) => return Ok(Outcome::Stopped),
        Some(Told::Lost(lost)) => return Err(lost.ending()),
        Some(Told::Broken(failure)) => return Err(failure.into()),
        Some(Told::NeverHealthy) => serving.never_healthy(),
        None if facts.served.is_none() => format!("{} (it {how})", serving.never_healthy()),
        None => format!(
            "The {} container for production variant {} {how} while it served. Please check CloudWatch logs for this endpoint.",
            serving.container, serving.variant
        ),
    };
    let hint = exit.out_of_memory.then(|| "give it a larger instance type".to_owned());
    Err(Failure { blame: Blame::Algorithm, text, hint, machine: false }.into())
}
