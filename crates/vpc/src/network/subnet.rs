//! VPCs and subnets.

use crate::id::{CidrAssociationId, DhcpOptionsId, VpcId};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr};

/// A VPC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Vpc {
    /// Its CIDR blocks; the first is IPv4, the primary one, and stays.
    pub cidrs: Vec<VpcCidr>,
    /// `enableDnsSupport`: whether the resolver answers.
    pub dns_support: bool,
    /// `enableDnsHostnames`. Private DNS of endpoints and private zones need both.
    pub dns_hostnames: bool,
    /// `None` is `default`: no options.
    pub dhcp_options: Option<DhcpOptionsId>,
    /// Whether it is the region's default VPC.
    pub is_default: bool,
}

/// One CIDR block of a VPC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct VpcCidr {
    /// Names it to be taken away again.
    pub association: CidrAssociationId,
    /// The block, its host bits zero.
    pub block: IpNet,
}

/// A subnet: a part of a VPC, in one zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Subnet {
    /// Its VPC.
    pub vpc: VpcId,
    /// Its Availability Zone, by name: `us-east-1a`.
    pub zone: String,
    /// Its IPv4 block.
    pub block: Ipv4Net,
    /// Its IPv6 block, a /64.
    pub block_v6: Option<Ipv6Net>,
    /// The association that `block_v6` has, `subnet-cidr-assoc-…`.
    pub association_v6: Option<String>,
    /// `MapPublicIpOnLaunch`.
    pub map_public_ip: bool,
    /// `AssignIpv6AddressOnCreation`.
    pub assign_v6: bool,
    /// Whether it is the default subnet of its zone.
    pub default_for_zone: bool,
}

impl Subnet {
    /// How many addresses interfaces can have in it: all but AWS's five.
    #[must_use]
    pub fn capacity(&self) -> usize {
        (1usize << (32 - u32::from(self.block.prefix_len()))).saturating_sub(5)
    }
}

impl Vpc {
    /// Its IPv4 blocks, the primary one first.
    pub fn blocks_v4(&self) -> impl Iterator<Item = Ipv4Net> + '_ {
        self.cidrs.iter().filter_map(|c| match c.block {
            IpNet::V4(net) => Some(net),
            IpNet::V6(_) => None,
        })
    }

    /// The resolver's address: the base of the primary block plus two.
    #[must_use]
    pub fn resolver(&self) -> Option<Ipv4Addr> {
        let base = self.blocks_v4().next()?.network().to_bits();
        Some(Ipv4Addr::from_bits(base.saturating_add(2)))
    }
}

impl Vpc {
    /// Whether an address is in one of its blocks.
    #[must_use]
    pub fn has(&self, address: IpAddr) -> bool {
        self.cidrs.iter().any(|c| c.block.contains(&address))
    }
}

impl Subnet {
    /// Whether an address is in one of its blocks.
    #[must_use]
    pub fn has(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(v4) => self.block.contains(&v4),
            IpAddr::V6(v6) => self.block_v6.is_some_and(|b| b.contains(&v6)),
        }
    }
}

/// Whether an address of a subnet is one of the five that AWS keeps for itself: network, router
/// (+1), DNS (+2), future use (+3) and the last (VPC User Guide, "Subnet CIDR blocks").
#[must_use]
pub fn reserved(block: Ipv4Net, address: Ipv4Addr) -> bool {
    let base = block.network().to_bits();
    let number = address.to_bits();
    number.wrapping_sub(base) < 4 || address == block.broadcast()
}
