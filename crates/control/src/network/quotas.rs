//! How much of each there may be: AWS's default quotas (Amazon VPC User Guide, "Amazon VPC
//! quotas").

/// VPCs of a region.
pub(crate) const VPCS: usize = 5;
/// Subnets of a VPC.
pub(crate) const SUBNETS: usize = 200;
/// IPv4 blocks of a VPC, the primary one included.
pub(crate) const BLOCKS_V4: usize = 5;
/// IPv6 blocks of a VPC.
pub(crate) const BLOCKS_V6: usize = 5;
/// Internet gateways of a region.
pub(crate) const INTERNET_GATEWAYS: usize = VPCS;
/// Security groups of a region.
pub(crate) const GROUPS: usize = 2500;
/// What the rules of a security group may weigh in each direction, of IPv4 and of IPv6 each.
pub(crate) const GROUP_RULES: usize = 60;
/// Security groups of an interface.
pub(crate) const GROUPS_OF_INTERFACE: usize = 5;
/// Interfaces of a region.
pub(crate) const INTERFACES: usize = 5000;
/// Private IPv4 addresses of an interface, and IPv6 ones: as many as the largest instances have.
pub(crate) const ADDRESSES_OF_INTERFACE: usize = 50;
/// Network ACLs of a VPC.
pub(crate) const ACLS: usize = 200;
/// Entries of a network ACL in each direction, the last one (`*`) included.
pub(crate) const ACL_ENTRIES: usize = 20;
/// Route tables of a VPC.
pub(crate) const ROUTE_TABLES: usize = 200;
/// Routes of a table, of IPv4 and of IPv6 each, the local ones not counted.
pub(crate) const ROUTES: usize = 50;
/// Gateway endpoints of a region.
pub(crate) const GATEWAY_ENDPOINTS: usize = 20;
/// Interface endpoints of a VPC.
pub(crate) const INTERFACE_ENDPOINTS: usize = 50;
/// Customer-managed prefix lists of a region.
pub(crate) const PREFIX_LISTS: usize = 100;
/// What `MaxEntries` of a prefix list can be.
pub(crate) const PREFIX_LIST_ENTRIES: u16 = 1000;
/// Elastic addresses of a region.
pub(crate) const ELASTIC_ADDRESSES: usize = 5;
/// NAT gateways of a zone.
pub(crate) const NAT_GATEWAYS: usize = 5;
/// Peering connections of a VPC that are active.
pub(crate) const PEERINGS: usize = 50;
/// Flow logs of one VPC, subnet or interface.
pub(crate) const FLOW_LOGS: usize = 2;
