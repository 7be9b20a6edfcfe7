//! Carries out what was planned for an endpoint. Each step can be begun again by a service that
//! finds it half done.

use super::super::pause::{self, Point};
use super::super::start::{self, Started};
use super::super::steps::tell;
use super::super::{StartError, StepError, folder, vpc};
use super::begin::{self, New};
use super::{Endpoints, folders};
use belljar_domain::endpoint::{Endpoint, EndpointProgress, EndpointStatus};
use belljar_domain::fleet::{Seen, Step};
use belljar_domain::spool::Order;
use belljar_domain::{Timestamp, limits};
use belljar_store::endpoints::{self, servers};
use belljar_store::{Connection, StoreError, identity};

impl Endpoints {
    /// Carries out one step. Answers whether it may have made another one possible.
    pub(super) async fn execute(
        &mut self,
        endpoint: &Endpoint,
        seen: &[Seen],
        step: &Step,
    ) -> Result<bool, StepError> {
        match step {
            Step::Begin { fleet, variant, zone, tries, at, instead } => {
                let new = New { fleet: *fleet, variant, zone, tries: *tries, at: *at };
                self.begin(endpoint, &new, instead.as_deref()).await
            }
            Step::Start(id) => self.start(id).await,
            Step::Leave(id) => self.leave(id).await,
            Step::Tell(id, order) => self.tell(id, *order),
            Step::Remove(id) => self.remove(endpoint, id).await,
            Step::TakeOver => self.change(endpoint, seen, take_over).await,
            Step::GiveUp { reason } => {
                let reason: String = reason.chars().take(limits::MAX_FAILURE_REASON).collect();
                self.give_up(endpoint, reason).await
            }
            Step::Settle => self.change(endpoint, seen, settle).await,
            Step::Delete => self.delete(endpoint).await,
        }
    }

    /// Requests go by what it comes to before anybody can read of it: who is told that an endpoint
    /// is in service can call it.
    async fn change(
        &mut self,
        endpoint: &Endpoint,
        seen: &[Seen],
        change: fn(&mut EndpointProgress, Timestamp),
    ) -> Result<bool, StepError> {
        let (planned, now) = (endpoint.clone(), self.service.now());
        let mut changed = endpoint.clone();
        change(&mut changed.progress, now);
        let routes = self.routes(&changed, seen);
        self.service.endpoints.set(&endpoint.name, Some(routes));
        pause::before(Point::Finish);
        let write = self.service.db().write(move |c| keep(c, &planned, now, change));
        write.await?;
        pause::after(Point::Finish);
        Ok(true)
    }

    /// In one transaction with its instances' leaving: the next fleet may get the same number, and
    /// is to have none of them.
    async fn give_up(&self, endpoint: &Endpoint, reason: String) -> Result<bool, StepError> {
        let (planned, now) = (endpoint.clone(), self.service.now());
        pause::before(Point::Finish);
        let write = self.service.db().write(move |c| {
            let given_up = planned.progress.next.as_ref().map(|fleet| fleet.number);
            if !keep(c, &planned, now, |progress, _| give_up(progress, reason))? {
                return Ok(());
            }
            let all = servers::of_endpoint(c, &planned.name)?.into_iter();
            all.filter(|server| Some(server.fleet) == given_up)
                .try_for_each(|server| servers::set_stopping(c, &server.id, now))
        });
        write.await?;
        pause::after(Point::Finish);
        Ok(true)
    }

    /// What an update waits for is told as long as it does.
    async fn tell_why(&self, endpoint: &Endpoint, reason: &str) -> Result<(), StepError> {
        let reason: String = reason.chars().take(limits::MAX_FAILURE_REASON).collect();
        let progress = &endpoint.progress;
        let told = progress.failure_reason.as_ref() == Some(&reason);
        if told || progress.status != EndpointStatus::Updating {
            return Ok(());
        }
        let (planned, now) = (endpoint.clone(), self.service.now());
        let tell = |progress: &mut EndpointProgress, _| progress.failure_reason = Some(reason);
        self.service.db().write(move |c| keep(c, &planned, now, tell)).await?;
        Ok(())
    }

