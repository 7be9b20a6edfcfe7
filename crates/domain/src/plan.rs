//! What to do next: desired (the records) and observed (folders, locks, reports) give steps, and
//! carrying them out makes no choices.
//!
//! Pure and deterministic: the same state gives the same plan, so a service that was killed
//! decides again what it had decided. Each step names the attempt (the generation) that it is
//! meant for; whoever carries it out refuses it if the record has gone on meanwhile.

use crate::failure::Blame;
use crate::spool::Order;
use crate::{JobName, Resources, Timestamp};
use std::collections::BTreeMap;

/// SageMaker's words for a fault of its own (two spaces included).
pub const INTERNAL_ERROR: &str = "We encountered an internal error.  Please try again.";
/// SageMaker's words for a machine that cannot be had.
pub const NO_CAPACITY: &str = "Unable to provision requested ML compute capacity. Please retry using a different ML instance type.";
/// Seconds after a stop's grace at which a container that still runs is told to end at once.
pub const KILL_AFTER_GRACE_SECONDS: u64 = 60;

/// A job that is not at its end, as its record has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Desired {
    /// The job.
    pub name: JobName,
    /// Attempts that were begun; the generation of the last.
    pub generation: u64,
    /// When it was made.
    pub created: Timestamp,
    /// Whether it is known to wait for capacity.
    pub pending: bool,
    /// When it was asked to stop.
    pub stop_requested: Option<Timestamp>,
    /// `RetryStrategy.MaximumRetryAttempts`.
    pub retries: u32,
    /// `MaxPendingTimeInSeconds`.
    pub max_pending_seconds: Option<u64>,
    /// `MaxRuntimeInSeconds`, of all attempts together.
    pub max_runtime_seconds: u64,
    /// Seconds between TERM and KILL.
    pub grace_seconds: u64,
    /// When the first attempt began to train.
    pub training_since: Option<Timestamp>,
    /// What it needs while it runs.
    pub resources: Resources,
}

/// What is seen of a job's last attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observed {
    /// No warden has begun it: the attempt was recorded, and its warden not started, or not yet.
    NotBegun,
    /// Its warden lives.
    Alive,
    /// Its warden is dead and has reported.
    Reported,
    /// Its warden is dead and has not.
    Dead {
        /// What is known of that, a sentence; empty if nothing is.
        known: String,
    },
}

/// What the machine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Thousandths of a CPU.
    pub cpu_millis: u64,
    /// Bytes, if known.
    pub memory_bytes: Option<u64>,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Record the job's next attempt and start a warden for it.
    Begin {
        /// The attempt's number.
        generation: u64,
        /// What is left of the maximum runtime.
        max_runtime_seconds: u64,
    },
    /// Start a warden for the recorded attempt.
    Start,
    /// Follow the warden that lives.
    Follow,
    /// Tell the warden.
    Tell(Order),
    /// Take in the report.
    Finish,
    /// Say that the job waits.
    Wait,
    /// The warden died: end this attempt, and record the next one in its place.
    Retry {
        /// The next attempt's number.
        generation: u64,
        /// What is left of the maximum runtime.
        max_runtime_seconds: u64,
        /// What is known of the death.
        known: String,
    },
    /// End the job as stopped: nothing of it runs.
    Stopped,
    /// End the job at its maximum runtime: nothing of it runs, and no time is left.
    OutOfTime,
    /// End the job as failed.
    Fail {
        /// `FailureReason`.
        reason: String,
    },
}

/// A step for a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// The job.
    pub job: JobName,
    /// The generation of its last attempt as it was when this was planned; 0 before the first.
    pub generation: u64,
    /// What to do.
    pub step: Step,
}

/// What to do now for every job that is not at its end, in the order of `desired` (oldest first,
/// which is who is served first). `observed` has every job whose generation is not 0; one that
/// is missing was not begun.
///
/// A job that does not fit waits, and those behind it too, so that a large one is not overtaken
/// for ever. A job that fits into the empty machine only is never larger than it: with nothing
/// else running, the first is begun.
#[must_use]
pub fn plan(
    desired: &[Desired],
    observed: &BTreeMap<JobName, Observed>,
    capacity: Capacity,
    now: Timestamp,
) -> Vec<Planned> {
    let mut room = Room::of(capacity);
    // An attempt that is tried again keeps its place; one that has ended has left it by the next
    // plan.
    desired.iter().filter(|d| d.generation > 0).for_each(|d| room.take(d.resources));
    let mut queue_moves = true;
    desired
        .iter()
        .map(|d| {
            let step = match observed.get(&d.name).unwrap_or(&Observed::NotBegun) {
                _ if d.generation == 0 => begin(d, &mut room, &mut queue_moves, now),
                Observed::NotBegun => Step::Start,
                Observed::Alive => attend(d, now),
                Observed::Reported => Step::Finish,
                Observed::Dead { known } => after_death(d, known, now),
            };
            Planned { job: d.name.clone(), generation: d.generation, step }
        })
        .collect()
}

