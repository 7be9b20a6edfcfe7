//! The network of an instance: sealed, and with a link to its peers where it has some.

use super::{Facts, internal};
use crate::run::{Context, Ending};
use belljar_domain::cluster::Driver;
use belljar_domain::{Assignment, PeerLink};
use belljar_linux::netns::NetNs;
use belljar_linux::peer_net;
use belljar_linux::seal_net::{self, SealedNet};
use belljar_vpc::{peers, sealed};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Seals the namespace. What its rules let through, and where a link leads, is decided before the
/// link is there.
pub(super) async fn seal(cx: &Context, facts: &mut Facts, ns: &NetNs) -> Result<SealedNet, Ending> {
    let Some((link, number)) = link(&cx.assignment) else {
        return Ok(seal_net::seal(ns, &sealed::output_rules()).await?);
    };
    let hub = cx.member.as_ref().and_then(|m| m.hub.as_ref());
    let hub = hub.ok_or_else(|| internal("there is no hub to join the instance's peers"))?;
    let others: Vec<Ipv4Addr> = link.peers.values().copied().collect();
    let net = seal_net::seal(ns, &peers::output_rules(link.address, &others)).await?;
    peer_net::join(ns, hub, number).await?;
    net.link(ns, link.address, &others).await?;
    facts.peers = Some(link);
    Ok(net)
}

/// The link that the instance is to have, and its number.
fn link(a: &Assignment) -> Option<(PeerLink, u8)> {
    let cluster = a.cluster.as_ref()?;
    let own = cluster.instance(&a.host)?;
    let place = cluster.instances.iter().position(|i| i.host == a.host)?;
    let link = PeerLink {
        interface: peers::INTERFACE.to_owned(),
        driver: Driver::Veth,
        address: own.address,
        peers: cluster.peers_of(&a.host),
        public_keys: BTreeMap::new(),
    };
    Some((link, u8::try_from(place + 1).ok()?))
}

/// The names that resolve in the container, with their addresses: its own, and its peers'.
pub(super) fn addresses(a: &Assignment) -> Vec<(Ipv4Addr, String)> {
    match &a.cluster {
        None => vec![(Ipv4Addr::LOCALHOST, a.host.to_string())],
        Some(cluster) => {
            cluster.instances.iter().map(|i| (i.address, i.host.to_string())).collect()
        }
    }
}
