//! A VPC's router as plain data: what `linux` makes and [`crate::interpret`] runs.

use super::rules::{Chain, Set};
use super::shared::Shared;
use crate::id::{EndpointId, InterfaceId, InternetGatewayId, PeeringId, SubnetId, VpcId};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// The name of a link, a set or a chain. A link's is a kernel's interface name, of at most 15
/// bytes.
pub type Name = Arc<str>;

/// The Ethernet address of the router's end of every link: each is a wire of its own.
pub const ROUTER_MAC: [u8; 6] = [0x02, 0xbe, 0x11, 0, 0, 1];
/// Who is at the far end of a link, as routes say it: on each there is nobody else. Link-local, so
/// that it is nobody's address (RFC 3927).
pub const NEXT_V4: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);
/// As [`NEXT_V4`].
pub const NEXT_V6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
/// The NFLOG group of packets that are denied; the prefix of a record is [`super::Layer::name`].
pub const DENIED_GROUP: u16 = 7;
/// Bytes of a denied packet that are recorded: the heads.
pub const DENIED_SNAP_LENGTH: u32 = 96;

/// A router.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Router {
    /// Its links, by name.
    pub links: BTreeMap<Name, Link>,
    /// Its own addresses, on its `lo`: each subnet's base plus one, the resolver's two. What is for
    /// them meets no group and no network ACL (VPC User Guide, "Security groups": neither blocks
    /// the resolver).
    pub local: BTreeSet<IpAddr>,
    /// By which link each interface's address is reached: what a local route leads to.
    pub hosts: BTreeMap<IpAddr, Name>,
    /// Routing tables, by number, which is also the mark of the packets that go by it. A table's
    /// number is made of what is in it: a table never changes, another one takes its place, in the
    /// transaction that changes the marks.
    pub tables: BTreeMap<u32, Routes>,
    /// Sets and maps, by name.
    pub sets: BTreeMap<Name, Shared<Set>>,
    /// Chains, by name.
    pub chains: BTreeMap<Name, Shared<Chain>>,
}

/// The routes of a table, by destination; the longest prefix decides.
pub type Routes = BTreeMap<IpNet, Hop>;

/// Where a route leads.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hop {
    /// To the interfaces of this VPC ([`Router::hosts`]); where there is none, nowhere.
    Local,
    /// Nowhere, without a word: AWS lets packets vanish.
    Blackhole,
    /// By a link.
    Via(Name),
}

/// A link of a router.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its name, made of the id of what is at its end.
    pub name: Name,
    /// The Ethernet address of its far end.
    pub mac: [u8; 6],
    /// What is at its far end.
    pub end: End,
}

/// What is at the far end of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// A network interface.
    Interface {
        /// Its id.
        id: InterfaceId,
        /// Its subnet.
        subnet: SubnetId,
        /// The subnet's IPv4 block.
        block: Ipv4Net,
        /// The subnet's IPv6 block.
        block_v6: Option<Ipv6Net>,
        /// Its addresses, the primary one first.
        addresses: Vec<IpAddr>,
    },
    /// The service behind a gateway endpoint.
    Endpoint {
        /// Its id.
        id: EndpointId,
        /// The service's addresses.
        prefixes: Vec<IpNet>,
    },
    /// The world outside.
    Internet {
        /// The gateway's id.
        id: InternetGatewayId,
        /// The public addresses of this VPC's interfaces.
        public: BTreeSet<Ipv4Addr>,
        /// Their IPv6 addresses, which are public by nature.
        blocks_v6: Vec<Ipv6Net>,
    },
    /// Another VPC's router, which has a link of the same name.
    Peering {
        /// The connection's id.
        id: PeeringId,
        /// The other VPC.
        peer: VpcId,
    },
}

impl Router {
    /// The link of an interface.
    #[must_use]
    pub fn interface(&self, id: &InterfaceId) -> Option<&Link> {
        self.links.get(&super::names::link(id.as_str()))
    }

    /// Where a packet with this mark goes.
    #[must_use]
    pub fn route(&self, mark: u32, to: IpAddr) -> Option<&Name> {
        let routes = self.tables.get(&mark)?;
        let covers = |(net, _): &(&IpNet, &Hop)| net.contains(&to);
        let longest = routes.iter().filter(covers).max_by_key(|(net, _)| net.prefix_len());
        match longest?.1 {
            Hop::Local => self.hosts.get(&to),
            Hop::Blackhole => None,
            Hop::Via(link) => Some(link),
        }
    }
}
