//! Takes asynchronous invocations from their queue, as many at a time as instances can have.

use super::work;
use crate::service::Service;
use belljar_store::StoreError;
use belljar_store::endpoints::async_requests::{self, Taken};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How long what nobody tells goes unnoticed: an endpoint that is in service again, a time that
/// is up.
const TICK: Duration = Duration::from_secs(1);
/// `MaxConcurrentInvocationsPerInstance` if none is given; SageMaker chooses one too.
const CONCURRENT: u32 = 4;

/// Works until `stop` says so. What is being carried out then is carried out again by the next
/// service.
pub(crate) async fn run(service: Arc<Service>, mut stop: watch::Receiver<bool>) {
    let put_back = service.db().write(async_requests::put_all_back).await;
    if let Err(e) = put_back {
        tracing::error!(error = %crate::chain(&e), "asynchronous requests cannot be put back");
    }
    let mut queue =
        Queue { service: service.clone(), running: JoinSet::new(), counts: BTreeMap::new() };
    loop {
        if let Err(e) = queue.round().await {
            tracing::error!(error = %crate::chain(&e), "asynchronous requests cannot be read");
        }
        tokio::select! {
            () = service.asked.notified() => {}
            Some(done) = queue.running.join_next(), if !queue.running.is_empty() => queue.done(done),
            () = tokio::time::sleep(TICK) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

struct Queue {
    service: Arc<Service>,
    /// Each answers its endpoint's name.
    running: JoinSet<String>,
    counts: BTreeMap<String, usize>,
}

impl Queue {
    async fn round(&mut self) -> Result<(), StoreError> {
        let now = self.service.now();
        for taken in self.service.db().write(move |c| async_requests::take_expired(c, now)).await? {
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
            let has = self.counts.get(&routes.name).copied().unwrap_or(0);
            Some((routes.name.clone(), most.saturating_sub(has)))
        });
        rooms.filter(|(_, room)| *room > 0).collect()
    }

    fn spawn(&mut self, taken: Taken, expired: bool) {
        let name = taken.request.endpoint.clone();
        *self.counts.entry(name.clone()).or_default() += 1;
        let service = self.service.clone();
        self.running.spawn(async move {
            work::carry_out(&service, taken, expired).await;
            name
        });
    }

    fn done(&mut self, done: Result<String, tokio::task::JoinError>) {
        match done {
            Ok(name) => {
                if let Some(count) = self.counts.get_mut(&name) {
                    *count = count.saturating_sub(1);
                }
                self.counts.retain(|_, count| *count > 0);
            }
            // Whose it was is not known: all are counted again from what runs.
            Err(e) => {
                tracing::error!(error = %e, "an asynchronous request's task is gone: a bug in Belljar");
                self.counts.clear();
            }
        }
    }
}