    async fn begin(
        &mut self,
        endpoint: &Endpoint,
        new: &New<'_>,
        instead: Option<&str>,
    ) -> Result<bool, StepError> {
        let left = match instead {
            Some(dead) => self.cleared(dead).await?,
            None => Some(Vec::new()),
        };
        let Some(left) = left else { return Ok(false) };
        let made = begin::server(&self.service, endpoint, new);
        let (mut server, mut assignments) = made.ok_or("a new instance cannot be described")?;
        if let Some(dead) = instead {
            // First of all: its address may be all that a small subnet has for the one to come.
            vpc::release_server(&self.service, endpoint, dead).await;
        }
        match vpc::provide_server(&self.service, endpoint, &server, instead).await? {
            Ok(links) => {
                if let Some(zone) = links.first().and_then(|link| link.zone.clone()) {
                    server.zone = zone;
                }
                // Each container has one, or all share the only one.
                let links = links.iter().cycle();
                assignments
                    .iter_mut()
                    .zip(links)
                    .for_each(|(a, l)| a.vpc = Some(Box::new(l.clone())));
            }
            Err(reason) if is_next(endpoint, new.fleet) => {
                return self.give_up(endpoint, reason).await;
            }
            // Of the fleet that answers: the network may be mended.
            Err(reason) => {
                self.tell_why(endpoint, &reason).await?;
                return Err(reason.into());
            }
        }
        let (dead, now) = (instead.map(str::to_owned), self.service.now());
        pause::before(Point::Begin);
        let write = self.service.db().write(move |c| {
            if let Some(dead) = dead {
                forget(c, &dead)?;
            }
            servers::record(c, &server, &assignments)
        });
        write.await?;
        pause::after(Point::Begin);
        left.iter().for_each(|folder| folders::discard(folder));
        if new.at > now {
            let (service, pause) = (self.service.clone(), new.at.since(now));
            tokio::spawn(async move {
                tokio::time::sleep(std::time::Duration::from_millis(pause)).await;
                service.wanted.notify_one();
            });
        }
        Ok(true)
    }

    async fn start(&mut self, id: &str) -> Result<bool, StepError> {
        for container in self.service.db().read(|c| servers::containers(c, id))? {
            let key = (id.to_owned(), container.number);
            if self.started.contains_key(&key) {
                continue;
            }
            match Started::start(&self.service, &container.assignment).await {
                Ok(started) => {
                    self.started.insert(key, started);
                }
                Err(StartError::Foreign(folder)) => {
                    let why = format!("{} is there already", folder.display());
                    self.started.insert(key, Started::Ended(why));
                }
                Err(e) => return Err(e.into()),
            }
        }
        Ok(true)
    }

    async fn leave(&mut self, id: &str) -> Result<bool, StepError> {
        let (server, now) = (id.to_owned(), self.service.now());
        self.service.db().write(move |c| servers::set_stopping(c, &server, now)).await?;
        Ok(true)
    }

    fn tell(&mut self, id: &str, order: Order) -> Result<bool, StepError> {
        for container in self.service.db().read(|c| servers::containers(c, id))? {
            let folder = folder::of_assignment(&self.service.config.state, &container.assignment);
            pause::before(Point::Tell);
            tell(&folder, order)?;
            pause::after(Point::Tell);
        }
        Ok(false)
    }

    /// The folders go first: while there is a record, what is left of them is found again.
    async fn remove(&mut self, endpoint: &Endpoint, id: &str) -> Result<bool, StepError> {
        let Some(left) = self.cleared(id).await? else { return Ok(false) };
        left.iter().for_each(|folder| folders::discard(folder));
        let server = id.to_owned();
        pause::before(Point::Finish);
        self.service.db().write(move |c| forget(c, &server)).await?;
        pause::after(Point::Finish);
        vpc::release_server(&self.service, endpoint, id).await;
        Ok(true)
    }

    async fn delete(&self, endpoint: &Endpoint) -> Result<bool, StepError> {
        let name = endpoint.name.clone();
        pause::before(Point::Finish);
        self.service.db().write(move |c| endpoints::delete(c, &name)).await?;
        pause::after(Point::Finish);
        Ok(true)
    }
}

/// Changes how far an endpoint is, and answers whether it did: what was planned for another state
/// is decided anew.
fn keep(
    c: &Connection,
    planned: &Endpoint,
    now: Timestamp,
    change: impl FnOnce(&mut EndpointProgress, Timestamp),
) -> Result<bool, StoreError> {
    let mut same = false;
    endpoints::update(c, &planned.name, now, |progress| {
        same = *progress == planned.progress;
        if same {
            change(progress, now);
        }
        same
    })?;
    Ok(same)
}

/// Forgets an instance, and with it takes its wardens' keys away.
fn forget(c: &Connection, id: &str) -> Result<(), StoreError> {
    for container in servers::containers(c, id)? {
        let assignment = &container.assignment;
        identity::revoke_job_keys(c, &start::key_name(assignment), assignment.generation)?;
    }
    servers::remove(c, id)
}

/// Whether a fleet is the one that is to take over.
fn is_next(endpoint: &Endpoint, fleet: u64) -> bool {
    endpoint.progress.next.as_ref().is_some_and(|next| next.number == fleet)
}

pub(super) fn take_over(progress: &mut EndpointProgress, now: Timestamp) {
    let first = progress.current.is_none();
    progress.current = progress.next.take();
    progress.took_over = (!first).then_some(now);
    progress.status = EndpointStatus::InService;
    progress.failure_reason = None;
}

fn settle(progress: &mut EndpointProgress, _: Timestamp) {
    progress.status = EndpointStatus::InService;
    progress.failure_reason = None;
}

/// A first fleet that fails is the endpoint's failure, which then still says what it was to be; a
/// later one leaves it as it was.
fn give_up(progress: &mut EndpointProgress, reason: String) {
    progress.failure_reason = Some(reason);
    if progress.current.is_some() {
        progress.next = None;
        progress.status = EndpointStatus::InService;
    } else {
        progress.status = EndpointStatus::Failed;
    }
}
