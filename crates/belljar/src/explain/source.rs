//! Who begins: what can be written behind `--from`.

use crate::exit::Exit;
use crate::network::facts::public;
use crate::network::names::Names;
use crate::terminal::printable;
use crate::trouble::Trouble;
use belljar_control::service::{NetworkView, Workload};
use belljar_domain::VpcPlacement;
use belljar_vpc::Network;
use belljar_vpc::flow::Source as Begins;
use belljar_vpc::id::{InterfaceId, SubnetId};
use belljar_vpc::network::{Interface, PrivateAddress, reserved};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// Who begins.
#[derive(Debug)]
pub(crate) struct Source {
    /// For a person.
    pub(crate) said: String,
    /// The network, with the interfaces that are only planned.
    pub(crate) network: Network,
    /// Where conversations begin: one or several.
    pub(crate) ends: Vec<End>,
    /// Whether the container is sealed.
    pub(crate) sealed: bool,
}

/// Where a conversation begins.
#[derive(Debug, Clone)]
pub(crate) struct End {
    pub(crate) begins: Begins,
    /// There is no such interface yet.
    pub(crate) planned: bool,
}

impl End {
    fn interface(id: InterfaceId, address: Option<IpAddr>, planned: bool) -> Self {
        Self { begins: Begins::Interface { id, address }, planned }
    }
}

/// Finds who is meant.
pub(crate) fn find(text: &str, view: &NetworkView) -> Result<Source, Trouble> {
    let network = view.network.clone();
    let names = Names::new(&view.network, &view.tags);
    match view.workloads.as_slice() {
        [] => {}
        [one] => return workload(one, network),
        several => {
            let kinds: Vec<&str> = several.iter().map(|w| w.kind).collect();
            let arns: Vec<&str> = several.iter().map(|w| w.arn.as_str()).collect();
            let said = format!("{text} is the name of several: {}", kinds.join(" and "));
            let hint = format!("give the ARN: {}", arns.join(" or "));
            return Err(Trouble::new(Exit::Usage, said).hint(hint));
        }
    }
    if let Ok(id) = text.parse::<InterfaceId>() {
        let Some(interface) = network.interfaces.get(&id) else {
            let said = format!("there is no network interface {text}");
            return Err(Trouble::new(Exit::Usage, said).hint(SHOW));
        };
        let said = format!("{} ({})", names.label(id.as_str()), names.whose(interface));
        return Ok(Source {
            said,
            ends: vec![End::interface(id, None, false)],
            network,
            sealed: false,
        });
    }
    match text.parse::<IpAddr>() {
        Ok(address) => at(address, network),
        Err(_) => {
            let said = format!("there is no training job or endpoint {text}");
            let hint = "write a name or an ARN, an interface as eni-0123, or an address";
            Err(Trouble::new(Exit::Usage, said).hint(hint))
        }
    }
}

const SHOW: &str = "`belljar network show` shows those that there are";

/// Whoever has an address: an interface of the network, else a host on the internet.
fn at(address: IpAddr, network: Network) -> Result<Source, Trouble> {
    let private = |id: &InterfaceId| {
        let vpc = network.vpc_of(id)?;
        (network.interface_at(vpc, address) == Some(id)).then_some(())
    };
    let has = |id: &&InterfaceId| private(id).is_some() || public(&network, id).contains(&address);
    let found: Vec<InterfaceId> = network.interfaces.keys().filter(has).cloned().collect();
    match found.as_slice() {
        [id] => {
            let own = private(id).is_some().then_some(address);
            let ends = vec![End::interface(id.clone(), own, false)];
            Ok(Source { said: format!("{address} ({id})"), network, ends, sealed: false })
        }
        [] => outside(address, network),
        several => {
            let ids: Vec<&str> = several.iter().map(InterfaceId::as_str).collect();
            let said = format!("several interfaces have {address}");
            let hint = format!("give one of {}", ids.join(", "));
            Err(Trouble::new(Exit::Usage, said).hint(hint))
        }
    }
}

