//! Reads a router back, and compares.

use super::spell::expressions;
use super::{FAMILY, RouterNet, TABLE, sets};
use crate::error::{During, Error, Result};
use belljar_vpc::compile::Router;
use nlink::netlink::MessageBuilder;
use nlink::netlink::nftables::SetElement;
use nlink::netlink::nftables::expr::{Expr, RuleExpr, parse_expressions, write_expressions};
use std::collections::{BTreeMap, BTreeSet};

const WHAT: &str = "read the rules back";

impl RouterNet {
    /// Compares what is loaded with `router`, to the last element.
    pub(super) async fn read_back(&self, router: &Router) -> Result<()> {
        let chains = self.nft.list_chains_in(TABLE, FAMILY).await.during(WHAT)?;
        let listed: BTreeSet<&str> = chains.iter().map(|c| c.name.as_str()).collect();
        let meant: BTreeSet<&str> = router.chains.keys().map(|n| &**n).collect();
        same("chains", listed, meant)?;
        let mut rules: BTreeMap<String, Vec<Vec<RuleExpr>>> = BTreeMap::new();
        for rule in self.nft.list_rules(TABLE, FAMILY).await.during(WHAT)? {
            rules.entry(rule.chain.clone()).or_default().push(rule.expressions());
        }
        for (name, chain) in &router.chains {
            let mut meant = Vec::new();
            for rule in &chain.rules {
                meant.push(as_read(&expressions(rule, self.denial).during(WHAT)?));
            }
            same(name, rules.remove(&**name).unwrap_or_default(), meant)?;
        }
        let sets = self.nft.list_sets_in(TABLE, FAMILY).await.during(WHAT)?;
        let listed: BTreeSet<&str> = sets.iter().map(|s| s.name.as_str()).collect();
        let meant: BTreeSet<&str> = router.sets.keys().map(|n| &**n).collect();
        same("sets", listed, meant)?;
        for (name, set) in &router.sets {
            let listed = self.nft.list_set_elements(TABLE, name, FAMILY).await.during(WHAT)?;
            let elements = set.elements.iter().map(|(k, v)| sets::element(set, k, v));
            let meant: Vec<SetElement> =
                elements.collect::<nlink::Result<_>>().during("spell the rules")?;
            same(name, sorted(&listed), sorted(&meant))?;
        }
        Ok(())
    }
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
