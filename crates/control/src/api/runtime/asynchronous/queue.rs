//! Takes asynchronous invocations from their queue, as many at a time as instances can have.
//!
//! **Invariant**: each is carried out at least once. One that a service was killed over, or that
//! ended in a bug, is put back; so a container may see a request a second time, and the outcome that
//! is written last stays. Once and once only is not to be had: the container is asked before its
//! answer can be kept.

use super::work::{self, End, Room};
use crate::service::Service;
use belljar_domain::Timestamp;
use belljar_store::StoreError;
use belljar_store::endpoints::async_requests::{self, Taken};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};

/// How long what nobody tells goes unnoticed: an endpoint that is in service again, a time that
/// is up.
const TICK: Duration = Duration::from_secs(1);
/// `MaxConcurrentInvocationsPerInstance` if none is given; SageMaker chooses one too.
const CONCURRENT: u32 = 4;
/// How many that have waited for too long are told so at a time.
const EXPIRED: usize = 64;
/// Milliseconds until one that ended in a bug is tried again.
const AFTER_BUG_MILLIS: u64 = 60_000;

/// Works until `stop` says so. What is being carried out then is carried out again by the next
/// service.
pub(crate) async fn run(service: Arc<Service>, mut stop: watch::Receiver<bool>) {
    let mut queue = Queue::new(service.clone());
    loop {
        if let Err(e) = queue.round().await {
            tracing::error!(error = %crate::chain(&e), "asynchronous requests cannot be read");
        }
        tokio::select! {
            () = service.asked.notified() => {}
            Some(done) = queue.running.join_next_with_id() => queue.done(done),
            () = tokio::time::sleep(TICK) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

/// A request that is being carried out.
struct Running {
    id: String,
    endpoint: String,
    expired: bool,
}

struct Queue {
    service: Arc<Service>,
    room: Room,
    /// Each answers what could not be written of its end.
    running: JoinSet<Option<End>>,
    which: HashMap<Id, Running>,
    /// Ends that are yet to be written.
    unwritten: Vec<End>,
    /// Whether those of an earlier service were put back.
    begun: bool,
}

impl Queue {
    fn new(service: Arc<Service>) -> Self {
        Self {
            service,
            room: work::room(),
            running: JoinSet::new(),
            which: HashMap::new(),
            unwritten: Vec::new(),
            begun: false,
        }
    }

    async fn round(&mut self) -> Result<(), StoreError> {
        if !self.begun {
            self.service.db().write(async_requests::put_all_back).await?;
            self.begun = true;
        }
        while let Some(end) = self.unwritten.pop() {
            if let Err(e) = end.write(&self.service).await {
                self.unwritten.push(end);
                return Err(e);
            }
        }
        let now = self.service.now();
        let expired = EXPIRED.saturating_sub(self.which.values().filter(|r| r.expired).count());
        let take = self.service.db().write(move |c| async_requests::take_expired(c, now, expired));
        for taken in take.await? {
            self.spawn(taken, true);
        }
        for (name, room) in self.rooms() {
            let endpoint = name.clone();
            let take =
                self.service.db().write(move |c| async_requests::take(c, &endpoint, now, room));
            for taken in take.await? {
                self.spawn(taken, false);
            }
        }
        Ok(())
    }

    /// How many more each endpoint can have now.
    fn rooms(&self) -> Vec<(String, usize)> {
        let all = self.service.endpoints.all();
        let rooms = all.into_iter().filter_map(|routes| {
            let config = routes.asynchronous.as_ref().filter(|_| routes.in_service)?;
            let instances = routes.variants.iter().flat_map(|v| &v.instances);
            let healthy = instances.filter(|i| i.is_healthy()).count();
            let most = config.concurrent.unwrap_or(CONCURRENT) as usize * healthy;
            let has = |r: &&Running| !r.expired && r.endpoint == routes.name;
            let has = self.which.values().filter(has).count();
            Some((routes.name.clone(), most.saturating_sub(has)))
        });
        rooms.filter(|(_, room)| *room > 0).collect()
    }

    fn spawn(&mut self, taken: Taken, expired: bool) {
        let request = taken.request;
        let (id, endpoint) = (request.id.clone(), request.endpoint.clone());
        let (service, room) = (self.service.clone(), self.room.clone());
        let task = self.running.spawn(async move {
            let end = match expired {
                true => work::expire(&service, request).await,
                false => work::carry_out(&service, &room, request).await,
            };
            let Err(e) = end.write(&service).await else { return None };
            tracing::error!(error = %crate::chain(&e), "an asynchronous request's end cannot be written yet");
            Some(end)
        });
        self.which.insert(task.id(), Running { id, endpoint, expired });
    }

    fn done(&mut self, done: Result<(Id, Option<End>), JoinError>) {
        match done {
            Ok((task, unwritten)) => {
                self.which.remove(&task);
                self.unwritten.extend(unwritten);
            }
            Err(e) => {
                tracing::error!(error = %e, "an asynchronous request's task is gone: a bug in Belljar");
                let due = self.service.now().millis().saturating_add_unsigned(AFTER_BUG_MILLIS);
                let gone = self.which.remove(&e.id());
                let end = gone.map(|r| End::Later(r.id, Timestamp::from_millis(due)));
                self.unwritten.extend(end);
            }
        }
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
