//! The network of an instance: sealed, and with a link to its peers where it has some.

use super::{Facts, internal};
use crate::failure::{Failure, chain};
use crate::run::{Context, Ending};
use crate::wireguard::{self, End, Link, Peer};
use belljar_domain::cluster::{Driver, Endpoint};
use belljar_domain::failure::Blame;
use belljar_domain::{Assignment, Cluster, Event, HostName, PeerLink};
use belljar_linux::netns::NetNs;
use belljar_linux::peer_net;
use belljar_linux::seal_net::{self, SealedNet};
use belljar_vpc::{peers, sealed};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

/// Seals the namespace. What its rules let through, and where a link leads, is decided before the
/// link is there. An encrypted link lives as long as what is returned besides.
pub(super) async fn seal(
    cx: &Context,
    facts: &mut Facts,
    ns: &NetNs,
) -> Result<(SealedNet, Option<Link>), Ending> {
    let a = &cx.assignment;
    let Some((cluster, mut link, number)) = link(a) else {
        return Ok((seal_net::seal(ns, &sealed::output_rules()).await?, None));
    };
    let others: Vec<Ipv4Addr> = link.peers.values().copied().collect();
    let net = seal_net::seal(ns, &peers::output_rules(link.address, &others)).await?;
    let tunnel = if cluster.needs_tunnel() {
        Some(encrypt(cx, ns, &net, received_at(cluster, &a.host), &mut link).await?)
    } else {
        let hub = cx.member.as_ref().and_then(|m| m.hub.as_ref());
        let hub = hub.ok_or_else(|| internal("there is no hub to join the instance's peers"))?;
        peer_net::join(ns, hub, number).await?;
        net.link(ns, link.address, &others).await?;
        None
    };
    facts.peers = Some(link);
    Ok((net, tunnel))
}

/// Where the datagrams of an instance's encrypted link are received.
fn received_at(cluster: &Cluster, host: &HostName) -> IpAddr {
    let site = cluster.instance(host).and_then(|i| i.site.as_ref());
    site.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |site| site.address)
}

/// Makes the interface, tells this end of the link, waits for those of all peers, and joins them.
async fn encrypt(
    cx: &Context,
    ns: &NetNs,
    net: &SealedNet,
    at: IpAddr,
    link: &mut PeerLink,
) -> Result<Link, Ending> {
    let mtu = wireguard::mtu(at);
    let tun = peer_net::tunnel(ns, mtu).await.map_err(|e| no_encryption(&e))?;
    let others: Vec<Ipv4Addr> = link.peers.values().copied().collect();
    net.link(ns, link.address, &others).await?;
    let end = End::open(at)?;
    cx.journal.tell(Event::Offer(end.offer()?)).await;
    let ends = cx.orders.peers().await;
    if !ends.keys().eq(link.peers.keys()) {
        return Err(internal("the ends of the links are not those of the instance's peers").into());
    }
    let key = |(host, end): (&HostName, &Endpoint)| (host.clone(), end.public_key.clone());
    link.public_keys = ends.iter().map(key).collect();
    let peer = |((host, address), end): ((&HostName, &Ipv4Addr), Endpoint)| Peer {
        host: host.clone(),
        address: *address,
        end,
    };
    let peers: Vec<Peer> = link.peers.iter().zip(ends.into_values()).map(peer).collect();
    Ok(end.connect(tun, mtu, &peers).await?)
}

/// Encryption was asked for and cannot be had here: the job does not start.
pub(crate) fn no_encryption(e: &belljar_linux::Error) -> Failure {
    Failure {
        blame: Blame::Capacity,
        text: format!("the traffic between instances cannot be encrypted here: {}", chain(e)),
        hint: Some(
            "let this user open /dev/net/tun (mode 0666, as udev makes it; 'modprobe tun' if it is not there), or, where all instances run on this machine, leave EnableInterContainerTrafficEncryption out: their traffic leaves it in no case"
                .to_owned(),
        ),
        machine: true,
    }
}

/// The link that the instance is to have, and its number.
fn link(a: &Assignment) -> Option<(&Cluster, PeerLink, u8)> {
    let cluster = a.cluster.as_ref()?;
    let own = cluster.instance(&a.host)?;
    let place = cluster.instances.iter().position(|i| i.host == a.host)?;
    let link = PeerLink {
        interface: peers::INTERFACE.to_owned(),
        driver: if cluster.needs_tunnel() { Driver::WireguardUser } else { Driver::Veth },
        address: own.address,
        peers: cluster.peers_of(&a.host),
        public_keys: BTreeMap::new(),
    };
    Some((cluster, link, u8::try_from(place + 1).ok()?))
}

/// The names that resolve in the container, with their addresses: its own, and its peers'.
pub(super) fn addresses(a: &Assignment) -> Vec<(Ipv4Addr, String)> {
    match &a.cluster {
        None => {
            let own = match &a.vpc {
                Some(link) if link.inside => link.address,
                _ => Ipv4Addr::LOCALHOST,
            };
            vec![(own, a.host_name().to_owned())]
        }
        Some(cluster) => {
            cluster.instances.iter().map(|i| (i.address, i.host.to_string())).collect()
        }
    }
}
