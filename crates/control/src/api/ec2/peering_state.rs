//! The states of peering connections. That a request has expired is written nowhere: it follows from
//! when it was made.

use crate::network::{Draft, Topology};
use belljar_domain::Timestamp;
use belljar_vpc::id::PeeringId;
use belljar_vpc::network::{Peering, PeeringStatus};

const DAY: i64 = 24 * 60 * 60 * 1000;
/// How long a request waits for its answer, in milliseconds (VPC Peering Guide, "lifecycle").
const EXPIRES: i64 = 7 * DAY;
/// How long one that has expired stays to be seen (the same).
const STAYS: i64 = 2 * DAY;

/// What a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// As its record says.
    Is(PeeringStatus),
    /// A request that nobody has answered in time: nothing can be done with it.
    Expired,
}

impl State {
    pub(super) const fn code(self) -> &'static str {
        match self {
            Self::Is(PeeringStatus::PendingAcceptance) => "pending-acceptance",
            Self::Is(PeeringStatus::Active) => "active",
            Self::Is(PeeringStatus::Rejected) => "rejected",
            Self::Is(PeeringStatus::Deleted) => "deleted",
            Self::Expired => "expired",
        }
    }

    pub(super) fn message(self, account: &str) -> String {
        let begin = match self {
            Self::Is(PeeringStatus::Active) => return "Active".to_owned(),
            Self::Expired => return "Expired".to_owned(),
            Self::Is(PeeringStatus::PendingAcceptance) => "Pending Acceptance",
            Self::Is(PeeringStatus::Rejected) => "Rejected",
            Self::Is(PeeringStatus::Deleted) => "Deleted",
        };
        format!("{begin} by {account}")
    }

    /// Whether packets pass, or may yet.
    pub(super) const fn lives(self) -> bool {
        matches!(self, Self::Is(PeeringStatus::Active | PeeringStatus::PendingAcceptance))
    }
}

/// What a connection is at a time, of which it was asked for at another.
pub(super) fn state(peering: &Peering, asked: Option<Timestamp>, now: Timestamp) -> State {
    let waits = peering.status == PeeringStatus::PendingAcceptance;
    if waits && expiry(asked).is_some_and(|end| now >= end) {
        State::Expired
    } else {
        State::Is(peering.status)
    }
}

/// When a request expires.
pub(super) fn expiry(asked: Option<Timestamp>) -> Option<Timestamp> {
    asked.map(|at| Timestamp::from_millis(at.millis() + EXPIRES))
}

/// What a connection is in an edit.
pub(super) fn in_draft(draft: &Draft, id: &PeeringId, peering: &Peering) -> State {
    state(peering, draft.created(id.as_str()), draft.now())
}

/// What a connection is now.
pub(super) fn shown(now: &Topology, at: Timestamp, id: &PeeringId, peering: &Peering) -> State {
    state(peering, now.created.get(id.as_str()).copied(), at)
}

/// Whether a request expired so long ago that it is not shown any more.
pub(super) fn forgotten(peering: &Peering, asked: Option<Timestamp>, now: Timestamp) -> bool {
    let before = Timestamp::from_millis(now.millis() - STAYS);
    state(peering, asked, before) == State::Expired
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_expires_after_a_week_and_is_seen_for_two_days_more() {
        let peering = |status| Peering {
            requester: "vpc-1".parse().unwrap(),
            accepter: "vpc-2".parse().unwrap(),
            status,
            dns_resolution: false,
        };
        let asked = Timestamp::from_millis(1_000);
        let after = |days: i64, millis: i64| Timestamp::from_millis(1_000 + days * DAY + millis);
        let waits = peering(PeeringStatus::PendingAcceptance);
        let code = |at| state(&waits, Some(asked), at).code();
        assert_eq!((code(after(7, -1)), code(after(7, 0))), ("pending-acceptance", "expired"));
        assert!(!state(&waits, Some(asked), after(7, 0)).lives());
        let forgotten = |at| forgotten(&waits, Some(asked), at);
        assert_eq!((forgotten(after(9, -1)), forgotten(after(9, 0))), (false, true));
        // One that was answered does not.
        let active = peering(PeeringStatus::Active);
        assert_eq!(state(&active, Some(asked), after(99, 0)).code(), "active");
    }
}
