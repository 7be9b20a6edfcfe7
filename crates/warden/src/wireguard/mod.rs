//! WireGuard in the warden: the link of an instance to its peers where what they say to each other
//! must be encrypted.
//!
//! The interface is in the container's namespace and its datagrams leave by a socket of the host's:
//! nothing in the container can see the one from the other. The key pair is made for this link,
//! lives in this process alone and goes with it; of a peer there is its public key, and the one
//! address that it may send from.
//!
//! **Invariant**: what does not fit (no session, another's key, another's address) is dropped. There
//! is no way through here for a packet that is not encrypted.

mod packets;
mod socket;

use crate::failure::Explain;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use belljar_domain::HostName;
use belljar_domain::cluster::Endpoint;
use belljar_domain::failure::Blame;
use belljar_linux::netns::NetNs;
use belljar_linux::tun::Tun;
use gotatun::device::{self, DeviceBuilder};
use gotatun::x25519::{PublicKey, StaticSecret};
use socket::Bound;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::thread::JoinHandle;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

/// Why there is no link.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel gave no socket, thread or randomness.
    #[error("prepare the encrypted link to the peers")]
    Prepare(#[source] io::Error),
    /// What was said to be a peer's key is none.
    #[error("instance {0} offered a key that is none")]
    Key(HostName),
    /// The device did not start.
    #[error("start the encrypted link to the peers")]
    Start(#[source] device::Error),
    /// It has ended while it was needed.
    #[error("the encrypted link to the peers has ended")]
    Ended,
}

impl Explain for Error {
    fn blame(&self) -> Blame {
        Blame::Internal
    }

    fn machine(&self) -> bool {
        true
    }
}

/// A peer: who it is, the address it has in its container, and its end of the link.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Its name.
    pub host: HostName,
    /// The only address that it may send from, and be sent to at.
    pub address: Ipv4Addr,
    /// Its key, and where its datagrams are received.
    pub end: Endpoint,
}

/// The largest packet of a link whose datagrams are received at this address.
#[must_use]
pub fn mtu(at: IpAddr) -> u16 {
    if at.is_loopback() { MTU_LOCAL } else { MTU_ETHERNET }
}

/// Within a host the size is ours to choose, and the larger the faster: six times Ethernet's speed
/// with this one. It bounds what a container can make its warden hold, which is some thousands of
/// packets. With all heads the packet fits four pages.
const MTU_LOCAL: u16 = 16_320;
/// Ethernet's 1500 less IPv6's 40, UDP's 8 and WireGuard's 32.
const MTU_ETHERNET: u16 = 1420;

/// One end of a link that does not know its peers yet.
pub struct End {
    secret: StaticSecret,
    socket: Bound,
    events: Loop,
}

/// The link has an event loop of its own: it is not to wait for what else a warden does.
struct Loop(Option<Runtime>);

impl Loop {
    fn new() -> io::Result<Self> {
        Ok(Self(Some(Builder::new_current_thread().enable_all().build()?)))
    }

    fn within<T>(&self, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let _context = self.0.as_ref().map(Runtime::enter);
        work()
    }

    fn run(mut self, work: impl Future<Output = ()>) {
        if let Some(runtime) = self.0.take() {
            runtime.block_on(work);
        }
    }
}

