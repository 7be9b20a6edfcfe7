//! What is to be done with a job's instances, as they tell how far they are. Pure: events in,
//! acts out.
//!
//! **Invariant**: nobody is told to start before all are sealed and ready, so either all
//! containers run or none has run an instruction; and once one has failed, nobody is left running.

use belljar_domain::cluster::Endpoint;
use belljar_domain::{Exit, HostName, SecondaryStatus};
use std::collections::BTreeMap;

/// How far an instance is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    Preparing,
    Ready,
    Running,
    /// Its container has ended; what it left is being seen to.
    Exited,
    Ended,
}

/// What can happen.
#[derive(Debug)]
pub(super) enum Happening {
    /// An instance offers its end of an encrypted link.
    Offered(usize, Endpoint),
    /// An instance entered a secondary status.
    Status(SecondaryStatus),
    /// It is sealed and waits.
    Ready(usize),
    /// Its container has ended.
    Exited(usize, Exit),
    /// It is over, well or not.
    Ended(usize, End),
    /// The job is to stop.
    Stop,
    /// The job is to end at once.
    Kill,
    /// Those that were told to stop have had their time.
    Late,
}

/// How an instance came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// As it was meant to, or because it was told to.
    Well,
    /// It failed, or its warden died.
    Failed,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Tell each its peers' ends.
    Introduce(BTreeMap<HostName, Endpoint>),
    /// Tell all to start.
    Go,
    /// Tell those that have not ended to stop.
    Stop,
    /// Tell those that have not ended to end now.
    Kill,
    /// Call [`Happening::Late`] once the peers of a failed instance have had their time.
    Hurry,
    /// The job enters a secondary status.
    Status(SecondaryStatus),
}

/// A job's instances.
#[derive(Debug)]
pub(super) struct Gang {
    hosts: Vec<HostName>,
    phases: Vec<Phase>,
    offers: BTreeMap<HostName, Endpoint>,
    /// The first that failed: the reason of the job's failure.
    first_failure: Option<usize>,
    stopping: bool,
    training: bool,
}

impl Gang {
    pub(super) fn new(hosts: Vec<HostName>) -> Self {
        Self {
            phases: vec![Phase::Preparing; hosts.len()],
            hosts,
            offers: BTreeMap::new(),
            first_failure: None,
            stopping: false,
            training: false,
        }
    }

    /// Takes note, and says what to do.
    pub(super) fn handle(&mut self, happening: Happening) -> Vec<Act> {
        match happening {
            Happening::Offered(who, endpoint) => self.offered(who, endpoint),
            Happening::Status(status @ SecondaryStatus::Downloading) => vec![Act::Status(status)],
            Happening::Status(..) => Vec::new(),
            Happening::Ready(who) => self.ready(who),
            Happening::Exited(who, exit) => {
                self.phases[who] = Phase::Exited;
                if exit.code == 0 { Vec::new() } else { self.failed(who) }
            }
            Happening::Ended(who, end) => {
                self.phases[who] = Phase::Ended;
                match end {
                    End::Failed => self.failed(who),
                    // One that ends before it ran leaves the others without a peer.
                    End::Well if !self.training => self.stop(Act::Stop),
                    End::Well => Vec::new(),
                }
            }
            Happening::Stop => self.stop(Act::Stop),
            Happening::Kill => {
                self.stopping = true;
                vec![Act::Kill]
            }
            Happening::Late => vec![Act::Kill],
        }
    }

    fn offered(&mut self, who: usize, endpoint: Endpoint) -> Vec<Act> {
        self.offers.insert(self.hosts[who].clone(), endpoint);
        if self.offers.len() < self.hosts.len() {
            return Vec::new();
        }
        vec![Act::Introduce(self.offers.clone())]
    }

    fn ready(&mut self, who: usize) -> Vec<Act> {
        self.phases[who] = Phase::Ready;
        let all = self.phases.iter().all(|p| *p == Phase::Ready);
        if !all || self.stopping {
            return Vec::new();
        }
        self.phases.fill(Phase::Running);
        self.training = true;
        vec![Act::Status(SecondaryStatus::Training), Act::Go]
    }

