//! Connection tracking, as the kernel does it, as far as rules see it.

use crate::compile::State;
use crate::traffic::{Header, Payload};
use std::collections::HashMap;

/// The connections that a router knows.
#[derive(Debug, Clone, Default)]
pub struct Connections {
    /// By the head of the first packet: whether it was answered.
    answered: HashMap<Header, bool>,
}

/// What a packet is to the connections that are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It belongs to one that was answered, or is the answer.
    Answered,
    /// It belongs to one that was not.
    Asked,
    /// It begins one.
    New,
    /// It is of a sort that is never tracked.
    Untracked,
    /// It belongs to none and can begin none.
    None,
}

impl Standing {
    pub(super) const fn state(self) -> Option<State> {
        match self {
            Self::Answered => Some(State::Established),
            Self::None => Some(State::Invalid),
            Self::Asked | Self::New | Self::Untracked => None,
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
        self.answered.retain(|header, _| !forget(header));
    }

    pub(super) fn standing(&self, header: &Header) -> Standing {
        match self.answered.get(header) {
            Some(true) => Standing::Answered,
            Some(false) => Standing::Asked,
            None if self.question(header).is_some() => Standing::Answered,
            None => begins(header),
        }
    }

    /// The first packet of the connection that a packet would answer.
    fn question(&self, header: &Header) -> Option<Header> {
        let payload = match header.payload {
            Payload::Icmp { v6: false, kind: 0, code } => Payload::Icmp { v6: false, kind: 8, code },
            Payload::Icmp { v6: true, kind: 129, code } => {
                Payload::Icmp { v6: true, kind: 128, code }
            }
            Payload::Icmp { .. } => return None,
            payload => payload.reply()?,
        };
        let question = Header { source: header.destination, destination: header.source, payload };
        self.answered.contains_key(&question).then_some(question)
    }

    pub(super) fn begin(&mut self, header: Header) {
        self.answered.insert(header, false);
    }

    pub(super) fn saw(&mut self, header: &Header) {
        if self.answered.contains_key(header) {
            return;
        }
        if let Some(question) = self.question(header) {
            self.answered.insert(question, true);
        }
    }
}

/// Whether a packet of no connection begins one. Neighbour discovery and its like are not tracked
/// (nf_conntrack_proto_icmpv6.c).
fn begins(header: &Header) -> Standing {
    match header.payload {
        payload if payload.opens(header.source.is_ipv6()) => Standing::New,
        Payload::Icmp { v6: true, kind: 130..=137 | 143, .. } if header.source.is_ipv6() => {
            Standing::Untracked
        }
        _ => Standing::None,
    }
}
