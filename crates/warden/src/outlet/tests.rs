//! A container's way out, from a host in a namespace to a stranger in another. As root: an ordinary
//! user's process can enter no namespace while it has threads.

use super::*;
use belljar_vpc::open as own;
use belljar_vpc::sealed::output_rules;
use nlink::netlink::addr::Ipv4Address;
use nlink::netlink::link::VethLink;
use nlink::netlink::route::Ipv4Route;
use nlink::netlink::types::route::RouteScope;
use nlink::netlink::{Connection, Route};
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, UnixListener};
use tokio::time::timeout;

const HOST: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 100);
const STRANGER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
/// The stranger on a network that the host is in, too.
const NEIGHBOUR: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 10);
const BESIDE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 100);
/// The stranger on a network of which the host knows by a route alone, as of one where DHCP for IPv6
/// gives addresses.
const ROUTED: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
const SOON: Duration = Duration::from_secs(20);

/// Runs a test in a host's network with a stranger beside it.
fn beside_a_stranger<F: Future<Output = ()>>(test: impl FnOnce(NetNs) -> F + Send) {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let host = NetNs::create().unwrap();
    let stranger = NetNs::create().unwrap();
    host.run(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let one = Connection::<Route>::new().unwrap();
            let other = Connection::<Route>::new_in(stranger.as_fd()).unwrap();
            let pair = VethLink::new("up", "down").peer_netns_fd(stranger.as_fd());
            one.add_link(pair).await.unwrap();
            let both = [
                (&one, "up", (HOST, BESIDE), (STRANGER, NEIGHBOUR)),
                (&other, "down", (STRANGER, NEIGHBOUR), (HOST, BESIDE)),
            ];
            for (route, name, (address, beside), (to, router)) in both {
                route.set_link_up("lo").await.unwrap();
                route.add_address(Ipv4Address::new(name, address, 32)).await.unwrap();
                route.add_address(Ipv4Address::new(name, beside, 24)).await.unwrap();
                route.set_link_up(name).await.unwrap();
                let way = Ipv4Route::from_addr(to, 32).dev(name).prefsrc(address);
                route.add_route(way.gateway(router)).await.unwrap();
            }
            other.add_address(Ipv4Address::new("down", ROUTED, 32)).await.unwrap();
            let way = Ipv4Route::from_addr(Ipv4Addr::new(192, 0, 2, 0), 24).dev("up");
            one.add_route(way.scope(RouteScope::Link)).await.unwrap();
            test(stranger).await;
        });
        Ok(())
    })
    .unwrap();
}

async fn connect(ns: &NetNs, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = ns.run(|| Ok(TcpSocket::new_v4().unwrap())).unwrap();
    timeout(SOON, socket.connect(to)).await.unwrap()
}

/// What a connection ends with at once.
async fn end(mut stream: TcpStream) -> std::io::ErrorKind {
    timeout(SOON, stream.read_u8()).await.unwrap().unwrap_err().kind()
}

async fn open_container() -> (NetNs, SealedNet, Outlet) {
    let ns = NetNs::create().unwrap();
    let opened = open(&ns, output_rules(), Names::own("algo-1"), None).await;
    let (net, outlet, _) = opened.unwrap();
    (ns, net, outlet)
}

