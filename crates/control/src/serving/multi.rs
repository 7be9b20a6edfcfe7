//! The models of a container with several. Source: Developer Guide, "Build your own container for
//! multi-model endpoints".
//!
//! Each model has a gate: who holds it loads or unloads the model, so both are done once, however
//! many requests want it. A request counts itself as a user before it looks whether the model is
//! loaded, and who unloads looks for users after it has said that it is not: one of the two sees
//! the other.

use super::door::{self, DoorError};
use super::limits::{Limits, MAX_MODELS};
use super::pool::{self, SendError};
use super::read;
use super::table::Container;
use belljar_domain::serving::{Ask, MODELS};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::Full;
use ring::digest;
use serde::Deserialize;
use serde_json::json;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{OnceCell, Semaphore};

/// How long a load waits for another model's last request, where the container has no room.
const PAUSE: Duration = Duration::from_millis(50);
/// Answers to `GET /models` that are read.
const MAX_PAGES: usize = 1000;

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
    users: AtomicUsize,
    used: Mutex<Instant>,
}

impl Models {
    /// Whether a model is loaded.
    pub(super) fn has(&self, name: &str) -> bool {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(name).is_some_and(|model| model.loaded.load(Ordering::SeqCst))
    }

    /// Whether any is loaded.
    fn any(&self) -> bool {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.values().any(|model| model.loaded.load(Ordering::SeqCst))
    }

    fn model(&self, name: &str) -> Arc<Model> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(model) = all.get(name) {
            return model.clone();
        }
        let model = Arc::new(Model {
            gate: tokio::sync::Mutex::default(),
            loaded: AtomicBool::new(false),
            users: AtomicUsize::new(0),
            used: Mutex::new(Instant::now()),
        });
        all.insert(name.to_owned(), model.clone());
        model
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
        let model = container.loaded.model(name);
        model.users.fetch_add(1, Ordering::SeqCst);
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
        let last = self.model.users.fetch_sub(1, Ordering::SeqCst) == 1;
        if last
            && !self.container.cached
            && self.is_loaded()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let (container, name) = (self.container.clone(), std::mem::take(&mut self.name));
            let (model, limits) = (self.model.clone(), self.limits);
            runtime.spawn(async move { unload(&container, &name, &model, &limits).await });
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
        let loaded = tokio::time::timeout(hold.limits.load, load(&hold, &key)).await;
        let late = || LoadError::Broken("the model was not loaded in time".into());
        loaded.unwrap_or_else(|_| Err(late())).map(|()| hold)
    });
    loading.await.unwrap_or_else(|e| Err(LoadError::Broken(e.to_string())))
}

/// Whether a container does not know a model any more that it had loaded: its server began anew,
/// say. It is loaded again then.
pub(super) async fn is_gone(hold: &Hold) -> bool {
    let path = format!("/models/{}", hold.name);
    let asked = request(&hold.container, Method::GET, &path, Bytes::new(), &hold.limits).await;
    let gone = asked.is_ok_and(|(status, _)| status == StatusCode::NOT_FOUND);
    if gone {
        hold.model.loaded.store(false, Ordering::SeqCst);
    }
    gone
}

async fn load(hold: &Hold, key: &str) -> Result<(), LoadError> {
    let (container, limits) = (&hold.container, &hold.limits);
    let _gate = hold.model.gate.lock().await;
    container.loaded.known.get_or_try_init(|| learn(container, limits)).await?;
    if hold.is_loaded() {
        return Ok(());
    }
    let ask = Ask::Model { name: hold.name.clone(), key: key.to_owned() };
    door::ask(&container.folder, &ask, limits.load).await.map_err(|e| match e {
        DoorError::Failed(why) => LoadError::Missing(why),
        other => LoadError::Broken(crate::chain(&other)),
    })?;
    let url = format!("{MODELS}/{}/model", hold.name);
    let body = Bytes::from(json!({"model_name": hold.name, "url": url}).to_string());
    loop {
        let (status, answer) =
            request(container, Method::POST, "/models", body.clone(), limits).await?;
        match status {
            StatusCode::INSUFFICIENT_STORAGE => {
                if make_room(container, limits).await {
                    continue;
                }
                if !container.loaded.any() {
                    forget(container, &hold.name, limits).await;
                    return Err(LoadError::Refused { status: status.as_u16(), message: answer });
                }
                tokio::time::sleep(PAUSE).await;
            }
            StatusCode::CONFLICT => break,
            status if status.is_success() => break,
            status => {
                forget(container, &hold.name, limits).await;
                return Err(LoadError::Refused { status: status.as_u16(), message: answer });
            }
        }
    }
    hold.model.loaded.store(true, Ordering::SeqCst);
    Ok(())
}

