//! Where an endpoint's requests go. The reconciler fills the table, requests read it.

use super::limits::{Limits, MAX_BODIES};
use super::multi::Models;
use super::pool::Idle;
use belljar_domain::endpoint::{Asynchronous, Routing};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// All endpoints.
#[derive(Debug)]
pub struct Table {
    endpoints: RwLock<HashMap<String, Arc<Routes>>>,
    pub(super) limits: Limits,
    /// Bytes of requests that may be held.
    pub(crate) requests: Arc<Semaphore>,
    /// Bytes of answers that may be held. They are others, so that no request waits for itself.
    pub(crate) answers: Arc<Semaphore>,
}

impl Default for Table {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl Table {
    /// An empty one.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let budget = || Arc::new(Semaphore::new(MAX_BODIES));
        Self { endpoints: RwLock::default(), limits, requests: budget(), answers: budget() }
    }

    /// Says where an endpoint's requests go from now on; `None`: nowhere, it is gone. The
    /// [`Instance`]s of servers that stay must be the same, so that what is counted lives on.
    ///
    /// When this returns, an instance that is no longer named begins no request: once it has
    /// [none](Instance::outstanding), it can be stopped, and nobody loses one.
    pub fn set(&self, endpoint: &str, routes: Option<Routes>) {
        let named = routes.iter().flat_map(Routes::instances).cloned().collect::<Vec<_>>();
        let mut all = self.endpoints.write().unwrap_or_else(PoisonError::into_inner);
        named.iter().for_each(|instance| instance.leaving.store(false, Ordering::SeqCst));
        let before = match routes {
            Some(routes) => all.insert(endpoint.to_owned(), Arc::new(routes)),
            None => all.remove(endpoint),
        };
        for instance in before.iter().flat_map(|routes| routes.instances()) {
            if !named.iter().any(|stays| Arc::ptr_eq(stays, instance)) {
                instance.leaving.store(true, Ordering::SeqCst);
            }
        }
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Routes>> {
        let all = self.endpoints.read().unwrap_or_else(PoisonError::into_inner);
        all.values().cloned().collect()
    }

    /// An endpoint's.
    #[must_use]
    pub fn get(&self, endpoint: &str) -> Option<Arc<Routes>> {
        self.endpoints.read().unwrap_or_else(PoisonError::into_inner).get(endpoint).cloned()
    }
}

/// An endpoint, as requests see it.
#[derive(Debug)]
pub struct Routes {
    /// `EndpointName`.
    pub name: String,
    /// `EndpointArn`.
    pub arn: String,
    /// The region.
    pub region: String,
    /// The account.
    pub account: String,
    /// Whether it answers.
    pub in_service: bool,
    /// `AsyncInferenceConfig`: it takes no other requests.
    pub asynchronous: Option<Asynchronous>,
    /// `ProductionVariants`.
    pub variants: Vec<VariantRoutes>,
}

impl Routes {
    fn instances(&self) -> impl Iterator<Item = &Arc<Instance>> {
        self.variants.iter().flat_map(|variant| &variant.instances)
    }
}

/// A variant.
#[derive(Debug)]
pub struct VariantRoutes {
    /// `VariantName`.
    pub name: String,
    /// Its weight among the variants'.
    pub weight: f64,
    /// How an instance is picked.
    pub routing: Routing,
    /// Whether a request goes to one container (`Direct`), as against through all (`Serial`).
    pub direct: bool,
    /// Its instances, healthy or not.
    pub instances: Vec<Arc<Instance>>,
}

/// An instance, for as long as it is there.
#[derive(Debug)]
pub struct Instance {
    /// The server's.
    pub id: String,
    /// The zone.
    pub zone: String,
    /// In their order.
    pub containers: Vec<Arc<Container>>,
    outstanding: AtomicUsize,
    healthy: AtomicBool,
    /// Whether the table names it no more.
    leaving: AtomicBool,
    /// Milliseconds of [`millis`]; 0: never.
    suspect_until: AtomicU64,
}

impl Instance {
    /// One that is not healthy yet.
    #[must_use]
    pub fn new(id: String, zone: String, containers: Vec<Container>) -> Self {
        Self {
            id,
            zone,
            containers: containers.into_iter().map(Arc::new).collect(),
            outstanding: AtomicUsize::new(0),
            healthy: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            suspect_until: AtomicU64::new(0),
        }
    }

    /// Requests that it has, streams included. One that is in no table any more, and has none, can
    /// be stopped.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.outstanding.load(Ordering::SeqCst)
    }

    /// Says whether all its containers answer pings.
    pub fn set_healthy(&self, healthy: bool) {
        self.healthy.store(healthy, Ordering::SeqCst);
    }

    /// Whether they do.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.healthy.load(Ordering::SeqCst)
    }

    /// Whether it could not be reached a moment ago.
    #[must_use]
    pub fn is_suspect(&self) -> bool {
        let until = self.suspect_until.load(Ordering::Relaxed);
        until != 0 && millis() < until
    }

    pub(super) fn suspect(&self, time: Duration) {
        let time = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.suspect_until.store(millis().saturating_add(time), Ordering::Relaxed);
    }

    /// Counts a request until the guard is dropped. `None` if it is leaving: it is counted before
    /// that is looked at, so who says that it leaves, and then counts, misses none.
    pub(crate) fn begin(self: &Arc<Self>) -> Option<Outstanding> {
        self.outstanding.fetch_add(1, Ordering::SeqCst);
        let begun = Outstanding(self.clone());
        (!self.leaving.load(Ordering::SeqCst)).then_some(begun)
    }
}

/// Milliseconds since this process first asked.
fn millis() -> u64 {
    static FIRST: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(FIRST.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// A request that an instance has.
#[derive(Debug)]
pub(crate) struct Outstanding(Arc<Instance>);

impl Outstanding {
    pub(super) fn instance(&self) -> &Arc<Instance> {
        &self.0
    }
}

impl Drop for Outstanding {
    fn drop(&mut self) {
        self.0.outstanding.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A container of an instance.
#[derive(Debug)]
pub struct Container {
    /// Its name, as errors say it.
    pub name: String,
    /// Its folder, in which its door is.
    pub folder: PathBuf,
    /// Whether it has several models.
    pub models: bool,
    /// Whether they stay loaded (`ModelCacheSetting`).
    pub cached: bool,
    pub(super) idle: Arc<Idle>,
    pub(super) loaded: Models,
}

impl Container {
    /// One with a model of its own.
    #[must_use]
    pub fn new(name: String, folder: PathBuf) -> Self {
        let (idle, loaded) = (Arc::default(), Models::default());
        Self { name, folder, models: false, cached: true, idle, loaded }
    }

    /// One with several models, of which those stay loaded that were asked for, or none.
    #[must_use]
    pub fn with_models(mut self, cached: bool) -> Self {
        (self.models, self.cached) = (true, cached);
        self
    }
}
