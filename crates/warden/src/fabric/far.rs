//! What is at the far end of a router's link.

use crate::carry::{self, Carrier, Lead, PORTS, Target};
use crate::dns;
use crate::outlet::Outlet;
use belljar_domain::proxy::Proxied;
use belljar_linux::netns::NetNs;
use belljar_linux::router::Uplink;
use belljar_linux::{Error, Result};
use belljar_vpc::Network;
use belljar_vpc::compile::{End, Link};
use belljar_vpc::id::{EndpointId, InterfaceId};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinHandle;

/// What a far end is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Role {
    /// An instance's interface.
    Instance,
    /// An interface that passes on what is not for it.
    Forwarder,
    /// A NAT gateway.
    Nat,
    /// A service, behind an endpoint of either kind.
    Service(EndpointId),
    /// All there is outside.
    World,
    /// Another router.
    Peer,
}

impl Role {
    /// What the far end of a link is, by the records.
    pub(super) fn of(network: &Network, link: &Link) -> Self {
        match &link.end {
            End::Endpoint { id, .. } => Self::Service(id.clone()),
            End::Internet { .. } => Self::World,
            End::Peering { .. } => Self::Peer,
            End::Interface { id, .. } => Self::of_interface(network, id),
        }
    }

    fn of_interface(network: &Network, id: &InterfaceId) -> Self {
        if let Some(endpoint) = network.endpoint_at(id) {
            return Self::Service(endpoint.clone());
        }
        if network.nat_gateways.values().any(|g| g.available && g.interface == *id) {
            return Self::Nat;
        }
        match network.interfaces.get(id) {
            Some(record) if !record.source_dest_check => Self::Forwarder,
            _ => Self::Instance,
        }
    }
}

/// A namespace at the far end of a link, and who listens there.
#[derive(Debug)]
pub(super) struct Space {
    inside: Inside,
    _tasks: Tasks,
    /// Of the world alone.
    _outlet: Option<Outlet>,
}

#[derive(Debug)]
enum Inside {
    Plain(NetNs),
    Uplink(Uplink),
}

/// Tasks that end with this value.
#[derive(Debug, Default)]
pub(super) struct Tasks(Vec<JoinHandle<()>>);

impl From<JoinHandle<()>> for Tasks {
    fn from(task: JoinHandle<()>) -> Self {
        Self(vec![task])
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

impl Space {
    /// A new one for this role, but that of the world or of a peer, which is somebody else's.
    pub(super) async fn new(role: &Role, carrier: &Arc<Carrier>) -> Result<Self> {
        let (inside, tasks) = match role {
            Role::Forwarder => (Inside::Uplink(Uplink::forwarder()?), Tasks::default()),
            Role::Nat => (Inside::Uplink(Uplink::nat().await?), Tasks::default()),
            Role::Service(endpoint) => {
                let ns = NetNs::create()?;
                let tasks = listen(&ns, endpoint, carrier)?;
                (Inside::Plain(ns), tasks)
            }
            Role::Instance | Role::World | Role::Peer => {
                (Inside::Plain(NetNs::create()?), Tasks::default())
            }
        };
        Ok(Self { inside, _tasks: tasks, _outlet: None })
    }

    /// The world: VPCs meet there, and what is for nobody there is carried where `lead` says. Where
    /// the kernel cannot hand it over, nobody else is there, and that is said.
    pub(super) async fn world(
        carrier: &Arc<Carrier>,
        lead: &Arc<Lead>,
    ) -> Result<(Self, Option<Error>)> {
        let edge = Uplink::edge()?;
        let (outlet, lacks) = match Outlet::of_edge(edge.ns(), carrier, lead).await {
            Ok(outlet) => (Some(outlet), None),
            Err(e) => (None, Some(e)),
        };
        let inside = Inside::Uplink(edge);
        Ok((Self { inside, _tasks: Tasks::default(), _outlet: outlet }, lacks))
    }

    /// A container's.
    pub(super) fn of_container(ns: NetNs) -> Self {
        Self { inside: Inside::Plain(ns), _tasks: Tasks::default(), _outlet: None }
    }

    pub(super) fn ns(&self) -> &NetNs {
        match &self.inside {
            Inside::Plain(ns) => ns,
            Inside::Uplink(uplink) => uplink.ns(),
        }
    }
}

/// The listeners of an endpoint: at every address that is the namespace's own.
fn listen(ns: &NetNs, endpoint: &EndpointId, carrier: &Arc<Carrier>) -> Result<Tasks> {
    let mut tasks = Tasks::default();
    let (endpoint, carrier) = (endpoint.clone(), carrier.of(endpoint.clone()));
    let lead: Arc<Lead> = Arc::new(move |from, to| by_endpoint(&endpoint, from, to));
    for port in PORTS {
        let everywhere = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
        // A host can be booted without IPv6.
        let listener = carry::listen(ns, everywhere)
            .or_else(|_| carry::listen(ns, (Ipv4Addr::UNSPECIFIED, port).into()))?;
        let accept = Arc::clone(&carrier).accept(listener, Arc::clone(&lead));
        tasks.0.push(tokio::spawn(accept));
    }
    Ok(tasks)
}

/// To the service, by an endpoint. Who cannot be said to come by it would come by none, and its policy
/// would not be asked: such a connection is refused.
fn by_endpoint(endpoint: &EndpointId, from: SocketAddr, to: SocketAddr) -> Target {
    let (source, destination) = (plain(from), plain(to));
    let head = Proxied { source, destination, endpoint: endpoint.clone() }.encode();
    head.map_or(Target::Nowhere, Target::Service)
}

/// An IPv4 address that a socket for both kinds shows as an IPv6 one.
fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Whoever answers names at an address of a router.
pub(super) fn answer_names(
    ns: &NetNs,
    address: Ipv4Addr,
    answers: &Arc<impl dns::Answers>,
) -> Result<Tasks> {
    let at = SocketAddr::from((address, dns::PORT));
    let udp = UdpSocket::from_std(ns.bind_udp(at)?).map_err(|e| unusable(at, e))?;
    let tcp = TcpListener::from_std(ns.listen(at)?).map_err(|e| unusable(at, e))?;
    Ok(Tasks(vec![
        tokio::spawn(dns::serve_udp(udp, Arc::clone(answers))),
        tokio::spawn(dns::serve_tcp(tcp, Arc::clone(answers))),
    ]))
}

fn unusable(at: SocketAddr, source: std::io::Error) -> Error {
    Error { operation: format!("use the socket at {at}"), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_passes_an_endpoint_without_its_name() {
        let endpoint = "vpce-1".parse().unwrap();
        let to = |from: &str| {
            by_endpoint(&endpoint, from.parse().unwrap(), "10.0.0.9:443".parse().unwrap())
        };
        assert!(matches!(to("10.0.0.1:5"), Target::Service(head) if head.ends_with(b"vpce-1")));
        // As a socket for both families says it.
        assert_eq!(to("[::ffff:10.0.0.1]:5"), to("10.0.0.1:5"));
        assert_eq!(to("[2600::1]:5"), Target::Nowhere);
    }
}