    fn failed(&mut self, who: usize) -> Vec<Act> {
        // One that was told to stop may well end badly: that is no reason of its own.
        if self.first_failure.is_some() || self.stopping {
            return Vec::new();
        }
        self.first_failure = Some(who);
        let mut acts = self.stop(Act::Stop);
        acts.push(Act::Hurry);
        acts
    }

    fn stop(&mut self, act: Act) -> Vec<Act> {
        self.stopping = true;
        vec![act]
    }

    /// Whether this instance has ended.
    pub(super) fn has_ended(&self, who: usize) -> bool {
        self.phases[who] == Phase::Ended
    }

    /// Whether all have ended.
    pub(super) fn is_over(&self) -> bool {
        self.phases.iter().all(|p| *p == Phase::Ended)
    }

    /// The instance that failed first, by its place.
    pub(super) fn first_failure(&self) -> Option<usize> {
        self.first_failure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: Exit = Exit { code: 0, signal: None, out_of_memory: false };
    const BAD: Exit = Exit { code: 3, signal: None, out_of_memory: false };

    fn gang(count: u32) -> Gang {
        Gang::new((1..=count).map(|n| format!("algo-{n}").parse().unwrap()).collect())
    }

    fn running(count: u32) -> Gang {
        let mut gang = gang(count);
        for who in 0..count as usize {
            gang.handle(Happening::Ready(who));
        }
        assert!(gang.training);
        gang
    }

    #[test]
    fn all_start_when_the_last_is_ready() {
        let mut g = gang(3);
        assert_eq!(g.handle(Happening::Ready(2)), []);
        assert_eq!(g.handle(Happening::Ready(0)), []);
        let go = [Act::Status(SecondaryStatus::Training), Act::Go];
        assert_eq!(g.handle(Happening::Ready(1)), go);
        for who in 0..3 {
            assert_eq!(g.handle(Happening::Exited(who, OK)), []);
            assert!(!g.is_over());
            assert_eq!(g.handle(Happening::Ended(who, End::Well)), []);
        }
        assert!(g.is_over());
        assert_eq!(g.first_failure(), None);
    }

    #[test]
    fn none_starts_once_one_has_failed_before_it_was_ready() {
        for end in [End::Failed, End::Well] {
            let mut g = gang(3);
            g.handle(Happening::Ready(0));
            let acts = g.handle(Happening::Ended(1, end));
            assert_eq!(acts[0], Act::Stop);
            assert_eq!(g.handle(Happening::Ready(2)), [], "it is too late");
            assert!(!g.training);
        }
    }

    #[test]
    fn the_first_failure_stops_the_others_and_is_the_reason() {
        let mut g = running(3);
        assert_eq!(g.handle(Happening::Exited(1, BAD)), [Act::Stop, Act::Hurry]);
        // Its peer fails for want of it, a moment later.
        assert_eq!(g.handle(Happening::Exited(0, BAD)), []);
        assert_eq!(g.handle(Happening::Ended(0, End::Failed)), []);
        assert_eq!(g.handle(Happening::Late), [Act::Kill]);
        g.handle(Happening::Ended(2, End::Well));
        g.handle(Happening::Ended(1, End::Failed));
        assert!(g.is_over());
        assert_eq!(g.first_failure(), Some(1));
    }

    #[test]
    fn a_stop_is_no_failure_whatever_the_exit() {
        let mut g = running(2);
        assert_eq!(g.handle(Happening::Stop), [Act::Stop]);
        assert_eq!(g.handle(Happening::Exited(0, BAD)), []);
        assert_eq!(g.handle(Happening::Kill), [Act::Kill]);
        g.handle(Happening::Ended(0, End::Well));
        g.handle(Happening::Ended(1, End::Well));
        assert!(g.is_over());
        assert_eq!(g.first_failure(), None);
    }

    #[test]
    fn peers_are_introduced_once_all_have_offered() {
        let mut g = gang(2);
        let end =
            |port: u16| Endpoint { public_key: "k".into(), address: ([127, 0, 0, 1], port).into() };
        assert_eq!(g.handle(Happening::Offered(1, end(2))), []);
        let acts = g.handle(Happening::Offered(0, end(1)));
        let [Act::Introduce(all)] = acts.as_slice() else { panic!("{acts:?}") };
        assert_eq!(all.len(), 2);
        assert_eq!(all[&"algo-1".parse().unwrap()].address.port(), 1);
    }
}
