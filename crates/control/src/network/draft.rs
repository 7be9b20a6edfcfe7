//! A network that is being edited.

use super::Topology;
use belljar_aws::AwsError;
use belljar_domain::Timestamp;
use belljar_vpc::id::ResourceId;
use belljar_vpc::{Description, Network};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// Tags, by the id of the resource.
pub(crate) type Tags = BTreeMap<String, Arc<BTreeMap<String, String>>>;

/// What the API keeps beside the network, by kind and id.
pub(crate) type Notes = BTreeMap<(String, String), Arc<Value>>;

/// A copy of the network, to be changed: as a [`Description`], it may say anything. Records are
/// shared with the original until they are changed (`Arc::make_mut`). Tags and the time of creation
/// go with a record that is removed.
#[derive(Debug)]
pub(crate) struct Draft {
    description: Description,
    created: BTreeMap<String, Timestamp>,
    /// What the API keeps beside the network.
    pub(crate) notes: Notes,
    /// Tags, by the id of the resource.
    pub(crate) tags: Tags,
    now: Timestamp,
}

impl Deref for Draft {
    type Target = Description;
    fn deref(&self) -> &Description {
        &self.description
    }
}

impl DerefMut for Draft {
    fn deref_mut(&mut self) -> &mut Description {
        &mut self.description
    }
}

impl Draft {
    pub(super) fn of(topology: &Topology, now: Timestamp) -> Self {
        Self {
            description: topology.description().clone(),
            created: topology.created.clone(),
            notes: topology.notes.clone(),
            tags: topology.tags.clone(),
            now,
        }
    }

    /// When the edit began.
    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    /// When a resource was made; `None` of one that this edit makes.
    pub(crate) fn created(&self, id: &str) -> Option<Timestamp> {
        self.created.get(id).copied()
    }

    /// The records.
    pub(crate) fn description(&self) -> &Description {
        &self.description
    }

    /// A new id. Of 68 bits by chance two are never the same.
    pub(crate) fn fresh<I: ResourceId>(&self) -> I {
        I::numbered(fastrand::u128(..))
    }

    /// Puts tags on a resource, in the place of those with the same keys.
    pub(crate) fn tag(&mut self, id: &str, tags: BTreeMap<String, String>) {
        if !tags.is_empty() {
            Arc::make_mut(self.tags.entry(id.to_owned()).or_default()).extend(tags);
        }
    }

    /// A note.
    pub(crate) fn note(&self, kind: &str, id: &str) -> Option<&Value> {
        self.notes.get(&(kind.to_owned(), id.to_owned())).map(Arc::as_ref)
    }

    /// Keeps a note, in the place of the one before it.
    pub(crate) fn set_note(&mut self, kind: &str, id: &str, note: Value) {
        self.notes.insert((kind.to_owned(), id.to_owned()), Arc::new(note));
    }

    /// Removes what goes with a record.
    pub(super) fn forget(&mut self, id: &str) {
        self.tags.remove(id);
        self.created.remove(id);
    }

    pub(super) fn note_creation(&mut self, id: &str) {
        self.created.entry(id.to_owned()).or_insert(self.now);
    }

    /// The topology that comes of it.
    ///
    /// # Errors
    /// If it is not a network: whoever edited it has not foreseen that.
    pub(super) fn checked(self, before: &Topology, changed: bool) -> Result<Topology, AwsError> {
        let Self { description, created, notes, mut tags, .. } = self;
        tags.retain(|_, tags| !tags.is_empty());
        let (generation, network) = if changed {
            let network = Network::new(description).map_err(|fault| {
                let text = format!("The network would not be valid any more: {fault}.");
                AwsError::new(400, "InvalidParameterValue", text)
            })?;
            (before.generation + 1, Arc::new(network))
        } else {
            (before.generation, before.network.clone())
        };
        Ok(Topology { generation, network, created, notes, tags })
    }
}
