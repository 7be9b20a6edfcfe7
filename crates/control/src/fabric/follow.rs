//! The kernel's network follows the service's.

use super::client::{ask, ask_within};
use super::start::start;
use crate::network::Topology;
use crate::service::Service;
use belljar_domain::fabric::{Answer, Ask};
use belljar_vpc::Network;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How often it is looked whether the fabric lives.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// After what failed; doubled each time, up to [`MAX_PAUSE`].
const PAUSE: Duration = Duration::from_millis(200);
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// What the fabric was told last, and has in the kernel.
type Told = Option<(u64, Arc<Network>)>;

/// Keeps the fabric told until `stop` changes. One is started when there is an interface; one that
/// holds no instance's interface ends with the service.
pub(crate) async fn run(service: Arc<Service>, mut stop: watch::Receiver<bool>) {
    let mut current = service.network.subscribe();
    let (mut told, mut pause) = (None, PAUSE);
    loop {
        let now = current.borrow_and_update().clone();
        let step = step(&service, &mut told, &now).await;
        let generation = told.as_ref().map(|(generation, _)| *generation);
        let wait = match step {
            Ok(()) => {
                service.fabric.tell(generation, None);
                pause = PAUSE;
                LOOK_EVERY
            }
            Err(why) => {
                tracing::warn!(
                    why,
                    generation = now.generation,
                    "the network is not as it should be"
                );
                service.fabric.tell(generation, Some(why));
                pause = (pause * 2).min(MAX_PAUSE);
                pause
            }
        };
        tokio::select! {
            // First: a network that changes would have it begin another step.
            biased;
            _ = stop.changed() => break,
            _ = current.changed() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
    let last = current.borrow().clone();
    if !has_instances(&last) {
        // If it does not hear, it is gone already.
        let _ = ask_within(&service.config.state, &Ask::End, super::LOOK).await;
    }
}

/// Whether an instance has an interface: it goes on without the service.
pub(crate) fn has_instances(network: &Network) -> bool {
    network.interfaces.values().any(|i| i.kind == "interface" && i.attachment.is_some())
}

/// Brings the fabric to the network as it is now.
async fn step(service: &Service, told: &mut Told, now: &Topology) -> Result<(), String> {
    let state = &service.config.state;
    let status = ask_within(state, &Ask::Status, super::LOOK).await;
    let lives = match (status, told.as_ref()) {
        (Ok(Answer::Status(status)), Some((generation, _))) => {
            status.generation == Some(*generation)
        }
        (Ok(_), None) => true,
        (Ok(_), Some(_)) => false,
        (Err(_), _) => {
            *told = None;
            service.fabric.tell(None, None);
            if now.interfaces.is_empty() {
                return Ok(());
            }
            start(&service.config.warden, state).await?;
            true
        }
    };
    if !lives {
        *told = None;
    }
    if told.as_ref().is_some_and(|(generation, _)| *generation == now.generation) {
        return Ok(());
    }
    tell(service, told, now).await
}

async fn tell(service: &Service, told: &mut Told, now: &Topology) -> Result<(), String> {
    let state = &service.config.state;
    let failed = |e: std::io::Error| format!("the fabric does not answer: {e}");
    let generation = now.generation;
    if let Some((from, before)) = told.as_ref() {
        let changes = before.description().changes_to(now.network.description());
        let change = Ask::Change { from: *from, generation, changes };
        match ask(state, &change).await.map_err(failed)? {
            Answer::Applied { .. } => {
                *told = Some((generation, now.network.clone()));
                return Ok(());
            }
            Answer::Behind { .. } => *told = None,
            Answer::Failed { why } => return Err(why),
            other => return Err(format!("the fabric answered {other:?}")),
        }
    }
    let description = Box::new(now.network.description().clone());
    let region = service.config.region.clone();
    match ask(state, &Ask::Replace { generation, region, description }).await.map_err(failed)? {
        Answer::Applied { .. } => {
            *told = Some((generation, now.network.clone()));
            Ok(())
        }
        Answer::Failed { why } => Err(why),
        other => Err(format!("the fabric answered {other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::Tested;
    use belljar_domain::fabric::{FOLDER, SOCKET};
    use std::time::Instant;

    #[tokio::test]
    async fn a_fabric_that_hangs_holds_no_service_back() {
        let (service, _dir) = Tested::new().await.shared();
        let folder = service.config.state.join(FOLDER);
        std::fs::create_dir_all(&folder).unwrap();
        // The kernel takes connections for whoever listens.
        let _hangs = std::os::unix::net::UnixListener::bind(folder.join(SOCKET)).unwrap();
        let (stop, stopped) = watch::channel(false);
        stop.send(true).unwrap();
        let begun = Instant::now();
        run(service, stopped).await;
        assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    }
}
