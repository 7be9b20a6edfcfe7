//! What is never recorded ("Flow log limitations"). Nearly all of it never crosses a router, since
//! it is for the router itself; of what is refused on its way there, this is asked.

use super::crossing::Tuple;
use crate::network::{Subnet, Vpc};
use crate::rules::UDP;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The resolver's other address.
const RESOLVER: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 169, 253));
/// Instance metadata, container credentials, time synchronisation.
const SERVICES: [IpAddr; 6] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 123)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x253)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x123)),
];
/// DHCP and DHCPv6, servers and clients.
const DHCP: [u16; 4] = [67, 68, 546, 547];

/// Whether packets between these two are not recorded at an interface of this subnet.
pub(super) fn is_silent(vpc: &Vpc, subnet: &Subnet, tuple: &Tuple) -> bool {
    let router = Ipv4Addr::from_bits(subnet.block.network().to_bits().saturating_add(1));
    let reserved = |address: IpAddr| {
        SERVICES.contains(&address)
            || address == RESOLVER
            || address == IpAddr::V4(router)
            || vpc.resolver().is_some_and(|r| address == IpAddr::V4(r))
            || address.is_multicast()
            || address == IpAddr::V4(Ipv4Addr::BROADCAST)
    };
    let ports = [tuple.source_port, tuple.destination_port];
    let dhcp = tuple.protocol == UDP && ports.iter().all(|p| DHCP.contains(p));
    dhcp || reserved(tuple.source) || reserved(tuple.destination)
}
