//! Who is behind the kernel's numbers of links.

use super::{Count, Refusal};
use crate::router::RouterNet;
use belljar_vpc::flow_log::{Crossing, Layer, Port};
use std::collections::HashMap;
use std::mem;

/// What is at the links of a router, and was before it was last asked: what passed by a link that
/// is gone is told of later. The kernel does not give a number to another link.
#[derive(Debug, Default)]
pub struct Ports {
    now: HashMap<u32, Port>,
    before: HashMap<u32, Port>,
}

impl Ports {
    /// Looks again. To be called once a reading.
    pub fn update(&mut self, router: &RouterNet) {
        let now = router.ends().map(|(index, end)| (index, Port::of(end))).collect();
        self.before = mem::replace(&mut self.now, now);
    }

    /// What is at a link.
    #[must_use]
    pub fn at(&self, index: u32) -> Option<&Port> {
        self.now.get(&index).or_else(|| self.before.get(&index))
    }

    /// What passed.
    #[must_use]
    pub fn passed(&self, count: &Count) -> Crossing {
        Crossing {
            from: self.at(count.from).cloned(),
            to: self.at(count.to).cloned(),
            tuple: count.tuple,
            packets: count.packets,
            bytes: count.bytes,
            flags: count.flags,
            refused: None,
        }
    }

    /// What was refused.
    #[must_use]
    pub fn refused(&self, refusal: &Refusal) -> Crossing {
        let port = |index: Option<u32>| self.at(index?).cloned();
        Crossing {
            from: port(refusal.from),
            to: port(refusal.to),
            tuple: refusal.head.tuple,
            packets: 1,
            bytes: refusal.head.length,
            flags: refusal.head.flags,
            refused: Some(Layer::of(refusal.layer)),
        }
    }
}
