//! What is seen of an instance: the worst of what is seen of its containers.

use super::super::StepError;
use super::super::folder;
use super::super::follow::Follower;
use super::super::ingest::Whose;
use super::super::observe::known;
use super::super::start::Started;
use super::Endpoints;
use crate::state;
use belljar_domain::endpoint::Server;
use belljar_domain::fleet::{Seen, State};
use belljar_domain::{Outcome, Report, plan};
use belljar_store::endpoints::servers::{self, Container};
use std::path::Path;

/// One container.
enum Part {
    State(State),
    /// Its warden is dead.
    Over {
        why: String,
        ran: bool,
    },
}

impl Endpoints {
    /// But for its requests, which are counted later.
    pub(super) fn observe(&mut self, server: Server) -> Result<Seen, StepError> {
        let containers = self.service.db().read(|c| servers::containers(c, &server.id))?;
        let mut worst = State::Healthy;
        let mut over = true;
        for container in &containers {
            let folder = folder::of_assignment(&self.service.config.state, &container.assignment);
            let key = (server.id.clone(), container.number);
            let state = match self.part(&key, container, &folder) {
                Part::Over { why, ran } => {
                    over &= self.follower(&key, &folder).drain();
                    State::Dead { why, ran }
                }
                Part::State(State::NotBegun) => State::NotBegun,
                Part::State(state) => {
                    over = false;
                    self.follower(&key, &folder);
                    state
                }
            };
            if rank(&state) > rank(&worst) {
                worst = state;
            }
        }
        Ok(Seen { server, state: worst, outstanding: 0, over })
    }

    fn part(&self, key: &super::Key, container: &Container, folder: &Path) -> Part {
        let started = self.started.get(key);
        let how = match started {
            Some(Started::Running(_)) => return Part::State(self.alive(container)),
            Some(Started::Ended(how)) => how.as_str(),
            None => "the warden died",
        };
        match folder::is_held(folder) {
            Ok(false) => {}
            Ok(true) => return Part::State(self.alive(container)),
            Err(e) => {
                tracing::error!(of = %container.assignment.job, error = %e, "a warden's lock cannot be looked at");
                return Part::State(self.alive(container));
            }
        }
        match state::read_report(folder) {
            Ok(Some(report)) if report.job == container.assignment.job => reported(report),
            Ok(_) if folder::is_begun(folder) || started.is_some() => died(&known(how, folder)),
            Ok(_) => Part::State(State::NotBegun),
            Err(e) => died(&format!("{how}, and its report is not readable: {}", crate::chain(&e))),
        }
    }

    /// What was told while no service was there may be outdated by what is yet to be taken in: no
    /// container has been unwell for longer than it could be seen.
    fn alive(&self, container: &Container) -> State {
        match &container.health {
            None => State::Starting,
            Some(health) if health.healthy => State::Healthy,
            Some(health) => State::Unhealthy { since: health.at.max(self.began) },
        }
    }

    /// Takes in what a container's warden says.
    pub(super) fn follower(&mut self, key: &super::Key, folder: &Path) -> &Follower {
        let service = &self.service;
        self.followers.entry(key.clone()).or_insert_with(|| {
            let whose = Whose::Container(key.0.clone(), key.1);
            Follower::start(service.clone(), whose, folder)
        })
    }
}

fn reported(report: Report) -> Part {
    let why = match report.outcome {
        Outcome::Failed { reason, .. } => reason,
        _ => String::new(),
    };
    Part::Over { why, ran: report.exit.is_some() }
}

fn died(known: &str) -> Part {
    let why = format!("InternalServerError: {} ({known})", plan::INTERNAL_ERROR);
    Part::Over { why, ran: true }
}

/// The worse, the higher. One that is not begun hides how the others are, because it is to be
/// started; a dead one hides all.
fn rank(state: &State) -> u8 {
    match state {
        State::Healthy => 0,
        State::Unhealthy { .. } => 1,
        State::Starting => 2,
        State::NotBegun => 3,
        State::Dead { .. } => 4,
    }
}
