//! Datagrams that are carried out, and the answers to them.

use super::outside;
use crate::carry::{Carrier, Lead, Place, Target};
use belljar_linux::netns::NetNs;
use belljar_linux::outlet::{answering, receive};
use rustix::net::{SendFlags, send};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, timeout};

/// Associations at once, of each family: of whoever has most, the one that was used longest ago goes
/// for a new one. Each takes one of the carrier's places.
const MOST: usize = 128;
/// Bytes of the largest datagram.
const LARGEST: usize = 1 << 16;
/// How long an association is kept that nothing is sent by (RFC 4787 asks for two minutes of a
/// translator that has room).
const IDLE: Duration = Duration::from_secs(60);
/// And where one question has one answer.
const IDLE_DNS: Duration = Duration::from_secs(30);
/// How long nothing is taken after the kernel refused.
const PAUSE: Duration = Duration::from_millis(20);

/// Who asks, and whom.
type Pair = (SocketAddr, SocketAddr);

struct Association {
    shared: Arc<Shared>,
    /// Tells it from an earlier one of the same two.
    number: u64,
    task: AbortHandle,
    /// When it was last asked whether it may go there: an address can become the host's own.
    asked: Instant,
    _place: Place,
}

struct Shared {
    /// Connected: it hears nobody else.
    outside: UdpSocket,
    /// When it was last used, in milliseconds.
    used: AtomicU64,
}

impl Drop for Association {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// All that go by one socket inside.
pub(super) struct Datagrams {
    inside: UdpSocket,
    ns: Arc<NetNs>,
    carrier: Arc<Carrier>,
    lead: Arc<Lead>,
    began: Instant,
    all: HashMap<Pair, Association>,
    tasks: JoinSet<(Pair, u64)>,
    count: u64,
}

impl Datagrams {
    pub(super) fn new(
        inside: UdpSocket,
        ns: Arc<NetNs>,
        carrier: Arc<Carrier>,
        lead: Arc<Lead>,
    ) -> Self {
        let (all, tasks) = (HashMap::new(), JoinSet::new());
        Self { inside, ns, carrier, lead, began: Instant::now(), all, tasks, count: 0 }
    }

    /// Carries for ever.
    pub(super) async fn carry(mut self) {
        let mut bytes = vec![0; LARGEST];
        loop {
            let taken =
                self.inside.async_io(Interest::READABLE, || receive(&self.inside, &mut bytes));
            tokio::select! {
                taken = taken => match taken {
                    Ok(datagram) => {
                        let pair = (datagram.from, datagram.to);
                        // What cannot be carried is lost, as on any way.
                        let _ = self.send(pair, &bytes[..datagram.length]).await;
                    }
                    Err(_) => tokio::time::sleep(PAUSE).await,
                },
                Some(ended) = self.tasks.join_next() => {
                    if let Ok((pair, number)) = ended
                        && self.all.get(&pair).is_some_and(|a| a.number == number)
                    {
                        self.all.remove(&pair);
                    }
                }
            }
        }
    }

    async fn send(&mut self, pair: Pair, bytes: &[u8]) -> io::Result<usize> {
        let now = millis(self.began);
        self.ask_again(pair).await?;
        let shared = match self.all.get(&pair) {
            Some(association) => Arc::clone(&association.shared),
            None => self.associate(pair).await?,
        };
        shared.used.store(now, Ordering::Relaxed);
        Ok(send(&shared.outside, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?)
    }

    /// Ends an association with somebody who may no longer be reached.
    async fn ask_again(&mut self, pair: Pair) -> io::Result<()> {
        let Some(association) = self.all.get_mut(&pair) else { return Ok(()) };
        if association.asked.elapsed() < outside::FRESH {
            return Ok(());
        }
        association.asked = Instant::now();
        let may = outside::may_reach(pair.1.ip()).await;
        if may.is_err() {
            self.all.remove(&pair);
        }
        may
    }

    async fn associate(&mut self, pair: Pair) -> io::Result<Arc<Shared>> {
        if (self.lead)(pair.0, pair.1) != Target::Outside {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let outside = outside::datagrams(pair.1).await?;
        let Some(place) = self.place(pair.0.ip()) else {
            return Err(io::ErrorKind::QuotaExceeded.into());
        };
        let shared = Arc::new(Shared { outside, used: AtomicU64::new(millis(self.began)) });
        self.count += 1;
        let number = self.count;
        let (ns, told, began) = (Arc::clone(&self.ns), Arc::clone(&shared), self.began);
        let task = self.tasks.spawn(async move {
            let _ = tell(ns, pair, &told, began).await;
            (pair, number)
        });
        let (asked, kept) = (Instant::now(), Arc::clone(&shared));
        let association = Association { shared: kept, number, task, asked, _place: place };
        self.all.insert(pair, association);
        Ok(shared)
    }

    /// A place for somebody's: one that is free; or else another's, if that has most of all, or one of
    /// its own, which was used longest ago.
    fn place(&mut self, whose: IpAddr) -> Option<Place> {
        let from = if self.all.len() < MOST {
            if let Some(place) = self.carrier.place(whose) {
                return Some(place);
            }
            whose
        } else {
            self.heaviest()?
        };
        let used = |a: &Association| a.shared.used.load(Ordering::Relaxed);
        let of = self.all.iter().filter(|((who, _), _)| who.ip() == from);
        let pair = *of.min_by_key(|(_, a)| used(a))?.0;
        self.all.remove(&pair);
        self.carrier.place(whose)
    }

    /// Who has most.
    fn heaviest(&self) -> Option<IpAddr> {
        let mut count: HashMap<IpAddr, usize> = HashMap::new();
        for (who, _) in self.all.keys() {
            *count.entry(who.ip()).or_default() += 1;
        }
        count.into_iter().max_by_key(|(_, count)| *count).map(|(who, _)| who)
    }
}

fn millis(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Tells inside what is answered, as if from where it was asked, until nobody has anything to say.
async fn tell(ns: Arc<NetNs>, (from, to): Pair, shared: &Shared, began: Instant) -> io::Result<()> {
    // To enter a namespace takes a thread, which is waited for.
    let made = tokio::task::spawn_blocking(move || answering(&ns, to));
    let inside = UdpSocket::from_std(made.await?.map_err(io::Error::other)?)?;
    let idle = if to.port() == crate::dns::PORT { IDLE_DNS } else { IDLE };
    let mut bytes = vec![0; LARGEST];
    loop {
        let used = Duration::from_millis(shared.used.load(Ordering::Relaxed));
        let Some(rest) = (used + idle).checked_sub(began.elapsed()).filter(|r| !r.is_zero()) else {
            return Ok(());
        };
        // An error is what a datagram has met that was sent: the next one may meet another.
        let Ok(Ok(length)) = timeout(rest, shared.outside.recv(&mut bytes)).await else { continue };
        shared.used.store(millis(began), Ordering::Relaxed);
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let _ = rustix::net::sendto(&inside, &bytes[..length], flags, &from);
    }
}
