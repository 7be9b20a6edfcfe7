//! A description that was checked: every reference leads somewhere, and what AWS says that there
//! is exactly one of, there is.

use super::index::Index;
use super::{Description, NetworkAcl, RouteTable, Subnet, Vpc, reserved};
use crate::id::{AclId, EndpointId, GroupId, InterfaceId, RouteTableId, SubnetId, VpcId};
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::ops::Deref;

/// What is wrong with a description.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A record names one that is not there.
    #[error("{of} names {names}, which does not exist")]
    Dangling {
        /// The record.
        of: String,
        /// What it names.
        names: String,
    },
    /// Records that belong together are of different VPCs.
    #[error("{of} and {names} are of different VPCs")]
    OtherVpc {
        /// The record.
        of: String,
        /// What it names.
        names: String,
    },
    /// Something is there twice that can be there once.
    #[error("{what}: {one} and {other}")]
    Twice {
        /// What.
        what: &'static str,
        /// The one.
        one: String,
        /// The other.
        other: String,
    },
    /// Something is missing that each must have.
    #[error("{of} has no {what}")]
    Missing {
        /// The record.
        of: String,
        /// What it lacks.
        what: &'static str,
    },
    /// An address or block is not where it must be.
    #[error("{of}: {value} {rule}")]
    Outside {
        /// The record.
        of: String,
        /// The address or block.
        value: String,
        /// The rule that it breaks.
        rule: &'static str,
    },
}

/// A checked description, with what is looked up often. Never changes.
#[derive(Debug, Clone, Default)]
pub struct Network {
    pub(super) description: Description,
    acl_of: HashMap<SubnetId, AclId>,
    table_of: HashMap<SubnetId, RouteTableId>,
    pub(super) by_address: HashMap<(VpcId, IpAddr), InterfaceId>,
    pub(super) members: HashMap<GroupId, Vec<InterfaceId>>,
    pub(super) endpoint_of: HashMap<InterfaceId, EndpointId>,
    pub(super) index: Index,
}

impl Deref for Network {
    type Target = Description;
    fn deref(&self) -> &Description {
        &self.description
    }
}

impl Network {
    /// Checks a description.
    ///
    /// # Errors
    /// The first fault that is found, in the order of kinds and ids.
    pub fn new(description: Description) -> Result<Self, Fault> {
        let mut network = Self { description, ..Self::default() };
        let d = std::mem::take(&mut network.description);
        check_vpcs(&d)?;
        check_subnets(&d)?;
        check_groups(&d)?;
        network.check_acls(&d)?;
        network.check_tables(&d)?;
        network.check_interfaces(&d)?;
        network.check_endpoints(&d)?;
        check_gateways(&d)?;
        network.index = Index::of(&d);
        network.description = d;
        Ok(network)
    }

    /// As it was given.
    #[must_use]
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// The network ACL of a subnet.
    #[must_use]
    pub fn acl(&self, subnet: &SubnetId) -> Option<(&AclId, &NetworkAcl)> {
        let (id, acl) = self.acls.get_key_value(self.acl_of.get(subnet)?)?;
        Some((id, acl))
    }

    /// The route table of a subnet: its own, or its VPC's main one.
    #[must_use]
    pub fn route_table(&self, subnet: &SubnetId) -> Option<(&RouteTableId, &RouteTable)> {
        let (id, table) = self.route_tables.get_key_value(self.table_of.get(subnet)?)?;
        Some((id, table))
    }

    /// The interface that has a private address (IPv4 or IPv6) in a VPC.
    #[must_use]
    pub fn interface_at(&self, vpc: &VpcId, address: IpAddr) -> Option<&InterfaceId> {
        self.by_address.get(&(vpc.clone(), address))
    }

    /// The interfaces that have a security group, in the order of their ids.
    #[must_use]
    pub fn members(&self, group: &GroupId) -> &[InterfaceId] {
        self.members.get(group).map_or(&[], Vec::as_slice)
    }

    /// The VPC of an interface.
    #[must_use]
    pub fn vpc_of(&self, interface: &InterfaceId) -> Option<&VpcId> {
        Some(&self.subnets.get(&self.interfaces.get(interface)?.subnet)?.vpc)
    }

    /// The endpoint that an interface is a part of.
    #[must_use]
    pub fn endpoint_at(&self, interface: &InterfaceId) -> Option<&EndpointId> {
        self.endpoint_of.get(interface)
    }

