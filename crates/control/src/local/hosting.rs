//! A place for models: this machine, without a service. Starts a warden for each instance, gives
//! requests to those that are healthy, and puts a new instance in a dead one's place.

use super::{Ask, LocalError, Warden, run};
use crate::request::serve::{AcceptedServing, VARIANT};
use crate::serving::{Container, Instance, Routes, Table, VariantRoutes};
use crate::state::{State, StateError};
use belljar_domain::endpoint::Routing;
use belljar_domain::fleet::{self, MAX_TRIES, UNHEALTHY_SECONDS};
use belljar_domain::{Assignment, Event, HostName, Outcome, Report, arn, spool};
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// Events of one instance that may wait.
const EVENTS_AHEAD: usize = 64;
/// An instance that does not answer its pings for so long is replaced.
const UNHEALTHY: Duration = Duration::from_secs(UNHEALTHY_SECONDS);

/// What is to be served, and by what.
#[derive(Debug)]
pub struct Hosting {
    /// The request.
    pub accepted: AcceptedServing,
    /// The state folder.
    pub state: State,
    /// How wardens are started.
    pub warden: Warden,
}

/// Why a model is not served any more.
#[derive(Debug, thiserror::Error)]
pub enum HostingError {
    /// The instances do not come up: the report of the last that was tried.
    #[error("{}", reason(.0))]
    Failed(Box<Report>),
    /// A folder cannot be made.
    #[error(transparent)]
    State(#[from] StateError),
    /// A warden cannot be started.
    #[error(transparent)]
    Local(#[from] LocalError),
    /// No random numbers are to be had for a name.
    #[error("there are no random numbers for a name")]
    Names,
    /// A bug.
    #[error("an instance's task is gone")]
    Broken,
}

fn reason(report: &Report) -> &str {
    match &report.outcome {
        Outcome::Failed { reason, .. } => reason,
        _ => "the container ended",
    }
}

/// What all places share.
struct Shared {
    hosting: Hosting,
    table: Arc<Table>,
    instances: Mutex<Vec<Arc<Instance>>>,
    told: mpsc::Sender<Event>,
}

/// Serves until `stop` asks, or the instances cannot be had. `table` says where requests for the
/// endpoint go while it does. What is asked of `stop`: `Stop`, then `Kill`. `told` gets every event
/// of every instance; of several, with the number of its place (`algo-1`, ...).
///
/// # Errors
/// If an instance cannot be brought up, or its place not be filled again.
pub async fn host(
    hosting: Hosting,
    table: Arc<Table>,
    told: mpsc::Sender<Event>,
    stop: watch::Receiver<Option<Ask>>,
) -> Result<(), HostingError> {
    let count = hosting.accepted.instances;
    let shared = Arc::new(Shared { hosting, table, instances: Mutex::default(), told });
    // Known from the first moment on, so that who asks waits for an instance.
    shared.change(|_| {});
    let (end_all, ended) = watch::channel(None);
    let mut places = JoinSet::new();
    for number in (1..=count).filter_map(NonZeroU32::new) {
        places.spawn(place(shared.clone(), number, stop.clone(), ended.clone()));
    }
    let mut result = Ok(());
    while let Some(ended) = places.join_next().await {
        let ended = ended.unwrap_or(Err(HostingError::Broken));
        if result.is_ok() && ended.is_err() {
            result = ended;
            end_all.send_replace(Some(Ask::Stop));
        }
    }
    shared.table.set(shared.hosting.accepted.name(), None);
    result
}

/// One instance after the other.
async fn place(
    shared: Arc<Shared>,
    number: NonZeroU32,
    stop: watch::Receiver<Option<Ask>>,
    ended: watch::Receiver<Option<Ask>>,
) -> Result<(), HostingError> {
    let mut stops = [stop, ended];
    let mut tries = 0;
    let mut was_ever_healthy = false;
    loop {
        let begun = Instant::now();
        let assignment = shared.hosting.accepted.instance().ok_or(HostingError::Names)?;
        let folder = shared.hosting.state.create_serving(&assignment)?;
        let one = One::new(&shared, number, &assignment, &folder);
        let ended = one.run(&assignment, &folder, &mut stops).await;
        drop(one);
        remove(&shared.hosting.warden, &folder).await;
        let (report, healthy) = ended?;
        was_ever_healthy |= healthy;
        if stops.iter().any(|s| s.borrow().is_some()) {
            return Ok(());
        }
        let is_hopeless = report.exit.is_none() || tries >= MAX_TRIES;
        if !was_ever_healthy && is_hopeless {
            return Err(HostingError::Failed(report));
        }
        let message = format!("an instance ended, another takes its place: {}", reason(&report));
        shared.tell(number, Event::Warning { message }).await;
        let up = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (next, pause) = fleet::after_death(tries, up);
        tries = next;
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(pause)) => {}
            _ = asked(&mut stops) => return Ok(()),
        }
    }
}

/// Removes the folder of an instance that has ended; its evidence is elsewhere. One that cannot be
/// swept stays: without it the next warden would not find what is left.
async fn remove(warden: &Warden, folder: &Path) {
    let folder_is = folder.display();
    let swept = match folder.join(spool::JOURNAL).exists() {
        true => warden.sweep_job(folder).await,
        // Nothing was begun.
        false => Ok(()),
    };
    match swept.map(|()| std::fs::remove_dir_all(folder)) {
        Ok(Ok(())) => {}
        Ok(Err(e)) => {
            tracing::warn!(folder = %folder_is, error = %e, "an instance's folder cannot be removed");
        }
        Err(e) => {
            let e = crate::chain(&e);
            tracing::warn!(folder = %folder_is, error = %e, "what an instance left cannot be swept");
        }
    }
}

