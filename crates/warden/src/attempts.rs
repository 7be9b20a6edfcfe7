//! Collects what a sealed container tries to reach.

use crate::dns;
use crate::journal::now;
use belljar_domain::attempt::Attempts;
use belljar_domain::{Attempt, Event, Protocol};
use belljar_linux::Result;
use belljar_linux::netns::NetNs;
use belljar_linux::nflog::{Listener, Refused};
use belljar_vpc::rules::{ICMP, ICMPV6, TCP, UDP};
use belljar_vpc::sealed::{GROUP, SNAP_LENGTH};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Names asked that wait to be counted. Beyond, the container waits for its answer.
const QUEUE: usize = 1024;
/// How long records that the kernel has counted may take to arrive.
const SETTLE: Duration = Duration::from_millis(500);
const DNS_PORT: u16 = 53;

/// Watches a sealed network.
#[derive(Debug)]
pub(crate) struct Watch {
    tasks: [JoinHandle<()>; 2],
    telling: JoinHandle<()>,
    responder: Option<dns::Responder>,
    tally: Arc<Mutex<Tally>>,
}

#[derive(Debug)]
struct Tally {
    attempts: Attempts,
    /// Records that came from the kernel and could be read.
    packets: u64,
    /// New targets, to be told; bounded, because [`Attempts`] is.
    news: mpsc::UnboundedSender<Attempt>,
}

impl Tally {
    fn count(&mut self, attempt: Attempt) {
        if self.attempts.add(attempt.clone()) {
            // Whoever tells them ends only after this.
            let _ = self.news.send(attempt);
        }
    }
}

/// Starts listening, and answering names if there are some. New targets are told as events.
///
/// Counting never waits for whoever reads the events: the kernel's queue is short, and does not
/// wait for anyone.
pub(crate) async fn watch(
    ns: &NetNs,
    names: Option<dns::Names>,
    events: mpsc::Sender<Event>,
) -> Result<Watch> {
    let mut listener = Listener::bind(ns, GROUP, SNAP_LENGTH).await?;
    let (heard, mut asked) = mpsc::channel::<Attempt>(QUEUE);
    let responder = names.map(|names| dns::start(ns, names, heard)).transpose()?;
    let (news, mut new) = mpsc::unbounded_channel();
    let tally = Arc::new(Mutex::new(Tally { attempts: Attempts::default(), packets: 0, news }));
    let counted = Arc::clone(&tally);
    let listening = tokio::spawn(async move {
        loop {
            let Some(refused) = listener.next().await else { continue };
            with(&counted, |t| {
                t.packets += 1;
                t.count(of(refused));
            });
        }
    });
    let counted = Arc::clone(&tally);
    let answering = tokio::spawn(async move {
        while let Some(attempt) = asked.recv().await {
            with(&counted, |t| t.count(attempt));
        }
    });
    let telling = tokio::spawn(async move {
        while let Some(attempt) = new.recv().await {
            let _ = events.send(Event::Attempt(attempt)).await;
        }
    });
    Ok(Watch { tasks: [listening, answering], telling, responder, tally })
}

fn with<T>(tally: &Mutex<Tally>, work: impl FnOnce(&mut Tally) -> T) -> Option<T> {
    tally.lock().ok().map(|mut t| work(&mut t))
}

impl Watch {
    /// What has been tried so far, of so many packets that the kernel has recorded.
    pub(crate) async fn so_far(&self, recorded: u64) -> Attempts {
        self.settled(recorded).await;
        let copy = |t: &mut Tally| {
            let lost = recorded.saturating_sub(t.packets);
            Attempts { lost, ..t.attempts.clone() }
        };
        with(&self.tally, copy).unwrap_or_default()
    }

    /// Waits for records that the kernel has counted and that have not arrived.
    async fn settled(&self, recorded: u64) {
        let settled = async {
            while with(&self.tally, |t| t.packets).is_some_and(|seen| seen < recorded) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let _ = tokio::time::timeout(SETTLE, settled).await;
    }

    /// Everything that was tried. The kernel's counter, read after the container's end, has the last
    /// word on how much.
    pub(crate) async fn finish(self, recorded: u64) -> Attempts {
        self.settled(recorded).await;
        let [listening, answering] = self.tasks;
        listening.abort();
        drop(self.responder);
        // Its last sender is gone with the responder.
        let _ = tokio::time::timeout(SETTLE, answering).await;
        let take = |t: &mut Tally| {
            // Nothing is counted after this, so nothing is told after it either.
            t.news = mpsc::unbounded_channel().0;
            let mut attempts = std::mem::take(&mut t.attempts);
            attempts.lost = recorded.saturating_sub(t.packets);
            attempts
        };
        let attempts = with(&self.tally, take).unwrap_or_default();
        let _ = tokio::time::timeout(SETTLE, self.telling).await;
        attempts
    }
}

fn of(refused: Refused) -> Attempt {
    let protocol = match refused.protocol {
        TCP => Protocol::Tcp,
        UDP => Protocol::Udp,
        ICMP | ICMPV6 => Protocol::Icmp,
        _ => Protocol::Other,
    };
    let asks = protocol == Protocol::Udp && refused.port == Some(DNS_PORT);
    let at = now();
    Attempt {
        protocol,
        address: Some(refused.destination),
        port: refused.port,
        name: if asks { dns::name_asked(&refused.payload) } else { None },
        first: at,
        last: at,
        count: 1,
    }
}
