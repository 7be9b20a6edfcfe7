//! The link of an instance to its peers, and the namespace in which the links of one host meet.
//!
//! The **hub** is a network namespace that holds a bridge without an address and one end of each
//! instance's link, and nothing else: no route, no way out. It is reached by descriptor only, and
//! is gone with the last warden that holds it.

use crate::error::{During, Result};
use crate::netns::NetNs;
use crate::seal_net::{NetReading, SealedNet, read_links};
use crate::tun::Tun;
use belljar_vpc::peers::{INTERFACE, PREFIX};
use nlink::netlink::addr::Ipv4Address;
use nlink::netlink::link::{BridgeLink, VethLink};
use nlink::netlink::route::Ipv4Route;
use nlink::netlink::types::route::RouteScope;
use nlink::netlink::{Connection, Route};
use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

const BRIDGE: &str = "hub";

/// The namespace in which the links of one host's instances meet.
pub struct Hub {
    ns: NetNs,
    route: Connection<Route>,
}

impl Hub {
    /// Makes it, empty.
    ///
    /// # Errors
    /// If the kernel refuses a step.
    pub async fn create() -> Result<Self> {
        let ns = NetNs::create()?;
        // Where there is no address there is nobody to talk to: also not the kernel by itself.
        without_ipv6(&ns, "all")?;
        without_ipv6(&ns, "default")?;
        let route = Connection::<Route>::new_in(ns.as_fd()).during("open a route socket")?;
        route.add_link(BridgeLink::new(BRIDGE).stp(false)).await.during("make the hub's bridge")?;
        route.set_link_up(BRIDGE).await.during("bring the hub's bridge up")?;
        Ok(Self { ns, route })
    }

    /// What a process of the same user opens to [`join`] it, while this one lives.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.ns.as_fd().as_raw_fd())
    }

    /// Reads it back: its interfaces, addresses and routes. It has no rules: there is nothing to
    /// be decided where everything there is may talk to everything.
    ///
    /// # Errors
    /// If the kernel does not answer.
    pub async fn read(&self) -> Result<NetReading> {
        read_links(&self.route).await
    }
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").field("ns", &self.ns).finish_non_exhaustive()
    }
}

/// Gives the namespace of an instance its interface, the other end of which is in the hub that
/// `hub` names (see [`Hub::path`]), as the port of the `number`-th instance.
///
/// # Errors
/// If the hub is gone, or the kernel refuses a step.
pub async fn join(ns: &NetNs, hub: &Path, number: u8) -> Result<()> {
    let hub: OwnedFd = File::open(hub).during("open the hub of the instances")?.into();
    let port = format!("{BRIDGE}-{number}");
    let inside = Connection::<Route>::new_in(ns.as_fd()).during("open a route socket")?;
    let pair = VethLink::new(INTERFACE, &port).peer_netns_fd(hub.as_fd());
    inside.add_link(pair).await.during("make the link to the peers")?;
    let outside = Connection::<Route>::new_in(hub.as_fd()).during("open the hub's route socket")?;
    outside.set_link_master(port.as_str(), BRIDGE).await.during("join the hub's bridge")?;
    outside.set_link_up(port.as_str()).await.during("bring the hub's port up")
}

/// Gives the namespace of an instance an interface for packets of up to `mtu` bytes, the other end
/// of which is this process's.
///
/// # Errors
/// If there can be no TUN device, or the kernel refuses a step.
pub async fn tunnel(ns: &NetNs, interface: &str, mtu: u16) -> Result<Tun> {
    let tun = Tun::create(ns, interface)?;
    let route = Connection::<Route>::new_in(ns.as_fd()).during("open a route socket")?;
    route.set_link_mtu(interface, mtu.into()).await.during("set the size of the link's packets")?;
    Ok(tun)
}

impl SealedNet {
    /// Gives the interface its address and a route to each peer, and brings it up. There is no
    /// route by its prefix: what is no peer's address goes where everything else goes.
    ///
    /// # Errors
    /// If there is no interface, or the kernel refuses a step.
    pub async fn link(
        &self,
        (ns, interface): (&NetNs, &str),
        own: Ipv4Addr,
        peers: &[Ipv4Addr],
    ) -> Result<()> {
        without_ipv6(ns, interface)?;
        let address = Ipv4Address::new(interface, own, PREFIX).noprefixroute();
        self.route.add_address(address).await.during("give the link its address")?;
        self.route.set_link_up(interface).await.during("bring the link to the peers up")?;
        for peer in peers {
            let to =
                Ipv4Route::from_addr(*peer, 32).dev(interface).prefsrc(own).scope(RouteScope::Link);
            self.route.add_route(to).await.during("add the route to a peer")?;
        }
        Ok(())
    }
}

/// Keeps the kernel from talking IPv6 by itself on an interface: peers have IPv4 addresses, and
/// an announcement of the kernel's own would be told as the container's.
fn without_ipv6(ns: &NetNs, interface: &str) -> Result<()> {
    let path = format!("/proc/sys/net/ipv6/conf/{interface}/disable_ipv6");
    ns.run(|| match fs::write(&path, "1") {
        // A host can be booted without it.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        result => result.during("turn off IPv6 on the link to the peers"),
    })
}
