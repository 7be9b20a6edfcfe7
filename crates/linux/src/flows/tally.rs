//! Counts of the same packets, put together.

use belljar_vpc::compile::Layer;
use belljar_vpc::flow_log::{Flags, Tuple};
use std::collections::HashMap;

/// Packets between the same two, by the same links, with the same fate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// The link that they came by.
    pub from: Option<u32>,
    /// The link for which they were; of what was refused it may not have been known.
    pub to: Option<u32>,
    /// Between whom.
    pub tuple: Tuple,
    /// What refused them; `None`: they passed.
    pub refused: Option<Layer>,
    /// How many.
    pub packets: u64,
    /// Their length, IP heads included.
    pub bytes: u64,
    /// Of TCP.
    pub flags: Flags,
}

type Key = (Option<u32>, Option<u32>, Tuple, Option<Layer>);

/// Counts, each of different packets.
#[derive(Debug, Default)]
pub struct Tally {
    counts: HashMap<Key, Count>,
    /// Whether there was more.
    pub lost: bool,
}

impl Tally {
    /// Adds a count; if there are `most` of others already, it is lost.
    pub fn add(&mut self, count: Count, most: usize) {
        let key = (count.from, count.to, count.tuple, count.refused);
        let full = self.counts.len() >= most;
        match self.counts.get_mut(&key) {
            Some(sum) => {
                sum.packets = sum.packets.saturating_add(count.packets);
                sum.bytes = sum.bytes.saturating_add(count.bytes);
                sum.flags |= count.flags;
            }
            None if full => self.lost = true,
            None => {
                self.counts.insert(key, count);
            }
        }
    }

    /// All of them.
    pub fn into_counts(self) -> impl Iterator<Item = Count> {
        self.counts.into_values()
    }
}
