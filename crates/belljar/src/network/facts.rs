//! What follows from the records of a network and is asked in several places.

use belljar_vpc::Network;
use belljar_vpc::id::{InterfaceId, SubnetId, VpcId};
use belljar_vpc::network::{PeeringStatus, Target};
use std::net::IpAddr;

/// A VPC's subnets and their zones, in the order of their blocks.
pub(crate) fn subnets<'a>(network: &'a Network, vpc: &VpcId) -> Vec<(&'a SubnetId, &'a str)> {
    let mut all: Vec<_> = network.subnets.iter().filter(|(_, s)| s.vpc == *vpc).collect();
    all.sort_by_key(|(_, subnet)| subnet.block);
    all.into_iter().map(|(id, subnet)| (id, subnet.zone.as_str())).collect()
}

/// Whether a subnet's route table leads to an internet gateway that works.
pub(crate) fn is_public(network: &Network, subnet: &SubnetId) -> bool {
    network.route_table(subnet).is_some_and(|(_, table)| {
        let leads = |t: &Target| matches!(t, Target::Internet(_)) && works(network, t);
        table.routes.iter().any(|r| leads(&r.target))
    })
}

/// The public addresses of an interface: its own and elastic ones.
pub(crate) fn public(network: &Network, id: &InterfaceId) -> Vec<IpAddr> {
    let of = network.interfaces.get(id).into_iter().flat_map(|i| &i.addresses);
    let own = of.filter_map(|a| a.public);
    let elastic = network.addresses.values().filter_map(|address| {
        let (_, interface, _) = address.association.as_ref()?;
        (interface == id).then_some(address.public)
    });
    own.chain(elastic).map(IpAddr::V4).collect()
}

/// The id that a route's target has.
pub(crate) fn target_id(target: &Target) -> &str {
    match target {
        Target::Internet(id) => id.as_str(),
        Target::Nat(id) => id.as_str(),
        Target::Endpoint(id) => id.as_str(),
        Target::Peering(id) => id.as_str(),
        Target::Interface(id) => id.as_str(),
    }
}

/// Whether what a route leads to is there and works; else the route is a blackhole.
pub(crate) fn works(network: &Network, target: &Target) -> bool {
    match target {
        Target::Internet(id) => network.internet_gateways.get(id).is_some_and(|g| g.vpc.is_some()),
        Target::Nat(id) => network.nat_gateways.get(id).is_some_and(|g| g.available),
        Target::Endpoint(id) => network.endpoints.contains_key(id),
        Target::Peering(id) => {
            network.peerings.get(id).is_some_and(|p| p.status == PeeringStatus::Active)
        }
        Target::Interface(id) => network.interfaces.contains_key(id),
    }
}
