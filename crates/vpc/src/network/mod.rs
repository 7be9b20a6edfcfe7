//! A region's network as plain records, by id: what the store keeps, the API edits, the compiler
//! enforces and `reach` explains.
//!
//! A [`Description`] may say anything; a [`Network`] is one that was checked, and never changes.
//! Sources: the Amazon VPC User Guide, the EC2 API Reference.

mod acl;
mod address;
mod amended;
mod check;
mod dhcp;
mod endpoint;
mod flow_log;
mod gateway;
mod group;
mod index;
mod interface;
mod peering;
mod prefix_list;
mod record;
mod route;
mod route_lookup;
mod subnet;
mod zone;

pub use acl::{AclEntry, Direction, NetworkAcl};
pub use address::ElasticAddress;
pub use check::{Fault, Network};
pub use dhcp::{DhcpOptions, PROVIDED};
pub use endpoint::{Endpoint, EndpointKind, service};
pub use flow_log::{Destination, FlowLog, Monitored, TrafficType};
pub use gateway::{InternetGateway, NatGateway};
pub use group::{GroupRule, Peer, SecurityGroup};
pub use interface::{Attachment, Interface, PrivateAddress};
pub use peering::{Peering, PeeringStatus};
pub use prefix_list::PrefixList;
pub use record::{Change, Description, Record, RecordId};
pub(crate) use record::{Records, differing};
pub use route::{Origin, Route, RouteDestination, RouteTable, Target};
pub use route_lookup::Chosen;
pub use subnet::{Subnet, Vpc, VpcCidr, reserved};
pub use zone::{HostedZone, RecordSet, RecordType};
