//! An instance's interface whose other end is a descriptor.

use crate::Outcome;
use belljar_linux::netns::NetNs;
use belljar_linux::peer_net::tunnel;
use belljar_linux::privilege::Privilege;
use belljar_linux::seal_net::{self, SealedNet};
use belljar_linux::tun::{self, Attached, Tun};
use belljar_vpc::peers::{INTERFACE, address, output_rules};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

const SOON: Duration = Duration::from_secs(20);
/// IPv4 and UDP without options.
const HEADERS: usize = 28;

struct Instance {
    ns: NetNs,
    net: SealedNet,
    tun: Tun,
}

/// Whether there can be TUN devices. An ordinary user may be kept from them, which is said.
pub(crate) fn can_be(who: Privilege) -> bool {
    match tun::check() {
        Err(e) if who != Privilege::Root => {
            assert_eq!(e.to_string(), "open /dev/net/tun");
            false
        }
        result => {
            result.unwrap();
            true
        }
    }
}

/// The second of three instances, if there can be one.
fn instance(who: Privilege, runtime: &Runtime) -> Option<Instance> {
    if !can_be(who) {
        return None;
    }
    let (own, others) = (address(2), [address(1), address(3)]);
    let ns = NetNs::create().unwrap();
    let (net, tun) = runtime.block_on(async {
        let net = seal_net::seal(&ns, &output_rules(own, &others)).await.unwrap();
        let tun = tunnel(&ns, INTERFACE, 9000).await.unwrap();
        net.link((&ns, INTERFACE), own, &others).await.unwrap();
        (net, tun)
    });
    Some(Instance { ns, net, tun })
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

pub(crate) fn read_back(who: Privilege) -> Outcome {
    let runtime = runtime();
    let Some(Instance { ns, net, tun }) = instance(who, &runtime) else { return Ok(()) };
    let read = || runtime.block_on(net.read()).unwrap();
    assert_eq!(read().interfaces, ["eth0", "lo"]);
    let (addresses, routes) = (read().addresses, read().routes);
    let own: Vec<_> = addresses.iter().filter(|a| a.starts_with("eth0")).collect();
    assert_eq!(own, ["eth0 100.127.7.2/24"], "and no IPv6");
    let out: Vec<_> = routes.iter().filter(|r| !r.contains("dev lo")).collect();
    assert_eq!(
        out,
        ["100.127.7.1/32 dev eth0 src 100.127.7.2", "100.127.7.3/32 dev eth0 src 100.127.7.2"]
    );
    assert_eq!(read().recorded, 0, "nothing was said by the kernel on its own account");
    // There is one, and nobody joins it; it goes with its descriptor.
    assert!(Tun::create(&ns, INTERFACE).is_err());
    drop(tun);
    assert_eq!(read().interfaces, ["lo"]);
    Ok(())
}

pub(crate) fn packets(who: Privilege) -> Outcome {
    let runtime = runtime();
    let Some(Instance { ns, net, tun }) = instance(who, &runtime) else { return Ok(()) };
    let socket = ns.bind_udp((address(2), 0).into()).unwrap();
    socket.set_nonblocking(false).unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    runtime.block_on(async {
        let tun = tun.attach().unwrap();
        let packet = sent(&tun, &socket, (address(3), 7).into()).await;
        assert_eq!(&packet[12..20], [address(2).octets(), address(3).octets()].concat());
        assert_eq!(&packet[HEADERS..], b"hello");
        // Its answer, as a peer would send it.
        tun.write(&answer_to(&packet)).await.unwrap();
        let mut bytes = [0; 16];
        let (length, from) = socket.recv_from(&mut bytes).unwrap();
        assert_eq!((&bytes[..length], from), (&b"hello"[..], (address(3), 7).into()));
        // What is no packet is lost, and harms nothing.
        tun.write(b"no packet").await.unwrap();
        tun.write(&[]).await.unwrap();
        assert_eq!(sent(&tun, &socket, (address(1), 9).into()).await.len(), HEADERS + 5);
    });
    // To nobody else anything is sent.
    let refused = ns.run(|| {
        let to = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 80));
        assert!(TcpStream::connect_timeout(&to, SOON).is_err());
        Ok(())
    });
    refused.unwrap();
    assert_eq!(runtime.block_on(net.read()).unwrap().recorded, 1);
    Ok(())
}

async fn sent(tun: &Attached, socket: &UdpSocket, to: SocketAddr) -> Vec<u8> {
    socket.send_to(b"hello", to).unwrap();
    let mut packet = vec![0; 9000];
    let length = tokio::time::timeout(SOON, tun.read(&mut packet)).await.unwrap().unwrap();
    assert_eq!(tun.try_read(&mut [0; 9000]), None, "one packet was sent");
    packet.truncate(length);
    packet
}

/// The same the other way round. The sums of addresses and ports stay as they are.
fn answer_to(packet: &[u8]) -> Vec<u8> {
    let mut answer = packet.to_vec();
    answer[12..16].copy_from_slice(&packet[16..20]);
    answer[16..20].copy_from_slice(&packet[12..16]);
    answer[20..22].copy_from_slice(&packet[22..24]);
    answer[22..24].copy_from_slice(&packet[20..22]);
    answer
}
