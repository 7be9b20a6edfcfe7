//! What a client may cost the service, in one place.

use super::front;
use crate::serving::MAX_BODY;
use belljar_aws::{AwsError, Service as Aws};
use belljar_domain::shares::Shares;
use belljar_vpc::id::EndpointId;
use bytes::Bytes;
use hyper::body::{Body, Incoming};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Connections that are open at once, over TCP and the unix socket together; further ones wait.
pub const MAX_CONNECTIONS: usize = 1024;
/// Of [`connections`], those that TCP may have, in quarters: whoever on this machine holds as many as
/// there are keeps neither wardens nor its user from the service.
const TCP_QUARTERS: usize = 3;
/// Descriptors that the service wants: each connection may need one for a file, a container or another
/// connection, and there is more than connections. Little enough that programs which inherit it and go
/// through all that they could have do so quickly.
const DESCRIPTORS: u64 = 4 * MAX_CONNECTIONS as u64;
/// Bytes of a request's head, as a whole, in at most 100 lines (hyper's limit). Presigned URLs and
/// S3 metadata are the longest.
pub const MAX_HEAD: usize = 64 << 10;
/// For a request's head, from the first byte on, and for an idle connection.
pub const HEAD_TIME: Duration = Duration::from_secs(75);
/// For the body of a request that is held in memory.
pub const BODY_TIME: Duration = Duration::from_secs(60);
/// For the requests that are being answered when the service ends.
pub const GRACE: Duration = Duration::from_secs(10);
/// Threads that answer requests, however many CPUs there are.
pub const MAX_THREADS: usize = 16;
/// Stack of such a thread, in bytes.
pub const STACK: usize = 1 << 20;

/// Who has how many of the connections that are carried for others: by the process that carries them (a
/// container's warden, a command's, the fabric), and the VPC endpoint by which they came, if by one.
pub(super) type Carried = Shares<(Option<i32>, Option<EndpointId>)>;

/// Room for connections.
#[derive(Debug, Clone)]
pub(super) struct Room {
    /// One for each.
    pub(super) all: Arc<Semaphore>,
    /// One more for each that comes over TCP.
    pub(super) tcp: Arc<Semaphore>,
    /// Those that containers and commands make are carried to the unix socket: a greedy one gets what
    /// it leaves to others.
    pub(super) carried: Arc<Carried>,
}

impl Room {
    /// For as many as this process has descriptors.
    pub(super) fn new() -> Self {
        let most = connections();
        Self {
            all: Arc::new(Semaphore::new(most)),
            tcp: Arc::new(Semaphore::new(most * TCP_QUARTERS / 4)),
            carried: Arc::default(),
        }
    }
}

/// Connections at once: no more than leave descriptors for what they ask for. A service that has none
/// left can neither start a job nor answer anybody.
fn connections() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(DESCRIPTORS, |most| most.min(DESCRIPTORS));
    if limit.current.is_some_and(|now| now < wanted) {
        // If it may not be raised, it is what it was.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), ..limit });
    }
    let now = getrlimit(Resource::Nofile).current.unwrap_or(DESCRIPTORS);
    usize::try_from(now / 2).unwrap_or(MAX_CONNECTIONS).clamp(1, MAX_CONNECTIONS)
}

/// Bytes of a request's body, where it is held in memory as a whole. (S3 objects are not.)
#[must_use]
pub fn max_body(service: Aws) -> usize {
    match service {
        Aws::SageMakerRuntime => MAX_BODY,
        // PutLogEvents takes 1 MiB of events, which JSON can make several times as long.
        Aws::Logs => 8 << 20,
        // The largest CreateTrainingJob that is valid has some 400 KiB.
        _ => 1 << 20,
    }
}

/// Bytes of a payload that the budget for all is not asked for: there are only
/// [`MAX_CONNECTIONS`].
const SMALL: u64 = 64 << 10;

/// A payload that is held in memory, and its share of what all of them may have.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) bytes: Bytes,
    _permit: Option<OwnedSemaphorePermit>,
}

/// Whether a payload needs a share, or may.
pub(super) fn is_large(incoming: &Incoming) -> bool {
    incoming.size_hint().upper().is_none_or(|most| most > SMALL)
}

/// Reads a payload once there is room for it.
///
/// # Errors
/// As [`front::body`]; if there is no room for long.
pub(crate) async fn held(budget: &Arc<Semaphore>, incoming: Incoming) -> Result<Held, AwsError> {
    let limit = max_body(Aws::SageMakerRuntime);
    let hint = incoming.size_hint();
    // One that is too long is refused below, and takes no room.
    let wanted = hint.upper().unwrap_or(limit as u64);
    let permit = if !is_large(&incoming) || hint.lower() > limit as u64 {
        None
    } else {
        let wait = budget.clone().acquire_many_owned(u32::try_from(wanted).unwrap_or(u32::MAX));
        let permit = tokio::time::timeout(BODY_TIME, wait).await.ok().and_then(Result::ok);
        Some(permit.ok_or_else(|| {
            let text = "Too many large requests are being answered; try again.";
            Aws::SageMakerRuntime.error("ServiceUnavailable", text)
        })?)
    };
    Ok(Held { bytes: front::body(incoming, limit).await?, _permit: permit })
}
