//! What a service is told when it starts.

use crate::api::s3::Outside;
use crate::local::Warden;
use crate::machine::Machine;
use crate::request::Mirror;
use belljar_domain::Timestamp;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Where a service listens if it is not told.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:4747";

/// A service's settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// The state folder.
    pub state: PathBuf,
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The region that it is.
    pub region: String,
    /// The account that it is.
    pub account: String,
    /// Where the instances of endpoints are spread: names of places that may fail by themselves. At
    /// least one.
    pub zones: Vec<String>,
    /// What becomes of an instance type that is larger than this machine.
    pub capacity: Capacity,
    /// Whether containers that are not isolated are refused.
    pub require_isolation: bool,
    /// An S3 elsewhere, to use in place of the own one.
    pub outside_s3: Option<Outside>,
    /// Registries that are served by others.
    pub mirrors: Vec<Mirror>,
    /// How wardens are started.
    pub warden: Warden,
    /// This machine.
    pub machine: Machine,
    /// Whether every answer is held against the service's model: a test aid.
    pub check_answers: bool,
    /// The clock.
    pub now: fn() -> Timestamp,
}

/// What becomes of an instance type that is larger than this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Capacity {
    /// The job gets what there is, and its log says so.
    #[default]
    Clamp,
    /// The job fails with `CapacityError`.
    Strict,
}
