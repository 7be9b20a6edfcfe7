//! Instances in a VPC: their interfaces come before them and go after them.

use super::{StepError, asks, start};
use crate::execution::Principal;
use crate::network::instances::{self, Owner, Provided, Spread};
use crate::service::Service;
use belljar_aws::AwsError;
use belljar_domain::endpoint::{Container, Endpoint, Server, Variant};
use belljar_domain::failure::Blame;
use belljar_domain::preflight::{Download, Needs};
use belljar_domain::{Assignment, JobName, VpcConfigError, VpcPlacement, arn};
use belljar_store::endpoints::servers;
use belljar_store::{Connection, StoreError, identity, jobs};
use belljar_vpc::id::SubnetId;
use std::time::Duration;

/// An S3 elsewhere is reached by the host's network, which no VPC leads to.
pub(crate) const NO_OUTSIDE_S3: &str =
    "Belljar does not serve VpcConfig with --s3-endpoint: a VPC's endpoints lead to its own S3.";

/// How long it may take until the kernel has an interface. The first one starts the fabric.
const PATIENCE: Duration = Duration::from_secs(5);

/// Makes the interfaces of a job's attempt, if the network lets them do what they need.
pub(super) async fn provide(
    service: &Service,
    assignment: &Assignment,
    placement: VpcPlacement,
    generation: u64,
) -> Result<Provided, StepError> {
    let owner = of_attempt(service, &assignment.job, generation);
    let key = identity::Owner::Job { name: start::key_name(assignment), generation };
    let who = service.db().read(|c| Principal::of(c, &key, &service.config.account))?;
    let (spread, needs) = wants(service, assignment, &who);
    enforced(service, owner, placement, spread, needs).await
}

/// Makes interfaces, and answers once the kernel has them.
async fn enforced(
    service: &Service,
    owner: Owner,
    placement: VpcPlacement,
    spread: Spread,
    needs: Needs,
) -> Result<Provided, StepError> {
    let text = |e: AwsError| format!("{}: {}", e.code, e.message);
    let networks = &service.network;
    let made = instances::provide(networks, owner.clone(), placement, spread, needs).await;
    let (provided, generation) = made.map_err(text)?;
    if provided.is_ok()
        && let Err(why) = service.fabric.applied(generation, PATIENCE).await
    {
        instances::release(networks, &owner).await.map_err(text)?;
        let reason = format!("the network of the VPC cannot be made: {why}");
        return Ok(Err(Blame::Internal.reason(&reason)));
    }
    Ok(provided)
}

/// Why a job could not start now, its `FailureReason`.
///
/// # Errors
/// If its `VpcConfig` names what is not there or does not belong together.
pub(crate) fn examine(
    service: &Service,
    assignment: &Assignment,
    role: &str,
    placement: &VpcPlacement,
) -> Result<Option<String>, VpcConfigError> {
    placement.config.check(&service.network.current())?;
    let who = Principal::executing(role, &service.config.account);
    let (spread, needs) = wants(service, assignment, &who);
    let owner = of_attempt(service, &assignment.job, 1);
    Ok(instances::examine(&service.network, &owner, placement, &spread, &needs))
}

/// What a job's instances are and need.
fn wants(service: &Service, assignment: &Assignment, who: &Principal) -> (Spread, Needs) {
    let cluster = assignment.cluster.as_ref();
    let hosts = match cluster {
        Some(cluster) => cluster.instances.iter().map(|i| i.host.to_string()).collect(),
        None => vec![assignment.host.to_string()],
    };
    let download = if assignment.channels.is_empty() { Download::Nothing } else { Download::Data };
    let encrypted = cluster.is_some_and(|c| c.encrypted);
    let requests = asks::of_job(service, assignment, who);
    let needs = Needs { download, peers: cluster.is_some(), encrypted, requests };
    (Spread::Together(hosts), needs)
}

/// Whose interfaces those of a job's attempt are.
fn of_attempt(service: &Service, job: &JobName, generation: u64) -> Owner {
    let config = &service.config;
    Owner {
        arn: arn::training_job(&config.region, &config.account, job),
        region: config.region.clone(),
        part: generation.to_string(),
        name: job.to_string(),
    }
}

/// Removes the interfaces of an attempt that is over. What fails is found by the next service.
pub(super) async fn release(service: &Service, job: &JobName, generation: u64) {
    let owner = of_attempt(service, job, generation);
    if let Err(e) = instances::release(&service.network, &owner).await {
        tracing::warn!(%job, code = %e.code, message = e.message, "a job's network interfaces cannot be removed");
    }
}

