//! What to do next for an endpoint: its record (desired) and its instances as they are seen
//! (observed) give steps, and carrying them out makes no choices. Pure, as [`crate::plan`] is for
//! training jobs.
//!
//! A fleet takes over when all of it is healthy, and not before; the one before it leaves after
//! that. Whoever leaves gets no further requests, ends those that it has, and is then stopped.

use crate::endpoint::{Endpoint, EndpointStatus, Fleet, Server, Variant};
use crate::serving::STOP_GRACE_SECONDS;
use crate::spool::Order;
use crate::{Timestamp, plan};

/// Seconds that an instance which leaves is given for the requests that it has: as long as one may
/// take.
pub const DRAIN_SECONDS: u64 = 65;
/// Seconds after which an instance that does not answer its pings is replaced.
pub const UNHEALTHY_SECONDS: u64 = 30;
/// How often a container that ends by itself is tried again before a new fleet is given up.
pub const MAX_TRIES: u32 = 2;
/// The pause before a dead instance's place is taken, in milliseconds: doubled with each that
/// dies there, from the first to the last of these.
const PAUSE_MILLIS: (u64, u64) = (100, 60_000);
/// An instance that was up for so many seconds begins the count of deaths anew.
const STEADY_SECONDS: u64 = 300;

/// What is seen of an instance: of all its containers, the worst.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// A container's warden was not started, or not yet.
    NotBegun,
    /// It is on its way.
    Starting,
    /// It answers.
    Healthy,
    /// It answered, and does not any more.
    Unhealthy {
        /// Since when.
        since: Timestamp,
    },
    /// A container is dead, or its warden.
    Dead {
        /// Why, in the words of `FailureReason`; empty if it was told to stop.
        why: String,
        /// Whether its container ran, so that it may be worth another try.
        ran: bool,
    },
}

/// An instance, and what is seen of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The instance.
    pub server: Server,
    /// How it is.
    pub state: State,
    /// Requests that it has now.
    pub outstanding: usize,
    /// Whether all that its wardens said is taken in, and none of them lives.
    pub over: bool,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Record a new instance, to be started not before a time.
    Begin {
        /// The fleet's number.
        fleet: u64,
        /// The variant's name.
        variant: String,
        /// Its zone.
        zone: String,
        /// Of [`Server::tries`].
        tries: u32,
        /// When it may be started.
        at: Timestamp,
        /// The dead one in whose place it comes.
        instead: Option<String>,
    },
    /// Start the wardens of an instance that is recorded.
    Start(String),
    /// Let an instance leave: it gets no further requests.
    Leave(String),
    /// Tell the wardens of an instance that has left.
    Tell(String, Order),
    /// Forget an instance of which nothing is left.
    Remove(String),
    /// Let the next fleet take over.
    TakeOver,
    /// Give the next fleet up, or what an update asked of the one that answers.
    GiveUp {
        /// `FailureReason`.
        reason: String,
    },
    /// All is as it was asked for.
    Settle,
    /// Forget the endpoint: nothing of it is left.
    Delete,
}

/// What to do now for one endpoint. `zones` are where its instances are spread, at least one.
#[must_use]
pub fn plan(endpoint: &Endpoint, seen: &[Seen], zones: &[String], now: Timestamp) -> Vec<Step> {
    let progress = &endpoint.progress;
    let mut steps: Vec<Step> = seen.iter().filter_map(|s| after_leaving(s, now)).collect();
    let ends = matches!(progress.status, EndpointStatus::Deleting | EndpointStatus::Failed);
    if ends {
        steps.extend(seen.iter().filter(|s| stays(s)).map(|s| Step::Leave(s.server.id.clone())));
        if progress.status == EndpointStatus::Deleting && seen.is_empty() {
            steps.push(Step::Delete);
        }
        return steps;
    }
    let fleets: Vec<&Fleet> = [&progress.current, &progress.next].into_iter().flatten().collect();
    let kept = |s: &&Seen| fleets.iter().any(|f| f.number == s.server.fleet);
    // What an update asks of a fleet that answers can be of no use either.
    let updating = progress.status == EndpointStatus::Updating;
    let added = || seen.iter().filter(|s| s.server.begun >= endpoint.modified);
    let hopeless = match (&progress.next, &progress.current) {
        (Some(next), _) => hopeless(next, seen.iter(), now),
        // Those that were there before are replaced, and say nothing of what was asked.
        (None, Some(current)) if updating => hopeless(current, added(), now),
        _ => None,
    };
    if let Some(reason) = hopeless {
        steps.push(Step::GiveUp { reason });
        return steps;
    }
    for fleet in &fleets {
        for variant in &fleet.deployment.variants {
            Places { fleet, variant, zones, now }.fill(seen, &mut steps);
        }
    }
    if !still_waits(endpoint, now) {
        let old = seen.iter().filter(|s| stays(s) && !kept(s));
        steps.extend(old.map(|s| Step::Leave(s.server.id.clone())));
    }
    if progress.next.as_ref().is_some_and(|f| is_complete(f, seen)) {
        steps.push(Step::TakeOver);
    } else if progress.status == EndpointStatus::Updating
        && progress.next.is_none()
        && progress.current.as_ref().is_some_and(|f| is_exact(f, seen))
    {
        steps.push(Step::Settle);
    }
    steps
}

