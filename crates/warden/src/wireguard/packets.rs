//! The packets of the container's interface, as WireGuard takes and gives them.

use belljar_linux::tun::{Attached, Tun};
use gotatun::packet::{Ip, Packet, PacketBufPool};
use gotatun::tun::{IpRecv, IpSend, MtuWatcher};
use std::io;
use std::sync::Arc;

/// Packets that are taken before others get their turn.
const BATCH: usize = 64;

/// What peers sent, to the container.
pub(super) struct Inward {
    tun: Arc<Attached>,
}

/// What the container sends, to its peers.
pub(super) struct Outward {
    tun: Arc<Attached>,
    mtu: u16,
    /// Where a packet is read to before its length is known.
    buffer: Vec<u8>,
}

/// The two directions. To be called in the event loop in which they are used.
pub(super) fn of(tun: Tun, mtu: u16) -> io::Result<(Inward, Outward)> {
    let tun = Arc::new(tun.attach()?);
    Ok((Inward { tun: tun.clone() }, Outward { tun, mtu, buffer: vec![0; mtu.into()] }))
}

impl IpSend for Inward {
    async fn send(&mut self, packet: Packet<Ip>) -> io::Result<()> {
        self.tun.write(&packet.into_bytes()).await
    }
}

impl IpRecv for Outward {
    async fn recv<'a>(
        &'a mut self,
        pool: &mut PacketBufPool,
    ) -> io::Result<impl Iterator<Item = Packet<Ip>> + Send + 'a> {
        let mut packets = Vec::new();
        let length = self.tun.read(&mut self.buffer).await?;
        packets.extend(packet(pool, &self.buffer[..length]));
        while packets.len() < BATCH
            && let Some(length) = self.tun.try_read(&mut self.buffer)
        {
            packets.extend(packet(pool, &self.buffer[..length]));
        }
        Ok(packets.into_iter())
    }

    fn mtu(&self) -> MtuWatcher {
        MtuWatcher::new(self.mtu)
    }
}

/// `None` for what is too short to be a packet.
fn packet(pool: &PacketBufPool, bytes: &[u8]) -> Option<Packet<Ip>> {
    let mut packet = pool.get();
    packet.buf_mut().clear();
    packet.buf_mut().extend_from_slice(bytes);
    packet.try_into_ip().ok()
}
