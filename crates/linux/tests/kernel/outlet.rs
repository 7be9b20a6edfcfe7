//! A way out: model, loaded rules, real packets, and what the sockets inside are handed.

use crate::Outcome;
use crate::sealed::{flows, send};
use crate::tunnel::can_be;
use belljar_linux::netns::NetNs;
use belljar_linux::outlet::{self, Ends};
use belljar_linux::privilege::Privilege;
use belljar_linux::router::Uplink;
use belljar_linux::seal_net::{self, SealedNet};
use belljar_linux::tun::Tun;
use belljar_vpc::outlet::{PORT, output_rules};
use belljar_vpc::rules::{TCP, Verdict};
use belljar_vpc::{public, sealed};
use nlink::netlink::addr::{Ipv4Address, Ipv6Address};
use nlink::netlink::link::VethLink;
use nlink::netlink::neigh::Neighbor;
use nlink::netlink::route::{Ipv4Route, Ipv6Route};
use nlink::netlink::types::route::{RouteScope, RouteType};
use nlink::netlink::{Connection, Route};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

const STRANGERS: [&str; 2] = ["203.0.113.10:443", "[2001:db8:7::10]:443"];
const SOON: Duration = Duration::from_secs(20);

struct Bench {
    ns: NetNs,
    net: SealedNet,
    ends: Ends,
    runtime: Runtime,
}

impl Bench {
    fn new(v6: bool) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let ns = NetNs::create().unwrap();
        let rules = output_rules(sealed::output_rules(), v6);
        let net = runtime.block_on(seal_net::seal(&ns, &rules)).unwrap();
        let ends = blocking(outlet::listen(&ns).unwrap());
        Self { ns, net, ends, runtime }
    }

    fn recorded(&self) -> u64 {
        self.runtime.block_on(self.net.read()).unwrap().recorded
    }
}

fn blocking(ends: Ends) -> Ends {
    ends.tcp.iter().for_each(|s| s.set_nonblocking(false).unwrap());
    ends.udp.iter().for_each(|s| s.set_nonblocking(false).unwrap());
    ends.udp.iter().for_each(|s| s.set_read_timeout(Some(SOON)).unwrap());
    ends
}

/// Every packet is refused and recorded, or arrives at the sockets inside with where it was to go.
pub(crate) fn agreement(_: Privilege) -> Outcome {
    for v6 in [true, false] {
        let bench = Bench::new(v6);
        let model = output_rules(sealed::output_rules(), v6);
        let mut recorded = 0;
        for packet in flows() {
            let meant = model.interpret(&packet);
            let result = send(&bench.ns, packet);
            let now = bench.recorded();
            assert_eq!(now > recorded, meant.recorded, "{packet:?}");
            recorded = now;
            // A closed port of one's own refuses connections too.
            let carried = !meant.recorded && public::is_public(packet.destination);
            let fails = meant.verdict != Verdict::Accept || packet.protocol == TCP && !carried;
            assert_eq!(result.is_err(), fails, "{packet:?}: {result:?}");
            if !carried {
                continue;
            }
            let place = usize::from(packet.destination.is_ipv6());
            let to = SocketAddr::new(packet.destination, 9);
            if packet.protocol == TCP {
                let (stream, _) = bench.ends.tcp[place].accept()?;
                assert_eq!(stream.local_addr()?, to);
            } else {
                let datagram = outlet::receive(&bench.ends.udp[place], &mut [0; 16])?;
                assert_eq!((datagram.length, datagram.to), (1, to));
            }
        }
    }
    Ok(())
}