fn begin(d: &Desired, room: &mut Room, queue_moves: &mut bool, now: Timestamp) -> Step {
    if d.stop_requested.is_some() {
        return Step::Stopped;
    }
    let Some(left) = runtime_left(d, now) else { return Step::OutOfTime };
    *queue_moves = *queue_moves && room.fits(d.resources);
    if *queue_moves {
        room.take(d.resources);
        return Step::Begin { generation: d.generation + 1, max_runtime_seconds: left };
    }
    let waited = now.since(d.created) / 1000;
    match d.max_pending_seconds {
        Some(most) if waited >= most => Step::Fail { reason: Blame::Capacity.reason(NO_CAPACITY) },
        _ => Step::Wait,
    }
}

fn attend(d: &Desired, now: Timestamp) -> Step {
    let Some(asked) = d.stop_requested else { return Step::Follow };
    let patience = d.grace_seconds + KILL_AFTER_GRACE_SECONDS;
    let late = now.since(asked) / 1000 >= patience;
    Step::Tell(if late { Order::Kill } else { Order::Stop })
}

/// A warden that dies is a fault of Belljar's or the machine's: the one kind that is retried
/// (service model, `RetryStrategy`).
fn after_death(d: &Desired, known: &str, now: Timestamp) -> Step {
    let tried_again = d.generation.saturating_sub(1);
    if d.stop_requested.is_some() || tried_again >= u64::from(d.retries) {
        let known = if known.is_empty() { String::new() } else { format!(" ({known})") };
        return Step::Fail { reason: Blame::Internal.reason(&format!("{INTERNAL_ERROR}{known}")) };
    }
    match runtime_left(d, now) {
        Some(max_runtime_seconds) => Step::Retry {
            generation: d.generation + 1,
            max_runtime_seconds,
            known: known.to_owned(),
        },
        None => Step::OutOfTime,
    }
}

/// Seconds; `None` if none are left.
fn runtime_left(d: &Desired, now: Timestamp) -> Option<u64> {
    let used = d.training_since.map_or(0, |since| now.since(since) / 1000);
    d.max_runtime_seconds.checked_sub(used).filter(|left| *left > 0)
}

/// What of the machine is not taken.
struct Room {
    of: Capacity,
    cpu_millis: u64,
    memory_bytes: Option<u64>,
    empty: bool,
}

impl Room {
    fn of(capacity: Capacity) -> Self {
        let Capacity { cpu_millis, memory_bytes } = capacity;
        Self { of: capacity, cpu_millis, memory_bytes, empty: true }
    }

    /// What a job without limits may use is the whole machine.
    fn needs(&self, wanted: Resources) -> (u64, u64) {
        let memory = wanted.memory_bytes.or(self.of.memory_bytes).unwrap_or(0);
        (wanted.cpu_millis.unwrap_or(self.of.cpu_millis), memory)
    }

    fn fits(&self, wanted: Resources) -> bool {
        let (cpu, memory) = self.needs(wanted);
        self.empty || (cpu <= self.cpu_millis && self.memory_bytes.is_none_or(|has| memory <= has))
    }

