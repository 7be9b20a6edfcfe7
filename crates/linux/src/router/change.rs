//! From what is loaded to what is to be, as one nftables transaction.

use super::spell::{Denial, expressions};
use super::{FAMILY, TABLE, sets};
use belljar_vpc::compile::{Chain, Hook, Router, Set};
use nlink::netlink::nftables::{
    BaseChain, Chain as NftChain, FilterHook, Policy, Priority, Rule, SetElement,
    Transaction,
};

/// Elements in one message: nlink refuses one over 64 KiB.
const CHUNK: usize = 500;

/// Between the check of the source and the kernel's look at connections (-200).
const ARRIVE: i32 = -250;
/// Behind all but the kernel's own last look.
const LEAVE: i32 = 300;

/// Puts into `batch` what makes `new` of `old`. Nothing is looked at that is the same in both.
///
/// The order is the kernel's: what is named must be there, and what goes must be named by nobody.
pub(super) fn change(
    mut batch: Transaction,
    old: &Router,
    new: &Router,
    denial: Denial,
) -> nlink::Result<Transaction> {
    for (name, set) in new.sets.iter().filter(|(n, _)| !old.sets.contains_key(*n)) {
        batch = batch.add_set(sets::set(name, set));
    }
    for (name, chain) in new.chains.iter().filter(|(n, _)| !old.chains.contains_key(*n)) {
        batch = batch.add_chain(made(name, chain)?);
    }
    for (name, _) in old.chains.iter().filter(|(n, c)| new.chains.get(*n) != Some(*c)) {
        batch = batch.flush_chain(TABLE, name, FAMILY);
    }
    for (name, set) in &old.sets {
        let gone = set.elements.iter().filter(|(key, value)| {
            new.sets.get(name).is_none_or(|n| n.elements.get(*key) != Some(*value))
        });
        let is_kept = new.sets.contains_key(name);
        let elements: Vec<SetElement> = if is_kept || has_chains(set) {
            gone.map(|(k, v)| sets::element(set, k, v)).collect::<nlink::Result<_>>()?
        } else {
            Vec::new()
        };
        let declared = sets::set(name, set);
        for chunk in elements.chunks(CHUNK) {
            batch = batch.del_set_elements(&declared, chunk);
        }
    }
    for (name, set) in &new.sets {
        let fresh = set.elements.iter().filter(|(key, value)| {
            old.sets.get(name).is_none_or(|o| o.elements.get(*key) != Some(*value))
        });
        let elements: Vec<SetElement> =
            fresh.map(|(k, v)| sets::element(set, k, v)).collect::<nlink::Result<_>>()?;
        let declared = sets::set(name, set);
        for chunk in elements.chunks(CHUNK) {
            batch = batch.add_set_elements(&declared, chunk);
        }
    }
    for (name, chain) in new.chains.iter().filter(|(n, c)| old.chains.get(*n) != Some(*c)) {
        for rule in &chain.rules {
            let all = expressions(rule, denial)?;
            batch = batch.add_rule(Rule::new(TABLE, name).family(FAMILY).expressions(all));
        }
    }
    for (name, _) in old.chains.iter().filter(|(n, _)| !new.chains.contains_key(*n)) {
        batch = batch.del_chain(TABLE, name, FAMILY);
    }
    for (name, _) in old.sets.iter().filter(|(n, _)| !new.sets.contains_key(*n)) {
        batch = batch.del_set(TABLE, name, FAMILY);
    }
    Ok(batch)
}

fn has_chains(set: &Set) -> bool {
    set.holds == belljar_vpc::compile::Holds::Verdicts
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
