//! From what is loaded to what is to be, as one nftables transaction.

use super::spell::{Denial, expressions};
use super::{FAMILY, TABLE, sets};
use belljar_vpc::compile::{Chain, Holds, Hook, Key, Name, Router, Set, Shared, Value};
use nlink::netlink::nftables::{
    BaseChain, Chain as NftChain, FilterHook, Policy, Priority, Rule, SetElement, Transaction,
};
use nlink::netlink::{Connection, Nftables};
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// Elements in one message: nlink refuses one over 64 KiB.
const CHUNK: usize = 500;

/// Bytes of a part of a first load, about: the default of `net.core.wmem_max`, which an ordinary user
/// cannot go beyond, lets 425,952 be sent at once.
const PART: usize = 150_000;
/// Bytes of an element, of a rule and of anything else in it, at most.
const ELEMENT: usize = 110;
const RULE: usize = 1_200;
const OTHER: usize = 400;

/// Between the check of the source and the kernel's look at connections (-200).
const ARRIVE: i32 = -250;
/// Behind all but the kernel's own last look.
const LEAVE: i32 = 300;

/// Entries of a map.
type Entries<'m, K, V> = Vec<(&'m K, &'m V)>;

/// What differs between two maps, in the order of keys: each pair that is gone, and each that is
/// new. A value that changed is both. One pass, because all but a few are the same.
pub(super) fn difference<'m, K: Ord, V: PartialEq>(
    old: &'m BTreeMap<K, V>,
    new: &'m BTreeMap<K, V>,
) -> (Entries<'m, K, V>, Entries<'m, K, V>) {
    let (mut gone, mut fresh) = (Vec::new(), Vec::new());
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return (gone, fresh),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((a, _)), Some((b, _))) => a.cmp(b),
        };
        let was = if order.is_le() { old.next() } else { None };
        let is = if order.is_ge() { new.next() } else { None };
        match (was, is) {
            (Some((_, a)), Some((_, b))) if a == b => {}
            (was, is) => {
                gone.extend(was);
                fresh.extend(is);
            }
        }
    }
}

/// What makes one router of another.
pub(super) struct Change<'r> {
    pub(super) old: &'r Router,
    new: &'r Router,
    gone_sets: Entries<'r, Name, Shared<Set>>,
    pub(super) fresh_sets: Entries<'r, Name, Shared<Set>>,
    gone_chains: Entries<'r, Name, Shared<Chain>>,
    pub(super) fresh_chains: Entries<'r, Name, Shared<Chain>>,
}

impl<'r> Change<'r> {
    pub(super) fn new(old: &'r Router, new: &'r Router) -> Self {
        let (gone_sets, fresh_sets) = difference(&old.sets, &new.sets);
        let (gone_chains, fresh_chains) = difference(&old.chains, &new.chains);
        Self { old, new, gone_sets, fresh_sets, gone_chains, fresh_chains }
    }

    /// Whether nftables has nothing to do.
    pub(super) fn is_empty(&self) -> bool {
        self.gone_sets.is_empty()
            && self.fresh_sets.is_empty()
            && self.gone_chains.is_empty()
            && self.fresh_chains.is_empty()
    }

    /// The chains that are no more.
    pub(super) fn removed_chains(&self) -> impl Iterator<Item = &Name> {
        let gone = self.gone_chains.iter().map(|(name, _)| *name);
        gone.filter(|name| !self.new.chains.contains_key(*name))
    }

    /// The sets that are no more.
    pub(super) fn removed_sets(&self) -> impl Iterator<Item = &Name> {
        let gone = self.gone_sets.iter().map(|(name, _)| *name);
        gone.filter(|name| !self.new.sets.contains_key(*name))
    }

    /// Puts it into `batch`. The order is the kernel's: what is named must be there, and what goes
    /// must be named by nobody.
    pub(super) fn put(&self, mut batch: Transaction, denial: Denial) -> nlink::Result<Transaction> {
        let old = self.old;
        for (name, set) in self.fresh_sets.iter().filter(|(n, _)| !old.sets.contains_key(*n)) {
            batch = batch.add_set(sets::set(name, set));
        }
        for (name, chain) in self.fresh_chains.iter().filter(|(n, _)| !old.chains.contains_key(*n))
        {
            batch = batch.add_chain(made(name, chain)?);
        }
        for (name, _) in &self.gone_chains {
            batch = batch.flush_chain(TABLE, name, FAMILY);
        }
        batch = self.elements(batch)?;
        for (name, chain) in &self.fresh_chains {
            batch = rules(name, chain, denial)?.into_iter().fold(batch, Transaction::add_rule);
        }
        for name in self.removed_chains() {
            batch = batch.del_chain(TABLE, name, FAMILY);
        }
        for name in self.removed_sets() {
            batch = batch.del_set(TABLE, name, FAMILY);
        }
        Ok(batch)
    }

