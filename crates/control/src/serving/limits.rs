//! What a request to an endpoint may cost. Source: Developer Guide, "Use your own inference code
//! with hosting services" and "Real-time inference".

use belljar_domain::serving::DOWNLOAD_SECONDS;
use std::time::Duration;

/// Bytes of a request's body, and of an answer that is held in memory as a whole.
pub const MAX_BODY: usize = 25 << 20;
/// Bytes of all requests' bodies together, and of all answers'; who comes later waits.
pub const MAX_BODIES: usize = 512 << 20;
/// Bytes that are kept of what a container says of its own failure.
pub(super) const MAX_MESSAGE: usize = 16 << 10;
/// Bytes of an answer to one of the questions about models.
pub(super) const MAX_MODELS: usize = 1 << 20;

/// Times. Tests have shorter ones.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For an answer that is not streamed.
    pub answer: Duration,
    /// For one that is, to its end.
    pub stream: Duration,
    /// For a connection to a container.
    pub door: Duration,
    /// For an instance to come, where none can be reached. Nothing was sent: waiting is safe.
    pub wait: Duration,
    /// How long an instance that could not be reached is avoided.
    pub suspect: Duration,
    /// How long a connection is kept that nobody uses. Common model servers close theirs after 2 s.
    pub idle: Duration,
    /// For a model of several to be brought and loaded.
    pub load: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            answer: Duration::from_secs(60),
            stream: Duration::from_secs(8 * 60),
            door: Duration::from_secs(2),
            wait: Duration::from_secs(20),
            suspect: Duration::from_secs(2),
            idle: Duration::from_secs(1),
            load: Duration::from_secs(DOWNLOAD_SECONDS),
        }
    }
}
