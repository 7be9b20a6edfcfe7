//! What opens the way to the internet.

use super::fix::Edit;
use super::mended::Mended;
use crate::id::{AddressAssociationId, AllocationId, InterfaceId, InternetGatewayId, VpcId};
use crate::network::{ElasticAddress, InternetGateway, Record};
use std::net::{IpAddr, Ipv4Addr};

/// The internet gateway of a VPC, and what attaches one if there is none.
pub(super) fn attached(
    net: &mut Mended<'_>,
    vpc: &VpcId,
) -> Option<(Vec<Edit>, InternetGatewayId)> {
    if let Some(id) = net.internet_gateway(vpc) {
        return Some((vec![], id.clone()));
    }
    let mut gateways = net.network.internet_gateways.keys();
    let free = gateways.find(|id| net.internet(id).is_some_and(|g| g.vpc.is_none())).cloned();
    if let Some(id) = free {
        return Some((vec![Edit::AttachGateway(id.clone(), vpc.clone())], id));
    }
    let taken = |net: &Mended<'_>, id: &InternetGatewayId| net.internet(id).is_some();
    let id = net.unused(InternetGatewayId::PREFIX, taken)?;
    let create = Edit::Create(Record::InternetGateway(id.clone(), InternetGateway::default()));
    Some((vec![create, Edit::AttachGateway(id.clone(), vpc.clone())], id))
}

/// A new elastic address for a private one. Which one AWS would give is not known: it is one of
/// those for documentation (RFC 5737) here.
pub(super) fn elastic(
    net: &mut Mended<'_>,
    interface: &InterfaceId,
    private: Ipv4Addr,
    besides: IpAddr,
) -> Option<Vec<Edit>> {
    let free = |a: &Ipv4Addr| {
        net.on_internet(IpAddr::V4(*a)).is_none()
            && IpAddr::V4(*a) != besides
            && !net.network.addresses.values().any(|e| e.public == *a)
    };
    let public = (1..=254).map(|n| Ipv4Addr::new(198, 51, 100, n)).find(free)?;
    let taken = |net: &Mended<'_>, id: &AllocationId| net.address(id).is_some();
    let allocation = net.unused(AllocationId::PREFIX, taken)?;
    let tail = allocation.as_str().trim_start_matches(AllocationId::PREFIX);
    let association = format!("{}{tail}", AddressAssociationId::PREFIX).parse().ok()?;
    let address = ElasticAddress { public, association: None };
    Some(vec![
        Edit::Create(Record::Address(allocation.clone(), address)),
        Edit::AssociateAddress(allocation, association, interface.clone(), private),
    ])
}