/// Unloads the model that was used longest ago. `false` if all are in use.
async fn make_room(container: &Arc<Container>, limits: &Limits) -> bool {
    for (name, model) in container.loaded.unused() {
        if unload(container, &name, &model, limits).await {
            return true;
        }
    }
    false
}

/// Unloads a model that nobody uses. `false` if somebody does, or it is not loaded.
async fn unload(container: &Arc<Container>, name: &str, model: &Model, limits: &Limits) -> bool {
    // Who has the gate loads it or is about to.
    let Ok(_gate) = model.gate.try_lock() else { return false };
    if !model.loaded.swap(false, Ordering::SeqCst) {
        return false;
    }
    if model.users.load(Ordering::SeqCst) > 0 {
        model.loaded.store(true, Ordering::SeqCst);
        return false;
    }
    let path = format!("/models/{name}");
    match request(container, Method::DELETE, &path, Bytes::new(), limits).await {
        Ok((status, _)) if status.is_success() || status == StatusCode::NOT_FOUND => {
            forget(container, name, limits).await;
            true
        }
        Ok((status, _)) => {
            tracing::warn!(container = container.name, name, %status, "a model is not unloaded");
            model.loaded.store(true, Ordering::SeqCst);
            false
        }
        Err(e) => {
            tracing::warn!(container = container.name, name, error = %e, "a model is not unloaded");
            // Whether it is loaded is not known: the next request has it loaded, and 409 is well.
            false
        }
    }
}

/// Removes a model's folder.
async fn forget(container: &Container, name: &str, limits: &Limits) {
    let ask = Ask::Forget { name: name.to_owned() };
    if let Err(e) = door::ask(&container.folder, &ask, limits.door).await {
        tracing::warn!(container = container.name, name, error = %e, "a model's folder stays");
    }
}

/// Finds out which models are loaded.
async fn learn(container: &Arc<Container>, limits: &Limits) -> Result<(), LoadError> {
    let mut path = "/models".to_owned();
    for _ in 0..MAX_PAGES {
        let (status, body) = request(container, Method::GET, &path, Bytes::new(), limits).await?;
        // A container may know of none before the first.
        let Ok(page) = serde_json::from_slice::<Page>(&body) else { break };
        if !status.is_success() {
            break;
        }
        for listed in page.models {
            container.loaded.model(&listed.model_name).loaded.store(true, Ordering::SeqCst);
        }
        let Some(token) = page.next_page_token.filter(|token| !token.is_empty()) else { break };
        let token: String = token.bytes().map(|b| format!("%{b:02X}")).collect();
        path = format!("/models?next_page_token={token}");
    }
    Ok(())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    #[serde(default)]
    models: Vec<Listed>,
    next_page_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    model_name: String,
}

/// A question about models, and its answer.
async fn request(
    container: &Container,
    method: Method,
    path: &str,
    body: Bytes,
    limits: &Limits,
) -> Result<(StatusCode, Bytes), LoadError> {
    let broken = |e: &dyn std::error::Error| LoadError::Broken(crate::chain(e));
    let mut request = Request::new(Full::new(body.clone()));
    *request.uri_mut() = path.parse().map_err(|e: http::uri::InvalidUri| broken(&e))?;
    *request.method_mut() = method;
    let headers = request.headers_mut();
    headers.insert(HOST, super::attempt::HOST_NAME);
    headers.insert(CONTENT_LENGTH, body.len().into());
    if !body.is_empty() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    let reply = pool::send(container, request, limits).await.map_err(|e| match e {
        SendError::Unsent(e) => broken(&e),
        SendError::Lost(e) => broken(&e),
    })?;
    let status = reply.response.status();
    let budget = Arc::new(Semaphore::new(2 * MAX_MODELS));
    let body = read::whole(container, reply, MAX_MODELS, limits, &budget).await;
    Ok((status, body.map_err(|e| broken(&e))?))
}

#[cfg(test)]
#[path = "multi_tests.rs"]
mod tests;
