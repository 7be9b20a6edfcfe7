//! Room that several share who know nothing of each other: whoever takes all that can be had leaves
//! others theirs.
//!
//! Everybody may have as many places as are free at that moment (the dynamic thresholds of shared
//! buffers: Choudhury and Hahne, 1998). One alone gets half of all, two a third each, and there is
//! always one for somebody who has none. Nobody needs to know how many they are.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

/// How many places everybody has.
#[derive(Debug)]
pub struct Shares<K> {
    held: Mutex<HashMap<K, usize>>,
}

impl<K> Default for Shares<K> {
    fn default() -> Self {
        Self { held: Mutex::default() }
    }
}

/// One place; it is given back when this is dropped.
#[derive(Debug)]
pub struct Share<K: Eq + Hash> {
    of: Arc<Shares<K>>,
    who: K,
}

impl<K: Eq + Hash + Clone> Shares<K> {
    /// One more for somebody, if so many are free that it may have one.
    #[must_use]
    pub fn take(self: &Arc<Self>, who: K, free: usize) -> Option<Share<K>> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let has = held.get(&who).copied().unwrap_or_default();
        if has >= free {
            return None;
        }
        held.insert(who.clone(), has + 1);
        Some(Share { of: Arc::clone(self), who })
    }
}

impl<K: Eq + Hash> Drop for Share<K> {
    fn drop(&mut self) {
        let mut held = self.of.held.lock().unwrap_or_else(PoisonError::into_inner);
        match held.get_mut(&self.who) {
            Some(has) if *has > 1 => *has -= 1,
            // Whoever has none is not remembered: anybody may have come once.
            _ => drop(held.remove(&self.who)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_takes_all_leaves_others_theirs() {
        let shares = Arc::new(Shares::default());
        let mut all = Vec::new();
        let take_all = |who: &'static str, all: &mut Vec<Share<&'static str>>| {
            let before = all.len();
            while let Some(share) = shares.take(who, 100 - all.len()) {
                all.push(share);
            }
            all.len() - before
        };
        assert_eq!(take_all("greedy", &mut all), 50);
        assert_eq!(take_all("as greedy", &mut all), 25);
        for (who, least) in [("third", 12), ("fourth", 6), ("fifth", 3)] {
            assert!(take_all(who, &mut all) >= least, "{who}");
        }
        // What is given back can be had again, and nobody is remembered who has none.
        all.truncate(50);
        assert_eq!(take_all("as greedy", &mut all), 25);
        drop(all);
        assert!(shares.held.lock().unwrap().is_empty());
        assert!(shares.take("nobody's", 0).is_none());
    }
}
