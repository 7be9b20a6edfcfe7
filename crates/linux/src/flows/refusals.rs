//! Hears of what is refused.

use crate::error::{During, Result};
use crate::netns::NetNs;
use belljar_vpc::compile::{DENIED_GROUP, DENIED_SNAP_LENGTH, Layer};
use belljar_vpc::flow_log::Head;
use nlink::netlink::{Connection, Nflog, OwnedEventStream};
use std::os::fd::AsFd;
use tokio_stream::StreamExt;

/// The kernel's queue of records, in bytes: some thousands of them. Where the host allows an
/// ordinary user less, there is less.
const QUEUE_BYTES: usize = 8 << 20;

/// A packet that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// What refused it.
    pub layer: Layer,
    /// The link that it came by.
    pub from: Option<u32>,
    /// The link for which it was, if that was known.
    pub to: Option<u32>,
    /// What it was.
    pub head: Head,
}

/// What is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// This packet.
    Refused(Refusal),
    /// There were others, of which the kernel could not tell.
    Lost,
}

/// The listener to a router's refusals.
pub struct Refusals {
    events: OwnedEventStream<Nflog>,
}

impl std::fmt::Debug for Refusals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Refusals").finish_non_exhaustive()
    }
}

impl Refusals {
    /// Listens. There can be one listener a router.
    ///
    /// # Errors
    /// If the kernel has no NFLOG, or somebody listens already.
    pub async fn listen(ns: &NetNs) -> Result<Self> {
        let nflog = Connection::<Nflog>::new_in(ns.as_fd()).during("open an NFLOG socket")?;
        nflog.socket().set_rcvbuf(QUEUE_BYTES).during("enlarge the queue of an NFLOG socket")?;
        let bound = nflog.bind_group(DENIED_GROUP, DENIED_SNAP_LENGTH).await;
        bound.during("listen to what a router refuses")?;
        Ok(Self { events: nflog.into_events().await })
    }

    /// The next one. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Heard {
        loop {
            match self.events.next().await {
                // A record without one of ours for a prefix is not a router's.
                Some(Ok(packet)) => {
                    let layer = packet.prefix.as_deref().and_then(|p| Layer::named(p.trim()));
                    if let (Some(layer), Some(head)) = (layer, Head::parse(&packet.payload)) {
                        let (from, to) = (packet.indev, packet.outdev);
                        return Heard::Refused(Refusal { layer, from, to, head });
                    }
                }
                Some(Err(_)) => return Heard::Lost,
                None => std::future::pending().await,
            }
        }
    }
}