/// Makes the interfaces of an endpoint's further instance, or of one that comes instead of a dead
/// one: one for each of its containers, or one for all of them; none if the variant is in no VPC.
pub(super) async fn provide_server(
    service: &Service,
    endpoint: &Endpoint,
    server: &Server,
    instead: Option<&str>,
) -> Result<Provided, StepError> {
    let progress = &endpoint.progress;
    let fleets = [&progress.current, &progress.next];
    let fleet = fleets.into_iter().flatten().find(|f| f.number == server.fleet);
    let variants = fleet.map(|f| f.deployment.variants.as_slice()).unwrap_or_default();
    let variant = variants.iter().find(|v| v.name == server.variant);
    let Some((variant, placement)) = variant.and_then(|v| Some((v, v.vpc.clone()?))) else {
        return Ok(Ok(Vec::new()));
    };
    let others = service.db().read(|c| others(c, server, instead))?;
    let account = &service.config.account;
    let role = variant.role.as_ref().map(|role| Principal::executing(role, account));
    let needs = needs_of(service, variant, role.as_ref());
    let spread = apart(variant, others);
    let owner = of_server(service, endpoint, &server.id);
    enforced(service, owner, placement, spread, needs).await
}

/// How an endpoint's instances are spread. Containers that are sealed share an interface, which
/// none of them has: their wardens stage by it.
fn apart(variant: &Variant, others: Vec<SubnetId>) -> Spread {
    let interfaces = if variant.is_isolated() { 1 } else { variant.containers.len() };
    Spread::Apart { instance_type: variant.instance_type.clone(), interfaces, others }
}

/// What an instance of a variant needs.
fn needs_of(service: &Service, variant: &Variant, who: Option<&Principal>) -> Needs {
    let brings = |c: &Container| c.model.is_some() || c.models.is_some();
    let any = variant.containers.iter().any(brings);
    let download = if any { Download::Model } else { Download::None };
    let requests = who.map(|who| asks::of_variant(service, variant, who)).unwrap_or_default();
    Needs { download, peers: false, encrypted: false, requests }
}

/// The subnets of the other instances of a variant, without the dead one whose place is taken.
fn others(
    c: &Connection,
    server: &Server,
    instead: Option<&str>,
) -> Result<Vec<SubnetId>, StoreError> {
    let mut subnets = Vec::new();
    for other in servers::of_endpoint(c, &server.endpoint)? {
        let counts = other.variant == server.variant
            && other.stopping.is_none()
            && Some(other.id.as_str()) != instead;
        if counts && let Some(first) = servers::containers(c, &other.id)?.into_iter().next() {
            subnets.extend(first.assignment.vpc.map(|link| link.subnet));
        }
    }
    Ok(subnets)
}

fn of_server(service: &Service, endpoint: &Endpoint, id: &str) -> Owner {
    Owner {
        arn: endpoint.arn.clone(),
        region: service.config.region.clone(),
        part: id.to_owned(),
        name: endpoint.name.clone(),
    }
}

/// Removes the interfaces of an instance that is gone.
pub(super) async fn release_server(service: &Service, endpoint: &Endpoint, id: &str) {
    if let Err(e) = instances::release(&service.network, &of_server(service, endpoint, id)).await {
        tracing::warn!(server = id, code = %e.code, message = e.message, "an instance's network interface cannot be removed");
    }
}

/// Removes the interfaces that a killed service left: those of attempts that are over, and of
/// instances of endpoints that are gone.
pub(super) async fn tidy_all(service: &Service) -> Result<(), StoreError> {
    let (jobs, servers) =
        service.db().read(|c| Ok::<_, StoreError>((jobs::unfinished(c)?, servers::all(c)?)))?;
    let attempts = jobs.iter().map(|job| format!("{}/{}/", job.arn, job.progress.generation));
    let ids = servers.iter().map(|s| format!("/{}/", s.id));
    let (attempts, ids): (Vec<_>, Vec<_>) = (attempts.collect(), ids.collect());
    let lives = move |owner: &str| {
        attempts.iter().any(|a| owner.starts_with(a)) || ids.iter().any(|id| owner.contains(id))
    };
    if let Err(e) = instances::sweep(&service.network, lives).await {
        tracing::warn!(
            code = %e.code,
            message = e.message,
            "network interfaces that were left cannot be removed"
        );
    }
    Ok(())
}
