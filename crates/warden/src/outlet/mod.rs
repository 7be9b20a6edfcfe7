//! The way out: what a namespace of ours sends to public addresses is carried from the host's
//! network, connection by connection and datagram by datagram. No packet of the namespace's ever
//! leaves it, and nothing of the host's network is changed, so no privilege is needed there.
//!
//! **Invariant**: only public addresses are reached ([`belljar_vpc::public`]), and never the host's
//! own; it is asked here too, whatever the rules inside say.

mod datagrams;
pub(crate) mod outside;

use crate::carry::{self, AWS, Carrier, Lead, PORTS, Target};
use crate::dns::{Forwarder, Names};
use belljar_domain::proxy::LOCAL;
use belljar_linux::netns::NetNs;
use belljar_linux::outlet::{Ends, edge, listen};
use belljar_linux::seal_net::{self, SealedNet};
use belljar_linux::{Error, Result};
use belljar_vpc::Ruleset;
use belljar_vpc::outlet::output_rules;
use belljar_vpc::public::is_public;
use datagrams::Datagrams;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinHandle;

/// An open way out; dropping it closes it, and breaks off what is carried.
#[derive(Debug)]
pub(crate) struct Outlet {
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Outlet {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Makes the network of a container that has a way out: that of a sealed one with these rules, but
/// that TCP and UDP for public addresses is carried. `names` become the names that resolve in it:
/// AWS's lead to the service whose socket is given (without one they do not exist), and others are
/// asked of the host's name servers.
pub(crate) async fn open(
    ns: &NetNs,
    sealed: Ruleset,
    names: Names,
    service: Option<&Path>,
) -> Result<(SealedNet, Outlet, Names)> {
    let net = seal_net::seal(ns, &output_rules(sealed, outside::has_v6())).await?;
    let carrier = Carrier::new(service.map(Path::to_owned));
    let mut outlet = Outlet::start(ns, listen(ns)?, &carrier, &(Arc::new(lead) as Arc<Lead>))?;
    let names = names.with_upstream(Arc::new(Forwarder::of_host()));
    if service.is_none() {
        return Ok((net, outlet, names));
    }
    let serve: Arc<Lead> = Arc::new(|_, _| Target::Service(LOCAL.to_vec()));
    for port in PORTS {
        let listener = carry::listen(ns, (AWS, port).into())?;
        let accept = Arc::clone(&carrier).accept(listener, Arc::clone(&serve));
        outlet.tasks.push(tokio::spawn(accept));
    }
    Ok((net, outlet, names.with_aws(AWS)))
}

fn lead(_: SocketAddr, to: SocketAddr) -> Target {
    if is_public(to.ip()) { Target::Outside } else { Target::Nowhere }
}

impl Outlet {
    /// Of a namespace that passes packets on: what no link of it leads to is carried where `lead`
    /// says.
    pub(crate) async fn of_edge(
        ns: &NetNs,
        carrier: &Arc<Carrier>,
        lead: &Arc<Lead>,
    ) -> Result<Self> {
        let ends = listen(ns)?;
        edge(ns).await?;
        Self::start(ns, ends, carrier, lead)
    }

    fn start(ns: &NetNs, ends: Ends, carrier: &Arc<Carrier>, lead: &Arc<Lead>) -> Result<Self> {
        let unusable = |source| Error { operation: "use the sockets of a way out".into(), source };
        let ns = Arc::new(ns.share()?);
        let mut outlet = Self { tasks: Vec::new() };
        for socket in ends.tcp {
            let listener = TcpListener::from_std(socket).map_err(unusable)?;
            let accept = Arc::clone(carrier).accept(listener, Arc::clone(lead));
            outlet.tasks.push(tokio::spawn(accept));
        }
        for socket in ends.udp {
            let inside = UdpSocket::from_std(socket).map_err(unusable)?;
            let (ns, carrier, lead) = (Arc::clone(&ns), Arc::clone(carrier), Arc::clone(lead));
            let datagrams = Datagrams::new(inside, ns, carrier, lead);
            outlet.tasks.push(tokio::spawn(datagrams.carry()));
        }
        Ok(outlet)
    }
}

#[cfg(test)]
mod tests;
