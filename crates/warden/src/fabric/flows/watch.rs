//! What is counted and heard at one router.

use super::super::far::Tasks;
use belljar_linux::Result;
use belljar_linux::flows::{Count, Heard, Meter, Ports, Refusals, Tally, Turn};
use belljar_linux::router::RouterNet;
use belljar_vpc::flow_log::Crossing;
use belljar_vpc::id::InterfaceId;
use std::collections::BTreeSet;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

/// Different flows that are refused between two readings, at most; what is beyond is `SKIPDATA`.
const MOST_REFUSED: usize = 20_000;

/// A router that is watched.
#[derive(Debug)]
pub(super) struct Watch {
    meter: Meter,
    ports: Ports,
    refused: Arc<Mutex<Tally>>,
    _listener: Tasks,
    /// When it was last read, in Unix seconds.
    since: u64,
}

/// What was seen since the last reading.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) crossings: Vec<Crossing>,
    /// The interfaces that saw more.
    pub(super) lost: BTreeSet<InterfaceId>,
    pub(super) since: u64,
    /// Whether it should be read again soon.
    pub(super) crowded: bool,
}

impl Watch {
    pub(super) async fn start(router: &mut RouterNet, now: u64) -> Result<Self> {
        let refusals = Refusals::listen(router.ns()).await?;
        let meter = Meter::start(router).await?;
        let refused = Arc::new(Mutex::new(Tally::default()));
        let listener = Tasks::from(tokio::spawn(listen(refusals, refused.clone())));
        let mut ports = Ports::default();
        ports.note(router);
        Ok(Self { meter, ports, refused, _listener: listener, since: now })
    }

    pub(super) async fn stop(self, router: &mut RouterNet) -> Result<()> {
        self.meter.stop(router).await
    }

    /// The router's links have changed.
    pub(super) fn note(&mut self, router: &RouterNet) {
        self.ports.note(router);
    }

    /// The part of a reading that needs the router.
    pub(super) async fn turn(&mut self, router: &mut RouterNet) -> Result<Turn> {
        self.meter.turn(router).await
    }

    /// What was seen up to a turn.
    pub(super) async fn read(&mut self, turn: Result<Turn>, now: u64) -> Seen {
        let since = mem::replace(&mut self.since, now);
        let reading = match turn {
            Ok(turn) => self.meter.read(turn).await,
            Err(e) => Err(e),
        };
        let tally = mem::take(&mut *self.refused.lock().unwrap_or_else(PoisonError::into_inner));
        let mut seen = Seen { since, ..Seen::default() };
        if tally.lost || reading.is_err() {
            seen.lost.extend(self.ports.interfaces().cloned());
        }
        let reading = reading.unwrap_or_default();
        seen.crowded = reading.crowded;
        for (from, to) in reading.lost {
            let ends = [from, to].into_iter().filter_map(|link| self.ports.interface(link));
            seen.lost.extend(ends.cloned());
        }
        let counts = reading.counts.into_iter().chain(tally.into_counts());
        seen.crossings = counts.map(|count: Count| self.ports.crossing(&count)).collect();
        self.ports.settle();
        seen
    }
}

/// Adds up what is refused, as it is: the kernel's queue is short.
async fn listen(mut refusals: Refusals, refused: Arc<Mutex<Tally>>) {
    loop {
        let heard = refusals.next().await;
        let mut tally = refused.lock().unwrap_or_else(PoisonError::into_inner);
        match heard {
            Heard::Refused(count) => tally.add(count, MOST_REFUSED),
            Heard::Lost => tally.lost = true,
        }
    }
}
