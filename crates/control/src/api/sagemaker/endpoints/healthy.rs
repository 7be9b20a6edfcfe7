//! How many instances answer.

use crate::service::Service;
use belljar_store::{StoreError, servers};
use std::collections::BTreeMap;

/// Of a fleet, by variant: instances that may get requests.
pub(super) fn healthy_counts(
    service: &Service,
    endpoint: &str,
    fleet: u64,
) -> Result<BTreeMap<String, u32>, StoreError> {
    service.db().read(|c| {
        let mut counts = BTreeMap::new();
        for server in servers::of_endpoint(c, endpoint)? {
            if server.fleet != fleet || server.stopping.is_some() {
                continue;
            }
            let containers = servers::containers(c, &server.id)?;
            let healthy = |c: &servers::Container| c.health.as_ref().is_some_and(|h| h.healthy);
            if containers.iter().all(healthy) {
                *counts.entry(server.variant).or_insert(0) += 1;
            }
        }
        Ok(counts)
    })
}
