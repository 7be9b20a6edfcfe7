//! Who begins: what can be written behind `--from`.

use super::plan::plan;
use crate::exit::Exit;
use crate::network::facts::public;
use crate::network::names::Names;
use crate::terminal::printable;
use crate::trouble::Trouble;
use belljar_control::service::{NetworkView, Workload};
use belljar_domain::VpcPlacement;
use belljar_vpc::Network;
use belljar_vpc::flow::Source as Begins;
use belljar_vpc::id::InterfaceId;
use belljar_vpc::network::{Interface, Vpc};
use belljar_vpc::public::is_public;
use std::net::IpAddr;
use std::sync::Arc;

/// Who begins.
#[derive(Debug)]
pub(crate) struct Source {
    /// For a person.
    pub(crate) said: String,
    /// The network, with the interfaces that are only planned.
    pub(crate) network: Network,
    /// Where conversations begin: none of what is sealed and in no VPC.
    pub(crate) ends: Vec<End>,
}

/// Where a conversation begins.
#[derive(Debug, Clone)]
pub(crate) struct End {
    pub(crate) begins: Begins,
    /// There is no such interface yet.
    pub(crate) planned: bool,
    /// The container behind it is sealed.
    pub(crate) sealed: bool,
}

impl End {
    fn interface(id: InterfaceId, address: Option<IpAddr>) -> Self {
        Self { begins: Begins::Interface { id, address }, planned: false, sealed: false }
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
        return Ok(Source { said, ends: vec![End::interface(id, None)], network });
    }
    match text.parse::<IpAddr>() {
        Ok(address) => at(address, network),
        Err(_) => {
            let said = format!("there is no training job or endpoint '{text}'");
            let hint = "write a name or an ARN, an interface as eni-0123, or an address";
            Err(Trouble::new(Exit::Usage, said).hint(hint))
        }
    }
}

/// What to do about an interface that is not there.
pub(super) const SHOW: &str = "`belljar network show` shows those that there are";

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
            let ends = vec![End::interface(id.clone(), own)];
            Ok(Source { said: format!("{address} ({id})"), network, ends })
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
    let holds = |s: &&Arc<Vpc>| s.cidrs.iter().any(|c| c.block.contains(&address));
    if network.vpcs.values().any(|vpc| holds(&vpc)) {
        let said = format!("no network interface has {address}");
        return Err(Trouble::new(Exit::Usage, said).hint(SHOW));
    }
    if !is_public(address) {
        let said = format!("{address} is no address of a VPC, and none of the internet");
        return Err(Trouble::new(Exit::Usage, said).hint(SHOW));
    }
    let ends = vec![End { begins: Begins::Internet { address }, planned: false, sealed: false }];
    Ok(Source { said: format!("{address} on the internet"), network, ends })
}

/// The interfaces of a job or an endpoint; those that its next instances would have if there are
/// none.
fn workload(of: &Workload, network: Network) -> Result<Source, Trouble> {
    let said = format!("{} {}", of.kind, printable(&of.name));
    if of.placements.is_empty() && of.isolated {
        return Ok(Source { said, network, ends: Vec::new() });
    }
    if of.placements.is_empty() {
        let said =
            format!("{said} is in no VPC: it has no VpcConfig, and no EnableNetworkIsolation");
        return Err(Trouble::new(Exit::Usage, said).hint(
            "it reaches public addresses by this machine's own network, which no rule here is about; \
             its evidence lists what was refused",
        ));
    }
    let is_of = |owner: &str| {
        let rest = owner.strip_prefix(&of.arn);
        rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '-'))
    };
    let attached = |i: &Interface| i.attachment.as_ref().is_some_and(|a| is_of(&a.owner));
    let own = network.interfaces.iter().filter(|(_, i)| attached(i));
    let end = |(id, interface): (&InterfaceId, &Arc<Interface>)| {
        let sealed = is_sealed(of, interface);
        End { sealed, ..End::interface(id.clone(), None) }
    };
    let ends: Vec<End> = own.map(end).collect();
    if !ends.is_empty() {
        return Ok(Source { said, network, ends });
    }
    let (network, ends) = plan(of, &network)?;
    Ok(Source { said, network, ends })
}

/// Whether an interface is of sealed instances: those whose `VpcConfig` gives such a one, or all.
fn is_sealed(of: &Workload, interface: &Interface) -> bool {
    let gives = |place: &VpcPlacement| {
        let groups = &place.config.security_group_ids;
        place.config.subnets.contains(&interface.subnet)
            && groups.len() == interface.groups.len()
            && groups.iter().all(|g| interface.groups.contains(g))
    };
    let mut given = of.placements.iter().map(|(place, _)| place).filter(|p| gives(p)).peekable();
    match given.peek() {
        Some(_) => given.all(|place| place.isolated),
        None => of.placements.iter().all(|(place, _)| place.isolated),
    }
}
