//! Network Insights: whether there is a way from here to there, answered by
//! [`belljar_vpc::reach`] on the network as it is.
//!
//! The network itself knows nothing of paths and analyses: they are notes beside it.

mod analysis;
mod flow;
mod missed;
mod path;
mod shown;

pub(super) use analysis::{delete as delete_analysis, describe as describe_analyses, start};
pub(super) use path::{create, delete as delete_path, describe as describe_paths};

use crate::network::{Draft, Topology};
use belljar_vpc::id::ResourceId;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The kinds of the notes: the types by which tags know them.
const PATH: &str = "network-insights-path";
const ANALYSIS: &str = "network-insights-analysis";

/// Seconds since 1970, as answers have times.
fn seconds(at: belljar_domain::Timestamp) -> f64 {
    at.millis() as f64 / 1000.0
}

/// The notes of a kind, by their ids.
fn of_kind<I: ResourceId>(notes: &crate::network::Notes, kind: &str) -> BTreeMap<I, Arc<Value>> {
    notes
        .range((kind.to_owned(), String::new())..)
        .take_while(|((of, _), _)| of == kind)
        .filter_map(|((_, id), note)| Some((id.parse().ok()?, note.clone())))
        .collect()
}

/// A note with the tags that it has now.
fn tagged(now: &Topology, id: &str, note: &Value) -> Value {
    let mut shown = note.clone();
    shown["Tags"] = super::tags::shown(&now.tags, id);
    shown
}

/// Removes a note and its tags.
fn remove(draft: &mut Draft, kind: &str, id: &str) {
    draft.notes.remove(&(kind.to_owned(), id.to_owned()));
    draft.tags.remove(id);
}