    fn take(&mut self, wanted: Resources) {
        let (cpu, memory) = self.needs(wanted);
        self.cpu_millis = self.cpu_millis.saturating_sub(cpu);
        self.memory_bytes = self.memory_bytes.map(|has| has.saturating_sub(memory));
        self.empty = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE: Capacity = Capacity { cpu_millis: 4000, memory_bytes: Some(8 << 30) };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    fn job(name: &str, generation: u64, cpus: u64) -> Desired {
        Desired {
            name: name.parse().unwrap(),
            generation,
            created: at(0),
            pending: false,
            stop_requested: None,
            retries: 0,
            max_pending_seconds: None,
            max_runtime_seconds: 100,
            grace_seconds: 120,
            training_since: None,
            resources: Resources {
                cpu_millis: Some(cpus * 1000),
                memory_bytes: Some(1 << 30),
                processes: 1,
            },
        }
    }

    fn steps(desired: &[Desired], observed: &[(&str, Observed)], now: i64) -> Vec<Step> {
        let observed = observed.iter().map(|(n, o)| (n.parse().unwrap(), o.clone())).collect();
        plan(desired, &observed, MACHINE, at(now)).into_iter().map(|p| p.step).collect()
    }

    fn begin(generation: u64, left: u64) -> Step {
        Step::Begin { generation, max_runtime_seconds: left }
    }

    fn dead() -> Observed {
        Observed::Dead { known: "the warden was killed by signal 9".into() }
    }

    #[test]
    fn first_come_first_served_and_nobody_is_overtaken() {
        let jobs = [job("a", 0, 2), job("b", 0, 3), job("c", 0, 1)];
        assert_eq!(steps(&jobs, &[], 0), [begin(1, 100), Step::Wait, Step::Wait]);
        let jobs = [job("a", 1, 2), job("b", 0, 2), job("c", 0, 1)];
        let all = steps(&jobs, &[("a", Observed::Alive)], 0);
        assert_eq!(all, [Step::Follow, begin(1, 100), Step::Wait]);
    }

    #[test]
    fn what_is_larger_than_the_machine_runs_alone() {
        assert_eq!(steps(&[job("a", 0, 64), job("b", 0, 1)], &[], 0)[0], begin(1, 100));
        let jobs = [job("a", 1, 1), job("b", 0, 64)];
        assert_eq!(steps(&jobs, &[("a", Observed::Alive)], 0), [Step::Follow, Step::Wait]);
        let unlimited = Desired {
            resources: Resources { cpu_millis: None, memory_bytes: None, processes: 1 },
            ..job("u", 0, 1)
        };
        assert_eq!(steps(&[unlimited, job("b", 0, 1)], &[], 0), [begin(1, 100), Step::Wait]);
    }

    #[test]
    fn an_attempt_is_followed_to_its_end() {
        let one = |o: Observed| steps(&[job("a", 1, 1)], &[("a", o)], 9).remove(0);
        assert_eq!(one(Observed::NotBegun), Step::Start);
        assert_eq!(steps(&[job("a", 1, 1)], &[], 9), [Step::Start]);
        assert_eq!(one(Observed::Alive), Step::Follow);
        assert_eq!(one(Observed::Reported), Step::Finish);
        let Step::Fail { reason } = one(dead()) else { panic!("it should fail") };
        assert_eq!(
            reason,
            "InternalServerError: We encountered an internal error.  Please try again. (the warden was killed by signal 9)"
        );
    }

    #[test]
    fn a_stop_is_told_until_it_shows() {
        let stopping =
            |generation| Desired { stop_requested: Some(at(10)), ..job("a", generation, 1) };
        assert_eq!(steps(&[stopping(0)], &[], 11), [Step::Stopped]);
        let one = |o: Observed, now| steps(&[stopping(1)], &[("a", o)], now).remove(0);
        assert_eq!(one(Observed::Alive, 11), Step::Tell(Order::Stop));
        assert_eq!(one(Observed::Alive, 189), Step::Tell(Order::Stop));
        assert_eq!(one(Observed::Alive, 190), Step::Tell(Order::Kill));
        // Its warden may be on its way: it is started again, so that it can be told.
        assert_eq!(one(Observed::NotBegun, 11), Step::Start);
        assert_eq!(one(Observed::Reported, 11), Step::Finish);
        assert!(matches!(one(dead(), 11), Step::Fail { .. }));
    }

    #[test]
    fn a_dead_warden_is_replaced_as_often_as_asked() {
        let job = |generation| Desired {
            retries: 2,
            training_since: Some(at(10)),
            ..job("a", generation, 1)
        };
        let one = |generation, now| steps(&[job(generation)], &[("a", dead())], now).remove(0);
        let Step::Retry { generation: 2, max_runtime_seconds: 70, .. } = one(1, 40) else {
            panic!("{:?}", one(1, 40))
        };
        assert!(matches!(one(2, 40), Step::Retry { generation: 3, .. }));
        assert!(matches!(one(3, 40), Step::Fail { .. }));
        assert_eq!(one(1, 110), Step::OutOfTime);
    }

    #[test]
    fn waiting_has_an_end_where_one_is_asked_for() {
        let waits = |now| {
            let late = Desired { max_pending_seconds: Some(7200), ..job("b", 0, 4) };
            steps(&[job("a", 1, 4), late], &[("a", Observed::Alive)], now).remove(1)
        };
        assert_eq!(waits(7199), Step::Wait);
        let Step::Fail { reason } = waits(7200) else { panic!("it should fail") };
        assert!(reason.starts_with("CapacityError: Unable to provision"), "{reason}");
    }

    #[test]
    fn the_same_state_gives_the_same_plan() {
        let jobs = [job("a", 1, 1), job("b", 0, 2), job("c", 2, 1)];
        let seen = [("a", Observed::Alive), ("c", dead())];
        assert_eq!(steps(&jobs, &seen, 5), steps(&jobs, &seen, 5));
    }
}
