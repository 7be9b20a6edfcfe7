//! Routing tables, by mark, and the routes to interfaces in the main one.

use super::RouterNet;
use super::change::difference;
use crate::error::{During, Result};
use belljar_vpc::compile::{End, Family, Hop, Link, NEXT_V4, NEXT_V6, Router, Routes};
use ipnet::IpNet;
use nlink::netlink::addr::{Ipv4Address, Ipv6Address};
use nlink::netlink::route::{Ipv4Route, Ipv6Route};
use nlink::netlink::rule::RuleBuilder;
use nlink::netlink::types::route::{RouteScope, RouteType};
use std::net::IpAddr;

/// The kernel's main table, in which the interfaces are.
pub(super) const MAIN: u32 = 254;
/// Where the rules by mark are: before the one for the main table.
pub(super) const RULES: u32 = 1000;
/// The metric of a blackhole: it is there when the better route went with its link.
const LAST: u32 = 1 << 30;

/// A route of either family, to be added.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) table: u32,
    pub(super) net: IpNet,
    pub(super) kind: WayKind,
}

#[derive(Debug)]
pub(super) enum WayKind {
    Blackhole,
    Throw,
    /// By a link, to somebody on it.
    Dev(u32, IpAddr),
    /// To this namespace itself.
    Local(u32),
}

impl RouterNet {
    /// What no other route leads anywhere vanishes.
    pub(super) async fn nowhere(&self) -> Result<()> {
        for net in [IpNet::V4(ipnet::Ipv4Net::default()), IpNet::V6(ipnet::Ipv6Net::default())] {
            add(&self.route, &Way { table: MAIN, net, kind: WayKind::Blackhole }).await?;
        }
        Ok(())
    }

    /// Makes what the new router has and the old one has not. Nothing is taken away.
    pub(super) async fn add_routes(&self, old: &Router, new: &Router) -> Result<()> {
        for address in new.local.difference(&old.local) {
            let given = match *address {
                IpAddr::V4(a) => self.route.replace_address(Ipv4Address::new("lo", a, 32)).await,
                IpAddr::V6(a) => {
                    self.route.replace_address(Ipv6Address::new("lo", a, 128).nodad()).await
                }
            };
            served(given).during("give the router its address")?;
        }
        for (number, routes) in &new.tables {
            match old.tables.get(number) {
                None => self.add_table(*number, routes).await?,
                Some(before) if before != routes => self.add_table(*number, routes).await?,
                Some(_) => {}
            }
        }
        self.move_hosts(old, new).await
    }

    /// Takes away what the old router had and the new one has not.
    pub(super) async fn remove_routes(&self, old: &Router, new: &Router) -> Result<()> {
        for (number, routes) in old.tables.iter().filter(|(n, _)| !new.tables.contains_key(n)) {
            for family in Family::BOTH {
                let gone = self.route.del_rule_if_exists(by_mark(*number, family)).await;
                served(gone).during("remove the rule of a routing table")?;
            }
            self.remove_table(*number, routes).await?;
        }
        for address in old.local.difference(&new.local) {
            let length = if address.is_ipv4() { 32 } else { 128 };
            let gone = self.route.del_address_if_exists("lo", *address, length).await;
            served(gone).during("take an address off the router")?;
        }
        Ok(())
    }

    async fn add_table(&self, number: u32, routes: &Routes) -> Result<()> {
        for (net, hop) in routes {
            for way in self.ways(number, *net, hop) {
                add(&self.route, &way).await?;
            }
        }
        for family in Family::BOTH {
            let rule = by_mark(number, family);
            // A table that is made again has its rule already.
            served(self.route.del_rule_if_exists(rule.clone()).await)
                .during("find a table's rule")?;
            served(self.route.add_rule(rule).await).during("add the rule of a routing table")?;
        }
        Ok(())
    }

    async fn remove_table(&self, number: u32, routes: &Routes) -> Result<()> {
        for (net, hop) in routes {
            for way in self.ways(number, *net, hop) {
                remove(&self.route, &way).await?;
            }
        }
        Ok(())
    }

    /// A route that needs a link has a blackhole behind it, which is all that is left of it when the
    /// link goes, with whoever was at its end, of itself.
    pub(super) fn ways(&self, table: u32, net: IpNet, hop: &Hop) -> Vec<Way> {
        let way = |kind| Way { table, net, kind };
        match hop {
            Hop::Local => vec![way(WayKind::Throw)],
            Hop::Blackhole => vec![way(WayKind::Blackhole)],
            Hop::Via(link) => {
                let mut both = vec![way(WayKind::Blackhole)];
                both.extend(self.links.get(link).map(|i| way(WayKind::Dev(*i, next(&net)))));
                both
            }
        }
    }

