//! Addresses that mean something by themselves.

use super::Code;
use super::answer::Component;
use super::walk::Failure;
use crate::compile::SERVICES_V6;
use crate::id::VpcId;
use crate::network::{Network, Subnet};
use crate::traffic::Header;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The resolver's link-local address (VPC User Guide, "Amazon DNS server").
pub(super) const RESOLVER: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 253);

/// Whether an address is one of a VPC's router: the base of a subnet plus one, the resolver, and
/// 169.254.169.253. Neither groups nor ACLs are asked on the way there, and whether the resolver
/// is switched off does not matter to a packet.
pub(crate) fn is_router(network: &Network, vpc: &VpcId, address: IpAddr) -> bool {
    let Some(record) = network.vpc(vpc) else { return false };
    let own = |s: &&std::sync::Arc<Subnet>| s.vpc == *vpc;
    match address {
        IpAddr::V4(v4) if v4 == RESOLVER || record.resolver() == Some(v4) => true,
        // Cheaper than the subnets: most addresses are not of the VPC.
        _ if !record.cidrs.iter().any(|c| c.block.contains(&address)) => false,
        _ if network.interface_at(vpc, address).is_some() => false,
        IpAddr::V4(v4) => {
            let is = |s: &Subnet| Some(v4.to_bits()) == s.block.network().to_bits().checked_add(1);
            network.subnets.values().filter(own).any(|s| is(s))
        }
        IpAddr::V6(v6) => {
            let base = |s: &Subnet| s.block_v6.map(|b| b.network().to_bits());
            let is = |s: &Subnet| base(s).is_some_and(|b| b.checked_add(1) == Some(v6.to_bits()));
            network.subnets.values().filter(own).any(|s| is(s))
        }
    }
}

/// Why a packet's destination is never forwarded, whatever the routes say: link-local, loopback,
/// multicast and unspecified addresses, and those that AWS keeps for its services.
pub(super) fn never_routed(vpc: &VpcId, header: &Header) -> Option<Failure> {
    let to = header.destination;
    let never = match to {
        IpAddr::V4(v4) => {
            let first = v4.octets()[0];
            v4.is_link_local() || v4.is_loopback() || first == 0 || first >= 224
        }
        IpAddr::V6(v6) => {
            let near = v6.is_loopback() || v6.is_unspecified() || is_link_local(v6);
            near || v6.is_multicast() || SERVICES_V6.contains(&v6)
        }
    };
    let text = || format!("{to} is not an address that is routed");
    let failure =
        || Failure::hopeless(Code::UnknownDestination, Component::Router(vpc.clone()), text());
    never.then(failure)
}

fn is_link_local(v6: Ipv6Addr) -> bool {
    v6.segments()[0] & 0xffc0 == 0xfe80
}

/// Private address space: RFC 1918, and RFC 4193 of IPv6.
pub(super) fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_private(),
        IpAddr::V6(v6) => v6.segments()[0] & 0xfe00 == 0xfc00,
    }
}

/// Shared address space (RFC 6598).
pub(super) fn is_shared(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(v4) if v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64)
}