#[test]
fn connections_reach_the_internet_and_nothing_nearer() {
    beside_a_stranger(|stranger| async move {
        let (ns, net, outlet) = open_container().await;
        let at = |address: Ipv4Addr| SocketAddr::from((address, 443));
        let listener = carry::listen(&stranger, at(STRANGER)).unwrap();
        let mut client = connect(&ns, at(STRANGER)).await.unwrap();
        let (mut server, from) = listener.accept().await.unwrap();
        assert_eq!(from.ip(), IpAddr::V4(HOST));
        client.write_all(b"hello").await.unwrap();
        let mut heard = [0; 5];
        server.read_exact(&mut heard).await.unwrap();
        // Each side may end its half.
        client.shutdown().await.unwrap();
        assert_eq!(server.read(&mut [0; 9]).await.unwrap(), 0);
        server.write_all(&heard).await.unwrap();
        drop(server);
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, b"hello");
        // Nobody listens there; nobody is there; the host itself, where somebody listens.
        let own = TcpListener::bind(at(Ipv4Addr::UNSPECIFIED)).await.unwrap();
        // And who is beside the host, whom the host reaches.
        let near = carry::listen(&stranger, at(NEIGHBOUR)).unwrap();
        let routed = carry::listen(&stranger, at(ROUTED)).unwrap();
        for (listener, address) in [(&near, NEIGHBOUR), (&routed, ROUTED)] {
            drop(TcpStream::connect(at(address)).await.unwrap());
            listener.accept().await.unwrap();
        }
        let nobody = Ipv4Addr::new(203, 0, 113, 9);
        let others = [nobody, HOST, BESIDE, NEIGHBOUR, ROUTED].map(|address| (address, 443));
        for nobody in others.into_iter().chain([(STRANGER, 444)]) {
            let client = connect(&ns, nobody.into()).await.unwrap();
            assert_eq!(end(client).await, std::io::ErrorKind::ConnectionReset, "{nobody:?}");
        }
        for nearer in [&own, &near, &routed] {
            assert!(timeout(Duration::from_millis(20), nearer.accept()).await.is_err());
        }
        // What is not public is refused before.
        for refused in ["169.254.169.254:80", "10.0.0.1:443", "127.1.1.1:443"] {
            let refused = connect(&ns, refused.parse().unwrap()).await.unwrap_err();
            assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
        }
        assert_eq!(net.read().await.unwrap().recorded, 2);
        // A connection that breaks off does so inside, too; and all do when the way is closed.
        let client = connect(&ns, at(STRANGER)).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        rustix::net::sockopt::set_socket_linger(&server, Some(Duration::ZERO)).unwrap();
        drop(server);
        assert_eq!(end(client).await, std::io::ErrorKind::ConnectionReset);
        let mut client = connect(&ns, at(STRANGER)).await.unwrap();
        let _server = listener.accept().await.unwrap();
        drop(outlet);
        assert!(matches!(timeout(SOON, client.read(&mut [0; 9])).await.unwrap(), Ok(0) | Err(_)));
    });
}

#[test]
fn datagrams_are_answered_by_whom_they_were_for() {
    beside_a_stranger(|stranger| async move {
        let (ns, _net, _outlet) = open_container().await;
        let to = SocketAddr::from((STRANGER, 123));
        let server = UdpSocket::from_std(stranger.bind_udp(to).unwrap()).unwrap();
        let other = stranger.bind_udp((STRANGER, 124).into()).unwrap();
        let other = UdpSocket::from_std(other).unwrap();
        let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let mut seen = std::collections::BTreeSet::new();
        // More than there is room for: the oldest go.
        for number in 0..300_u16 {
            let client = UdpSocket::from_std(ns.bind_udp(any).unwrap()).unwrap();
            client.send_to(&number.to_be_bytes(), to).await.unwrap();
            let mut bytes = [0; 9];
            let (length, from) =
                timeout(SOON, server.recv_from(&mut bytes)).await.unwrap().unwrap();
            assert_eq!((&bytes[..length], from.ip()), (&number.to_be_bytes()[..], HOST.into()));
            seen.insert(from.port());
            // Whoever was not asked is not heard.
            other.send_to(b"other", from).await.unwrap();
            server.send_to(b"yes", from).await.unwrap();
            let (length, from) =
                timeout(SOON, client.recv_from(&mut bytes)).await.unwrap().unwrap();
            assert_eq!((&bytes[..length], from), (&b"yes"[..], to));
        }
        assert!(seen.len() > 200, "each has a socket of its own: {}", seen.len());
        // The host's own, where somebody listens.
        let own = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 123)).await.unwrap();
        let client = UdpSocket::from_std(ns.bind_udp(any).unwrap()).unwrap();
        client.send_to(b"x", (HOST, 123)).await.unwrap();
        assert!(timeout(Duration::from_millis(50), own.recv(&mut [0; 9])).await.is_err());
    });
}

