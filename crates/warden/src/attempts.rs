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
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Attempts that wait to be counted. Beyond, the kernel's own queue fills, and then its counter
/// still tells how many there were.
const QUEUE: usize = 1024;
/// How long records that the kernel has counted may take to arrive.
const SETTLE: Duration = Duration::from_millis(500);
const DNS_PORT: u16 = 53;

/// Watches a sealed network.
#[derive(Debug)]
pub(crate) struct Watch {
    counting: JoinHandle<()>,
    listening: JoinHandle<()>,
    responder: dns::Responder,
    tally: std::sync::Arc<std::sync::Mutex<Tally>>,
}

#[derive(Debug, Default)]
struct Tally {
    attempts: Attempts,
    /// Records that came from the kernel, also those that could not be read.
    packets: u64,
}

/// Starts listening and answering. New targets are told as events.
pub(crate) async fn watch(ns: &NetNs, host: &str, events: mpsc::Sender<Event>) -> Result<Watch> {
    let mut listener = Listener::bind(ns, GROUP, SNAP_LENGTH).await?;
    let (heard, mut list) = mpsc::channel::<Attempt>(QUEUE);
    let responder = dns::start(ns, host, heard.clone())?;
    let tally = std::sync::Arc::new(std::sync::Mutex::new(Tally::default()));
    let counted = std::sync::Arc::clone(&tally);
    let listening = tokio::spawn(async move {
        loop {
            let refused = listener.next().await;
            with(&counted, |t| t.packets += 1);
            if let Some(refused) = refused {
                let _ = heard.send(of(refused)).await;
            }
        }
    });
    let counted = std::sync::Arc::clone(&tally);
    let counting = tokio::spawn(async move {
        while let Some(attempt) = list.recv().await {
            let is_new = with(&counted, |t| t.attempts.add(attempt.clone()));
            if is_new == Some(true) {
                let _ = events.send(Event::Attempt(attempt)).await;
            }
        }
    });
    Ok(Watch { counting, listening, responder, tally })
}

fn with<T>(tally: &std::sync::Mutex<Tally>, work: impl FnOnce(&mut Tally) -> T) -> Option<T> {
    tally.lock().ok().map(|mut t| work(&mut t))
}

impl Watch {
    /// Everything that was tried. The kernel's counter, read after the container's end, has the last
    /// word on how much.
    pub(crate) async fn finish(self, recorded: u64) -> Attempts {
        let settled = async {
            while with(&self.tally, |t| t.packets).is_some_and(|seen| seen < recorded) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let _ = tokio::time::timeout(SETTLE, settled).await;
        self.listening.abort();
        drop(self.responder);
        // Its last sender is gone with the listener and the responder.
        let _ = tokio::time::timeout(SETTLE, self.counting).await;
        let take = |t: &mut Tally| {
            let mut attempts = std::mem::take(&mut t.attempts);
            attempts.lost = recorded.saturating_sub(t.packets);
            attempts
        };
        with(&self.tally, take).unwrap_or_default()
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
