//! What `belljar network show` shows, as data: with `--json` this is what is printed.

use super::facts::{is_public, public, subnets, target_id, works};
use super::names::Names;
use belljar_domain::vpc_config::free as free_addresses;
use belljar_vpc::Network;
use belljar_vpc::id::{
    AclId, EndpointId, GroupId, InterfaceId, InternetGatewayId, NatGatewayId, PeeringId,
    RouteTableId, SubnetId, VpcId,
};
use belljar_vpc::network::{EndpointKind, NatGateway, Origin, PeeringStatus, RouteDestination};
use serde::Serialize;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// A VPC and all that is in it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct VpcTree {
    pub(super) id: VpcId,
    pub(super) name: Option<String>,
    pub(super) blocks: Vec<String>,
    pub(super) is_default: bool,
    pub(super) dns_support: bool,
    pub(super) dns_hostnames: bool,
    pub(super) resolver: Option<IpAddr>,
    pub(super) zones: Vec<ZoneTree>,
    pub(super) internet_gateways: Vec<InternetGatewayId>,
    pub(super) nat_gateways: Vec<NatTree>,
    pub(super) endpoints: Vec<EndpointTree>,
    pub(super) peerings: Vec<PeeringTree>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ZoneTree {
    pub(super) name: String,
    pub(super) subnets: Vec<SubnetTree>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SubnetTree {
    pub(super) id: SubnetId,
    pub(super) name: Option<String>,
    pub(super) block: String,
    pub(super) block_v6: Option<String>,
    /// Whether its route table leads to an internet gateway.
    pub(super) public: bool,
    pub(super) free_addresses: usize,
    pub(super) acl: Option<AclId>,
    pub(super) route_table: Option<TableTree>,
    pub(super) interfaces: Vec<InterfaceTree>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TableTree {
    pub(super) id: RouteTableId,
    /// Whether the subnet has it as its VPC's main one.
    pub(super) main: bool,
    pub(super) routes: Vec<RouteTree>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RouteTree {
    /// A block, or the id of a prefix list.
    pub(super) destination: String,
    /// `local`, or the id of what it leads to.
    pub(super) target: String,
    /// Whether what it leads to is gone, or does not work.
    pub(super) blackhole: bool,
    pub(super) propagated: bool,
    /// The destination, for a person.
    #[serde(skip)]
    pub(super) said: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct InterfaceTree {
    pub(super) id: InterfaceId,
    pub(super) name: Option<String>,
    pub(super) addresses: Vec<IpAddr>,
    pub(super) public: Vec<IpAddr>,
    pub(super) groups: Vec<GroupId>,
    pub(super) whose: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NatTree {
    pub(super) id: NatGatewayId,
    pub(super) name: Option<String>,
    pub(super) subnet: SubnetId,
    pub(super) interface: InterfaceId,
    pub(super) public: Option<IpAddr>,
    pub(super) available: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EndpointTree {
    pub(super) id: EndpointId,
    pub(super) service: String,
    /// Those that have the route, of a gateway endpoint.
    pub(super) route_tables: Vec<RouteTableId>,
    /// Those in which an interface endpoint is.
    pub(super) interfaces: Vec<InterfaceId>,
    /// `None` of a gateway endpoint.
    pub(super) private_dns: Option<bool>,
    /// Whether it has a policy other than to allow all.
    pub(super) policy: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PeeringTree {
    pub(super) id: PeeringId,
    pub(super) other: VpcId,
    pub(super) status: PeeringStatus,
}

/// One VPC.
pub(super) fn of_vpc(names: &Names<'_>, id: &VpcId) -> Option<VpcTree> {
    let network = names.network;
    let vpc = network.vpc(id)?;
    let inside = subnets(network, id);
    let mut in_subnet: BTreeMap<&SubnetId, Vec<&InterfaceId>> = BTreeMap::new();
    for (interface, record) in &network.interfaces {
        in_subnet.entry(&record.subnet).or_default().push(interface);
    }
    let mut zones: BTreeMap<&str, Vec<SubnetTree>> = BTreeMap::new();
    for (subnet, zone) in &inside {
        let interfaces = in_subnet.remove(subnet).unwrap_or_default();
        zones.entry(zone).or_default().extend(of_subnet(names, subnet, &interfaces));
    }
    let attached = network.internet_gateways.iter().filter(|(_, g)| g.vpc.as_ref() == Some(id));
    Some(VpcTree {
        id: id.clone(),
        name: names.name(id.as_str()),
        blocks: vpc.cidrs.iter().map(|c| c.block.to_string()).collect(),
        is_default: vpc.is_default,
        dns_support: vpc.dns_support,
        dns_hostnames: vpc.dns_hostnames,
        resolver: vpc.resolver().map(IpAddr::V4),
        zones: zones
            .into_iter()
            .map(|(name, subnets)| ZoneTree { name: name.to_owned(), subnets })
            .collect(),
        internet_gateways: attached.map(|(id, _)| id.clone()).collect(),
        nat_gateways: nat_gateways(names, id),
        endpoints: endpoints(network, id),
        peerings: peerings(network, id),
    })
}

fn of_subnet(names: &Names<'_>, id: &SubnetId, inside: &[&InterfaceId]) -> Option<SubnetTree> {
    let network = names.network;
    let subnet = network.subnets.get(id)?;
    let interface = |id: &&InterfaceId| {
        let record = network.interfaces.get(*id)?;
        let v4 = record.addresses.iter().map(|a| IpAddr::V4(a.address));
        Some(InterfaceTree {
            id: (*id).clone(),
            name: names.name(id.as_str()),
            addresses: v4.chain(record.addresses_v6.iter().map(|a| IpAddr::V6(*a))).collect(),
            public: public(network, id),
            groups: record.groups.clone(),
            whose: names.whose(record),
        })
    };
    Some(SubnetTree {
        id: id.clone(),
        name: names.name(id.as_str()),
        block: subnet.block.to_string(),
        block_v6: subnet.block_v6.map(|b| b.to_string()),
        public: is_public(network, id),
        free_addresses: free_addresses(network, id),
        acl: network.acl(id).map(|(acl, _)| acl.clone()),
        route_table: table(names, id),
        interfaces: inside.iter().filter_map(interface).collect(),
    })
}

fn table(names: &Names<'_>, subnet: &SubnetId) -> Option<TableTree> {
    let (id, table) = names.network.route_table(subnet)?;
    let local = names.network.vpc(&table.vpc)?.cidrs.iter().map(|c| RouteTree {
        destination: c.block.to_string(),
        target: "local".to_owned(),
        blackhole: false,
        propagated: false,
        said: c.block.to_string(),
    });
    let routes = table.routes.iter().map(|route| RouteTree {
        destination: match &route.destination {
            RouteDestination::Cidr(block) => block.to_string(),
            RouteDestination::PrefixList(list) => list.to_string(),
        },
        target: target_id(&route.target).to_owned(),
        blackhole: !works(names.network, &route.target),
        propagated: route.origin == Origin::Propagated,
        said: names.destination(&route.destination),
    });
    Some(TableTree {
        id: id.clone(),
        main: !table.associations.contains_key(subnet),
        routes: local.chain(routes).collect(),
    })
}

fn nat_gateways(names: &Names<'_>, vpc: &VpcId) -> Vec<NatTree> {
    let network = names.network;
    let here = network
        .nat_gateways
        .iter()
        .filter(|(_, gateway)| network.subnets.get(&gateway.subnet).is_some_and(|s| s.vpc == *vpc));
    let tree = |(id, gateway): (&NatGatewayId, &Arc<NatGateway>)| {
        let address = gateway.allocation.as_ref().and_then(|a| network.addresses.get(a));
        NatTree {
            id: id.clone(),
            name: names.name(id.as_str()),
            subnet: gateway.subnet.clone(),
            interface: gateway.interface.clone(),
            public: address.map(|a| IpAddr::V4(a.public)),
            available: gateway.available,
        }
    };
    here.map(tree).collect()
}

fn endpoints(network: &Network, vpc: &VpcId) -> Vec<EndpointTree> {
    let here = network.endpoints.iter().filter(|(_, e)| e.vpc == *vpc);
    here.map(|(id, endpoint)| {
        let mut tree = EndpointTree {
            id: id.clone(),
            service: endpoint.service.clone(),
            route_tables: Vec::new(),
            interfaces: Vec::new(),
            private_dns: None,
            policy: endpoint.policy.is_some(),
        };
        match &endpoint.kind {
            EndpointKind::Gateway { route_tables } => {
                tree.route_tables = route_tables.iter().cloned().collect();
            }
            EndpointKind::Interface { interfaces, private_dns, .. } => {
                tree.interfaces = interfaces.values().cloned().collect();
                tree.private_dns = Some(*private_dns);
            }
        }
        tree
    })
    .collect()
}

fn peerings(network: &Network, vpc: &VpcId) -> Vec<PeeringTree> {
    let here = network.peerings.iter().filter_map(|(id, peering)| {
        let other = match () {
            () if peering.requester == *vpc => &peering.accepter,
            () if peering.accepter == *vpc => &peering.requester,
            () => return None,
        };
        Some(PeeringTree { id: id.clone(), other: other.clone(), status: peering.status })
    });
    here.collect()
}