impl Drop for Loop {
    /// A loop that never ran has nothing to wait for, and whoever drops it may be in another one.
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl End {
    /// Makes a key pair, and a socket at an address of this process's namespace, at a free port.
    ///
    /// # Errors
    /// If the kernel gives no socket or no randomness.
    pub fn open(at: IpAddr) -> Result<Self, Error> {
        Self::made(|events| events.within(|| Bound::at(SocketAddr::new(at, 0))))
    }

    /// The same with a socket of another namespace, at this port.
    ///
    /// # Errors
    /// As of [`Self::open`].
    pub fn open_in(ns: &NetNs, at: SocketAddr) -> Result<Self, Error> {
        Self::made(|events| {
            let operation = || format!("bind {at}");
            let bind = || events.within(|| Bound::at(at));
            let bound = ns.run(|| {
                bind().map_err(|source| belljar_linux::Error { operation: operation(), source })
            });
            bound.map_err(io::Error::other)
        })
    }

    fn made(bind: impl FnOnce(&Loop) -> io::Result<Bound>) -> Result<Self, Error> {
        let mut bytes = Zeroizing::new([0; 32]);
        fill(bytes.as_mut_slice()).map_err(Error::Prepare)?;
        let events = Loop::new().map_err(Error::Prepare)?;
        let socket = bind(&events).map_err(Error::Prepare)?;
        Ok(Self { secret: StaticSecret::from(*bytes), socket, events })
    }

    /// What the peers need to know of it.
    ///
    /// # Errors
    /// If the kernel does not tell the socket's address.
    pub fn offer(&self) -> Result<Endpoint, Error> {
        let public_key = STANDARD.encode(PublicKey::from(&self.secret).as_bytes());
        Ok(Endpoint { public_key, address: self.socket.address().map_err(Error::Prepare)? })
    }

    /// Joins an interface to its peers. It is to be up.
    ///
    /// # Errors
    /// If a peer's key is none, or the device cannot be started.
    pub async fn connect(self, tun: Tun, mtu: u16, peers: &[Peer]) -> Result<Link, Error> {
        let peers: Vec<_> = peers.iter().map(lower).collect::<Result<_, _>>()?;
        let Self { secret, socket, events } = self;
        let (started, starts) = oneshot::channel();
        let (stop, stopped) = oneshot::channel();
        let (ended, ends) = oneshot::channel();
        let work = async move {
            let (inward, outward) = packets::of(tun, mtu).map_err(Error::Prepare)?;
            let built = DeviceBuilder::new()
                .with_udp(socket)
                .with_ip_pair(inward, outward)
                .with_private_key(secret)
                .with_peers(peers)
                .build();
            built.await.map_err(Error::Start)
        };
        let thread = std::thread::Builder::new().name("wireguard".into()).spawn(move || {
            events.run(async {
                let mut device = match work.await {
                    Ok(device) => device,
                    Err(e) => return drop(started.send(Err(e))),
                };
                // Nobody waits for it any more: then nobody wants it either.
                if started.send(Ok(())).is_err() {
                    return;
                }
                tokio::select! {
                    () = device.wait() => drop(ended.send(())),
                    _ = stopped => {}
                }
                device.stop().await;
            });
        });
        let thread = thread.map_err(Error::Prepare)?;
        starts.await.unwrap_or(Err(Error::Ended))?;
        Ok(Link { stop: Some(stop), ends, thread: Some(thread) })
    }
}

impl std::fmt::Debug for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("End").field("socket", &self.socket).finish_non_exhaustive()
    }
}

fn fill(mut bytes: &mut [u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let filled = rustix::rand::getrandom(&mut *bytes, rustix::rand::GetRandomFlags::empty())?;
        bytes = &mut bytes[filled..];
    }
    Ok(())
}

fn lower(peer: &Peer) -> Result<device::Peer, Error> {
    let key = STANDARD.decode(&peer.end.public_key).ok().and_then(|k| <[u8; 32]>::try_from(k).ok());
    let key = PublicKey::from(key.ok_or_else(|| Error::Key(peer.host.clone()))?);
    let address = IpAddr::V4(peer.address).into();
    Ok(device::Peer::new(key).with_endpoint(peer.end.address).with_allowed_ip(address))
}

/// A link that stands. Dropped, it ends, and nothing passes any more.
#[derive(Debug)]
pub struct Link {
    stop: Option<oneshot::Sender<()>>,
    ends: oneshot::Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

impl Link {
    /// Returns should it end by itself.
    pub async fn ended(&mut self) {
        // Its sender also goes if the thread does.
        let _ = (&mut self.ends).await;
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It has said all that there is to say.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn runtime() -> Runtime {
        Builder::new_current_thread().enable_all().build().unwrap()
    }

    #[test]
    fn every_end_has_a_key_and_a_port_of_its_own() {
        let ends = [End::open(HERE).unwrap(), End::open(HERE).unwrap()];
        let [a, b] = ends.each_ref().map(|end| end.offer().unwrap());
        assert_ne!(a.public_key, b.public_key);
        assert_ne!(a.address, b.address);
        assert_eq!(a.address.ip(), HERE, "nobody outside can reach it");
        assert_eq!(STANDARD.decode(a.public_key).unwrap().len(), 32);
        assert!(!format!("{ends:?}").contains("secret"));
    }

    #[test]
    fn a_job_may_be_stopped_before_its_instances_are_joined() {
        runtime().block_on(async { drop(End::open(HERE).unwrap()) });
    }

    #[test]
    fn a_key_that_is_none_is_named() {
        for public_key in ["", "?", "AAAA"] {
            let end = Endpoint { public_key: public_key.into(), address: (HERE, 9).into() };
            let host = "algo-2".parse().unwrap();
            let found = lower(&Peer { host, address: Ipv4Addr::LOCALHOST, end }).unwrap_err();
            assert_eq!(found.to_string(), "instance algo-2 offered a key that is none");
        }
    }

    #[test]
    fn packets_fit_the_wire() {
        assert_eq!(mtu("192.0.2.1".parse().unwrap()), 1420);
        assert_eq!(mtu(HERE) % 16, 0, "nothing is lost to padding");
    }
}
