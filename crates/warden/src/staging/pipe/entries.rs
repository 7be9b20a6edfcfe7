//! What an epoch consists of.

use super::augmented::Augmented;
use super::shuffle::order;
use crate::staging::error::InputError;
use crate::staging::reading::Object;
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
    /// The records of one epoch.
    pub(super) fn of_epoch(
        &self,
        seed: Option<u64>,
        epoch: u64,
    ) -> Box<dyn Iterator<Item = Result<Entry, InputError>> + Send> {
        match self.clone() {
            Self::Objects(objects) => {
                let order = order(objects.len(), seed, epoch);
                Box::new(order.into_iter().filter_map(move |i| {
                    objects.get(i as usize).map(|o| Ok(Entry::Object(o.clone())))
                }))
            }
            Self::Augmented(lines) => {
                let order = order(lines.count(), seed, epoch);
                Box::new(order.into_iter().flat_map(move |i| match lines.line(i as usize) {
                    Ok(entries) => entries.into_iter().map(Ok).collect::<Vec<_>>(),
                    Err(e) => vec![Err(e)],
                }))
            }
        }
    }
}
