//! Links: pairs of which one end is the router's, and the other somebody's.
//!
//! Who is at the other end is known to both, so nobody is asked: there is no ARP and no neighbour
//! discovery, which could be forged, lost or late.

use super::routes::{MAIN, Way, WayKind, add, served};
use super::{RouterNet, far};
use crate::error::{During, Error, Result};
use crate::netns::NetNs;
use belljar_vpc::compile::{End, Link, NEXT_V4, NEXT_V6, Name, ROUTER_MAC};
use nlink::netlink::addr::{Ipv4Address, Ipv6Address};
use nlink::netlink::link::VethLink;
use nlink::netlink::neigh::Neighbor;
use nlink::netlink::types::link::OperState;
use nlink::netlink::{Connection, Route};
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd;

/// An interface's name where it is used, as on an instance.
pub(super) const INTERFACE: &str = "eth0";

/// How often, and at what distance, it is looked whether a link sends.
const READY_LOOKS: u32 = 2_000;
const READY_PAUSE: std::time::Duration = std::time::Duration::from_millis(1);

type Socket = Connection<Route>;

impl RouterNet {
    /// Adds a link whose far end is in `far`, and makes that end ready to be used: of an interface
    /// `eth0` with its addresses and a default route; of a gateway endpoint `eth0`, and the
    /// service's addresses as this namespace's own; of an internet gateway an interface with the
    /// link's name and the routes to the VPC's public addresses.
    ///
    /// It may be added before or after [`Self::apply`]; a router passes what both allow.
    ///
    /// # Errors
    /// If there is such a link, if it is a peering's (see [`Self::join`]), or if the kernel refuses
    /// a step.
    pub async fn add_link(&mut self, link: &Link, far: &NetNs) -> Result<()> {
        let name = match link.end {
            End::Interface { .. } | End::Endpoint { .. } => INTERFACE,
            End::Internet { .. } => &link.name,
            End::Peering { .. } => {
                return Err(Error::other("add a link", "a peering joins two routers"));
            }
        };
        let inside = Connection::<Route>::new_in(far.as_fd()).during("open a route socket")?;
        let pair = VethLink::new(&*link.name, name)
            .address(ROUTER_MAC)
            .peer_address(link.mac)
            .peer_netns_fd(far.as_fd());
        self.route.add_link(pair).await.during("make a link")?;
        let done = self.set_up(link, &inside, name).await;
        if done.is_err() {
            // Half a link is none.
            let _ = self.remove_link(&link.name).await;
        }
        done
    }

    async fn set_up(&mut self, link: &Link, inside: &Socket, name: &str) -> Result<()> {
        far::configure(inside, link, name).await?;
        self.come(link).await?;
        ready(inside, name).await
    }

    /// The router's end of a link that was made.
    async fn come(&mut self, link: &Link) -> Result<()> {
        let index = index(&self.route, &link.name).await?;
        self.route.set_link_up_by_index(index).await.during("bring a link up")?;
        neighbor(&self.route, index, NEXT_V4.into(), link.mac).await?;
        neighbor(&self.route, index, NEXT_V6.into(), link.mac).await?;
        self.add_hosts(link, index).await?;
        self.links.insert(link.name.clone(), index);
        if let Some(router) = &self.loaded {
            self.add_ways_by(router, link, index).await?;
        }
        Ok(())
    }

    /// Joins two routers by a link that both have: that of a peering connection.
    ///
    /// # Errors
    /// If the kernel refuses a step.
    pub async fn join(&mut self, link: &Link, other: &mut Self) -> Result<()> {
        let pair = VethLink::new(&*link.name, &*link.name)
            .address(link.mac)
            .peer_address(link.mac)
            .peer_netns_fd(other.as_fd());
        self.route.add_link(pair).await.during("make a link between routers")?;
        self.come(link).await?;
        other.come(link).await?;
        ready(&self.route, &link.name).await
    }

