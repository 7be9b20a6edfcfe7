//! Loading and unloading.

use super::{Hold, LoadError, Model, ask};
use crate::serving::door::{self, DoorError};
use crate::serving::limits::Limits;
use crate::serving::table::Container;
use belljar_domain::serving::Ask;
use http::StatusCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long a load waits for another model's last request, where the container has no room.
const PAUSE: Duration = Duration::from_millis(50);

/// Whether a container does not know a model any more that it had loaded: its server began anew,
/// say. It is loaded again then.
pub(in crate::serving) async fn is_gone(hold: &Hold) -> bool {
    let asked = ask::find(&hold.container, &hold.name, &hold.limits).await;
    let gone = asked.is_ok_and(|status| status == StatusCode::NOT_FOUND);
    if gone {
        hold.model.loaded.store(false, Ordering::SeqCst);
    }
    gone
}

/// Brings a model and has it loaded, if it is not.
pub(super) async fn load(hold: &Hold, key: &str) -> Result<(), LoadError> {
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
    loop {
        // Asked before, too: one that is being unloaded has its room until the container says so.
        let crowded = container.loaded.any();
        let (status, answer) = ask::load(container, &hold.name, limits).await?;
        match status {
            StatusCode::INSUFFICIENT_STORAGE => {
                if make_room(container, limits).await {
                    continue;
                }
                if !crowded && !container.loaded.any() {
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
pub(super) async fn unload(
    container: &Arc<Container>,
    name: &str,
    model: &Model,
    limits: &Limits,
) -> bool {
    // Who has the gate loads it or is about to.
    let Ok(_gate) = model.gate.try_lock() else { return false };
    let _unloading = Unloading::of(model);
    if !model.loaded.swap(false, Ordering::SeqCst) {
        return false;
    }
    if model.users.load(Ordering::SeqCst) > 0 {
        model.loaded.store(true, Ordering::SeqCst);
        return false;
    }
    match ask::unload(container, name, limits).await {
        Ok(status) if status.is_success() || status == StatusCode::NOT_FOUND => {
            forget(container, name, limits).await;
            container.loaded.clear_up(name);
            true
        }
        Ok(status) => {
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

/// Says of a model that it is being unloaded.
struct Unloading<'a>(&'a Model);

impl<'a> Unloading<'a> {
    fn of(model: &'a Model) -> Self {
        model.unloading.store(true, Ordering::SeqCst);
        Self(model)
    }
}

impl Drop for Unloading<'_> {
    fn drop(&mut self) {
        self.0.unloading.store(false, Ordering::SeqCst);
    }
}

/// Removes a model's folder.
async fn forget(container: &Container, name: &str, limits: &Limits) {
    let ask = Ask::Forget { name: name.to_owned() };
    if let Err(e) = door::ask(&container.folder, &ask, limits.door).await {
        tracing::warn!(container = container.name, name, error = %e, "a model's folder stays");
    }
}

/// Finds out which models a service before this one had loaded.
async fn learn(container: &Container, limits: &Limits) -> Result<(), LoadError> {
    for name in ask::list(container, limits).await? {
        container.loaded.is_there(name);
    }
    Ok(())
}
