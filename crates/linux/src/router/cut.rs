//! Connections that a change of groups cuts off.

use super::RouterNet;
use crate::error::{During, Result};
use belljar_vpc::compile::Cut;
use belljar_vpc::traffic::{Header, Payload, Transport};
use nlink::netlink::netfilter::{ConntrackEntry, IpProtocol};
use nlink::netlink::{Connection, Netfilter};
use std::os::fd::AsFd;
use tokio_stream::StreamExt;

impl RouterNet {
    /// After the rules of a change were applied: forgets the connections that AWS does not track and
    /// that no rule allows any more, so that their next packet is judged like a first one. Returns
    /// how many.
    ///
    /// # Errors
    /// If the kernel does not answer.
    pub async fn cut(&self, cut: &Cut<'_>) -> Result<usize> {
        if !cut.may() {
            return Ok(0);
        }
        let table = Connection::<Netfilter>::new_in(self.ns.as_fd());
        let table = table.during("open a socket to the connections")?;
        const WHAT: &str = "list the connections";
        let mut cut_off = Vec::new();
        // Of both families at once: the kernel looks through its whole table each time.
        let mut all = table.stream_conntrack(libc::AF_UNSPEC as u8).await.during(WHAT)?;
        while let Some(entry) = all.next().await {
            let entry = entry.during(WHAT)?;
            if first_packet(&entry).is_some_and(|h| cut.cuts(&h)) {
                cut_off.push(entry);
            }
        }
        drop(all);
        let mut count = 0;
        for entry in &cut_off {
            match table.del_conntrack_entry(entry).await {
                Ok(()) => count += 1,
                // It ended by itself.
                Err(e) if e.is_not_found() => {}
                Err(e) => return Err(e).during("forget a connection"),
            }
        }
        Ok(count)
    }
}

/// A connection's first packet as the interfaces saw it: to the private address of who answers.
fn first_packet(entry: &ConntrackEntry) -> Option<Header> {
    let transport = match entry.proto {
        IpProtocol::Tcp => Transport::Tcp,
        IpProtocol::Udp => Transport::Udp,
        // Others are always tracked.
        _ => return None,
    };
    let (source, destination) = (entry.orig.src_port?, entry.orig.dst_port?);
    let payload = Payload::Ports { transport, source, destination };
    Some(Header { source: entry.orig.src_ip?, destination: entry.reply.src_ip?, payload })
}
