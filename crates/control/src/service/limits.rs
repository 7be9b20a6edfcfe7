//! What a client may cost the service, in one place.

use belljar_aws::Service as Aws;
use std::time::Duration;

/// Connections that are open at once, over TCP and the unix socket together; further ones wait.
pub const MAX_CONNECTIONS: usize = 1024;
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

/// Bytes of a request's body, where it is held in memory as a whole. (S3 objects are not.)
#[must_use]
pub fn max_body(service: Aws) -> usize {
    match service {
        // PutLogEvents takes 1 MiB of events, which JSON can make several times as long.
        Aws::Logs => 8 << 20,
        // The largest CreateTrainingJob that is valid has some 400 KiB.
        _ => 1 << 20,
    }
}
