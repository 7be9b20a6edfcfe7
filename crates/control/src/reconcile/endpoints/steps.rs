//! Carries out what was planned for an endpoint. Each step can be begun again by a service that
//! finds it half done.

use super::super::pause::{self, Point};
use super::super::start::{self, Started};
use super::super::steps::{sweep, tell, tidy};
use super::super::{StartError, StepError, folder};
use super::Endpoints;
use super::begin::{self, New};
use belljar_domain::endpoint::{Endpoint, EndpointProgress, EndpointStatus};
use belljar_domain::fleet::{Seen, Step};
use belljar_domain::spool::Order;
use belljar_domain::{Timestamp, limits};
use belljar_store::endpoints::{self, servers};
use belljar_store::{StoreError, identity};
use std::io;

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
            Step::Remove(id) => self.remove(id).await,
            Step::TakeOver => self.change(endpoint, take_over).await,
            Step::GiveUp { reason } => {
                let reason: String = reason.chars().take(limits::MAX_FAILURE_REASON).collect();
                self.change(endpoint, move |p, _| give_up(p, reason)).await
            }
            Step::Settle => {
                self.change(endpoint, |p, _| p.status = EndpointStatus::InService).await
            }
            Step::Delete => self.delete(endpoint, seen).await,
        }
    }

    async fn change(
        &self,
        endpoint: &Endpoint,
        change: impl FnOnce(&mut EndpointProgress, Timestamp) + Send + 'static,
    ) -> Result<bool, StepError> {
        let (name, planned, now) =
            (endpoint.name.clone(), endpoint.progress.clone(), self.service.now());
        pause::before(Point::Finish);
        let write = self.service.db().write(move |c| {
            endpoints::update(c, &name, now, |progress| {
                // What was planned for another state is decided anew.
                let same = *progress == planned;
                if same {
                    change(progress, now);
                }
                same
            })
        });
        write.await?;
        pause::after(Point::Finish);
        Ok(true)
    }

    async fn begin(
        &mut self,
        endpoint: &Endpoint,
        new: &New<'_>,
        instead: Option<&str>,
    ) -> Result<bool, StepError> {
        if let Some(dead) = instead {
            self.clear(dead).await?;
        }
        let Some((server, assignments)) = begin::server(&self.service, endpoint, new) else {
            return Ok(false);
        };
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
        if let Some(dead) = instead {
            self.remove_folders(dead);
        }
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

    async fn remove(&mut self, id: &str) -> Result<bool, StepError> {
        self.clear(id).await?;
        let server = id.to_owned();
        self.service.db().write(move |c| forget(c, &server)).await?;
        self.remove_folders(id);
        Ok(true)
    }

    /// Takes away what the dead wardens of an instance left.
    async fn clear(&self, id: &str) -> Result<(), StepError> {
        for container in self.service.db().read(|c| servers::containers(c, id))? {
            let folder = folder::of_assignment(&self.service.config.state, &container.assignment);
            if folder.exists() {
                sweep(&self.service, &container.assignment, &folder).await?;
            }
        }
        Ok(())
    }

    /// Removes folders of whose instance there is no record any more: their evidence is elsewhere.
    fn remove_folders(&self, id: &str) {
        let above = self.service.config.state.join(belljar_domain::serving::FOLDER);
        let entries = std::fs::read_dir(&above).into_iter().flatten().flatten();
        let prefix = format!("{id}-");
        for entry in entries.filter(|e| e.file_name().to_string_lossy().starts_with(&prefix)) {
            tidy(&entry.path());
            match std::fs::remove_dir_all(entry.path()) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(folder = %entry.path().display(), error = %e, "an instance's folder cannot be removed");
                }
                _ => {}
            }
        }
    }

    /// What an earlier service did not come to remove: folders of instances without a record.
    pub(in super::super) fn tidy_all(&self) -> Result<(), StoreError> {
        let known = self.service.db().read(servers::all)?;
        let above = self.service.config.state.join(belljar_domain::serving::FOLDER);
        for entry in std::fs::read_dir(&above).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let id = name.rsplit_once('-').map_or(name.as_str(), |(id, _)| id);
            let ours = entry.path().join(belljar_domain::spool::FOLDER).exists();
            let held = folder::is_held(&entry.path()).unwrap_or(true);
            if ours && !held && !known.iter().any(|s| s.id == id) {
                self.remove_folders(id);
            }
        }
        Ok(())
    }

    async fn delete(&self, endpoint: &Endpoint, _: &[Seen]) -> Result<bool, StepError> {
        let name = endpoint.name.clone();
        self.service.db().write(move |c| endpoints::delete(c, &name)).await?;
        Ok(true)
    }
}

/// Forgets an instance, and with it takes its wardens' keys away.
fn forget(c: &belljar_store::Connection, id: &str) -> Result<(), StoreError> {
    for container in servers::containers(c, id)? {
        let assignment = &container.assignment;
        identity::revoke_job_keys(c, &start::key_name(assignment), assignment.generation)?;
    }
    servers::remove(c, id)
}

fn take_over(progress: &mut EndpointProgress, now: Timestamp) {
    let first = progress.current.is_none();
    progress.current = progress.next.take();
    progress.took_over = (!first).then_some(now);
    progress.status = EndpointStatus::InService;
    progress.failure_reason = None;
}

/// A first fleet that fails is the endpoint's failure; a later one leaves it as it was.
fn give_up(progress: &mut EndpointProgress, reason: String) {
    progress.next = None;
    progress.failure_reason = Some(reason);
    progress.status = match progress.current {
        Some(_) => EndpointStatus::InService,
        None => EndpointStatus::Failed,
    };
}
