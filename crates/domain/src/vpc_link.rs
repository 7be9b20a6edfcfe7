//! An instance's place in a VPC: its network interface, and what DHCP would tell it there.

use belljar_vpc::Network;
use belljar_vpc::dns::{self, Servers};
use belljar_vpc::id::{InterfaceId, SubnetId, VpcId};
use serde::{Deserialize, Serialize};
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The interface of one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct VpcLink {
    /// Its interface.
    pub interface: InterfaceId,
    /// The interface's VPC.
    pub vpc: VpcId,
    /// And subnet.
    pub subnet: SubnetId,
    /// The subnet's Availability Zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Its primary address.
    pub address: Ipv4Addr,
    /// Bits of the subnet's prefix.
    pub prefix: u8,
    /// The subnet's router: its base plus one.
    pub gateway: Ipv4Addr,
    /// Ethernet address.
    pub mac: String,
    /// Its IPv6 address, if it has one.
    pub address_v6: Option<Ipv6Addr>,
    /// `domain-name-servers`.
    pub resolvers: Vec<IpAddr>,
    /// `domain-name`.
    pub search: Option<String>,
    /// Whether the container has the interface; otherwise it is sealed, and only what is staged
    /// for it goes this way (`EnableNetworkIsolation`).
    pub inside: bool,
}

impl VpcLink {
    /// What an instance with this interface is told; `None` if there is no such interface, or it
    /// has no IPv4 address.
    #[must_use]
    pub fn of(network: &Network, interface: &InterfaceId, inside: bool) -> Option<Self> {
        let record = network.interfaces.get(interface)?;
        let subnet = network.subnets.get(&record.subnet)?;
        let vpc = network.vpc(&subnet.vpc)?;
        let base = subnet.block.network().to_bits();
        let options = vpc.dhcp_options.as_ref().and_then(|id| network.dhcp_options.get(id));
        let search = options.and_then(|o| o.options.get("domain-name")?.first().cloned());
        let resolvers = match dns::servers(network, &subnet.vpc) {
            Servers::Provided(address) => vec![address.into()],
            Servers::Others(all) => all,
            Servers::None => Vec::new(),
        };
        Some(Self {
            interface: interface.clone(),
            vpc: subnet.vpc.clone(),
            subnet: record.subnet.clone(),
            zone: Some(subnet.zone.clone()),
            address: record.primary()?,
            prefix: subnet.block.prefix_len(),
            gateway: Ipv4Addr::from_bits(base.saturating_add(1)),
            mac: record.mac.clone(),
            address_v6: record.addresses_v6.first().copied(),
            resolvers,
            search,
            inside,
        })
    }

    /// `/etc/resolv.conf` as a DHCP client writes it.
    #[must_use]
    pub fn resolv_conf(&self) -> String {
        let mut text = String::new();
        if let Some(search) = &self.search {
            // Writing to a string does not fail.
            let _ = writeln!(text, "search {search}");
        }
        // resolv.conf(5): more than three are not looked at.
        for server in self.resolvers.iter().take(3) {
            let _ = writeln!(text, "nameserver {server}");
        }
        text
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn link() -> VpcLink {
        VpcLink {
            interface: "eni-1".parse().unwrap(),
            vpc: "vpc-1".parse().unwrap(),
            subnet: "subnet-1".parse().unwrap(),
            zone: Some("us-east-1a".into()),
            address: [10, 0, 1, 10].into(),
            prefix: 24,
            gateway: [10, 0, 1, 1].into(),
            mac: "02:00:00:00:00:01".into(),
            address_v6: None,
            resolvers: vec![[10, 0, 0, 2].into()],
            search: Some("ec2.internal".into()),
            inside: true,
        }
    }

    #[test]
    fn what_dhcp_tells() {
        let link = link();
        assert_eq!(link.resolv_conf(), "search ec2.internal\nnameserver 10.0.0.2\n");
        let none = VpcLink { resolvers: vec![], search: None, ..link };
        assert_eq!(none.resolv_conf(), "");
    }
}