    fn check_acls(&mut self, d: &Description) -> Result<(), Fault> {
        for (id, acl) in &d.acls {
            known(&d.vpcs, &acl.vpc, id)?;
            for subnet in acl.associations.keys() {
                same_vpc(id, &acl.vpc, subnet, &known(&d.subnets, subnet, id)?.vpc)?;
                if let Some(other) = self.acl_of.insert(subnet.clone(), id.clone()) {
                    let what = "a subnet has two network ACLs";
                    return Err(twice(what, &other, id));
                }
            }
        }
        let without = d.subnets.keys().find(|s| !self.acl_of.contains_key(*s));
        without.map_or(Ok(()), |s| Err(Fault::Missing { of: s.to_string(), what: "network ACL" }))
    }

    fn check_tables(&mut self, d: &Description) -> Result<(), Fault> {
        let mut main = BTreeMap::new();
        for (id, table) in &d.route_tables {
            known(&d.vpcs, &table.vpc, id)?;
            if table.main.is_some()
                && let Some(other) = main.insert(&table.vpc, id)
            {
                return Err(twice("a VPC has two main route tables", other, id));
            }
            for subnet in table.associations.keys() {
                same_vpc(id, &table.vpc, subnet, &known(&d.subnets, subnet, id)?.vpc)?;
                if let Some(other) = self.table_of.insert(subnet.clone(), id.clone()) {
                    return Err(twice("a subnet has two route tables", &other, id));
                }
            }
            let mut seen = BTreeMap::new();
            for (place, route) in table.routes.iter().enumerate() {
                if seen.insert((&route.destination, route.origin as u8), place).is_some() {
                    return Err(twice("a destination has two routes", id, id));
                }
            }
        }
        for (id, subnet) in &d.subnets {
            if !self.table_of.contains_key(id) {
                let of = || Fault::Missing { of: subnet.vpc.to_string(), what: "main route table" };
                let table = main.get(&subnet.vpc).ok_or_else(of)?;
                self.table_of.insert(id.clone(), (*table).clone());
            }
        }
        Ok(())
    }

    fn check_interfaces(&mut self, d: &Description) -> Result<(), Fault> {
        for (id, interface) in &d.interfaces {
            let subnet = known(&d.subnets, &interface.subnet, id)?;
            for group in &interface.groups {
                same_vpc(id, &subnet.vpc, group, &known(&d.groups, group, id)?.vpc)?;
                self.members.entry(group.clone()).or_default().push(id.clone());
            }
            let v4 = interface.addresses.iter().map(|a| IpAddr::V4(a.address));
            let v6 = interface.addresses_v6.iter().map(|a| IpAddr::V6(*a));
            for address in v4.chain(v6) {
                inside(id, subnet, address)?;
                let key = (subnet.vpc.clone(), address);
                if let Some(other) = self.by_address.insert(key, id.clone()) {
                    return Err(twice("two interfaces have one address", &other, id));
                }
            }
        }
        Ok(())
    }

    fn check_endpoints(&mut self, d: &Description) -> Result<(), Fault> {
        use super::EndpointKind::{Gateway, Interface};
        for (id, endpoint) in &d.endpoints {
            known(&d.vpcs, &endpoint.vpc, id)?;
            match &endpoint.kind {
                Gateway { route_tables } => {
                    for table in route_tables {
                        let of = &known(&d.route_tables, table, id)?.vpc;
                        same_vpc(id, &endpoint.vpc, table, of)?;
                    }
                }
                Interface { interfaces, groups, .. } => {
                    for (subnet, interface) in interfaces {
                        same_vpc(id, &endpoint.vpc, subnet, &known(&d.subnets, subnet, id)?.vpc)?;
                        known(&d.interfaces, interface, id)?;
                        self.endpoint_of.insert(interface.clone(), id.clone());
                    }
                    for group in groups {
                        same_vpc(id, &endpoint.vpc, group, &known(&d.groups, group, id)?.vpc)?;
                    }
                }
            }
        }
        Ok(())
    }
}

fn check_vpcs(d: &Description) -> Result<(), Fault> {
    for (id, vpc) in &d.vpcs {
        if vpc.blocks_v4().next().is_none() {
            return Err(Fault::Missing { of: id.to_string(), what: "IPv4 block" });
        }
        for (place, one) in vpc.cidrs.iter().enumerate() {
            if let Some(other) = vpc.cidrs[..place].iter().find(|o| overlap(&o.block, &one.block)) {
                return Err(twice("two blocks of a VPC overlap", &other.block, &one.block));
            }
        }
        if let Some(options) = &vpc.dhcp_options {
            known(&d.dhcp_options, options, id)?;
        }
    }
    Ok(())
}

