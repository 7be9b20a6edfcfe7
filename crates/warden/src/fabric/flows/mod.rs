//! Flow logs: what crosses the routers becomes records, which are held until the service has them.

mod queue;
mod watch;

use super::held::All;
use super::place::Places;
use belljar_domain::fabric::{Answer, MAX_WAIT_MILLIS, Mark};
use belljar_vpc::Network;
use belljar_vpc::flow_log::Aggregator;
use belljar_vpc::id::VpcId;
use belljar_vpc::network::Monitored;
use queue::Queue;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex as Short, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::{Mutex, Notify};
use watch::{Seen, Watch};

/// How often routers are read: a record's times are exact to that. Intervals are whole multiples of
/// it.
const EVERY: Duration = Duration::from_secs(1);
/// How often a router is read by which so much passes that there would soon be no room.
const CROWDED: Duration = Duration::from_millis(250);
/// What is left to others between two readings, however long they take.
const BREATH: Duration = Duration::from_millis(10);

/// The flow logs of all VPCs. Whoever needs the routers as well takes those first.
#[derive(Debug)]
pub(super) struct Flows {
    watches: Mutex<BTreeMap<VpcId, Watch>>,
    kept: Short<Kept>,
    /// There is something to be fetched.
    news: Notify,
    /// Seconds of Unix time.
    clock: fn() -> u64,
}

#[derive(Debug)]
struct Kept {
    aggregator: Aggregator,
    queue: Queue,
}

/// Unix time, in seconds.
pub(super) fn unix_time() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, |d| d.as_secs())
}

impl Flows {
    pub(super) fn new(clock: fn() -> u64) -> Self {
        // Two fabrics of one service do not begin in the same nanosecond.
        let fabric = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |d| d.as_nanos() as u64);
        let kept = Kept { aggregator: Aggregator::default(), queue: Queue::new(fabric) };
        let (watches, kept) = (Mutex::default(), Short::new(kept));
        Self { watches, kept, news: Notify::new(), clock }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The network is this one now: watches the routers of VPCs that have flow logs, and no others.
    pub(super) async fn follow(&self, places: &mut Places, network: &Network) {
        let now = (self.clock)();
        self.kept().aggregator.set_network(network, now);
        let mut watches = self.watches.lock().await;
        let wanted = monitored(network);
        let stopped: Vec<VpcId> =
            watches.keys().filter(|id| !wanted.contains(*id)).cloned().collect();
        for id in stopped {
            if let Some(watch) = watches.remove(&id)
                && let Some(place) = places.get_mut(&id)
            {
                // If it goes on counting, that is thrown away when the next one starts.
                let _ = watch.stop(&mut place.net).await;
            }
        }
        watches.retain(|id, _| places.contains_key(id));
        for id in wanted {
            let Some(place) = places.get_mut(&id) else { continue };
            match watches.get_mut(&id) {
                Some(watch) => watch.note(&place.net),
                None => match Watch::start(&mut place.net, now).await {
                    Ok(watch) => drop(watches.insert(id, watch)),
                    // Said in the records; and tried again with the next network.
                    Err(_) => self.lose(network, &id),
                },
            }
        }
    }

    /// The interfaces of a VPC are not watched.
    fn lose(&self, network: &Network, vpc: &VpcId) {
        let mut kept = self.kept();
        for id in network.interfaces.keys().filter(|id| network.vpc_of(id) == Some(vpc)) {
            kept.aggregator.lost(id);
        }
    }

    /// Links have changed.
    pub(super) async fn note(&self, places: &Places) {
        for (id, watch) in &mut *self.watches.lock().await {
            if let Some(place) = places.get(id) {
                watch.note(&place.net);
            }
        }
    }

    /// Reads all routers, and closes the intervals that have ended; with `flush` all. Says whether
    /// it should be done again soon.
    pub(super) async fn read(&self, all: &Mutex<All>, flush: bool) -> bool {
        let mut routers = all.lock().await;
        let mut watches = self.watches.lock().await;
        let mut turns = BTreeMap::new();
        for (id, watch) in &mut *watches {
            if let Some(place) = routers.places_mut().get_mut(id) {
                turns.insert(id.clone(), watch.turn(&mut place.net).await);
            }
        }
        drop(routers);
        let now = (self.clock)();
        let mut crowded = false;
        for (id, turn) in turns {
            if let Some(watch) = watches.get_mut(&id) {
                let seen = watch.read(turn, now).await;
                crowded |= seen.crowded;
                self.record(&seen, now);
            }
        }
        drop(watches);
        self.close(now, flush);
        crowded
    }

    fn record(&self, seen: &Seen, now: u64) {
        let mut kept = self.kept();
        for observation in seen.crossings.iter().flat_map(|c| c.observations()) {
            kept.aggregator.observe(&observation, seen.since, now);
        }
        seen.lost.iter().for_each(|interface| kept.aggregator.lost(interface));
    }

    fn close(&self, now: u64, flush: bool) {
        let mut kept = self.kept();
        for batch in kept.aggregator.close(now, flush) {
            if let Err(batch) = kept.queue.push(batch) {
                // The next interval's records say so.
                kept.aggregator.dropped(&batch);
            }
        }
        if !kept.queue.is_empty() {
            self.news.notify_waiters();
        }
    }

    /// Reads and closes for as long as there is a fabric.
    pub(super) async fn run(&self, all: &Mutex<All>) {
        loop {
            let begun = Instant::now();
            let crowded = self.read(all, false).await;
            let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
            tokio::time::sleep(pause(now, crowded, begun.elapsed())).await;
        }
    }

    /// What nobody has fetched yet; waits for it, but not for long.
    pub(super) async fn fetch(&self, after: Option<Mark>, wait: u64) -> Answer {
        let news = self.news.notified();
        tokio::pin!(news);
        news.as_mut().enable();
        let empty = {
            let mut kept = self.kept();
            after.into_iter().for_each(|mark| kept.queue.release(mark));
            kept.queue.is_empty()
        };
        if empty {
            let wait = Duration::from_millis(wait.min(MAX_WAIT_MILLIS));
            let _ = tokio::time::timeout(wait, news).await;
        }
        let (batches, mark) = self.kept().queue.oldest();
        Answer::Flows { batches, mark }
    }
}

/// How long until the next reading, if the last one took so long: to the beginning of a second, as
/// intervals are.
fn pause(now: Duration, crowded: bool, took: Duration) -> Duration {
    let second = EVERY - Duration::from_nanos(now.subsec_nanos().into());
    // The kernel goes on counting while it is read.
    let soon = CROWDED.saturating_sub(took).max(BREATH);
    if crowded { second.min(soon) } else { second }
}

/// The VPCs of which there are flow logs.
fn monitored(network: &Network) -> BTreeSet<VpcId> {
    let of = |monitored: &Monitored| match monitored {
        Monitored::Vpc(vpc) => Some(vpc.clone()),
        Monitored::Subnet(subnet) => Some(network.subnets.get(subnet)?.vpc.clone()),
        Monitored::Interface(interface) => network.vpc_of(interface).cloned(),
    };
    network.flow_logs.values().filter_map(|log| of(&log.of)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowded_router_is_read_four_times_a_second_however_long_that_takes() {
        let ms = Duration::from_millis;
        assert_eq!(pause(ms(7_200), false, ms(200)), ms(800));
        assert_eq!(pause(ms(7_200), true, ms(200)), ms(50));
        assert_eq!(pause(ms(7_960), true, ms(0)), ms(40));
        assert_eq!(pause(ms(7_200), true, ms(600)), BREATH);
    }
}
