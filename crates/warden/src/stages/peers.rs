//! An instance's link to its peers, where it has some.

use super::{Facts, internal};
use crate::failure::{Failure, chain};
use crate::run::{Context, Ending};
use crate::wireguard::{self, End, Link, Peer};
use belljar_domain::cluster::{Driver, Endpoint};
use belljar_domain::failure::Blame;
use belljar_domain::preflight::IKE;
use belljar_domain::{Assignment, Cluster, Event, HostName, PeerLink};
use belljar_linux::netns::NetNs;
use belljar_linux::peer_net;
use belljar_linux::seal_net::SealedNet;
use belljar_vpc::{Ruleset, peers, sealed};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The rules of an instance that reaches its peers, if it has some, and nobody else. They are there
/// before the link is.
pub(super) fn rules(a: &Assignment) -> Ruleset {
    let Some((_, link, _)) = link(a) else { return sealed::output_rules() };
    let others: Vec<Ipv4Addr> = link.peers.values().copied().collect();
    peers::output_rules(link.address, &others)
}

/// Links it to its peers, if it has some. An encrypted link lives as long as what is returned.
pub(super) async fn join(
    cx: &Context,
    facts: &mut Facts,
    ns: &NetNs,
    net: &SealedNet,
) -> Result<Option<Link>, Ending> {
    let a = &cx.assignment;
    let Some((cluster, mut link, number)) = link(a) else { return Ok(None) };
    let tunnel = if cluster.needs_tunnel() {
        let at = received_at(cluster, &a.host);
        Some(encrypt(cx, (ns, net), (End::open(at)?, at), &mut link).await?)
    } else {
        let hub = cx.member.as_ref().and_then(|m| m.hub.as_ref());
        let hub = hub.ok_or_else(|| internal("there is no hub to join the instance's peers"))?;
        peer_net::join(ns, hub, number).await?;
        let others: Vec<Ipv4Addr> = link.peers.values().copied().collect();
        net.link((ns, &link.interface), link.address, &others).await?;
        None
    };
    facts.peers = Some(link);
    Ok(tunnel)
}

/// The encrypted link to its peers of a container that is in the VPC itself, if that was asked for:
/// its datagrams go from interface to interface, and groups decide them as any.
pub(super) async fn encrypt_in_vpc(
    cx: &Context,
    facts: &mut Facts,
    (ns, net): (&NetNs, &SealedNet),
    address: Ipv4Addr,
) -> Result<Option<Link>, Ending> {
    let Some((cluster, mut link, _)) = link(&cx.assignment) else { return Ok(None) };
    if !cluster.needs_tunnel() {
        return Ok(None);
    }
    let end = End::open_in(ns, SocketAddr::from((address, IKE)))?;
    let tunnel = encrypt(cx, (ns, net), (end, address.into()), &mut link).await?;
    facts.peers = Some(link);
    Ok(Some(tunnel))
}

/// Where the datagrams of an instance's encrypted link are received.
fn received_at(cluster: &Cluster, host: &HostName) -> IpAddr {
    let site = cluster.instance(host).and_then(|i| i.site.as_ref());
    site.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |site| site.address)
}

/// Makes the interface, tells this end of the link, waits for those of all peers, and joins them.
async fn encrypt(
    cx: &Context,
    (ns, net): (&NetNs, &SealedNet),
    (end, at): (End, IpAddr),
    link: &mut PeerLink,
) -> Result<Link, Ending> {
    let mtu = wireguard::mtu(at);
    let tunnel = peer_net::tunnel(ns, &link.interface, mtu);
    let tun = tunnel.await.map_err(|e| no_encryption(&e))?;
    let others: Vec<Ipv4Addr> = link.peers.values().copied().collect();
    net.link((ns, &link.interface), link.address, &others).await?;
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
        interface: cluster.interface().to_owned(),
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
