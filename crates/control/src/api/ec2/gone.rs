//! What is deleted and stays to be seen for a while: NAT gateways and peering connections.

use crate::network::{Draft, Topology};
use belljar_domain::Timestamp;
use serde_json::json;

/// The kind of the notes that say since when.
const KIND: &str = "gone";
const HOUR: i64 = 60 * 60 * 1000;

/// For how long it stays, in milliseconds: a NAT gateway about an hour (VPC User Guide, "NAT
/// gateways"), a peering connection of one account two (VPC Peering Guide, "lifecycle").
fn stays(id: &str) -> i64 {
    if id.starts_with("pcx-") { 2 * HOUR } else { HOUR }
}

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
    since(now, id).is_some_and(|since| at.millis() - since.millis() >= stays(id))
}

/// Removes what is not shown any more. Whoever makes something of these kinds calls it, so that the
/// past does not grow.
pub(super) fn clear(draft: &mut Draft) {
    let now = draft.now().millis();
    let old =
        |id: &str, note: &serde_json::Value| note.as_i64().is_none_or(|at| now - at >= stays(id));
    let notes = draft.notes.iter();
    let gone: Vec<String> = notes
        .filter(|((kind, id), note)| kind == KIND && old(id, note))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peering_connection_is_seen_for_longer_than_a_gateway() {
        let mut now = Topology::default();
        for id in ["nat-1", "pcx-1"] {
            now.notes.insert((KIND.into(), id.into()), std::sync::Arc::new(json!(0)));
        }
        let at = |hours: i64| Timestamp::from_millis(hours * HOUR);
        let seen = |id: &str, hours: i64| !hidden(&now, at(hours), id);
        assert!(seen("nat-1", 0) && !seen("nat-1", 1));
        assert!(seen("pcx-1", 1) && !seen("pcx-1", 2));
    }
}
