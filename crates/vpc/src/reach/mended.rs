//! A network with the fixes that were found so far: what the next check is held against, so that
//! one evaluation finds all that must be mended.

use super::edit::Names;
use super::fix::{Edit, Fix};
use crate::id::{
    AclId, AllocationId, EndpointId, GroupId, InterfaceId, InternetGatewayId, RouteTableId,
    SubnetId, VpcId,
};
use crate::network::{
    Chosen, Description, ElasticAddress, Endpoint, Interface, Network, NetworkAcl, Peering,
    PeeringStatus, PrefixList, Record, RecordId, RouteTable, SecurityGroup, Subnet, Target,
};
use std::net::{IpAddr, Ipv4Addr};

/// A network, and records of it that fixes changed or made.
#[derive(Clone)]
pub(super) struct Mended<'a> {
    /// As it is.
    pub(super) network: &'a Network,
    changed: Description,
}

macro_rules! look_ups {
    ($($name:ident: $field:ident, $id:ty, $record:ty;)*) => {$(
        pub(super) fn $name(&self, id: &$id) -> Option<&$record> {
            let record = self.changed.$field.get(id).or_else(|| self.network.$field.get(id))?;
            Some(record)
        }
    )*};
}

impl<'a> Mended<'a> {
    pub(super) fn new(network: &'a Network) -> Self {
        Self { network, changed: Description::default() }
    }

    /// The same with edits carried out.
    pub(super) fn trial(&self, edits: &[Edit]) -> Self {
        let mut trial = self.clone();
        trial.mend(edits.to_vec());
        trial
    }

    look_ups! {
        group: groups, GroupId, SecurityGroup;
        interface: interfaces, InterfaceId, Interface;
        endpoint: endpoints, EndpointId, Endpoint;
        peering: peerings, crate::id::PeeringId, Peering;
        nat: nat_gateways, crate::id::NatGatewayId, crate::network::NatGateway;
        internet: internet_gateways, InternetGatewayId, crate::network::InternetGateway;
        acl_by_id: acls, AclId, NetworkAcl;
        table_by_id: route_tables, RouteTableId, RouteTable;
        address: addresses, AllocationId, ElasticAddress;
        list: prefix_lists, crate::id::PrefixListId, PrefixList;
    }

