//! VPCs, with what each has from its start.

use super::{Draft, defaults};
use belljar_vpc::Traffic;
use belljar_vpc::id::{AclId, GroupId, RouteTableId, SubnetId, VpcId};
use belljar_vpc::network::{
    AclEntry, Direction, GroupRule, NetworkAcl, Peer, RouteTable, SecurityGroup, Subnet, Vpc,
    VpcCidr,
};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::collections::BTreeMap;
use std::sync::Arc;

/// All IPv4 addresses.
pub(crate) const ALL_V4: IpNet = IpNet::V4(Ipv4Net::new_assert(std::net::Ipv4Addr::UNSPECIFIED, 0));
/// All IPv6 addresses.
pub(crate) const ALL_V6: IpNet = IpNet::V6(Ipv6Net::new_assert(std::net::Ipv6Addr::UNSPECIFIED, 0));

/// The name of the group that each VPC has.
pub(crate) const DEFAULT_GROUP: &str = "default";
/// The number of the entry of a default network ACL that allows all IPv4.
const ACL_V4: u16 = 100;
/// The same for IPv6.
const ACL_V6: u16 = 101;

/// What a VPC has from its start.
pub(crate) struct Made {
    /// The VPC.
    pub(crate) vpc: VpcId,
    /// Its main route table.
    pub(crate) table: RouteTableId,
}

/// Makes a VPC with the region's own DHCP options, its main route table, its default network ACL (which allows all) and its default
/// group (which allows its members to reach each other, and all that they begin).
pub(crate) fn create(draft: &mut Draft, block: Ipv4Net, is_default: bool, region: &str) -> Made {
    let dhcp_options = Some(defaults::dhcp_options(draft, region));
    let (vpc, table, acl): (VpcId, RouteTableId, AclId) =
        (draft.fresh(), draft.fresh(), draft.fresh());
    let cidr = VpcCidr { association: draft.fresh(), block: block.into() };
    let record = Vpc {
        cidrs: vec![cidr],
        dns_support: true,
        // `enableDnsHostnames` is off but in a default VPC (VPC User Guide, "DNS attributes").
        dns_hostnames: is_default,
        dhcp_options,
        is_default,
    };
    draft.vpcs.insert(vpc.clone(), Arc::new(record));
    let main = RouteTable {
        vpc: vpc.clone(),
        main: Some(draft.fresh()),
        associations: BTreeMap::new(),
        routes: Vec::new(),
    };
    draft.route_tables.insert(table.clone(), Arc::new(main));
    let all = || [(ACL_V4, allow_all(ALL_V4))].into();
    let guard = NetworkAcl {
        vpc: vpc.clone(),
        is_default: true,
        ingress: all(),
        egress: all(),
        associations: BTreeMap::new(),
    };
    draft.acls.insert(acl, Arc::new(guard));
    let id: GroupId = draft.fresh();
    let own = rule(Direction::Ingress, Peer::Group(id.clone()));
    let egress = rule(Direction::Egress, Peer::Cidr(ALL_V4));
    let group = SecurityGroup {
        vpc: vpc.clone(),
        name: DEFAULT_GROUP.into(),
        description: "default VPC security group".into(),
        rules: [own, egress].into_iter().map(|rule| (draft.fresh(), rule)).collect(),
    };
    draft.groups.insert(id, Arc::new(group));
    Made { vpc, table }
}

/// Adds a subnet, guarded by its VPC's default network ACL. `None` if the VPC has none.
pub(crate) fn add_subnet(draft: &mut Draft, subnet: Subnet) -> Option<SubnetId> {
    let (id, association): (SubnetId, _) = (draft.fresh(), draft.fresh());
    let acl = draft.acls.values_mut().find(|acl| acl.is_default && acl.vpc == subnet.vpc)?;
    Arc::make_mut(acl).associations.insert(id.clone(), association);
    draft.subnets.insert(id.clone(), Arc::new(subnet));
    Some(id)
}

/// A rule about all traffic.
pub(crate) fn rule(direction: Direction, peer: Peer) -> GroupRule {
    GroupRule { direction, traffic: Traffic::All, peer, description: None }
}

fn allow_all(block: IpNet) -> AclEntry {
    AclEntry { traffic: Traffic::All, block, allow: true }
}

/// What a VPC's default group and ACL allow of IPv4 from their start they allow of IPv6 when its
/// first IPv6 block comes (VPC User Guide, "Default network ACL" and "Default security groups").
pub(crate) fn allow_v6(draft: &mut Draft, vpc: &VpcId) {
    let egress = rule(Direction::Egress, Peer::Cidr(ALL_V6));
    let id = draft.fresh();
    let default = |group: &SecurityGroup| group.vpc == *vpc && group.name == DEFAULT_GROUP;
    if let Some(group) = draft.groups.values_mut().find(|group| default(group))
        && !group.rules.values().any(|r| r.traffic == egress.traffic && r.peer == egress.peer)
    {
        Arc::make_mut(group).rules.insert(id, egress);
    }
    if let Some(acl) = draft.acls.values_mut().find(|acl| acl.is_default && acl.vpc == *vpc) {
        let acl = Arc::make_mut(acl);
        acl.ingress.entry(ACL_V6).or_insert_with(|| allow_all(ALL_V6));
        acl.egress.entry(ACL_V6).or_insert_with(|| allow_all(ALL_V6));
    }
}
