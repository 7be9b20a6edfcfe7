//! The interfaces of instances: each instance of a job or an endpoint in a VPC has one, from
//! before it starts until it is gone. Of an instance whose containers are in the VPC themselves,
//! each container has one, because each has a network of its own.
//!
//! An interface says whose it is (`attachment.owner`: the ARN, then what tells the instance from
//! others), so that what a killed service left is found again.

use super::interfaces::{self, Wanted};
use super::{Draft, Networks};
use belljar_aws::AwsError;
use belljar_domain::failure::Blame;
use belljar_domain::preflight::{self, Needs};
use belljar_domain::{VpcConfigError, VpcLink, VpcPlacement};
use belljar_vpc::Network;
use belljar_vpc::id::{InterfaceId, SubnetId};

/// Whose interfaces.
#[derive(Debug, Clone)]
pub(crate) struct Owner {
    /// The job's or endpoint's ARN.
    pub(crate) arn: String,
    /// Its region.
    pub(crate) region: String,
    /// The attempt, or the instance of an endpoint.
    pub(crate) part: String,
    /// What `belljar explain --from` takes.
    pub(crate) name: String,
}

/// Where instances are to be.
#[derive(Debug, Clone)]
pub(crate) enum Spread {
    /// All in one subnet: a job's, by the names of their hosts.
    Together(Vec<String>),
    /// One further instance of an endpoint, away from those that there are.
    Apart {
        /// The instance's type, for its errors.
        instance_type: String,
        /// How many interfaces it has.
        interfaces: usize,
        /// The subnets of the others.
        others: Vec<SubnetId>,
    },
}

/// What came of it: links in the order of hosts or interfaces, or a `FailureReason`.
pub(crate) type Provided = Result<Vec<VpcLink>, String>;

impl Owner {
    /// What the owners of its interfaces begin with.
    fn prefix(&self) -> String {
        format!("{}/{}/", self.arn, self.part)
    }
}

/// Makes the interfaces, if the network lets them do what they need; otherwise nothing is made.
///
/// # Errors
/// If the state fails, or a quota is reached.
pub(crate) async fn provide(
    networks: &Networks,
    owner: Owner,
    placement: VpcPlacement,
    spread: Spread,
    needs: Needs,
) -> Result<(Provided, u64), AwsError> {
    let change = move |draft: &mut Draft| {
        let made = make(draft, &owner, &placement, &spread, &needs);
        if !matches!(made, Ok(Ok(_))) {
            remove(draft, |o| o.starts_with(&owner.prefix()));
        }
        made
    };
    let (provided, topology) = networks.edit(change).await?;
    Ok((provided, topology.generation))
}

/// What would come of it now: a `FailureReason` if it would fail. Nothing is changed.
pub(crate) fn examine(
    networks: &Networks,
    owner: &Owner,
    placement: &VpcPlacement,
    spread: &Spread,
    needs: &Needs,
) -> Option<String> {
    let mut draft = networks.draft();
    match make(&mut draft, owner, placement, spread, needs) {
        Ok(Ok(_)) => None,
        Ok(Err(reason)) => Some(reason),
        Err(e) => Some(Blame::Client.reason(&format!("{}: {}", e.code, e.message))),
    }
}

/// Removes the interfaces of an owner.
///
/// # Errors
/// If the state fails.
pub(crate) async fn release(networks: &Networks, owner: &Owner) -> Result<(), AwsError> {
    let prefix = owner.prefix();
    release_those(networks, |o| o.starts_with(&prefix)).await
}

/// Removes the interfaces of instances of jobs and endpoints whose owner `lives` does not know:
/// what a killed service left.
///
/// # Errors
/// If the state fails.
pub(crate) async fn sweep(
    networks: &Networks,
    lives: impl Fn(&str) -> bool + Send + Sync,
) -> Result<(), AwsError> {
    release_those(networks, |o| o.starts_with("arn:") && !lives(o)).await
}

async fn release_those(
    networks: &Networks,
    of: impl Fn(&str) -> bool + Send + Sync,
) -> Result<(), AwsError> {
    let change = |draft: &mut Draft| {
        remove(draft, of);
        Ok(())
    };
    networks.edit(change).await?;
    Ok(())
}

fn remove(draft: &mut Draft, of: impl Fn(&str) -> bool) {
    let of = |i: &belljar_vpc::network::Interface| {
        i.requester_managed && i.attachment.as_ref().is_some_and(|a| of(&a.owner))
    };
    let found: Vec<InterfaceId> =
        draft.interfaces.iter().filter(|(_, i)| of(i)).map(|(id, _)| id.clone()).collect();
    for id in found {
        // It was just there.
        let _ = interfaces::delete(draft, &id);
    }
}

fn make(
    draft: &mut Draft,
    owner: &Owner,
    placement: &VpcPlacement,
    spread: &Spread,
    needs: &Needs,
) -> Result<Provided, AwsError> {
    // An earlier service may have been killed after it had made them.
    remove(draft, |o| o.starts_with(&owner.prefix()));
    let network = checked(draft)?;
    let (subnet, hosts) = match place(&network, placement, spread) {
        Ok(found) => found,
        Err(e) => return Ok(Err(Blame::Client.reason(&e.to_string()))),
    };
    let mut made = Vec::with_capacity(hosts.len());
    for host in &hosts {
        let whose = format!("{}{host}", owner.prefix());
        let groups = placement.config.security_group_ids.clone();
        let text = format!("[DO NOT DELETE] ENI managed by SageMaker for {}", owner.name);
        match interfaces::create(draft, Wanted::of(subnet.clone(), groups, &whose, &text)) {
            Ok(id) => made.push(id),
            // A quota, say: to try it again helps nobody.
            Err(e) => return Ok(Err(Blame::Client.reason(&format!("{}: {}", e.code, e.message)))),
        }
    }
    let network = checked(draft)?;
    let obstacles = preflight::preflight(&network, &owner.region, &made, needs);
    if !obstacles.is_empty() {
        return Ok(Err(preflight::failure_reason(&obstacles, &owner.name)));
    }
    let links = made.iter().map(|id| VpcLink::of(&network, id, !placement.isolated));
    Ok(Ok(links.collect::<Option<_>>().ok_or_else(AwsError::internal)?))
}

fn place(
    network: &Network,
    placement: &VpcPlacement,
    spread: &Spread,
) -> Result<(SubnetId, Vec<String>), VpcConfigError> {
    let config = &placement.config;
    let vpc = config.check(network)?;
    config.check_dhcp(network, vpc)?;
    Ok(match spread {
        Spread::Together(hosts) => (config.together(network, hosts.len())?.clone(), hosts.clone()),
        Spread::Apart { instance_type, interfaces, others } => {
            config.check_zones(network, instance_type)?;
            let subnet = config.apart(network, others, *interfaces)?.clone();
            (subnet, (0..*interfaces).map(|n| format!("eth{n}")).collect())
        }
    })
}

fn checked(draft: &Draft) -> Result<Network, AwsError> {
    Network::new(draft.description().clone()).map_err(|fault| {
        tracing::error!(%fault, "an interface makes the network invalid");
        AwsError::internal()
    })
}