/// How many an instance then comes after that died, and the milliseconds until it may be begun: of
/// one that came after `tries`, and was up for so many milliseconds.
#[must_use]
pub fn after_death(tries: u32, up_millis: u64) -> (u32, u64) {
    let tries = if up_millis / 1000 >= STEADY_SECONDS { 1 } else { tries.saturating_add(1) };
    let (first, longest) = PAUSE_MILLIS;
    (tries, first.saturating_mul(1 << (tries - 1).min(16)).min(longest))
}

/// Whether it has not been told to leave.
fn stays(s: &Seen) -> bool {
    s.server.stopping.is_none()
}

/// What becomes of one that leaves, until nothing of it is left.
fn after_leaving(s: &Seen, now: Timestamp) -> Option<Step> {
    let id = || s.server.id.clone();
    let since = s.server.stopping?;
    if s.over {
        return Some(Step::Remove(id()));
    }
    let waited = now.since(since) / 1000;
    let patience = DRAIN_SECONDS + STOP_GRACE_SECONDS + plan::KILL_AFTER_GRACE_SECONDS;
    match &s.state {
        _ if waited >= patience => Some(Step::Tell(id(), Order::Kill)),
        _ if s.outstanding > 0 && waited < DRAIN_SECONDS => None,
        _ => Some(Step::Tell(id(), Order::Stop)),
    }
}

/// Why a fleet that is to take over never will.
fn hopeless<'s>(
    fleet: &Fleet,
    seen: impl Iterator<Item = &'s Seen>,
    now: Timestamp,
) -> Option<String> {
    let mut ours = seen.filter(|s| s.server.fleet == fleet.number && stays(s));
    ours.find_map(|s| {
        let State::Dead { why, ran } = &s.state else { return None };
        let variant = fleet.deployment.variants.iter().find(|v| v.name == s.server.variant)?;
        let had_its_time = now.since(s.server.begun) / 1000 >= variant.startup_seconds;
        let last = !ran || had_its_time || s.server.tries >= MAX_TRIES;
        last.then(|| why.clone())
    })
}

/// Whether older fleets stay a while, as was asked for.
fn still_waits(endpoint: &Endpoint, now: Timestamp) -> bool {
    let progress = &endpoint.progress;
    let wait = progress.current.as_ref().map_or(0, |f| f.termination_wait_seconds);
    progress.took_over.is_some_and(|at| now.since(at) / 1000 < wait)
}

fn healthy(fleet: &Fleet, variant: &str, seen: &[Seen]) -> usize {
    let of = |s: &&Seen| s.server.fleet == fleet.number && s.server.variant == variant;
    seen.iter().filter(of).filter(|s| stays(s) && s.state == State::Healthy).count()
}

fn wanted(fleet: &Fleet, variant: &str) -> usize {
    fleet.shares.get(variant).map_or(0, |s| s.count as usize)
}

fn is_complete(fleet: &Fleet, seen: &[Seen]) -> bool {
    let names = fleet.deployment.variants.iter().map(|v| v.name.as_str());
    names.into_iter().all(|v| healthy(fleet, v, seen) >= wanted(fleet, v))
}

fn is_exact(fleet: &Fleet, seen: &[Seen]) -> bool {
    let staying = |v: &str| {
        seen.iter()
            .filter(|s| stays(s) && s.server.fleet == fleet.number && s.server.variant == v)
            .count()
    };
    let names = fleet.deployment.variants.iter().map(|v| v.name.as_str());
    is_complete(fleet, seen) && names.into_iter().all(|v| staying(v) == wanted(fleet, v))
}

