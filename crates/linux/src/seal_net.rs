//! Makes the network of a sealed container, and reads it back.
//!
//! All by netlink, behind this one file: rules go in as one transaction, and are listed again and
//! compared before anything is started.

use crate::error::{During, Error, Result};
use crate::netns::NetNs;
use belljar_vpc::rules::{Action, Match, Rule, Ruleset};
use belljar_vpc::sealed::{ADDRESS_V4, ADDRESS_V6};
use nlink::netlink::addr::{Ipv4Address, Ipv6Address};
use nlink::netlink::messages::RouteMessage;
use nlink::netlink::nftables::expr::LogExpr;
use nlink::netlink::nftables::{
    self as nft, BaseChain, Chain, Family, FilterHook, Object, ObjectState, Policy, Priority,
    Reject, Stmt,
};
use nlink::netlink::route::{Ipv4Route, Ipv6Route};
use nlink::netlink::{Connection, Nftables, Route};
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

const TABLE: &str = "belljar";
const CHAIN: &str = "output";
const COUNTER: &str = "attempts";
/// The kernel's own table of local addresses; everything in it is `lo`.
const TABLE_LOCAL: u32 = 255;

/// A network namespace as the kernel describes it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NetReading {
    /// Interface names.
    pub interfaces: Vec<String>,
    /// `lo 127.0.0.1/8`.
    pub addresses: Vec<String>,
    /// Routes of all tables but `local`.
    pub routes: Vec<String>,
    /// Rules, as `nft --stateless list` writes them.
    pub rules: Vec<String>,
    /// Packets that were recorded, by the kernel's own count.
    pub recorded: u64,
}

/// A sealed network namespace. Its sockets are kept, because each is opened by a thread that has
/// to enter the namespace.
pub struct SealedNet {
    pub(crate) route: Connection<Route>,
    nft: Connection<Nftables>,
}

/// Brings `lo` up, points the default routes into it and loads the rules.
///
/// # Errors
/// If the kernel refuses a step, or the rules that it lists are not those that were loaded.
pub async fn seal(ns: &NetNs, rules: &Ruleset) -> Result<SealedNet> {
    let net = begin(ns, rules).await?;
    let route = &net.route;
    let v4 = Ipv4Address::new("lo", ADDRESS_V4, 32);
    route.add_address(v4).await.during("give lo its IPv4 address")?;
    let v4 = Ipv4Route::default_route().dev("lo").prefsrc(ADDRESS_V4);
    route.add_route(v4).await.during("point the IPv4 default route into lo")?;
    if has_ipv6(ns)? {
        // Without duplicate detection, which would keep the address from being a source for now.
        let v6 = Ipv6Address::new("lo", ADDRESS_V6, 128).nodad();
        route.add_address(v6).await.during("give lo its IPv6 address")?;
        until_local(route).await?;
        let v6 = Ipv6Route::default_route().dev("lo").prefsrc(ADDRESS_V6);
        route.add_route(v6).await.during("point the IPv6 default route into lo")?;
    }
    Ok(net)
}

/// Brings `lo` up, with these addresses beside its own, and loads the rules. There is no route to
/// anywhere: that comes with an interface.
///
/// # Errors
/// As of [`seal`].
pub async fn open(ns: &NetNs, rules: &Ruleset, own: &[Ipv4Addr]) -> Result<SealedNet> {
    let net = begin(ns, rules).await?;
    without_link_local(ns)?;
    for address in own {
        let address = Ipv4Address::new("lo", *address, 32);
        net.route.add_address(address).await.during("give lo an address")?;
    }
    Ok(net)
}

async fn begin(ns: &NetNs, rules: &Ruleset) -> Result<SealedNet> {
    let nft = Connection::<Nftables>::new_in(ns.as_fd()).during("open an nftables socket")?;
    // The rules come first: at no moment is there a route and no rule.
    load(&nft, rules).await?;
    let route = Connection::<Route>::new_in(ns.as_fd()).during("open a route socket")?;
    open_low_ports(ns)?;
    route.set_link_up("lo").await.during("bring lo up")?;
    Ok(SealedNet { route, nft })
}

/// Lets a program without privileges listen at ports below 1024, as it may in Docker: in this
/// namespace there is no service of the machine's that it could pose as.
fn open_low_ports(ns: &NetNs) -> Result<()> {
    let first = "/proc/sys/net/ipv4/ip_unprivileged_port_start";
    ns.run(|| fs::write(first, "0").during("let containers listen at ports below 1024"))
}

/// Keeps the kernel from giving an interface that comes an IPv6 address of its own, with a route:
/// what is there is what it was given. (`addr_gen_mode`, ip-sysctl.rst.)
fn without_link_local(ns: &NetNs) -> Result<()> {
    let mode = "/proc/sys/net/ipv6/conf/default/addr_gen_mode";
    ns.run(|| match fs::write(mode, "1") {
        // A host can be booted without IPv6.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        result => result.during("keep interfaces from making addresses"),
    })
}