    fn elements(&self, mut batch: Transaction) -> nlink::Result<Transaction> {
        let none = BTreeMap::new();
        let of = |router: &'r Router, name| router.sets.get(name).map(|s| &s.elements);
        for (name, set) in &self.gone_sets {
            let kept = of(self.new, *name);
            // With a set go its elements; but those that name chains first.
            if kept.is_none() && set.holds != Holds::Verdicts {
                continue;
            }
            let (gone, _) = difference(&set.elements, kept.unwrap_or(&none));
            let declared = sets::set(name, set);
            for chunk in spelt(set, &gone)?.chunks(CHUNK) {
                batch = batch.del_set_elements(&declared, chunk);
            }
        }
        for (name, set) in &self.fresh_sets {
            let (_, fresh) = difference(of(self.old, *name).unwrap_or(&none), &set.elements);
            let declared = sets::set(name, set);
            for chunk in spelt(set, &fresh)?.chunks(CHUNK) {
                batch = batch.add_set_elements(&declared, chunk);
            }
        }
        Ok(batch)
    }
}

/// Transactions of a limited size.
struct Parts<'n> {
    nft: &'n Connection<Nftables>,
    done: Vec<Transaction>,
    open: Transaction,
    bytes: usize,
}

impl<'n> Parts<'n> {
    fn new(nft: &'n Connection<Nftables>) -> Self {
        Self { nft, done: Vec::new(), open: nft.transaction(), bytes: 0 }
    }

    fn add(&mut self, bytes: usize, put: impl FnOnce(Transaction) -> Transaction) {
        if self.bytes + bytes > PART {
            self.done.push(std::mem::replace(&mut self.open, self.nft.transaction()));
            self.bytes = 0;
        }
        self.bytes += bytes;
        let open = std::mem::replace(&mut self.open, self.nft.transaction());
        self.open = put(open);
    }
}

impl Change<'_> {
    /// The new router in several transactions, for an empty table. Until the last one, which has the
    /// hooks, nothing of it decides about any packet.
    pub(super) fn parts(
        &self,
        nft: &Connection<Nftables>,
        denial: Denial,
    ) -> nlink::Result<Vec<Transaction>> {
        let mut parts = Parts::new(nft);
        for (name, set) in &self.fresh_sets {
            parts.add(OTHER, |batch| batch.add_set(sets::set(name, set)));
        }
        let (hooked, called): (Vec<_>, Vec<_>) =
            self.fresh_chains.iter().partition(|(_, chain)| chain.hook.is_some());
        for (name, chain) in &called {
            let made = made(name, chain)?;
            parts.add(OTHER, |batch| batch.add_chain(made));
        }
        for (name, set) in &self.fresh_sets {
            let declared = sets::set(name, set);
            let all: Vec<_> = set.elements.iter().collect();
            for chunk in spelt(set, &all)?.chunks(CHUNK) {
                let bytes = OTHER + chunk.len() * ELEMENT;
                parts.add(bytes, |batch| batch.add_set_elements(&declared, chunk));
            }
        }
        for (name, chain) in &called {
            for rule in rules(name, chain, denial)? {
                parts.add(RULE, |batch| batch.add_rule(rule));
            }
        }
        let mut last = nft.transaction();
        for (name, chain) in hooked {
            last = last.add_chain(made(name, chain)?);
            last = rules(name, chain, denial)?.into_iter().fold(last, Transaction::add_rule);
        }
        parts.done.extend([parts.open, last]);
        Ok(parts.done)
    }
}

fn rules(name: &str, chain: &Chain, denial: Denial) -> nlink::Result<Vec<Rule>> {
    let spelt =
        |rule| Ok(Rule::new(TABLE, name).family(FAMILY).expressions(expressions(rule, denial)?));
    chain.rules.iter().map(spelt).collect()
}

fn spelt(set: &Set, elements: &[(&Key, &Value)]) -> nlink::Result<Vec<SetElement>> {
    elements.iter().map(|(key, value)| sets::element(set, key, value)).collect()
}

/// A chain, without its rules.
fn made(name: &str, chain: &Chain) -> nlink::Result<NftChain> {
    let made = NftChain::new(TABLE, name)?.family(FAMILY);
    let Some(hook) = chain.hook else { return Ok(made) };
    let policy = if hook.passes() { Policy::Accept } else { Policy::Drop };
    let base = match hook {
        Hook::Source => BaseChain::filter(FilterHook::Prerouting, Priority::Raw),
        Hook::Mark => BaseChain::filter(FilterHook::Prerouting, Priority::Mangle),
        Hook::Arrive => BaseChain::filter(FilterHook::Prerouting, Priority::Custom(ARRIVE)),
        Hook::Local => BaseChain::filter(FilterHook::Input, Priority::Filter),
        Hook::Leave => BaseChain::filter(FilterHook::Postrouting, Priority::Custom(LEAVE)),
        routed => BaseChain::filter(FilterHook::Forward, Priority::Custom(routed as i32)),
    };
    Ok(made.base(base.policy(policy)))
}
