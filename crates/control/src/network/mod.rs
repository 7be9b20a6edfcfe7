//! The region's network as the service holds it: one checked snapshot, and edits one at a time.
//!
//! Who reads takes the current [`Topology`], which never changes. Who edits gets a [`Draft`], a copy
//! that shares all records with it; what comes out is checked, written in one transaction, and only
//! then what everybody sees. Whoever enforces it subscribes, and sees by the generation whether the
//! network itself was changed, and not only a tag.

pub(crate) mod defaults;
mod draft;
pub(crate) mod error;
pub(crate) mod flow_logs;
pub(crate) mod instances;
pub(crate) mod interfaces;
pub(crate) mod quotas;
pub(crate) mod vpcs;

pub(crate) use draft::{Draft, Notes, Tags};

use crate::api;
use crate::service::Config;
use belljar_aws::AwsError;
use belljar_domain::Timestamp;
use belljar_store::jobs::TagError;
use belljar_store::network::{self as kept, Kept};
use belljar_store::{Db, State, StoreError};
use belljar_vpc::Network;
use belljar_vpc::network::Change;
use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;
use tokio::sync::{Mutex, watch};

/// The network at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Topology {
    /// Goes up with every change of `network`.
    pub(crate) generation: u64,
    /// The network, checked.
    pub(crate) network: Arc<Network>,
    /// When each record was made, by its id.
    pub(crate) created: BTreeMap<String, Timestamp>,
    /// What the API keeps beside the network.
    pub(crate) notes: Notes,
    /// Tags, by the id of the resource.
    pub(crate) tags: Tags,
}

impl Deref for Topology {
    type Target = Network;
    fn deref(&self) -> &Network {
        &self.network
    }
}

/// The current topology, and the one way to change it.
#[derive(Debug, Clone)]
pub(crate) struct Networks {
    state: Arc<State>,
    now: fn() -> Timestamp,
    current: watch::Sender<Arc<Topology>>,
    /// Held by who edits.
    editing: Arc<Mutex<()>>,
}

impl Networks {
    /// Reads the network. The first time, the default VPC is made; each time, what there is not of
    /// AWS's prefix lists for the region.
    ///
    /// # Errors
    /// If the state fails, or what is kept is not a network.
    pub(crate) async fn open(state: &Arc<State>, config: &Config) -> Result<Self, StoreError> {
        let Kept { generation, description, created, notes, tags } = state.db().read(kept::load)?;
        let network = Network::new(description).map_err(unreadable)?;
        let topology = Topology {
            generation: generation.unwrap_or_default(),
            network: Arc::new(network),
            created,
            notes: shared(notes),
            tags: shared(tags),
        };
        let networks = Self {
            state: state.clone(),
            now: config.now,
            current: watch::Sender::new(Arc::new(topology)),
            editing: Arc::default(),
        };
        let made = networks.edit(|draft| {
            if generation.is_none() {
                defaults::default_vpc(draft, &config.region, &config.zones);
            }
            defaults::prefix_lists(draft, &config.region);
            Ok(())
        });
        made.await.map_err(unreadable)?;
        Ok(networks)
    }

    /// The network as it is.
    pub(crate) fn current(&self) -> Arc<Topology> {
        self.current.borrow().clone()
    }

    /// A copy to try something out with.
    pub(crate) fn draft(&self) -> Draft {
        Draft::of(&self.current(), (self.now)())
    }

    /// Sees every network from now on, or the newest of those that it was too late for.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<Topology>> {
        self.current.subscribe()
    }

    /// Changes the network, and answers what `change` does beside what came of it. When this
    /// answers `Ok`, the change is durable and everybody sees it; when it answers an error, nothing
    /// was changed. A client that goes away stops no commit.
    ///
    /// # Errors
    /// Those of `change`; if the outcome is not a network, or the state fails.
    pub(crate) async fn edit<T: Send>(
        &self,
        change: impl FnOnce(&mut Draft) -> Result<T, AwsError> + Send,
    ) -> Result<(T, Arc<Topology>), AwsError> {
        let guard = self.editing.clone().lock_owned().await;
        let before = self.current();
        let mut draft = Draft::of(&before, (self.now)());
        let answer = change(&mut draft)?;
        let networks = self.clone();
        let commit = tokio::spawn(async move {
            let _guard = guard;
            networks.commit(&before, draft).await
        });
        Ok((answer, commit.await.map_err(|_| AwsError::internal())??))
    }

    async fn commit(
        &self,
        before: &Arc<Topology>,
        mut draft: Draft,
    ) -> Result<Arc<Topology>, AwsError> {
        let now = draft.now();
        let changes = before.description().changes_to(draft.description());
        for change in &changes {
            match change {
                Change::Remove(id) => draft.forget(id.as_str()),
                Change::Put(record) => draft.note_creation(record.id().as_str()),
            }
        }
        let notes = differences(&before.notes, &draft.notes);
        let tags = differences(&before.tags, &draft.tags);
        if changes.is_empty() && notes.is_empty() && tags.is_empty() {
            return Ok(before.clone());
        }
        let after = Arc::new(draft.checked(before, !changes.is_empty())?);
        let generation = after.generation;
        let written = self.db().write(move |c| {
            kept::apply(c, generation, &changes, now)?;
            for ((kind, id), note) in &notes {
                kept::note(c, (kind, id), note.as_deref())?;
            }
            for (id, tags) in &tags {
                kept::set_tags(c, id, tags.as_deref().unwrap_or(&BTreeMap::new()))?;
            }
            Ok::<_, TagError>(())
        });
        written.await.map_err(tags_refused)?;
        self.current.send_replace(after.clone());
        Ok(after)
    }

    fn db(&self) -> &Db {
        self.state.db()
    }
}

/// What EC2 says of tags that it does not take.
fn tags_refused(e: TagError) -> AwsError {
    match e {
        TagError::TooMany(_) => {
            let text = "You have reached the maximum number of tags for this resource.";
            AwsError::new(400, "TagLimitExceeded", text)
        }
        TagError::Reserved(_) => {
            let text = "Tag keys starting with 'aws:' are reserved for internal use";
            AwsError::new(400, "InvalidParameterValue", text)
        }
        TagError::Store(e) => api::failed(&e),
    }
}

fn unreadable(e: impl std::fmt::Display) -> StoreError {
    StoreError::Record(serde::de::Error::custom(e))
}

fn shared<K: Ord, V>(map: BTreeMap<K, V>) -> BTreeMap<K, Arc<V>> {
    map.into_iter().map(|(key, value)| (key, Arc::new(value))).collect()
}

/// The keys whose values differ, with what is there now.
fn differences<K: Ord + Clone, V: PartialEq>(
    before: &BTreeMap<K, Arc<V>>,
    after: &BTreeMap<K, Arc<V>>,
) -> Vec<(K, Option<Arc<V>>)> {
    let same = |old: &Arc<V>, new: &Arc<V>| Arc::ptr_eq(old, new) || old == new;
    let gone = before.keys().filter(|key| !after.contains_key(*key)).map(|key| (key.clone(), None));
    let put = after
        .iter()
        .filter(|(key, new)| !before.get(*key).is_some_and(|old| same(old, new)))
        .map(|(key, new)| (key.clone(), Some(new.clone())));
    gone.chain(put).collect()
}

#[cfg(test)]
mod tests;