/// A stranger in a namespace: what is sent to it, and what it answers.
fn converses(from: &NetNs, ends: &Ends, inside: &NetNs, stranger: SocketAddr) {
    let connect = || TcpStream::connect_timeout(&stranger, SOON);
    let place = usize::from(stranger.is_ipv6());
    let mut client = from.run(|| Ok(connect())).unwrap().unwrap();
    let (mut end, _) = ends.tcp[place].accept().unwrap();
    assert_eq!(end.local_addr().unwrap(), stranger);
    assert_eq!(client.local_addr().unwrap(), end.peer_addr().unwrap());
    client.write_all(b"hello").unwrap();
    let mut heard = [0; 5];
    end.read_exact(&mut heard).unwrap();
    end.write_all(&heard).unwrap();
    client.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"hello");
    // What cannot be had outside is told at once.
    rustix::net::sockopt::set_socket_linger(&end, Some(Duration::ZERO)).unwrap();
    drop(end);
    assert_eq!(client.read(&mut heard).unwrap_err().kind(), ErrorKind::ConnectionReset);
    let any = if stranger.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let client = from.bind_udp(any.parse().unwrap()).unwrap();
    client.set_nonblocking(false).unwrap();
    client.set_read_timeout(Some(SOON)).unwrap();
    let others: Vec<UdpSocket> =
        (0..2).map(|_| outlet::answering(inside, stranger).unwrap()).collect();
    for answering in others {
        client.send_to(b"question", stranger).unwrap();
        let mut bytes = [0; 64];
        let datagram = outlet::receive(&ends.udp[place], &mut bytes).unwrap();
        assert_eq!((&bytes[..datagram.length], datagram.to), (&b"question"[..], stranger));
        answering.send_to(b"answer", datagram.from).unwrap();
        let (length, from) = client.recv_from(&mut bytes).unwrap();
        assert_eq!((&bytes[..length], from), (&b"answer"[..], stranger));
    }
}

pub(crate) fn handed_over(_: Privilege) -> Outcome {
    let bench = Bench::new(true);
    for stranger in STRANGERS {
        converses(&bench.ns, &bench.ends, &bench.ns, stranger.parse()?);
    }
    let read = bench.runtime.block_on(bench.net.read())?;
    assert_eq!((read.interfaces, read.recorded), (vec!["lo".to_owned()], 0));
    assert!(read.routes.iter().all(|r| r.contains("dev lo")), "{:?}", read.routes);
    assert!(read.rules.iter().any(|r| r.contains("tproxy to :1")), "{:?}", read.rules);
    // Who goes to the sockets themselves is seen to.
    let direct = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT));
    bench.ns.run(|| Ok(TcpStream::connect_timeout(&direct, SOON).unwrap()))?;
    assert_eq!(bench.ends.tcp[0].accept()?.0.local_addr()?, direct);
    Ok(())
}