    /// Adds the routes by a link that has come.
    pub(super) async fn add_ways_by(&self, router: &Router, link: &Link, index: u32) -> Result<()> {
        for (number, routes) in &router.tables {
            for (net, hop) in routes {
                if let Hop::Via(by) = hop
                    && *by == link.name
                {
                    let kind = WayKind::Dev(index, next(net));
                    add(&self.route, &Way { table: *number, net: *net, kind }).await?;
                }
            }
        }
        Ok(())
    }

    /// Moves the addresses of interfaces that have others now.
    async fn move_hosts(&self, old: &Router, new: &Router) -> Result<()> {
        fn addresses(link: Option<&Link>) -> &[IpAddr] {
            match link.map(|l| &l.end) {
                Some(End::Interface { addresses, .. }) => addresses,
                _ => &[],
            }
        }
        let (changed, _) = difference(&old.links, &new.links);
        for (name, link) in changed {
            let Some(index) = self.links.get(name) else { continue };
            let next = new.links.get(name);
            let (before, after) = (addresses(Some(link)), addresses(next));
            if before == after {
                continue;
            }
            for address in before.iter().filter(|a| !after.contains(a)) {
                remove(&self.route, &host(*address, *index)).await?;
            }
            if let Some(link) = next {
                self.add_hosts(link, *index).await?;
            }
        }
        Ok(())
    }

    /// The routes to an interface's addresses.
    pub(super) async fn add_hosts(&self, link: &Link, index: u32) -> Result<()> {
        if let End::Interface { addresses, .. } = &link.end {
            for address in addresses {
                add(&self.route, &host(*address, index)).await?;
            }
        }
        Ok(())
    }
}

fn host(address: IpAddr, index: u32) -> Way {
    let net = IpNet::from(address);
    Way { table: MAIN, net, kind: WayKind::Dev(index, next(&net)) }
}

/// Who is at the other end of any link.
pub(super) fn next(net: &IpNet) -> IpAddr {
    if net.addr().is_ipv4() { NEXT_V4.into() } else { NEXT_V6.into() }
}

fn by_mark(number: u32, family: Family) -> RuleBuilder {
    let rule = match family {
        Family::V4 => RuleBuilder::v4(),
        Family::V6 => RuleBuilder::v6(),
    };
    rule.priority(RULES).fwmark(number).table(number)
}

type Socket = nlink::netlink::Connection<nlink::netlink::Route>;

/// A host can be booted without IPv6: what is of a family that is not there needs no route.
pub(crate) fn served<T>(done: nlink::Result<T>) -> nlink::Result<()> {
    match done {
        Err(e) if matches!(e.errno(), Some(libc::EOPNOTSUPP | libc::EAFNOSUPPORT)) => Ok(()),
        done => done.map(drop),
    }
}

/// Adds a route, in the place of one of its kind that is there.
pub(super) async fn add(route: &Socket, way: &Way) -> Result<()> {
    let done = match way.net {
        IpNet::V4(_) => route.replace_route(v4(way)).await,
        IpNet::V6(_) => route.replace_route(v6(way)).await,
    };
    served(done).during(format!("add the route to {}", way.net))
}

/// Removes a route, if it is there.
pub(super) async fn remove(route: &Socket, way: &Way) -> Result<()> {
    let done = match way.net {
        IpNet::V4(_) => route.del_route_if_exists(v4(way)).await,
        IpNet::V6(_) => route.del_route_if_exists(v6(way)).await,
    };
    served(done).during(format!("remove the route to {}", way.net))
}

fn v4(way: &Way) -> Ipv4Route {
    let IpNet::V4(net) = way.net else { return Ipv4Route::default_route() };
    let route = Ipv4Route::from_addr(net.network(), net.prefix_len()).table(way.table);
    match way.kind {
        WayKind::Blackhole => route.route_type(RouteType::Blackhole).metric(LAST),
        WayKind::Throw => route.route_type(RouteType::Throw),
        WayKind::Dev(index, IpAddr::V4(next)) => route.dev_index(index).gateway(next).onlink(),
        WayKind::Dev(index, _) => route.dev_index(index).scope(RouteScope::Link),
        WayKind::Local(index) => {
            route.route_type(RouteType::Local).dev_index(index).scope(RouteScope::Host)
        }
    }
}

fn v6(way: &Way) -> Ipv6Route {
    let IpNet::V6(net) = way.net else { return Ipv6Route::default_route() };
    let route = Ipv6Route::from_addr(net.network(), net.prefix_len()).table(way.table);
    match way.kind {
        WayKind::Blackhole => route.route_type(RouteType::Blackhole).metric(LAST),
        WayKind::Throw => route.route_type(RouteType::Throw),
        WayKind::Dev(index, IpAddr::V6(next)) => route.dev_index(index).gateway(next),
        WayKind::Dev(index, _) => route.dev_index(index),
        WayKind::Local(index) => route.route_type(RouteType::Local).dev_index(index),
    }
}
