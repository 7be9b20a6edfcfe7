//! The interfaces that a job or an endpoint would be given, in a copy of the network.

use super::source::End;
use crate::exit::Exit;
use crate::trouble::Trouble;
use belljar_control::service::Workload;
use belljar_domain::VpcPlacement;
use belljar_vpc::flow::Source as Begins;
use belljar_vpc::id::{IdError, InterfaceId, SubnetId};
use belljar_vpc::network::{Interface, PrivateAddress, reserved};
use belljar_vpc::{Description, Network};
use std::collections::BTreeSet;
use std::error::Error;
use std::net::Ipv4Addr;
use std::sync::Arc;

/// The network with an interface in the subnet of a job's instances, or in each subnet of an
/// endpoint's.
pub(super) fn plan(of: &Workload, network: &Network) -> Result<(Network, Vec<End>), Trouble> {
    let failed = |e: &dyn Error| {
        let mut trouble = Trouble::of(Exit::Usage, e, None);
        trouble.text = format!("the {} {} has no place: {}", of.kind, of.name, trouble.text);
        trouble
    };
    let mut description = network.description().clone();
    let mut ends: Vec<End> = Vec::new();
    let mut seen = BTreeSet::new();
    for (place, subnet) in wanted(of, network, failed)? {
        let groups = &place.config.security_group_ids;
        if !seen.insert((subnet.clone(), groups.clone(), place.isolated)) {
            continue;
        }
        let Some(address) = first_free(&description, &subnet) else { continue };
        let id = format!("eni-planned-{}", ends.len() + 1);
        let id: InterfaceId = id.parse().map_err(|e: IdError| failed(&e))?;
        let interface = Interface {
            subnet,
            addresses: vec![PrivateAddress { address, public: None }],
            addresses_v6: Vec::new(),
            groups: groups.clone(),
            source_dest_check: true,
            mac: "02:00:00:00:00:00".to_owned(),
            description: format!("planned for {} {}", of.kind, of.name),
            kind: "interface".to_owned(),
            requester_managed: true,
            attachment: None,
        };
        description.interfaces.insert(id.clone(), Arc::new(interface));
        let begins = Begins::Interface { id, address: None };
        ends.push(End { begins, planned: true, sealed: place.isolated });
    }
    if ends.is_empty() {
        let said = format!("none of the subnets of {} {} has a free address", of.kind, of.name);
        return Err(Trouble::new(Exit::Usage, said));
    }
    Ok((Network::new(description).map_err(|e| failed(&e))?, ends))
}

/// Where there would be interfaces.
fn wanted<'a>(
    of: &'a Workload,
    network: &Network,
    failed: impl Fn(&dyn Error) -> Trouble,
) -> Result<Vec<(&'a VpcPlacement, SubnetId)>, Trouble> {
    let mut all = Vec::new();
    for (place, instances) in &of.placements {
        place.config.check(network).map_err(|e| failed(&e))?;
        match of.kind {
            "training job" => {
                let subnet = place.config.together(network, *instances).map_err(|e| failed(&e))?;
                all.push((place, subnet.clone()));
            }
            _ => all.extend(place.config.subnets.iter().map(|subnet| (place, subnet.clone()))),
        }
    }
    Ok(all)
}

fn first_free(d: &Description, subnet: &SubnetId) -> Option<Ipv4Addr> {
    let block = d.subnets.get(subnet)?.block;
    let here = d.interfaces.values().filter(|i| i.subnet == *subnet);
    let used: BTreeSet<Ipv4Addr> =
        here.flat_map(|i| i.addresses.iter().map(|a| a.address)).collect();
    block.hosts().find(|a| !reserved(block, *a) && !used.contains(a))
}
