//! The network as it is kept, for `belljar explain` and `belljar network`: with a running service
//! or without.

use super::ServiceError;
use belljar_domain::VpcPlacement;
use belljar_domain::endpoint::Variant;
use belljar_store::{Connection, State, StoreError, endpoints, jobs, network as kept};
use belljar_vpc::Network;
use std::collections::BTreeMap;
use std::path::Path;

/// The network at one moment, and whatever of a name has instances in it.
#[derive(Debug, Clone)]
pub struct NetworkView {
    /// It, checked.
    pub network: Network,
    /// Tags, by the id of what has them.
    pub tags: BTreeMap<String, BTreeMap<String, String>>,
    /// Training jobs and endpoints of the name that was asked for; usually one at most.
    pub workloads: Vec<Workload>,
}

/// A training job or an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// `training job` or `endpoint`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// Its ARN, which its interfaces name as their owner.
    pub arn: String,
    /// Where its instances are, or would be, and how many: one for a job, one for each variant of an
    /// endpoint that is in a VPC. With none, it is in no VPC.
    pub placements: Vec<(VpcPlacement, usize)>,
    /// Whether all of its containers are sealed, in a VPC or not.
    pub isolated: bool,
}

/// Reads the network, and looks for the training job or endpoint of a name or an ARN.
///
/// # Errors
/// [`ServiceError::NoNetwork`] if no service ever made one, or if the state fails.
pub fn network(state: &Path, of: Option<&str>) -> Result<NetworkView, ServiceError> {
    let none = || ServiceError::NoNetwork(state.to_owned());
    if !State::exists(state) {
        return Err(none());
    }
    let (kept, workloads) = State::peek(state)?.read(|c| {
        let workloads = of.map(|of| workloads(c, of)).transpose()?;
        Ok::<_, StoreError>((kept::load(c)?, workloads.unwrap_or_default()))
    })?;
    kept.generation.ok_or_else(none)?;
    Ok(NetworkView { network: Network::new(kept.description)?, tags: kept.tags, workloads })
}

fn workloads(c: &Connection, of: &str) -> Result<Vec<Workload>, StoreError> {
    let job_name = jobs::by_arn(c, of)?.map_or_else(|| of.to_owned(), |name| name.to_string());
    let endpoint_name = endpoints::by_arn(c, of)?.unwrap_or_else(|| of.to_owned());
    let job = jobs::get(c, &job_name)?.map(|job| Workload {
        kind: "training job",
        name: job.name.to_string(),
        arn: job.arn,
        // As in `execution`: records always say it.
        isolated: job.definition.request["EnableNetworkIsolation"] != false,
        placements: {
            let count = &job.definition.request["ResourceConfig"]["InstanceCount"];
            let count = count.as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or(1);
            job.definition.vpc.into_iter().map(|place| (place, count)).collect()
        },
    });
    let endpoint = endpoints::get(c, &endpoint_name)?.map(|endpoint| {
        let variants = endpoint.progress.shown().map(|f| f.deployment.variants.as_slice());
        let isolated = variants.unwrap_or_default().iter().all(Variant::is_isolated);
        let placement = |v: &Variant| Some((v.vpc.clone()?, v.count as usize));
        let placements = variants.unwrap_or_default().iter().filter_map(placement);
        Workload {
            kind: "endpoint",
            name: endpoint.name.clone(),
            arn: endpoint.arn.clone(),
            placements: placements.collect(),
            isolated,
        }
    });
    Ok(job.into_iter().chain(endpoint).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use belljar_vpc::network::Change;
    use belljar_vpc::sample;

    #[test]
    fn what_cannot_be_looked_at_is_not_said_to_be_missing() {
        let dir = tempfile::tempdir().unwrap();
        // Also root is not let into a folder that is none.
        std::fs::write(dir.path().join("service"), "").unwrap();
        let error = network(dir.path(), None).unwrap_err();
        assert!(!matches!(error, ServiceError::NoNetwork(_)), "{error}");
    }

    #[tokio::test]
    async fn a_network_is_read_without_a_service() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path();
        assert!(matches!(network(state, None), Err(ServiceError::NoNetwork(_))));
        assert!(!state.join("service").exists(), "asking makes nothing");
        let db = State::peek(state).unwrap();
        assert!(matches!(network(state, None), Err(ServiceError::NoNetwork(_))));
        let text = "vpc vpc-a 10.0.0.0/16\nsubnet subnet-a vpc-a a 10.0.1.0/24";
        let description = sample::read(text).unwrap();
        let changes: Vec<Change> = description.records().map(Change::Put).collect();
        let now = belljar_domain::Timestamp::from_millis(0);
        db.write(move |c| kept::apply(c, 1, &changes, now)).await.unwrap();
        let view = network(state, Some("nobody")).unwrap();
        assert_eq!(view.network.description(), &description);
        assert!(view.workloads.is_empty() && view.tags.is_empty());
        // What is no network is an error, and never half of one.
        let without = description.subnets.keys().next().unwrap().clone();
        let change = [Change::Remove(belljar_vpc::network::RecordId::Subnet(without))];
        db.write(move |c| kept::apply(c, 2, &change, now)).await.unwrap();
        assert!(matches!(network(state, None), Err(ServiceError::Network(_))));
    }
}