/// Waits until the kernel takes packets for the new IPv6 address as its own, which it does a
/// moment after it has added the address. Before that, the reset that refuses a connection would
/// not arrive, and the connection would hang.
async fn until_local(route: &Connection<Route>) -> Result<()> {
    for _ in 0..500 {
        let routes = route.get_routes().await.during("list the routes")?;
        let is_own = |r: &RouteMessage| {
            r.table_id() == TABLE_LOCAL && r.destination() == Some(&IpAddr::V6(ADDRESS_V6))
        };
        if routes.iter().any(is_own) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Err(Error::other("give lo its IPv6 address", "the kernel did not take it up"))
}

/// Whether the namespace has IPv6 at all; a host can be booted without it.
pub(crate) fn has_ipv6(ns: &NetNs) -> Result<bool> {
    ns.run(|| Ok(Path::new("/proc/thread-self/net/if_inet6").exists()))
}

async fn load(nft: &Connection<Nftables>, rules: &Ruleset) -> Result<()> {
    let base = BaseChain::filter(FilterHook::Output, Priority::Filter).policy(Policy::Drop);
    let chain = Chain::new(TABLE, CHAIN).during("name the chain")?.base(base);
    let mut batch = nft
        .transaction()
        .add_table(TABLE, Family::Inet)
        .add_object(&Object::counter(TABLE, COUNTER))
        .add_chain(chain);
    let mut meant = Vec::new();
    for rule in &rules.rules {
        let rule = lower(rule);
        meant.push(rule.nft_syntax_stateless().unwrap_or_default());
        batch = batch.add_rule(rule);
    }
    batch.commit(nft).await.during("load the nftables rules")?;
    let listed = list_rules(nft).await?;
    if listed != meant || listed.iter().any(String::is_empty) {
        let text = format!("loaded {meant:?}, the kernel lists {listed:?}");
        return Err(Error::other("verify the nftables rules", text));
    }
    Ok(())
}

/// A rule of the model as nftables has it.
fn lower(rule: &Rule) -> nft::Rule {
    let mut r = nft::Rule::new(TABLE, CHAIN);
    match rule.matches {
        Some(Match::Destination(net)) => r = r.match_daddr(net.addr(), net.prefix_len()),
        Some(Match::Protocol(number)) => r = r.match_l4proto(number),
        None => {}
    }
    match rule.action {
        Action::Accept => r.accept(),
        Action::Record { group, snap_length } => {
            // Without a threshold of 1 the kernel holds records back for up to a second.
            let log = LogExpr::new().group(group).snaplen(snap_length).queue_threshold(1);
            r.counter_named(COUNTER).then(Stmt::Log(log))
        }
        Action::RejectWithReset => r.then(Stmt::Reject(Reject::TcpReset)),
        Action::RejectUnreachable => {
            r.then(Stmt::Reject(Reject::Icmpx(nft::IcmpxCode::PortUnreachable)))
        }
    }
}

async fn list_rules(nft: &Connection<Nftables>) -> Result<Vec<String>> {
    let rules = nft.list_rules(TABLE, Family::Inet).await.during("list the nftables rules")?;
    Ok(rules
        .iter()
        .filter(|r| r.chain == CHAIN)
        .map(|r| r.nft_syntax_stateless().unwrap_or_default())
        .collect())
}

impl std::fmt::Debug for SealedNet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealedNet").finish_non_exhaustive()
    }
}

impl SealedNet {
    /// Reads the namespace back.
    ///
    /// # Errors
    /// If the kernel does not answer.
    pub async fn read(&self) -> Result<NetReading> {
        read(&self.route, &self.nft).await
    }
}

async fn read(route: &Connection<Route>, nft: &Connection<Nftables>) -> Result<NetReading> {
    let links = read_links(route).await?;
    Ok(NetReading { rules: list_rules(nft).await?, recorded: recorded(nft).await?, ..links })
}

/// Interfaces, addresses and routes.
pub(crate) async fn read_links(route: &Connection<Route>) -> Result<NetReading> {
    let links = route.get_links().await.during("list the interfaces")?;
    let name_of = |index: u32| {
        let link = links.iter().find(|l| l.ifindex() == index);
        link.and_then(|l| l.name()).map_or_else(|| format!("#{index}"), str::to_owned)
    };
    let mut interfaces: Vec<String> = links.iter().map(|l| name_of(l.ifindex())).collect();
    interfaces.sort_unstable();
    let mut addresses = Vec::new();
    for a in route.get_addresses().await.during("list the addresses")? {
        if let Some(address) = a.address().or_else(|| a.local()) {
            addresses.push(format!("{} {address}/{}", name_of(a.ifindex()), a.prefix_len()));
        }
    }
    addresses.sort_unstable();
    let mut routes = Vec::new();
    for r in route.get_routes().await.during("list the routes")? {
        if r.table_id() != TABLE_LOCAL {
            routes.push(describe_route(&r, &name_of));
        }
    }
    routes.sort_unstable();
    Ok(NetReading { interfaces, addresses, routes, ..NetReading::default() })
}

fn describe_route(r: &RouteMessage, name_of: &impl Fn(u32) -> String) -> String {
    let mut text = match r.destination() {
        Some(net) => format!("{net}/{}", r.dst_len()),
        None => "default".to_owned(),
    };
    if let Some(gateway) = r.gateway() {
        text.push_str(&format!(" via {gateway}"));
    }
    match r.oif() {
        Some(index) => text.push_str(&format!(" dev {}", name_of(index))),
        None => text.push_str(" dev (none)"),
    }
    if let Some(source) = r.prefsrc() {
        text.push_str(&format!(" src {source}"));
    }
    text
}

async fn recorded(nft: &Connection<Nftables>) -> Result<u64> {
    let all = nft.list_objects_in(TABLE, Family::Inet).await.during("read the counter")?;
    let counter = all.iter().find(|o| o.name == COUNTER);
    match counter.map(|o| &o.state) {
        Some(ObjectState::Counter { packets, .. }) => Ok(*packets),
        _ => Err(Error::other("read the counter", "it is not there")),
    }
}
