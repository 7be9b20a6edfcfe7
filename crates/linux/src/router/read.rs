//! Reads a router back, and compares.

use super::routes::{RULES, Way, WayKind};
use super::spell::{Denial, expressions};
use super::{FAMILY, RouterNet, TABLE, sets};
use crate::error::{During, Error, Result};
use crate::seal_net::has_ipv6;
use belljar_vpc::compile::Router;
use ipnet::IpNet;
use nlink::netlink::messages::RouteMessage;
use nlink::netlink::nftables::SetElement;
use nlink::netlink::nftables::expr::{Expr, RuleExpr, parse_expressions, write_expressions};
use nlink::netlink::types::route::RouteType;
use nlink::netlink::{Connection, MessageBuilder, Nftables};
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::AsFd;

const WHAT: &str = "read the rules back";

impl RouterNet {
    /// Compares the rules that are loaded with `router`, to the last element.
    pub(super) async fn read_rules(&self, router: &Router) -> Result<()> {
        compare(&self.nft, router, self.denial).await
    }

    /// Compares the routing tables, and which packets go by them, with `router`.
    pub(super) async fn read_routes(&self, router: &Router) -> Result<()> {
        const WHAT: &str = "read the routes back";
        let v6 = has_ipv6(&self.ns)?;
        let is_ours = |net: &IpNet| v6 || net.addr().is_ipv4();
        let mut meant = BTreeSet::new();
        for (number, routes) in &router.tables {
            let nets = routes.iter().filter(|(net, _)| is_ours(net));
            meant.extend(
                nets.flat_map(|(net, hop)| self.ways(*number, *net, hop)).map(|w| text(&w)),
            );
        }
        let routes = self.route.get_routes().await.during(WHAT)?;
        let ours = routes.iter().filter(|r| router.tables.contains_key(&r.table_id()));
        same("routes", ours.map(as_text).collect::<BTreeSet<_>>(), meant)?;
        let rules = self.route.get_rules().await.during(WHAT)?;
        let by_mark = rules.iter().filter(|r| r.priority() == RULES);
        let listed: BTreeSet<_> =
            by_mark.map(|r| (r.is_ipv4(), r.fwmark(), r.table_id())).collect();
        let families = [true, false].into_iter().filter(|v4| *v4 || v6);
        let meant = families.flat_map(|v4| router.tables.keys().map(move |n| (v4, Some(*n), *n)));
        same("tables", listed, meant.collect())
    }
}

/// Compares the rules in a router's namespace with `router`, to the last element: for whoever holds
/// the namespace without having made it.
///
/// # Errors
/// If something differs, or the kernel does not answer.
pub async fn holds(ns: &impl AsFd, router: &Router) -> Result<()> {
    let nft = Connection::<Nftables>::new_in(ns.as_fd()).during("open an nftables socket")?;
    compare(&nft, router, Denial::Silent).await
}

/// A route as it is meant.
fn text(way: &Way) -> String {
    let kind = match way.kind {
        WayKind::Blackhole => "blackhole".to_owned(),
        WayKind::Throw => "throw".to_owned(),
        WayKind::Local(index) => format!("local {index}"),
        WayKind::Dev(index, next) => format!("by {index} {next}"),
    };
    format!("{} {} {kind}", way.table, way.net)
}

/// A route as the kernel lists it, in the same words.
fn as_text(route: &RouteMessage) -> String {
    let any = || if route.is_ipv4() { "0.0.0.0".to_owned() } else { "::".to_owned() };
    let to = route.destination().map_or_else(any, ToString::to_string);
    let kind = match (route.route_type(), route.oif(), route.gateway()) {
        (RouteType::Blackhole, ..) => "blackhole".to_owned(),
        (RouteType::Throw, ..) => "throw".to_owned(),
        (RouteType::Unicast, Some(index), Some(next)) => format!("by {index} {next}"),
        (kind, index, _) => format!("{kind:?} {index:?}"),
    };
    format!("{} {to}/{} {kind}", route.table_id(), route.dst_len())
}

async fn compare(nft: &Connection<Nftables>, router: &Router, denial: Denial) -> Result<()> {
    let chains = nft.list_chains_in(TABLE, FAMILY).await.during(WHAT)?;
    let listed: BTreeSet<&str> = chains.iter().map(|c| c.name.as_str()).collect();
    let meant: BTreeSet<&str> = router.chains.keys().map(|n| &**n).collect();
    same("chains", listed, meant)?;
    let mut rules: BTreeMap<String, Vec<Vec<RuleExpr>>> = BTreeMap::new();
    for rule in nft.list_rules(TABLE, FAMILY).await.during(WHAT)? {
        rules.entry(rule.chain.clone()).or_default().push(rule.expressions());
    }
    for (name, chain) in &router.chains {
        let mut meant = Vec::new();
        for rule in &chain.rules {
            meant.push(as_read(&expressions(rule, denial).during(WHAT)?));
        }
        same(name, rules.remove(&**name).unwrap_or_default(), meant)?;
    }
    let sets = nft.list_sets_in(TABLE, FAMILY).await.during(WHAT)?;
    let listed: BTreeSet<&str> = sets.iter().map(|s| s.name.as_str()).collect();
    let meant: BTreeSet<&str> = router.sets.keys().map(|n| &**n).collect();
    same("sets", listed, meant)?;
    for (name, set) in &router.sets {
        let listed = nft.list_set_elements(TABLE, name, FAMILY).await.during(WHAT)?;
        let elements = set.elements.iter().map(|(k, v)| sets::element(set, k, v));
        let meant: Vec<SetElement> =
            elements.collect::<nlink::Result<_>>().during("spell the rules")?;
        same(name, sorted(&listed), sorted(&meant))?;
    }
    Ok(())
}

fn sorted(elements: &[SetElement]) -> Vec<String> {
    let text = |e: &SetElement| format!("{:?} {:?} {:?}", e.key(), e.key_end(), e.data());
    let mut all: Vec<String> = elements.iter().map(text).collect();
    all.sort_unstable();
    all
}

/// Expressions as the kernel would list them: written, and read again.
fn as_read(all: &[Expr]) -> Vec<RuleExpr> {
    let mut message = MessageBuilder::new(0, 0);
    let head = message.len();
    write_expressions(&mut message, all);
    // Behind the head of the message and that of the list.
    let list = message.as_bytes().get(head + 4..).unwrap_or_default();
    parse_expressions(list)
}

fn same<T, A>(what: &str, listed: A, meant: A) -> Result<()>
where
    T: PartialEq + std::fmt::Debug,
    A: IntoIterator<Item = T>,
{
    let (mut listed, mut meant) = (listed.into_iter(), meant.into_iter());
    loop {
        match (listed.next(), meant.next()) {
            (None, None) => return Ok(()),
            (Some(l), Some(m)) if l == m => {}
            (l, m) => {
                let text = format!("{what}: loaded {m:?}, the kernel lists {l:?}");
                return Err(Error::other("verify the rules", text));
            }
        }
    }
}
