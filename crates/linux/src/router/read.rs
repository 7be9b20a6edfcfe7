//! Reads a router back, and compares.

use super::change::{Change, difference};
use super::routes::{RULES, Way, WayKind};
use super::spell::{Denial, expressions};
use super::{FAMILY, RouterNet, TABLE, sets};
use crate::error::{During, Error, Result};
use crate::nftables::{self, Element};
use crate::seal_net::has_ipv6;
use belljar_vpc::compile::{Chain, Key, Router, Routes, Set, Value};
use ipnet::IpNet;
use nlink::netlink::messages::{RouteMessage, RuleMessage};
use nlink::netlink::nftables::expr::{Expr, RuleExpr, parse_expressions, write_expressions};
use nlink::netlink::types::route::RouteType;
use nlink::netlink::{Connection, MessageBuilder, Nftables};
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::AsFd;

const WHAT: &str = "read the rules back";
/// So many changed elements of a set are asked for; of more, the whole set is listed.
const ONE_BY_ONE: usize = 256;

impl RouterNet {
    /// Compares the rules that are loaded with `router`, to the last element.
    pub(super) async fn read_rules(&self, router: &Router) -> Result<()> {
        compare(&self.nft, router, self.denial).await
    }

    /// Compares what a change was to change with what is there now.
    pub(super) async fn read_change(&self, change: &Change<'_>) -> Result<()> {
        let nft = &self.nft;
        for (name, chain) in &change.fresh_chains {
            let mut listed = nftables::rules(nft, TABLE, Some(name)).await?;
            let listed = listed.remove(&***name).unwrap_or_default();
            same(name, listed, meant_rules(chain, self.denial)?)?;
        }
        for (name, set) in &change.fresh_sets {
            let Some(old) = change.old.sets.get(*name).filter(|_| !set.ranges) else {
                compare_set(nft, name, set).await?;
                continue;
            };
            let (gone, fresh) = difference(&old.elements, &set.elements);
            if gone.len() + fresh.len() > ONE_BY_ONE {
                compare_set(nft, name, set).await?;
                continue;
            }
            let meant = meant_elements(set, fresh.iter().copied())?;
            let keys = meant.iter().map(|e| e.key.as_slice());
            let listed = nftables::some_elements(nft, (TABLE, name), keys).await?;
            same(name, sorted(listed), sorted(meant))?;
            let gone = gone.iter().filter(|(key, _)| !set.elements.contains_key(*key)).copied();
            for element in meant_elements(set, gone)? {
                let there = nftables::has_element(nft, (TABLE, name), &element.key).await?;
                same(name, there.then_some(&element), None)?;
            }
        }
        for name in change.removed_chains() {
            same(
                "chains",
                nftables::is_there(nft, TABLE, name, false).await?.then_some(name),
                None,
            )?;
        }
        for name in change.removed_sets() {
            same("sets", nftables::is_there(nft, TABLE, name, true).await?.then_some(name), None)?;
        }
        Ok(())
    }

    /// Compares routing tables, and which packets go by them, with what they are to be; if these are
    /// all, there must be no others.
    pub(super) async fn read_routes(
        &self,
        tables: &BTreeMap<u32, &Routes>,
        are_all: bool,
    ) -> Result<()> {
        const WHAT: &str = "read the routes back";
        let v6 = has_ipv6(&self.ns)?;
        let is_ours = |net: &IpNet| v6 || net.addr().is_ipv4();
        let mut meant = BTreeSet::new();
        for (number, routes) in tables {
            let nets = routes.iter().filter(|(net, _)| is_ours(net));
            meant.extend(
                nets.flat_map(|(net, hop)| self.ways(*number, *net, hop)).map(|w| text(&w)),
            );
        }
        let routes = self.route.get_routes().await.during(WHAT)?;
        let ours = routes.iter().filter(|r| tables.contains_key(&r.table_id()));
        same("routes", ours.map(as_text).collect::<BTreeSet<_>>(), meant)?;
        let rules = self.route.get_rules().await.during(WHAT)?;
        let is_ours = |r: &&RuleMessage| {
            r.priority() == RULES && (are_all || tables.contains_key(&r.table_id()))
        };
        let by_mark = rules.iter().filter(is_ours);
        let listed: BTreeSet<_> =
            by_mark.map(|r| (r.is_ipv4(), r.fwmark(), r.table_id())).collect();
        let families = [true, false].into_iter().filter(|v4| *v4 || v6);
        let meant = families.flat_map(|v4| tables.keys().map(move |n| (v4, Some(*n), *n)));
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
    let mut rules = nftables::rules(nft, TABLE, None).await?;
    for (name, chain) in &router.chains {
        let listed = rules.remove(&**name).unwrap_or_default();
        same(name, listed, meant_rules(chain, denial)?)?;
    }
    let sets = nft.list_sets_in(TABLE, FAMILY).await.during(WHAT)?;
    let listed: BTreeSet<&str> = sets.iter().map(|s| s.name.as_str()).collect();
    let meant: BTreeSet<&str> = router.sets.keys().map(|n| &**n).collect();
    same("sets", listed, meant)?;
    for (name, set) in &router.sets {
        compare_set(nft, name, set).await?;
    }
    Ok(())
}

fn meant_rules(chain: &Chain, denial: Denial) -> Result<Vec<Vec<RuleExpr>>> {
    let spelt = chain.rules.iter().map(|rule| Ok(as_read(&expressions(rule, denial)?)));
    spelt.collect::<nlink::Result<_>>().during(WHAT)
}

async fn compare_set(nft: &Connection<Nftables>, name: &str, set: &Set) -> Result<()> {
    let listed = if set.ranges && set.key.len() == 1 {
        // The kernel lists the ends of ranges, which are to be paired.
        let pairs = nft.list_set_elements(TABLE, name, FAMILY).await.during(WHAT)?;
        pairs.iter().map(Element::from).collect()
    } else {
        nftables::elements(nft, TABLE, name).await?
    };
    same(name, sorted(listed), sorted(meant_elements(set, set.elements.iter())?))
}

fn meant_elements<'e>(
    set: &Set,
    elements: impl Iterator<Item = (&'e Key, &'e Value)>,
) -> Result<Vec<Element>> {
    let spelt = elements.map(|(key, value)| Ok(Element::from(&sets::element(set, key, value)?)));
    spelt.collect::<nlink::Result<_>>().during(WHAT)
}

fn sorted(mut elements: Vec<Element>) -> Vec<Element> {
    elements.sort_unstable_by(|a, b| (&a.key, &a.key_end).cmp(&(&b.key, &b.key_end)));
    elements
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
