//! The other end of what is carried out: sockets in the host's own network.
//!
//! A process of Belljar's never leaves that network: it enters namespaces with threads that end.

use belljar_linux::outlet::{leads_on, neighbourhood};
use belljar_vpc::public::is_public;
use ipnet::IpNet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket as StdSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::Mutex;

/// How long a connection may take to come about. Whoever waits inside has one already, so this is
/// what its program sees of a host that does not answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// For how long it is not asked again which networks the host is in, nor whether what is being used may
/// still be reached.
pub(super) const FRESH: Duration = Duration::from_secs(1);
/// Some port: nothing is sent to it.
const DISCARD: u16 = 9;
/// Some address of the internet (RFC 4291: global unicast).
const SOMEWHERE_V6: Ipv6Addr = Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 1);

/// Connects to where a connection that was taken inside was meant to go.
pub(crate) async fn follow(inside: &TcpStream) -> io::Result<TcpStream> {
    let to = inside.local_addr()?;
    drop(knock(to).await?);
    tokio::time::timeout(PATIENCE, TcpStream::connect(to)).await?
}

/// A socket for datagrams to and from there alone.
pub(super) async fn datagrams(to: SocketAddr) -> io::Result<UdpSocket> {
    let socket = knock(to).await?;
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket)
}

/// Whether the host has a way to the internet by IPv6.
pub(crate) fn has_v6() -> bool {
    toward((SOMEWHERE_V6, DISCARD).into()).is_ok()
}

/// Asks the kernel for the way to an address, which sends nothing.
async fn knock(to: SocketAddr) -> io::Result<StdSocket> {
    may_reach(to.ip()).await?;
    toward(to)
}

/// Whether an address may be reached from here. What is not public may not; nor the host itself, nor
/// who is beside it, on a network that may well have public addresses, and also where nothing but a
/// route says so.
pub(super) async fn may_reach(to: IpAddr) -> io::Result<()> {
    let is_beside = |networks: &[IpNet]| networks.iter().any(|net| net.contains(&to));
    let may = is_public(to)
        && !is_own(to)
        && !is_beside(&beside().await?)
        && leads_on(to).await.map_err(io::Error::other)?;
    if may { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
}

/// The networks that the host is in, as they were a moment ago.
async fn beside() -> io::Result<Arc<[IpNet]>> {
    static KNOWN: Mutex<Option<(Instant, Arc<[IpNet]>)>> = Mutex::const_new(None);
    let mut known = KNOWN.lock().await;
    if let Some((at, networks)) = &*known
        && at.elapsed() < FRESH
    {
        return Ok(Arc::clone(networks));
    }
    let networks: Arc<[IpNet]> = neighbourhood().await.map_err(io::Error::other)?.into();
    *known = Some((Instant::now(), Arc::clone(&networks)));
    Ok(networks)
}

/// Whether an address is the host's own, also one beside others on its interface: then, and only
/// then, a socket can have it. (Where the host lets sockets have any address, `ip_nonlocal_bind`,
/// nothing is reached: that the host is not comes first.)
fn is_own(address: IpAddr) -> bool {
    StdSocket::bind((address, 0)).is_ok()
}

fn toward(to: SocketAddr) -> io::Result<StdSocket> {
    let any: IpAddr =
        if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = StdSocket::bind((any, 0))?;
    socket.connect(to)?;
    Ok(socket)
}