    /// Removes a link, if it is there; its far end goes too.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub async fn remove_link(&mut self, name: &Name) -> Result<()> {
        self.links.remove(name);
        let gone = self.route.del_link_if_exists(&**name).await;
        gone.map(drop).during("remove a link")
    }

    /// The links that were added and not removed. One whose far end's namespace is gone went with
    /// it; see [`Self::sweep`].
    pub fn links(&self) -> impl Iterator<Item = &Name> {
        self.links.keys()
    }

    /// Forgets links that went with the namespace at their far end, and says which.
    ///
    /// # Errors
    /// If the kernel does not answer.
    pub async fn sweep(&mut self) -> Result<Vec<Name>> {
        let there = self.route.get_links().await.during("list the interfaces")?;
        let is_there = |i: &u32| there.iter().any(|l| l.ifindex() == *i);
        let gone = self.links.iter().filter(|(_, index)| !is_there(index));
        let gone: Vec<Name> = gone.map(|(name, _)| name.clone()).collect();
        self.links.retain(|name, _| !gone.contains(name));
        Ok(gone)
    }

    /// What is at the far end of each link, by the kernel's number.
    pub(crate) fn ends(&self) -> impl Iterator<Item = (u32, &End)> {
        let ends = self.loaded.iter().flat_map(|r| &r.links);
        ends.filter_map(|(name, link)| Some((*self.links.get(name)?, &link.end)))
    }

    /// The link with the kernel's number: who it was that a record of a denied packet names.
    #[must_use]
    pub fn link_at(&self, index: u32) -> Option<&Name> {
        self.links.iter().find(|(_, i)| **i == index).map(|(name, _)| name)
    }
}

/// Waits until the end that was brought up first sends what it is given. It had no carrier then; the
/// kernel notices that it has one some time later, up to a second, and until then drops packets.
/// To be asked about the link makes a newer kernel notice at once.
async fn ready(route: &Socket, name: &str) -> Result<()> {
    for _ in 0..READY_LOOKS {
        let link = route.get_link_by_name(name).await.during("find a link")?;
        if link.is_none_or(|l| l.operstate() == Some(OperState::Up)) {
            return Ok(());
        }
        tokio::time::sleep(READY_PAUSE).await;
    }
    Err(Error::other("bring a link up", "it does not come up"))
}

pub(super) async fn index(route: &Socket, name: &str) -> Result<u32> {
    let link = route.get_link_by_name(name).await.during("find a link")?;
    link.map(|l| l.ifindex()).ok_or_else(|| Error::other("find a link", "it is gone"))
}

/// Says for good which Ethernet address an address has.
pub(super) async fn neighbor(
    route: &Socket,
    index: u32,
    address: IpAddr,
    mac: [u8; 6],
) -> Result<()> {
    let neighbor = Neighbor::with_index(index, address).lladdr(mac).permanent();
    served(route.replace_neighbor(neighbor).await).during("name a neighbour")
}

/// Gives an interface its addresses, and a default route to its router. There is no route by its
/// prefix: what is in the same subnet goes by the router too, where groups are asked.
pub(super) async fn configure(route: &Socket, link: &Link, index: u32) -> Result<()> {
    let End::Interface { block, block_v6, addresses, .. } = &link.end else { return Ok(()) };
    for address in addresses {
        match *address {
            IpAddr::V4(a) => {
                let it = Ipv4Address::with_index(index, a, block.prefix_len()).noprefixroute();
                route.add_address(it).await
            }
            IpAddr::V6(a) => {
                let length = block_v6.map_or(64, |b| b.prefix_len());
                // Without duplicate detection: the router knows whose it is.
                let it = Ipv6Address::with_index(index, a, length).noprefixroute().nodad();
                route.add_address(it).await
            }
        }
        .during("give an interface its address")?;
    }
    route.set_link_up_by_index(index).await.during("bring an interface up")?;
    let first = Ipv4Addr::from_bits(block.network().to_bits().saturating_add(1));
    defaults(route, index, first, addresses.iter().any(IpAddr::is_ipv6)).await
}

/// The default routes to the router.
pub(super) async fn defaults(route: &Socket, index: u32, v4: Ipv4Addr, v6: bool) -> Result<()> {
    let all = [
        Some((IpAddr::V4(v4), ipnet::Ipv4Net::default().into())),
        v6.then(|| (IpAddr::V6(NEXT_V6), ipnet::Ipv6Net::default().into())),
    ];
    for (next, net) in all.into_iter().flatten() {
        neighbor(route, index, next, ROUTER_MAC).await?;
        add(route, &Way { table: MAIN, net, kind: WayKind::Dev(index, next) }).await?;
    }
    Ok(())
}
