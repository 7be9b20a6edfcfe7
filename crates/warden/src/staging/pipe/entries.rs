//! What an epoch consists of.

use super::augmented::Augmented;
use super::shuffle::order;
use crate::staging::error::InputError;
use crate::staging::reading::Object;
use belljar_domain::Shard;
use bytes::Bytes;
use std::sync::Arc;

/// The records of a channel, before they are put in order.
#[derive(Clone)]
pub(super) enum Entries {
    /// One record for each object.
    Objects(Arc<[Object]>),
    /// One for each attribute of each line.
    Augmented(Arc<Augmented>),
}

/// One record.
pub(super) enum Entry {
    Object(Object),
    Inline(Bytes),
}

impl Entries {
    /// The records of one epoch that are in `shard`. All instances put all in the same order, and
    /// each takes its part of that: nothing is given twice, or to nobody, in any epoch.
    pub(super) fn of_epoch(
        &self,
        epoch: u64,
        seed: Option<u64>,
        shard: Option<Shard>,
    ) -> Box<dyn Iterator<Item = Result<Entry, InputError>> + Send> {
        let order = |count| Shard::of(shard, order(count, seed, epoch));
        match self.clone() {
            Self::Objects(objects) => {
                let order = order(objects.len());
                Box::new(order.into_iter().filter_map(move |i| {
                    objects.get(i as usize).map(|o| Ok(Entry::Object(o.clone())))
                }))
            }
            Self::Augmented(lines) => {
                let order = order(lines.count());
                Box::new(order.into_iter().flat_map(move |i| match lines.line(i as usize) {
                    Ok(entries) => entries.into_iter().map(Ok).collect::<Vec<_>>(),
                    Err(e) => vec![Err(e)],
                }))
            }
        }
    }
}
