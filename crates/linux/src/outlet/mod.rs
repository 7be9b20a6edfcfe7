//! A way out of a namespace: TCP and UDP for elsewhere is handed to sockets inside, whatever it is
//! for, and whoever holds these sockets carries it on from outside.
//!
//! This is the kernel's transparent proxying (Documentation/networking/tproxy.rst): packets get a
//! mark, a routing table for the mark takes them for the namespace's own, and a rule hands them to a
//! socket that is *transparent*, so that its local address is where they were to go. The host's
//! network is not touched, and no privilege is needed but over the namespace.

mod rules;
mod socket;

pub use socket::{Datagram, Ends, answering, listen, receive};

use crate::error::{During, Result};
use crate::netns::NetNs;
use crate::router::served;
use belljar_vpc::outlet::MARK;
use belljar_vpc::rules::{Match, Ruleset};
use ipnet::IpNet;
use nlink::netlink::messages::AddressMessage;
use nlink::netlink::route::{Ipv4Route, Ipv6Route};
use nlink::netlink::rule::RuleBuilder;
use nlink::netlink::types::link::iff;
use nlink::netlink::types::route::{RouteScope, RouteType};
use nlink::netlink::{Connection, Nftables, Route};
pub(crate) use rules::chains;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;

/// Where the rule for the mark is: before that for the main table.
const PRIORITY: u32 = 1000;

/// Whether rules have a way out, and if so, whether it is also one for IPv6.
pub(crate) fn carries(rules: &Ruleset) -> Option<bool> {
    rules.rules.iter().find_map(|r| match r.matches {
        Some(Match::Outward { v6 }) => Some(v6),
        _ => None,
    })
}

/// Takes packets with the mark for the namespace's own.
pub(crate) async fn deliver(route: &Connection<Route>) -> Result<()> {
    const WHAT: &str = "take what goes out for the namespace's own";
    for rule in [RuleBuilder::v4(), RuleBuilder::v6()] {
        let rule = rule.priority(PRIORITY).fwmark(MARK).table(MARK);
        served(route.add_rule(rule).await).during(WHAT)?;
    }
    let v4 = Ipv4Route::from_addr(Ipv4Addr::UNSPECIFIED, 0).table(MARK);
    let v4 = v4.route_type(RouteType::Local).scope(RouteScope::Host).dev("lo");
    route.add_route(v4).await.during(WHAT)?;
    let v6 = Ipv6Route::from_addr(Ipv6Addr::UNSPECIFIED, 0).table(MARK);
    served(route.add_route(v6.route_type(RouteType::Local).dev("lo")).await).during(WHAT)
}

/// The networks that the calling thread's interfaces are in: whoever is there is beside it, and is
/// reached without a router.
///
/// # Errors
/// If the kernel does not answer.
pub async fn neighbourhood() -> Result<Vec<IpNet>> {
    let route = Connection::<Route>::new().during("open a route socket")?;
    let all = route.get_addresses().await.during("list the addresses")?;
    let address = |a: &AddressMessage| a.address().or_else(|| a.local()).copied();
    let networks = all.iter().filter_map(|a| IpNet::new(address(a)?, a.prefix_len()).ok());
    Ok(networks.collect())
}

/// Whether the way to an address, from the calling thread's network, is one that leads on: by a
/// router, or by a link that has no neighbours (a tunnel, a modem's line). Whoever is beside the host
/// has no router before it, also where none of the host's own addresses says which network that is: by
/// DHCP for IPv6 it has an address of its own (/128), and the network is a route (RFC 8415, RFC 4861).
/// And an address may be the host's by a route alone.
///
/// # Errors
/// If the kernel does not answer, or knows no way there.
pub async fn leads_on(to: IpAddr) -> Result<bool> {
    const WHAT: &str = "ask for the way to an address";
    let route = Connection::<Route>::new().during("open a route socket")?;
    let way = route.lookup_route(to).await.during(WHAT)?;
    if way.route_type() != RouteType::Unicast {
        return Ok(false);
    }
    if way.gateway().or(way.via()).is_some() {
        return Ok(true);
    }
    let Some(index) = way.oif() else { return Ok(false) };
    let link = route.get_link_by_index(index).await.during(WHAT)?;
    let alone = |flags| flags & (iff::POINTOPOINT | iff::NOARP) != 0 && flags & iff::LOOPBACK == 0;
    Ok(link.is_some_and(|link| alone(link.flags())))
}

/// Makes the way out of a namespace that passes packets on, such as the world that internet gateways
/// lead to: what comes in by a link for a public address that no link leads to is carried. All else
/// is as it was.
///
/// # Errors
/// If the kernel refuses a step, or lists other rules than were loaded.
pub async fn edge(ns: &NetNs) -> Result<()> {
    let route = Connection::<Route>::new_in(ns.as_fd()).during("open a route socket")?;
    route.set_link_up("lo").await.during("bring lo up")?;
    deliver(&route).await?;
    let nft = Connection::<Nftables>::new_in(ns.as_fd()).during("open an nftables socket")?;
    rules::load_edge(&nft).await
}