fn outside(address: IpAddr, network: Network) -> Result<Source, Trouble> {
    let holds =
        |s: &&Arc<belljar_vpc::network::Vpc>| s.cidrs.iter().any(|c| c.block.contains(&address));
    if network.vpcs.values().any(|vpc| holds(&vpc)) {
        let said = format!("no network interface has {address}");
        return Err(Trouble::new(Exit::Usage, said).hint(SHOW));
    }
    let ends = vec![End { begins: Begins::Internet { address }, planned: false }];
    Ok(Source { said: format!("{address} on the internet"), network, ends, sealed: false })
}

/// The interfaces of a job or an endpoint; those that its next instances would have if there are
/// none.
fn workload(of: &Workload, network: Network) -> Result<Source, Trouble> {
    let said = format!("{} {}", of.kind, printable(&of.name));
    if of.placements.is_empty() {
        let trouble =
            Trouble::new(Exit::Failed, format!("{said} is in no VPC: it has no VpcConfig"));
        return Err(trouble.hint(
            "what is staged for it goes by this machine's own network, which no rule here is about",
        ));
    }
    let sealed = of.placements.iter().all(|(place, _)| place.isolated);
    let is_of = |owner: &str| {
        let rest = owner.strip_prefix(&of.arn);
        rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '-'))
    };
    let attached = |i: &Interface| i.attachment.as_ref().is_some_and(|a| is_of(&a.owner));
    let own = network.interfaces.iter().filter(|(_, i)| attached(i));
    let ends: Vec<End> = own.map(|(id, _)| End::interface(id.clone(), None, false)).collect();
    if !ends.is_empty() {
        return Ok(Source { said, network, ends, sealed });
    }
    let (network, ids) = plan(of, network)?;
    let ends = ids.into_iter().map(|id| End::interface(id, None, true)).collect();
    Ok(Source { said, network, ends, sealed })
}

/// The network with the interfaces that a job or endpoint would be given: one in the subnet of a
/// job's instances, one in each subnet of an endpoint's.
fn plan(of: &Workload, network: Network) -> Result<(Network, Vec<InterfaceId>), Trouble> {
    let failed = |e: &dyn std::error::Error| {
        Trouble::of(Exit::Failed, e, Some(format!("{} cannot be placed", of.name)))
    };
    let mut wanted: Vec<(&VpcPlacement, SubnetId)> = Vec::new();
    for (place, instances) in &of.placements {
        place.config.check(&network).map_err(|e| failed(&e))?;
        if of.kind == "training job" {
            let subnet = place.config.together(&network, *instances).map_err(|e| failed(&e))?;
            wanted.push((place, subnet.clone()));
        } else {
            let subnets = place.config.subnets.iter();
            wanted.extend(subnets.map(|subnet| (place, subnet.clone())));
        }
    }
    let mut description = network.description().clone();
    let mut ids = Vec::new();
    let mut seen = BTreeSet::new();
    for (place, subnet) in wanted {
        if !seen.insert((subnet.clone(), place.config.security_group_ids.clone())) {
            continue;
        }
        let Some(address) = first_free(&description, &subnet) else { continue };
        let id: InterfaceId = format!("eni-planned-{}", ids.len() + 1)
            .parse()
            .map_err(|e: belljar_vpc::id::IdError| failed(&e))?;
        let interface = Interface {
            subnet,
            addresses: vec![PrivateAddress { address, public: None }],
            addresses_v6: Vec::new(),
            groups: place.config.security_group_ids.clone(),
            source_dest_check: true,
            mac: "02:00:00:00:00:00".to_owned(),
            description: format!("planned for {} {}", of.kind, of.name),
            kind: "interface".to_owned(),
            requester_managed: true,
            attachment: None,
        };
        description.interfaces.insert(id.clone(), Arc::new(interface));
        ids.push(id);
    }
    if ids.is_empty() {
        let said = format!("none of the subnets of {} has a free address", of.name);
        return Err(Trouble::new(Exit::Failed, said));
    }
    Ok((Network::new(description).map_err(|e| failed(&e))?, ids))
}

fn first_free(d: &belljar_vpc::Description, subnet: &SubnetId) -> Option<Ipv4Addr> {
    let block = d.subnets.get(subnet)?.block;
    let here = d.interfaces.values().filter(|i| i.subnet == *subnet);
    let used: BTreeSet<Ipv4Addr> =
        here.flat_map(|i| i.addresses.iter().map(|a| a.address)).collect();
    block.hosts().find(|a| !reserved(block, *a) && !used.contains(a))
}
