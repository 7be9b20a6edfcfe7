//! Who is behind the kernel's numbers of links.

use super::Count;
use crate::router::RouterNet;
use belljar_vpc::flow_log::{Crossing, Layer, Port};
use belljar_vpc::id::InterfaceId;
use std::collections::HashMap;

/// What is at the links of a router, and what was: of what passed by a link that is gone is told
/// later. The kernel does not give a link's number to another one.
#[derive(Debug, Default)]
pub struct Ports(HashMap<u32, (Port, bool)>);

impl Ports {
    /// Looks at the router: to be called when its links have changed.
    pub fn note(&mut self, router: &RouterNet) {
        self.0.values_mut().for_each(|(_, is_there)| *is_there = false);
        for (index, end) in router.ends() {
            self.0.insert(index, (Port::of(end), true));
        }
    }

    /// Forgets links that are gone: all that passed by them was told.
    pub fn settle(&mut self) {
        self.0.retain(|_, (_, is_there)| *is_there);
    }

    /// What is at a link.
    #[must_use]
    pub fn at(&self, index: u32) -> Option<&Port> {
        self.0.get(&index).map(|(port, _)| port)
    }

    /// The interface at a link.
    #[must_use]
    pub fn interface(&self, index: u32) -> Option<&InterfaceId> {
        match self.at(index) {
            Some(Port::Interface(id)) => Some(id),
            _ => None,
        }
    }

    /// All interfaces.
    pub fn interfaces(&self) -> impl Iterator<Item = &InterfaceId> {
        self.0.keys().filter_map(|index| self.interface(*index))
    }

    /// What was counted, with names in the place of numbers.
    #[must_use]
    pub fn crossing(&self, count: &Count) -> Crossing {
        let port = |index: Option<u32>| self.at(index?).cloned();
        Crossing {
            from: port(count.from),
            to: port(count.to),
            tuple: count.tuple,
            packets: count.packets,
            bytes: count.bytes,
            flags: count.flags,
            refused: count.refused.map(Layer::of),
        }
    }
}