    pub(super) fn subnet(&self, id: &SubnetId) -> Option<&'a Subnet> {
        self.network.subnets.get(id).map(AsRef::as_ref)
    }

    pub(super) fn acl(&self, subnet: &SubnetId) -> Option<(&'a AclId, &NetworkAcl)> {
        let (id, _) = self.network.acl(subnet)?;
        Some((id, self.acl_by_id(id)?))
    }

    pub(super) fn table(&self, subnet: &SubnetId) -> Option<(&'a RouteTableId, &RouteTable)> {
        let (id, _) = self.network.route_table(subnet)?;
        Some((id, self.table_by_id(id)?))
    }

    /// What a subnet's table says of a destination.
    pub(super) fn choose(&self, subnet: &SubnetId, to: IpAddr) -> Option<Chosen<'_>> {
        let (_, table) = self.table(subnet)?;
        table.choose(self.network.vpc(&table.vpc)?, |id| self.list(id), to)
    }

    pub(super) fn public_of(&self, id: &InterfaceId, private: Ipv4Addr) -> Option<Ipv4Addr> {
        let new =
            self.changed.addresses.values().find(|a| {
                a.association.as_ref().is_some_and(|(_, to, of)| to == id && *of == private)
            });
        new.map(|a| a.public).or_else(|| self.network.public_of(id, private))
    }

    /// Whom the internet finds at an address.
    pub(super) fn on_internet(&self, address: IpAddr) -> Option<(InterfaceId, IpAddr)> {
        let new = self.changed.addresses.values().find(|a| IpAddr::V4(a.public) == address);
        let new = new.and_then(|a| a.association.as_ref());
        let new = new.map(|(_, id, private)| (id.clone(), IpAddr::V4(*private)));
        new.or_else(|| self.network.on_internet(address).map(|(id, a)| (id.clone(), a)))
    }

    pub(super) fn internet_gateway(&self, vpc: &VpcId) -> Option<&InternetGatewayId> {
        let mut new = self.changed.internet_gateways.iter();
        let new = new.find(|(_, g)| g.vpc.as_ref() == Some(vpc)).map(|(id, _)| id);
        new.or_else(|| self.network.internet_gateway(vpc))
    }

    /// Whether packets pass between two VPCs.
    pub(super) fn peered(&self, one: &VpcId, other: &VpcId) -> bool {
        let new = self.changed.peerings.values();
        let joins = |p: &Peering| {
            p.status == PeeringStatus::Active
                && ((p.requester == *one && p.accepter == *other)
                    || (p.requester == *other && p.accepter == *one))
        };
        self.network.peering(one, other).is_some() || new.into_iter().any(|p| joins(p))
    }

    /// Whether a route of a VPC leads nowhere, as AWS's state `blackhole` has it.
    pub(super) fn blackhole(&self, vpc: &VpcId, target: &Target) -> bool {
        !match target {
            Target::Internet(id) => self.internet(id).is_some_and(|g| g.vpc.as_ref() == Some(vpc)),
            Target::Nat(id) => self.nat(id).is_some_and(|g| {
                g.available && self.subnet(&g.subnet).is_some_and(|s| s.vpc == *vpc)
            }),
            Target::Endpoint(id) => self.endpoint(id).is_some_and(|e| e.vpc == *vpc),
            Target::Peering(id) => self.peering(id).is_some_and(|p| {
                p.status == PeeringStatus::Active && (p.requester == *vpc || p.accepter == *vpc)
            }),
            Target::Interface(id) => self.network.vpc_of(id) == Some(vpc),
        }
    }

    /// An id for what a fix makes, which nothing has.
    pub(super) fn unused<T: std::str::FromStr>(
        &self,
        prefix: &str,
        taken: impl Fn(&Self, &T) -> bool,
    ) -> Option<T> {
        let ids = (1..).map_while(|n: usize| format!("{prefix}fix{n}").parse().ok());
        ids.into_iter().find(|id| !taken(self, id))
    }

    /// Carries edits out and makes a fix of them.
    pub(super) fn mend(&mut self, edits: Vec<Edit>) -> Fix {
        self.mend_behind(edits, &mut Names::default())
    }

    /// As [`Self::mend`], behind other fixes, whose new records the lines may name.
    pub(super) fn mend_behind(&mut self, edits: Vec<Edit>, names: &mut Names) -> Fix {
        let fix = Fix::spelled(edits, |edit| self.replaces(edit), names);
        for edit in &fix.edits {
            for id in edit.touches() {
                self.load(&id);
            }
            edit.apply(&mut self.changed);
        }
        fix
    }

    /// Whether an edit takes the place of an entry or a route.
    fn replaces(&self, edit: &Edit) -> bool {
        match edit {
            Edit::SetAclEntry(acl, direction, number, _) => {
                self.acl_by_id(acl).is_some_and(|a| a.entries(*direction).contains_key(number))
            }
            Edit::SetRoute(table, route) => self
                .table_by_id(table)
                .is_some_and(|t| t.routes.iter().any(|r| r.destination == route.destination)),
            _ => false,
        }
    }

    /// Copies a record of the network, to be changed.
    fn load(&mut self, id: &RecordId) {
        macro_rules! load {
            ($($variant:ident: $field:ident),*) => {
                match id {
                    $(RecordId::$variant(id) => {
                        let old = self.network.$field.get(id);
                        if let (Some(old), false) = (old, self.changed.$field.contains_key(id)) {
                            self.changed.$field.insert(id.clone(), old.clone());
                        }
                    })*
                }
            };
        }
        load!(
            Vpc: vpcs, Subnet: subnets, Group: groups, Acl: acls, RouteTable: route_tables,
            InternetGateway: internet_gateways, NatGateway: nat_gateways, Address: addresses,
            Interface: interfaces, Endpoint: endpoints, PrefixList: prefix_lists,
            Peering: peerings, DhcpOptions: dhcp_options, Zone: zones, FlowLog: flow_logs
        );
    }
}

impl Edit {
    /// The records that it changes.
    fn touches(&self) -> Vec<RecordId> {
        match self {
            Self::AddGroupRule(id, ..) => vec![RecordId::Group(id.clone())],
            Self::SetAclEntry(id, ..) => vec![RecordId::Acl(id.clone())],
            Self::SetRoute(id, _) | Self::RemoveRoute(id, _) => {
                vec![RecordId::RouteTable(id.clone())]
            }
            Self::JoinEndpoint(id, table, _) => {
                vec![RecordId::Endpoint(id.clone()), RecordId::RouteTable(table.clone())]
            }
            Self::AttachGateway(id, _) => vec![RecordId::InternetGateway(id.clone())],
            Self::AssociateAddress(id, ..) => vec![RecordId::Address(id.clone())],
            Self::AcceptPeering(id) => vec![RecordId::Peering(id.clone())],
            Self::Forward(id) => vec![RecordId::Interface(id.clone())],
            Self::EnableDns(id) => vec![RecordId::Vpc(id.clone())],
            Self::EnablePrivateDns(id) | Self::SetPolicy(id, _) => {
                vec![RecordId::Endpoint(id.clone())]
            }
            Self::Create(record) => record_id(record),
        }
    }
}

fn record_id(record: &Record) -> Vec<RecordId> {
    vec![record.id()]
}