#[test]
fn whoever_asks_much_takes_no_others_answers() {
    beside_a_stranger(|stranger| async move {
        let ns = NetNs::create().unwrap();
        let rules = own::with_own(output_rules());
        let (net, _outlet, _) = open(&ns, rules, Names::own("algo-1"), None).await.unwrap();
        net.own(&own::OWN).await.unwrap();
        let to = SocketAddr::from((STRANGER, 123));
        let server = UdpSocket::from_std(stranger.bind_udp(to).unwrap()).unwrap();
        let from = |address: Ipv4Addr| {
            UdpSocket::from_std(ns.bind_udp((address, 0).into()).unwrap()).unwrap()
        };
        let mut bytes = [0; 9];
        let quiet = from(own::METADATA);
        quiet.send_to(b"quiet", to).await.unwrap();
        let (_, back) = timeout(SOON, server.recv_from(&mut bytes)).await.unwrap().unwrap();
        for _ in 0..200 {
            from(Ipv4Addr::UNSPECIFIED).send_to(b"greedy", to).await.unwrap();
            timeout(SOON, server.recv_from(&mut bytes)).await.unwrap().unwrap();
        }
        server.send_to(b"late", back).await.unwrap();
        let (length, _) = timeout(SOON, quiet.recv_from(&mut bytes)).await.unwrap().unwrap();
        assert_eq!(&bytes[..length], b"late");
    });
}

/// An address becomes the host's own while datagrams go there.
#[test]
fn datagrams_do_not_follow_an_address_to_the_host() {
    beside_a_stranger(|stranger| async move {
        let (ns, _net, _outlet) = open_container().await;
        let to = SocketAddr::from((STRANGER, 123));
        let server = UdpSocket::from_std(stranger.bind_udp(to).unwrap()).unwrap();
        let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let client = UdpSocket::from_std(ns.bind_udp(any).unwrap()).unwrap();
        let mut bytes = [0; 9];
        client.send_to(b"before", to).await.unwrap();
        timeout(SOON, server.recv_from(&mut bytes)).await.unwrap().unwrap();
        let route = Connection::<Route>::new().unwrap();
        route.add_address(Ipv4Address::new("lo", STRANGER, 32)).await.unwrap();
        let own = UdpSocket::bind(to).await.unwrap();
        tokio::time::sleep(outside::FRESH + Duration::from_millis(50)).await;
        for _ in 0..3 {
            client.send_to(b"after", to).await.unwrap();
            let heard = timeout(Duration::from_millis(50), own.recv(&mut bytes)).await;
            assert!(heard.is_err(), "the host heard it");
        }
    });
}

#[test]
fn awss_names_lead_to_the_service() {
    beside_a_stranger(|_stranger| async move {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("socket");
        let service = UnixListener::bind(&socket).unwrap();
        let ns = NetNs::create().unwrap();
        let opened = open(&ns, output_rules(), Names::own("algo-1"), Some(&socket)).await;
        let (_net, _outlet, _names) = opened.unwrap();
        let mut client = connect(&ns, (AWS, 443).into()).await.unwrap();
        client.write_all(b"x").await.unwrap();
        let (mut heard, _) = timeout(SOON, service.accept()).await.unwrap().unwrap();
        let mut bytes = [0; LOCAL.len() + 1];
        heard.read_exact(&mut bytes).await.unwrap();
        assert_eq!((&bytes[..LOCAL.len()], bytes[LOCAL.len()]), (&LOCAL[..], b'x'));
    });
}