/// Two networks whose links meet at an edge.
pub(crate) fn edge(_: Privilege) -> Outcome {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let edge = Uplink::edge()?;
    let one: Ipv4Addr = "198.51.100.1".parse()?;
    let two: Ipv4Addr = "198.51.100.2".parse()?;
    let (ends, one_ns, two_ns) = runtime.block_on(async {
        outlet::edge(edge.ns()).await.unwrap();
        let ends = blocking(outlet::listen(edge.ns()).unwrap());
        (ends, linked(edge.ns(), "one", one).await, linked(edge.ns(), "two", two).await)
    });
    for stranger in STRANGERS {
        converses(&one_ns, &ends, edge.ns(), stranger.parse()?);
        converses(&two_ns, &ends, edge.ns(), stranger.parse()?);
    }
    // By their public addresses they meet as before.
    let listener = two_ns.listen((two, 443).into())?;
    listener.set_nonblocking(false)?;
    let connect =
        |to: SocketAddr, limit| one_ns.run(|| Ok(TcpStream::connect_timeout(&to, limit))).unwrap();
    let client = connect((two, 443).into(), SOON)?;
    assert_eq!(listener.accept()?.1, client.local_addr()?);
    assert_eq!(client.local_addr()?.ip(), one);
    // What is not public is nobody's.
    for nobody in ["169.254.169.254:80", "10.0.0.1:80", "192.168.0.1:80"] {
        assert!(connect(nobody.parse()?, Duration::from_millis(50)).is_err(), "{nobody}");
    }
    ends.tcp[0].set_nonblocking(true)?;
    assert_eq!(ends.tcp[0].accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    Ok(())
}

/// Whose way leads on: not that of a neighbour of whom a route alone says so, as with DHCP for IPv6; nor
/// one to an address that is the host's by a route.
pub(crate) fn ways(who: Privilege) -> Outcome {
    let host = NetNs::create()?;
    let tunnel = if can_be(who) { Some(Tun::create(&host, "tunnel")?) } else { None };
    host.run(|| {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let route = Connection::<Route>::new().unwrap();
            route.add_link(VethLink::new("up", "down")).await.unwrap();
            for name in ["lo", "up", "down"] {
                route.set_link_up(name).await.unwrap();
            }
            let at = |text: &str| text.parse::<Ipv4Addr>().unwrap();
            let at_v6 = |text: &str| text.parse::<Ipv6Addr>().unwrap();
            let own = Ipv6Address::new("up", at_v6("2001:db8::5"), 128).nodad();
            route.add_address(own).await.unwrap();
            route.add_address(Ipv4Address::new("up", at("198.51.100.5"), 32)).await.unwrap();
            let beside = Ipv4Route::from_addr(at("198.51.100.1"), 32).dev("up");
            route.add_route(beside.scope(RouteScope::Link)).await.unwrap();
            route
                .add_route(Ipv4Route::default_route().dev("up").gateway(at("198.51.100.1")))
                .await
                .unwrap();
            let far = Ipv4Route::from_addr(at("192.0.2.0"), 24);
            if tunnel.is_some() {
                route.set_link_up("tunnel").await.unwrap();
                route.add_route(far.dev("tunnel")).await.unwrap();
            }
            route.add_route(Ipv6Route::from_addr(at_v6("2001:db8::"), 64).dev("up")).await.unwrap();
            let router = at_v6("2001:db8::1");
            route.add_route(Ipv6Route::default_route().dev("up").gateway(router)).await.unwrap();
            let any = Ipv6Route::from_addr(at_v6("2600::"), 64).dev("lo");
            route.add_route(any.route_type(RouteType::Local)).await.unwrap();
            for (to, meant) in [
                ("203.0.113.1", true),
                ("192.0.2.1", true),
                ("198.51.100.1", false),
                ("198.51.100.5", false),
                ("2600:1::1", true),
                ("2001:db8::1", false),
                ("2001:db8::7", false),
                ("2001:db8::5", false),
                ("2600::1", false),
            ] {
                let leads = outlet::leads_on(to.parse().unwrap()).await.unwrap();
                assert_eq!(leads, meant, "{to}");
            }
        });
        Ok(())
    })?;
    Ok(())
}

/// A namespace with an address that the edge has a link to.
async fn linked(edge: &NetNs, name: &str, address: Ipv4Addr) -> NetNs {
    let ns = NetNs::create().unwrap();
    let inside = Connection::<Route>::new_in(ns.as_fd()).unwrap();
    let outside = Connection::<Route>::new_in(edge.as_fd()).unwrap();
    let (near, far) = ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
    let pair = VethLink::new("eth0", name).address(near).peer_address(far);
    inside.add_link(pair.peer_netns_fd(edge.as_fd())).await.unwrap();
    inside.add_address(Ipv4Address::new("eth0", address, 32)).await.unwrap();
    inside.set_link_up("eth0").await.unwrap();
    outside.set_link_up(name).await.unwrap();
    let via = Ipv4Addr::new(169, 254, 1, 1);
    let default = Ipv4Route::default_route().dev("eth0").gateway(via).onlink();
    inside.add_neighbor(Neighbor::new_v4("eth0", via).lladdr(far).permanent()).await.unwrap();
    inside.add_route(default).await.unwrap();
    outside.add_neighbor(Neighbor::new_v4(name, address).lladdr(near).permanent()).await.unwrap();
    outside.add_route(Ipv4Route::from_addr(address, 32).dev(name)).await.unwrap();
    let own = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, address.octets()[3].into());
    let via = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
    inside.add_address(Ipv6Address::new("eth0", own, 128).nodad()).await.unwrap();
    inside.add_neighbor(Neighbor::new_v6("eth0", via).lladdr(far).permanent()).await.unwrap();
    inside.add_route(Ipv6Route::default_route().dev("eth0").gateway(via)).await.unwrap();
    outside.add_neighbor(Neighbor::new_v6(name, own).lladdr(near).permanent()).await.unwrap();
    outside.add_route(Ipv6Route::from_addr(own, 128).dev(name)).await.unwrap();
    ns
}
