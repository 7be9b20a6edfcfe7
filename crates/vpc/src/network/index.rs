//! What is looked up by addresses and by VPC.

use super::{Description, Network, PeeringStatus};
use crate::id::{InterfaceId, InternetGatewayId, NatGatewayId, PeeringId, VpcId};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Maps of a checked description.
#[derive(Debug, Clone, Default)]
pub(super) struct Index {
    public_of: HashMap<(InterfaceId, Ipv4Addr), Ipv4Addr>,
    at_public: HashMap<Ipv4Addr, (InterfaceId, Ipv4Addr)>,
    at_v6: HashMap<Ipv6Addr, InterfaceId>,
    internet: HashMap<VpcId, InternetGatewayId>,
    nat_at: HashMap<InterfaceId, NatGatewayId>,
    peering: HashMap<(VpcId, VpcId), PeeringId>,
}

impl Index {
    pub(super) fn of(d: &Description) -> Self {
        let mut index = Self::default();
        for (id, interface) in &d.interfaces {
            for address in &interface.addresses {
                if let Some(public) = address.public {
                    index.join(id, address.address, public);
                }
            }
            for address in &interface.addresses_v6 {
                index.at_v6.insert(*address, id.clone());
            }
        }
        // An elastic address takes the place of one that was given at birth.
        for address in d.addresses.values() {
            if let Some((_, interface, private)) = &address.association {
                index.join(interface, *private, address.public);
            }
        }
        for (id, gateway) in d.nat_gateways.iter().filter(|(_, g)| g.available) {
            index.nat_at.insert(gateway.interface.clone(), id.clone());
            let primary = d.interfaces.get(&gateway.interface).and_then(|i| i.primary());
            let public = gateway.allocation.as_ref().and_then(|a| d.addresses.get(a));
            if let (Some(primary), Some(public)) = (primary, public) {
                index.join(&gateway.interface, primary, public.public);
            }
        }
        for (id, gateway) in &d.internet_gateways {
            if let Some(vpc) = &gateway.vpc {
                index.internet.insert(vpc.clone(), id.clone());
            }
        }
        for (id, p) in d.peerings.iter().filter(|(_, p)| p.status == PeeringStatus::Active) {
            for (one, other) in [(&p.requester, &p.accepter), (&p.accepter, &p.requester)] {
                index.peering.insert((one.clone(), other.clone()), id.clone());
            }
        }
        index
    }

    fn join(&mut self, interface: &InterfaceId, private: Ipv4Addr, public: Ipv4Addr) {
        if let Some(old) = self.public_of.insert((interface.clone(), private), public) {
            self.at_public.remove(&old);
        }
        self.at_public.insert(public, (interface.clone(), private));
    }
}

impl Network {
    /// The public address of an interface's private one: an elastic one, or that which it was
    /// given when it was made.
    #[must_use]
    pub fn public_of(&self, interface: &InterfaceId, private: Ipv4Addr) -> Option<Ipv4Addr> {
        self.index.public_of.get(&(interface.clone(), private)).copied()
    }

    /// The interface, and its address, that a public IPv4 address stands for.
    #[must_use]
    pub fn at_public(&self, public: Ipv4Addr) -> Option<(&InterfaceId, Ipv4Addr)> {
        self.index.at_public.get(&public).map(|(id, private)| (id, *private))
    }

    /// The interface that the internet finds at an address: by a public IPv4 address, or by IPv6.
    #[must_use]
    pub fn on_internet(&self, address: IpAddr) -> Option<(&InterfaceId, IpAddr)> {
        match address {
            IpAddr::V4(v4) => self.at_public(v4).map(|(id, private)| (id, private.into())),
            IpAddr::V6(v6) => self.index.at_v6.get(&v6).map(|id| (id, address)),
        }
    }

    /// The internet gateway of a VPC.
    #[must_use]
    pub fn internet_gateway(&self, vpc: &VpcId) -> Option<&InternetGatewayId> {
        self.index.internet.get(vpc)
    }

    /// The working NAT gateway that an interface is a part of.
    #[must_use]
    pub fn nat_at(&self, interface: &InterfaceId) -> Option<&NatGatewayId> {
        self.index.nat_at.get(interface)
    }

    /// The active peering connection of two VPCs.
    #[must_use]
    pub fn peering(&self, one: &VpcId, other: &VpcId) -> Option<&PeeringId> {
        self.index.peering.get(&(one.clone(), other.clone()))
    }
}