/// Returns what is asked for when it changes.
async fn asked(stops: &mut [watch::Receiver<Option<Ask>>; 2]) -> Ask {
    async fn changed(stop: &mut watch::Receiver<Option<Ask>>) -> Ask {
        loop {
            if stop.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            if let Some(ask) = *stop.borrow_and_update() {
                return ask;
            }
        }
    }
    let [one, two] = stops;
    tokio::select! {
        ask = changed(one) => ask,
        ask = changed(two) => ask,
    }
}

/// An instance while it is there. Dropped, it gets no further requests.
struct One<'a> {
    shared: &'a Shared,
    number: NonZeroU32,
    instance: Arc<Instance>,
}

impl<'a> One<'a> {
    fn new(shared: &'a Shared, number: NonZeroU32, assignment: &Assignment, folder: &Path) -> Self {
        let id = assignment.job.to_string();
        let name = assignment.serving.as_deref().map_or("", |s| &s.container).to_owned();
        let container = Container::new(name, folder.to_owned());
        let instance = Arc::new(Instance::new(id, String::new(), vec![container]));
        shared.change(|all| all.push(instance.clone()));
        Self { shared, number, instance }
    }

    /// To its end; whether it was healthy at any time.
    async fn run(
        &self,
        assignment: &Assignment,
        folder: &Path,
        stops: &mut [watch::Receiver<Option<Ask>>; 2],
    ) -> Result<(Box<Report>, bool), HostingError> {
        let (events, mut heard) = mpsc::channel(EVENTS_AHEAD);
        let (asks, hears) = mpsc::channel(4);
        let warden = &self.shared.hosting.warden;
        let mut run = std::pin::pin!(run(warden, folder, assignment, events, hears));
        let (mut health, mut killed) = (Health::default(), false);
        // Whoever is slow to take events slows the container down, but keeps no ask from it.
        let mut waiting = None;
        let ended = loop {
            tokio::select! {
                ended = &mut run => break ended?,
                Some(event) = heard.recv(), if waiting.is_none() => {
                    health.take(&event, &self.instance);
                    waiting = (!killed).then(|| self.shared.told_of(self.number, event));
                }
                permit = self.shared.told.reserve(), if waiting.is_some() => {
                    // Whoever does not listen any more has asked to stop.
                    if let (Ok(permit), Some(event)) = (permit, waiting.take()) {
                        permit.send(event);
                    }
                }
                ask = asked(stops) => {
                    health.leaves(&self.instance);
                    // What is asked for at last is not kept waiting by who does not listen.
                    killed |= ask == Ask::Kill;
                    waiting = waiting.filter(|_| !killed);
                    // One that has ended needs no telling.
                    let _ = asks.try_send(ask);
                }
                () = health.too_long() => {
                    health.leaves(&self.instance);
                    let _ = asks.try_send(Ask::Stop);
                }
            }
        };
        if let Some(event) = waiting {
            let _ = self.shared.told.send(event).await;
        }
        while let Ok(event) = heard.try_recv() {
            health.take(&event, &self.instance);
            if !killed {
                self.shared.tell(self.number, event).await;
            }
        }
        Ok((Box::new(ended.report), health.was_good))
    }
}

/// What an instance said of its health.
#[derive(Default)]
struct Health {
    /// Whether it was good at any time.
    was_good: bool,
    leaves: bool,
    ill_since: Option<Instant>,
}

impl Health {
    fn take(&mut self, event: &Event, instance: &Instance) {
        let Event::Health { healthy, .. } = event else { return };
        instance.set_healthy(*healthy && !self.leaves);
        self.was_good |= healthy;
        self.ill_since = (!healthy && !self.leaves).then(Instant::now);
    }

    /// It is given nothing more, whatever it says.
    fn leaves(&mut self, instance: &Instance) {
        (self.leaves, self.ill_since) = (true, None);
        instance.set_healthy(false);
    }

    /// Returns once it has been ill for too long.
    async fn too_long(&self) {
        match self.ill_since {
            Some(since) => tokio::time::sleep_until((since + UNHEALTHY).into()).await,
            None => std::future::pending().await,
        }
    }
}

impl Drop for One<'_> {
    fn drop(&mut self) {
        self.instance.set_healthy(false);
        self.shared.change(|all| all.retain(|i| i.id != self.instance.id));
    }
}

impl Shared {
    /// Whoever does not listen any more has asked to stop.
    async fn tell(&self, number: NonZeroU32, event: Event) {
        let _ = self.told.send(self.told_of(number, event)).await;
    }

    /// An event as it is told.
    fn told_of(&self, number: NonZeroU32, event: Event) -> Event {
        match self.hosting.accepted.instances {
            1 => event,
            _ => Event::Instance { host: HostName::algo(number), told: Box::new(event) },
        }
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Arc<Instance>>)) {
        let mut all = self.instances.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut all);
        let name = self.hosting.accepted.name();
        let variant = VariantRoutes {
            name: VARIANT.to_owned(),
            weight: 1.0,
            routing: Routing::default(),
            direct: false,
            instances: all.clone(),
        };
        let routes = Routes {
            name: name.to_owned(),
            arn: arn::of("endpoint", arn::LOCAL_REGION, arn::LOCAL_ACCOUNT, name),
            region: arn::LOCAL_REGION.to_owned(),
            account: arn::LOCAL_ACCOUNT.to_owned(),
            in_service: true,
            asynchronous: None,
            variants: vec![variant],
        };
        self.table.set(name, Some(routes));
    }
}

#[cfg(test)]
#[path = "hosting_tests.rs"]
mod tests;
