//! The models of a container with several. Source: Developer Guide, "Build your own container for
//! multi-model endpoints".
//!
//! Each model has a gate: who holds it loads or unloads the model, so both are done once, however
//! many requests want it. A request counts itself as a user before it looks whether the model is
//! loaded, and who unloads looks for users after it has said that it is not: one of the two sees
//! the other.

mod ask;
mod load;

use super::limits::Limits;
use super::table::Container;
use bytes::Bytes;
use http::Uri;
use ring::digest;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tokio::sync::OnceCell;

pub(super) use load::is_gone;

/// Why a model is not loaded.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum LoadError {
    /// It cannot be brought: there is none of this key, say.
    #[error("{0}")]
    Missing(String),
    /// The container does not load it.
    #[error("the container answers {status}")]
    Refused {
        /// The status.
        status: u16,
        /// The container's words.
        message: Bytes,
    },
    /// The container was not reached, or broke off.
    #[error("{0}")]
    Broken(String),
}

/// The name that a container knows a model by: the key may have any characters.
#[must_use]
pub fn model_name(key: &str) -> String {
    belljar_aws::sigv4::hex(digest::digest(&digest::SHA256, key.as_bytes()).as_ref())
}

/// A container's models.
#[derive(Debug, Default)]
pub(super) struct Models {
    all: Mutex<HashMap<String, Arc<Model>>>,
    /// Whether those are known that a service before this one had loaded.
    known: OnceCell<()>,
}

#[derive(Debug)]
struct Model {
    gate: tokio::sync::Mutex<()>,
    loaded: AtomicBool,
    /// Whether the container is being told to forget it: it may have its room yet.
    unloading: AtomicBool,
    users: AtomicUsize,
    used: Mutex<Instant>,
}

impl Model {
    fn new() -> Self {
        Self {
            gate: tokio::sync::Mutex::default(),
            loaded: AtomicBool::new(false),
            unloading: AtomicBool::new(false),
            users: AtomicUsize::new(0),
            used: Mutex::new(Instant::now()),
        }
    }
}

impl Models {
    /// Whether a model is loaded.
    pub(super) fn has(&self, name: &str) -> bool {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(name).is_some_and(|model| model.loaded.load(Ordering::SeqCst))
    }

    /// Whether any takes room in the container: it is loaded, or on its way out.
    fn any(&self) -> bool {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let set = |flag: &AtomicBool| flag.load(Ordering::SeqCst);
        all.values().any(|model| set(&model.loaded) || set(&model.unloading))
    }

    /// Counts a user. Under the lock, as is what [`Models::leave`] does: no model that somebody
    /// uses is forgotten.
    fn join(&self, name: &str) -> Arc<Model> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let model = all.entry(name.to_owned()).or_insert_with(|| Arc::new(Model::new())).clone();
        model.users.fetch_add(1, Ordering::SeqCst);
        model
    }

    /// A user less; whether it was the last. A model that is not loaded is forgotten with it:
    /// clients may ask for any number of them.
    fn leave(&self, name: &str, model: &Model) -> bool {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let last = model.users.fetch_sub(1, Ordering::SeqCst) == 1;
        if last && !model.loaded.load(Ordering::SeqCst) {
            all.remove(name);
        }
        last
    }

    /// Forgets a model that was unloaded, unless somebody waits to have it loaded again.
    fn clear_up(&self, name: &str) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = |m: &Arc<Model>| {
            m.users.load(Ordering::SeqCst) == 0 && !m.loaded.load(Ordering::SeqCst)
        };
        if all.get(name).is_some_and(idle) {
            all.remove(name);
        }
    }

    /// Says of a model that it is loaded.
    fn is_there(&self, name: String) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let model = all.entry(name).or_insert_with(|| Arc::new(Model::new()));
        model.loaded.store(true, Ordering::SeqCst);
    }

    /// Loaded models that nobody uses, the longest unused first.
    fn unused(&self) -> Vec<(String, Arc<Model>)> {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let free =
            |m: &Model| m.loaded.load(Ordering::SeqCst) && m.users.load(Ordering::SeqCst) == 0;
        let mut found: Vec<_> =
            all.iter().filter(|(_, m)| free(m)).map(|(n, m)| (n.clone(), m.clone())).collect();
        found.sort_by_key(|(_, m)| *m.used.lock().unwrap_or_else(PoisonError::into_inner));
        found
    }
}

/// A request's hold on a model: it stays loaded.
#[derive(Debug)]
pub(super) struct Hold {
    container: Arc<Container>,
    name: String,
    model: Arc<Model>,
    limits: Limits,
}

impl Hold {
    fn new(container: &Arc<Container>, name: &str, limits: &Limits) -> Self {
        let model = container.loaded.join(name);
        Self { container: container.clone(), name: name.to_owned(), model, limits: *limits }
    }

    /// Where requests for it go.
    pub(super) fn invoke_uri(&self) -> Uri {
        // A name is hexadecimal.
        let uri = Uri::from_maybe_shared(format!("/models/{}/invoke", self.name));
        uri.unwrap_or_default()
    }

    fn is_loaded(&self) -> bool {
        self.model.loaded.load(Ordering::SeqCst)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        *self.model.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        let last = self.container.loaded.leave(&self.name, &self.model);
        if last
            && !self.container.cached
            && self.is_loaded()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let (container, name) = (self.container.clone(), std::mem::take(&mut self.name));
            let (model, limits) = (self.model.clone(), self.limits);
            runtime.spawn(async move { load::unload(&container, &name, &model, &limits).await });
        }
    }
}

/// Has a model loaded. The load goes on where a caller is gone, and others wait for the same one.
///
/// # Errors
/// If it cannot be.
pub(super) async fn hold(
    container: &Arc<Container>,
    key: &str,
    name: &str,
    limits: &Limits,
) -> Result<Hold, LoadError> {
    let hold = Hold::new(container, name, limits);
    if hold.is_loaded() {
        return Ok(hold);
    }
    let key = key.to_owned();
    let loading = tokio::spawn(async move {
        let loaded = tokio::time::timeout(hold.limits.load, load::load(&hold, &key)).await;
        let late = || LoadError::Broken("the model was not loaded in time".into());
        loaded.unwrap_or_else(|_| Err(late())).map(|()| hold)
    });
    loading.await.unwrap_or_else(|e| Err(LoadError::Broken(e.to_string())))
}

#[cfg(test)]
mod tests;
