//! Hears of what is refused.

use super::tally::Count;
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

/// What is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// This packet was refused.
    Refused(Count),
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
                        return Heard::Refused(Count {
                            from: packet.indev,
                            to: packet.outdev,
                            tuple: head.tuple,
                            refused: Some(layer),
                            packets: 1,
                            bytes: head.length,
                            flags: head.flags,
                        });
                    }
                }
                Some(Err(_)) => return Heard::Lost,
                None => std::future::pending().await,
            }
        }
    }
}
