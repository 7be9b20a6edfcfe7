//! Which packets are carried, as nftables' rules.

use crate::error::{During, Error, Result};
use crate::seal_net::TABLE;
use belljar_vpc::outlet::{MARK, PORT};
use belljar_vpc::public;
use belljar_vpc::rules::{TCP, UDP};
use ipnet::{IpNet, Ipv6Net};
use nlink::netlink::nftables::{BaseChain, Chain, Family, FibFlags, FilterHook, Priority, Rule};
use nlink::netlink::{Connection, Nftables};
use std::net::Ipv6Addr;

const OUTWARD: &str = "outward";
const CARRY: &str = "carry";

fn rule(chain: &str) -> Rule {
    Rule::new(TABLE, chain).family(Family::Inet)
}

fn chain(name: &str, base: BaseChain) -> Result<Chain> {
    let chain = Chain::new(TABLE, name).during("name a chain")?;
    Ok(chain.family(Family::Inet).base(base))
}

/// What is not public is left as it is; without `v6` nothing of IPv6 is.
fn spare(chain: &str, v6: bool) -> Vec<Rule> {
    let rest = Ipv6Net::new_assert(Ipv6Addr::from_bits(0x2000 << 112), 3);
    let all = public::refused().chain((!v6).then_some(IpNet::V6(rest)));
    all.map(|net| rule(chain).match_daddr(net.addr(), net.prefix_len()).accept()).collect()
}

/// The chains of a namespace that has `lo` alone. What its programs send out gets the mark before it
/// is routed, so it comes back by `lo`, where it is handed over.
pub(crate) fn chains(v6: bool) -> Result<[(Chain, Vec<Rule>); 2]> {
    let mut outward = spare(OUTWARD, v6);
    let mut carry = Vec::new();
    for protocol in [TCP, UDP] {
        outward.push(rule(OUTWARD).match_l4proto(protocol).set_mark(MARK).accept());
        let marked = rule(CARRY).match_mark(MARK).match_l4proto(protocol);
        carry.push(marked.tproxy(Family::Inet, None, Some(PORT)).accept());
    }
    let incoming = BaseChain::filter(FilterHook::Prerouting, Priority::Mangle);
    Ok([
        (chain(OUTWARD, BaseChain::route(Priority::Mangle))?, outward),
        (chain(CARRY, incoming)?, carry),
    ])
}

/// The chain of a namespace that passes packets on. What a link leads to is passed on.
fn edge() -> Result<(Chain, Vec<Rule>)> {
    let mut rules = spare(CARRY, true);
    for protocol in [TCP, UDP] {
        let stray = rule(CARRY).match_fib_missing(FibFlags::DADDR).match_l4proto(protocol);
        rules.push(stray.set_mark(MARK).tproxy(Family::Inet, None, Some(PORT)).accept());
    }
    Ok((chain(CARRY, BaseChain::filter(FilterHook::Prerouting, Priority::Mangle))?, rules))
}

pub(super) async fn load_edge(nft: &Connection<Nftables>) -> Result<()> {
    const WHAT: &str = "load the rules of the way out";
    let (chain, rules) = edge()?;
    let text = |r: &Rule| r.nft_syntax_stateless().unwrap_or_default();
    let meant: Vec<String> = rules.iter().map(text).collect();
    let batch = nft.transaction().add_table(TABLE, Family::Inet).add_chain(chain);
    let batch = rules.into_iter().fold(batch, |batch, rule| batch.add_rule(rule));
    batch.commit(nft).await.during(WHAT)?;
    let listed = nft.list_rules(TABLE, Family::Inet).await.during("list the nftables rules")?;
    let listed: Vec<String> =
        listed.iter().map(|r| r.nft_syntax_stateless().unwrap_or_default()).collect();
    if listed != meant || listed.iter().any(String::is_empty) {
        let text = format!("loaded {meant:?}, the kernel lists {listed:?}");
        return Err(Error::other("verify the nftables rules", text));
    }
    Ok(())
}
