//! What is deleted and stays to be seen for a while: NAT gateways and peering connections.

use crate::network::{Draft, Topology};
use belljar_domain::Timestamp;
use serde_json::json;

/// The kind of the notes that say since when.
const KIND: &str = "gone";
/// For how long it stays, in milliseconds: about an hour (VPC User Guide, "NAT gateways").
const STAYS: i64 = 60 * 60 * 1000;

/// Notes that something is gone from now on.
pub(super) fn mark(draft: &mut Draft, id: &str) {
    let at = draft.now().millis();
    draft.set_note(KIND, id, json!(at));
}

/// Since when it is gone, if it is.
pub(super) fn since(now: &Topology, id: &str) -> Option<Timestamp> {
    let note = now.notes.get(&(KIND.to_owned(), id.to_owned()))?;
    note.as_i64().map(Timestamp::from_millis)
}

/// Whether it is not shown any more.
pub(super) fn hidden(now: &Topology, at: Timestamp, id: &str) -> bool {
    since(now, id).is_some_and(|since| at.millis() - since.millis() >= STAYS)
}

/// Removes what is not shown any more. Whoever makes something of these kinds calls it, so that the
/// past does not grow.
pub(super) fn clear(draft: &mut Draft) {
    let now = draft.now().millis();
    let old = |note: &serde_json::Value| note.as_i64().is_none_or(|at| now - at >= STAYS);
    let notes = draft.notes.iter();
    let gone: Vec<String> = notes
        .filter(|((kind, _), note)| kind == KIND && old(note))
        .map(|((_, id), _)| id.clone())
        .collect();
    for id in gone {
        if let Ok(gateway) = id.parse() {
            draft.nat_gateways.remove(&gateway);
        }
        if let Ok(peering) = id.parse() {
            draft.peerings.remove(&peering);
        }
        draft.notes.retain(|(_, of), _| *of != id);
    }
}
