//! Flow logs: fetches the records that the fabric has made, and brings them to where they are
//! wanted.
//!
//! Every record gets there at least once. The fabric keeps what was not acknowledged, and whoever
//! fetches acknowledges what is there by asking for what is behind it; a service that was killed
//! in between fetches again. (An object of S3 is then written again under its own name; a group of
//! logs has the lines twice.)

mod deliver;

use super::Topology;
use crate::fabric::{self, ask_within};
use crate::service::Service;
use belljar_domain::fabric::{Answer, Ask, Mark};
use belljar_vpc::flow_log::Batch;
use belljar_vpc::id::FlowLogId;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// How long a question waits for records.
const WAIT: Duration = Duration::from_secs(20);
/// How long an answer may take beyond that.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long until something that failed is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// How long a service that stops waits for the last records.
const LAST: Duration = Duration::from_secs(5);

/// What is wrong with flow logs whose records could not be brought where they go:
/// `DeliverLogsErrorMessage`. It is known for as long as the service runs.
#[derive(Debug, Default)]
pub(crate) struct Troubles(Mutex<BTreeMap<FlowLogId, String>>);

impl Troubles {
    /// What is wrong with a flow log.
    pub(crate) fn of(&self, flow_log: &FlowLogId) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(flow_log).cloned()
    }

    fn note(&self, flow_log: &FlowLogId, trouble: Option<String>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match trouble {
            Some(words) => drop(all.insert(flow_log.clone(), words)),
            None => drop(all.remove(flow_log)),
        }
    }
}

/// Fetches and delivers until the service stops, and then what there is by then. Nobody is asked
/// while there is no flow log.
pub(crate) async fn run(service: Arc<Service>, mut stopped: watch::Receiver<bool>) {
    let mut network = service.network.subscribe();
    let mut after = None;
    loop {
        let fetched = tokio::select! {
            fetched = next(&service, &mut network, after) => fetched,
            _ = stopped.wait_for(|stopped| *stopped) => break,
        };
        // What was fetched is delivered, also if the service stops: it would come again.
        if let Some((batches, mark)) = fetched {
            after = Some(deliver_all(&service, batches, mark).await);
        }
    }
    // A fabric that does not answer keeps nobody from leaving.
    let _ = tokio::time::timeout(LAST, last(&service, after)).await;
}

/// What comes next; nothing if there is no fabric, or not yet.
async fn next(
    service: &Service,
    network: &mut watch::Receiver<Arc<Topology>>,
    after: Option<Mark>,
) -> Option<(Vec<Batch>, Mark)> {
    // The sender lives as long as the service.
    let _ = network.wait_for(|n| !n.flow_logs.is_empty()).await;
    match fetch(&service.config.state, (after, false), WAIT).await {
        Ok(fetched) => Some(fetched),
        Err(e) => {
            tracing::debug!(error = %e, "the fabric has no records");
            tokio::time::sleep(AGAIN).await;
            None
        }
    }
}

/// Fetches what there is, with a service that stops. A fabric that ends with it closes the
/// intervals that have begun: nobody could ask for them later.
async fn last(service: &Service, mut after: Option<Mark>) {
    let network = service.network.current();
    let mut flush = !fabric::has_instances(&network);
    while !network.flow_logs.is_empty() {
        let fetched = fetch(&service.config.state, (after, flush), Duration::ZERO).await;
        flush = false;
        match fetched {
            Ok((batches, mark)) if !batches.is_empty() => {
                after = Some(deliver_all(service, batches, mark).await);
            }
            // All is acknowledged, or there is no fabric.
            _ => return,
        }
    }
}

/// Delivers, and answers up to where that was done.
async fn deliver_all(service: &Service, batches: Vec<Batch>, mark: Mark) -> Mark {
    let mut left = batches.len() as u64;
    for batch in batches {
        match deliver::deliver(service, &batch).await {
            Ok(trouble) => service.flow_logs.note(&batch.flow_log, trouble),
            Err(e) => {
                tracing::error!(flow_log = %batch.flow_log, error = %e, "records are held back");
                tokio::time::sleep(AGAIN).await;
                break;
            }
        }
        left -= 1;
    }
    Mark { number: mark.number.saturating_sub(left), ..mark }
}

/// Asks the fabric for the records behind a mark; with a flush, also of intervals that go on.
async fn fetch(
    state: &Path,
    (after, flush): (Option<Mark>, bool),
    wait: Duration,
) -> io::Result<(Vec<Batch>, Mark)> {
    let ask = Ask::Flows { after, flush, wait_millis: wait.as_millis() as u64 };
    match ask_within(state, &ask, wait + PATIENCE).await? {
        Answer::Flows { batches, mark } => Ok((batches, mark)),
        other => Err(io::Error::other(format!("it answered {other:?}"))),
    }
}

#[cfg(test)]
mod tests;