/// The places of a variant's instances.
struct Places<'a> {
    fleet: &'a Fleet,
    variant: &'a Variant,
    zones: &'a [String],
    now: Timestamp,
}

impl Places<'_> {
    /// As many as are wanted: the dead are replaced, the idle started, new ones begun, and those
    /// that are too many leave.
    fn fill(&self, seen: &[Seen], steps: &mut Vec<Step>) {
        let ours: Vec<&Seen> = seen
            .iter()
            .filter(|s| {
                s.server.fleet == self.fleet.number && s.server.variant == self.variant.name
            })
            .filter(|s| stays(s))
            .collect();
        let wanted = wanted(self.fleet, &self.variant.name);
        let mut zones: Vec<&str> = Vec::new();
        let mut taken = 0;
        let (dead, alive): (Vec<&Seen>, Vec<&Seen>) =
            ours.into_iter().partition(|s| matches!(s.state, State::Dead { .. }));
        for s in self.in_order(&alive) {
            let lost = matches!(s.state, State::Unhealthy { since } if self.now.since(since) / 1000 >= UNHEALTHY_SECONDS);
            if taken == wanted || lost {
                steps.push(Step::Leave(s.server.id.clone()));
                continue;
            }
            taken += 1;
            zones.push(&s.server.zone);
            if s.state == State::NotBegun && self.now >= s.server.begun {
                steps.push(Step::Start(s.server.id.clone()));
            }
        }
        for s in dead {
            if taken == wanted {
                steps.push(Step::Leave(s.server.id.clone()));
            } else if s.over {
                taken += 1;
                steps.push(self.replace(s, &mut zones));
            } else {
                // Its other containers end with it, and what they said last is taken in; its place
                // is kept.
                steps.push(Step::Tell(s.server.id.clone(), Order::Kill));
                taken += 1;
                zones.push(&s.server.zone);
            }
        }
        for _ in taken..wanted {
            steps.push(self.begin(&mut zones, 0, self.now, None));
        }
    }

    /// The oldest of those that answer first: they stay. Of the others, those in the fullest zone
    /// go first.
    fn in_order<'s>(&self, alive: &[&'s Seen]) -> Vec<&'s Seen> {
        let mut crowd: std::collections::BTreeMap<&str, usize> = std::collections::BTreeMap::new();
        let mut ordered: Vec<(usize, usize, &Seen)> = alive
            .iter()
            .map(|s| {
                let rank = match s.state {
                    State::Healthy => 0,
                    State::Starting => 1,
                    State::NotBegun => 2,
                    State::Unhealthy { .. } | State::Dead { .. } => 3,
                };
                (rank, 0, *s)
            })
            .collect();
        ordered.sort_by_key(|(rank, _, s)| (*rank, s.server.begun, s.server.id.clone()));
        for (_, place, s) in &mut ordered {
            let in_zone = crowd.entry(s.server.zone.as_str()).or_default();
            *place = *in_zone;
            *in_zone += 1;
        }
        ordered.sort_by_key(|(rank, place, _)| (*rank, *place));
        ordered.into_iter().map(|(_, _, s)| s).collect()
    }

    fn replace<'s>(&'s self, dead: &'s Seen, zones: &mut Vec<&'s str>) -> Step {
        let (tries, pause) = after_death(dead.server.tries, self.now.since(dead.server.begun));
        let at = Timestamp::from_millis(self.now.millis().saturating_add_unsigned(pause));
        self.begin(zones, tries, at, Some(dead.server.id.clone()))
    }

    /// In the zone that has the fewest.
    fn begin<'s>(
        &'s self,
        zones: &mut Vec<&'s str>,
        tries: u32,
        at: Timestamp,
        instead: Option<String>,
    ) -> Step {
        let crowd = |zone: &&String| zones.iter().filter(|z| **z == zone.as_str()).count();
        let zone = self.zones.iter().min_by_key(crowd).map_or("", String::as_str);
        zones.push(zone);
        Step::Begin {
            fleet: self.fleet.number,
            variant: self.variant.name.clone(),
            zone: zone.to_owned(),
            tries,
            at,
            instead,
        }
    }
}

#[cfg(test)]
mod tests;