fn check_subnets(d: &Description) -> Result<(), Fault> {
    let mut of_vpc: BTreeMap<&VpcId, Vec<(&SubnetId, ipnet::IpNet)>> = BTreeMap::new();
    for (id, subnet) in &d.subnets {
        let vpc = known(&d.vpcs, &subnet.vpc, id)?;
        let others = of_vpc.entry(&subnet.vpc).or_default();
        let blocks = [Some(subnet.block.into()), subnet.block_v6.map(ipnet::IpNet::from)];
        for block in blocks.into_iter().flatten() {
            if !vpc.cidrs.iter().any(|c| c.block.contains(&block)) {
                let rule = "is in none of its VPC's blocks";
                return Err(Fault::Outside { of: id.to_string(), value: block.to_string(), rule });
            }
            if let Some((other, _)) = others.iter().find(|(_, b)| overlap(b, &block)) {
                return Err(twice("two subnets overlap", *other, id));
            }
            others.push((id, block));
        }
    }
    Ok(())
}

/// Rules may name groups and prefix lists that are gone: AWS keeps them, as stale ones.
fn check_groups(d: &Description) -> Result<(), Fault> {
    for (id, group) in &d.groups {
        known(&d.vpcs, &group.vpc, id)?;
    }
    Ok(())
}

/// Routes may name targets that are gone: they are blackholes.
fn check_gateways(d: &Description) -> Result<(), Fault> {
    let mut attached = BTreeMap::new();
    for (id, gateway) in &d.internet_gateways {
        let Some(vpc) = &gateway.vpc else { continue };
        known(&d.vpcs, vpc, id)?;
        if let Some(other) = attached.insert(vpc, id) {
            return Err(twice("a VPC has two internet gateways", other, id));
        }
    }
    for (id, gateway) in d.nat_gateways.iter().filter(|(_, g)| g.available) {
        known(&d.subnets, &gateway.subnet, id)?;
        known(&d.interfaces, &gateway.interface, id)?;
        if let Some(allocation) = &gateway.allocation {
            known(&d.addresses, allocation, id)?;
        }
    }
    for (id, peering) in &d.peerings {
        if peering.status == super::PeeringStatus::Active {
            known(&d.vpcs, &peering.requester, id)?;
            known(&d.vpcs, &peering.accepter, id)?;
        }
    }
    for (id, address) in &d.addresses {
        if let Some((_, interface, private)) = &address.association {
            let of = known(&d.interfaces, interface, id)?;
            if !of.addresses.iter().any(|a| a.address == *private) {
                return Err(Fault::Dangling { of: id.to_string(), names: private.to_string() });
            }
        }
    }
    Ok(())
}

fn known<'a, K: Ord + ToString, V>(
    map: &'a BTreeMap<K, V>,
    id: &K,
    of: &impl ToString,
) -> Result<&'a V, Fault> {
    let dangling = || Fault::Dangling { of: of.to_string(), names: id.to_string() };
    map.get(id).ok_or_else(dangling)
}

fn same_vpc(
    of: &impl ToString,
    vpc: &VpcId,
    names: &impl ToString,
    other: &VpcId,
) -> Result<(), Fault> {
    let differs = || Fault::OtherVpc { of: of.to_string(), names: names.to_string() };
    if vpc == other { Ok(()) } else { Err(differs()) }
}

fn twice(what: &'static str, one: &impl ToString, other: &impl ToString) -> Fault {
    Fault::Twice { what, one: one.to_string(), other: other.to_string() }
}

fn overlap(one: &ipnet::IpNet, other: &ipnet::IpNet) -> bool {
    one.contains(other) || other.contains(one)
}

fn inside(of: &InterfaceId, subnet: &Subnet, address: IpAddr) -> Result<(), Fault> {
    let rule = match address {
        IpAddr::V4(v4) if !subnet.block.contains(&v4) => "is not of its subnet",
        IpAddr::V4(v4) if reserved(subnet.block, v4) => "is one that AWS keeps for itself",
        IpAddr::V6(v6) if !subnet.block_v6.is_some_and(|b| b.contains(&v6)) => {
            "is not of its subnet"
        }
        _ => return Ok(()),
    };
    Err(Fault::Outside { of: of.to_string(), value: address.to_string(), rule })
}

impl Network {
    /// The record of a VPC's options and blocks.
    #[must_use]
    pub fn vpc(&self, id: &VpcId) -> Option<&Vpc> {
        self.vpcs.get(id).map(std::convert::AsRef::as_ref)
    }
}
