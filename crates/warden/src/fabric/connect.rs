//! A connection from an interface that no container has.

use super::explain;
use super::view::View;
use belljar_domain::fabric::{Answer, CONNECT_MILLIS, Refusal};
use belljar_linux::Error;
use belljar_vpc::id::InterfaceId;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream};

/// How long a connection is tried that will not come about: the kernel sends its second packet after
/// a second.
const KNOCK: Duration = Duration::from_millis(500);

/// Connects to a host by name or address. What the network does not let through is refused at
/// once, with all that is in the way: packets vanish there, and there is nothing to wait for.
pub(super) async fn connect(
    view: &View,
    interface: &InterfaceId,
    host: &str,
    port: u16,
) -> (Answer, Option<TcpStream>) {
    let failed = |why: String| (Answer::Failed { why }, None);
    let Some(space) = view.spaces.get(interface).cloned() else {
        return failed(format!("there is no {interface}"));
    };
    let refused = |blockers| {
        let why = format!("{interface} cannot connect to {host}:{port}");
        (Answer::Refused(Refusal { why, blockers }), None)
    };
    let addresses = match explain::resolve(view, interface, (host, port)) {
        Ok(addresses) => addresses,
        Err(blockers) => return refused(blockers),
    };
    let mut blockers = Vec::new();
    let mut last = None;
    for address in addresses {
        let found = explain::blockers(view, interface, address, port);
        let to = SocketAddr::new(address, port);
        if !found.is_empty() {
            blockers = found;
            tokio::spawn(knock(Arc::clone(&space), to));
            continue;
        }
        match open(&space, to).await {
            Ok(stream) => return connected(stream),
            Err(e) => last = Some(e),
        }
    }
    let Some(e) = last else { return refused(blockers) };
    let why = format!("{interface} cannot connect to {host}:{port}: {e}");
    (Answer::Refused(Refusal { why, blockers: Vec::new() }), None)
}

fn connected(stream: TcpStream) -> (Answer, Option<TcpStream>) {
    match (stream.local_addr(), stream.peer_addr()) {
        (Ok(from), Ok(to)) => (Answer::Connected { from, to }, Some(stream)),
        (Err(e), _) | (_, Err(e)) => (Answer::Failed { why: e.to_string() }, None),
    }
}

/// Sends the packet that the network will not let through, so that flow logs have it.
async fn knock(space: Arc<super::far::Space>, to: SocketAddr) {
    // Dropped before the kernel sends another one.
    let _ = tokio::time::timeout(KNOCK, open(&space, to)).await;
}

async fn open(space: &Arc<super::far::Space>, to: SocketAddr) -> io::Result<TcpStream> {
    let space = Arc::clone(space);
    // To enter a namespace takes a thread, which is waited for.
    let made = tokio::task::spawn_blocking(move || {
        let make = || if to.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
        let operation = || "make a socket".to_owned();
        space.ns().run(|| make().map_err(|source| Error { operation: operation(), source }))
    });
    let socket = made.await.map_err(io::Error::other)?.map_err(io::Error::other)?;
    let limit = Duration::from_millis(CONNECT_MILLIS);
    let connecting = tokio::time::timeout(limit, socket.connect(to)).await;
    connecting.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
