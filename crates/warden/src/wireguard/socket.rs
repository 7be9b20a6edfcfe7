//! The socket of a link's datagrams. It is bound before the peers are told of it.

use gotatun::udp::socket::{SockOpt, UdpSocket};
use gotatun::udp::{UdpRecv, UdpTransportFactory, UdpTransportFactoryParams};
use std::fmt;
use std::io;
use std::net::SocketAddr;

/// Datagrams that wait in the kernel, in bytes. Where the host allows less, there is less.
const QUEUE_BYTES: usize = 4 << 20;

pub(super) struct Bound(UdpSocket);

impl Bound {
    /// A socket of the calling thread's namespace.
    pub(super) fn at(address: SocketAddr) -> io::Result<Self> {
        let options = SockOpt {
            recv_buffer_size: Some(QUEUE_BYTES),
            send_buffer_size: Some(QUEUE_BYTES),
            ..SockOpt::default()
        };
        let socket = UdpSocket::bind(address, options)?;
        // Between hosts it spares many calls; within one there is nothing to join.
        let _ = socket.enable_udp_gro();
        Ok(Self(socket))
    }

    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

impl fmt::Debug for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Bound").field(&self.0.local_addr()).finish()
    }
}

impl UdpTransportFactory for Bound {
    type Send = UdpSocket;
    type Recv = UdpSocket;

    async fn bind(&mut self, _: &UdpTransportFactoryParams) -> io::Result<(UdpSocket, UdpSocket)> {
        Ok((self.0.clone(), self.0.clone()))
    }
}
