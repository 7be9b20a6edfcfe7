//! Connection tracking, as the kernel does it, as far as rules see it.

use crate::compile::State;
use crate::traffic::{Header, Payload};
use std::collections::HashMap;

/// The connections that a router knows.
#[derive(Debug, Clone, Default)]
pub struct Connections {
    entries: Vec<Entry>,
    /// The entry of a head, and whether it is that of the answer.
    by_head: HashMap<Header, (usize, bool)>,
}

#[derive(Debug, Clone)]
struct Entry {
    /// The first packet as it came, as rules saw it, and as it left.
    original: Header,
    middle: Header,
    translated: Header,
    answered: bool,
}

/// What a packet is to the connections that are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// It belongs to one.
    Known {
        /// Whether that was answered, this packet included.
        answered: bool,
        /// As rules see it.
        middle: Header,
        /// As it leaves.
        last: Header,
    },
    /// It begins one.
    New,
    /// It is of a sort that is never tracked.
    Untracked,
    /// It belongs to none and can begin none.
    None,
}

impl Standing {
    pub(super) fn state(&self) -> Option<State> {
        match self {
            Self::Known { answered: true, .. } => Some(State::Established),
            Self::None => Some(State::Invalid),
            _ => None,
        }
    }
}

impl Connections {
    /// None.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets those that began with a packet (as rules saw it) for which `forget` says so.
    pub fn forget(&mut self, forget: impl Fn(&Header) -> bool) {
        let kept: Vec<Entry> = self.entries.drain(..).filter(|e| !forget(&e.middle)).collect();
        self.by_head.clear();
        for entry in kept {
            self.add(entry);
        }
    }

    pub(super) fn standing(&self, header: &Header) -> Standing {
        if let Some(&(place, is_reply)) = self.by_head.get(header) {
            let entry = &self.entries[place];
            let heads = if is_reply {
                entry.middle.reply().zip(entry.original.reply())
            } else {
                Some((entry.middle, entry.translated))
            };
            if let Some((middle, last)) = heads {
                return Standing::Known { answered: entry.answered || is_reply, middle, last };
            }
        }
        begins(&header.payload)
    }

    pub(super) fn begin(&mut self, original: Header, middle: Header, translated: Header) {
        self.add(Entry { original, middle, translated, answered: false });
    }

    pub(super) fn saw(&mut self, header: &Header) {
        if let Some(&(place, true)) = self.by_head.get(header) {
            self.entries[place].answered = true;
        }
    }

    fn add(&mut self, entry: Entry) {
        let place = self.entries.len();
        self.by_head.insert(entry.original, (place, false));
        if let Some(reply) = entry.translated.reply() {
            self.by_head.entry(reply).or_insert((place, true));
        }
        self.entries.push(entry);
    }
}

/// Whether a packet of no connection begins one. Of ICMP only questions do; neighbour discovery and
/// the like are not tracked (nf_conntrack_proto_icmp.c, nf_conntrack_proto_icmpv6.c).
fn begins(payload: &Payload) -> Standing {
    match *payload {
        Payload::Ports { .. } | Payload::Other { .. } => Standing::New,
        Payload::Icmp { v6: false, kind: 8 | 13 | 15 | 17, .. }
        | Payload::Icmp { v6: true, kind: 128 | 139, .. } => Standing::New,
        Payload::Icmp { v6: true, kind: 130..=137 | 143, .. } => Standing::Untracked,
        Payload::Icmp { .. } => Standing::None,
    }
}
