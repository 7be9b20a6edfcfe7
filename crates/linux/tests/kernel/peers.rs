//! Instances with peers: real packets between namespaces that are joined by a hub.

use crate::Outcome;
use belljar_linux::netns::NetNs;
use belljar_linux::peer_net::{Hub, join};
use belljar_linux::privilege::Privilege;
use belljar_linux::seal_net::{self, SealedNet};
use belljar_vpc::peers::{INTERFACE, address, output_rules};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// A long time for a packet on one machine.
const SOON: Duration = Duration::from_secs(20);

struct Instance {
    ns: NetNs,
    net: SealedNet,
    own: Ipv4Addr,
}

/// Instances of one job with their hub.
struct Job {
    hub: Hub,
    instances: Vec<Instance>,
    runtime: Runtime,
}

impl Job {
    fn new(count: u8) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let (hub, instances) = runtime.block_on(async {
            let hub = Hub::create().await.unwrap();
            let mut instances = Vec::new();
            for number in 1..=count {
                let others: Vec<_> = (1..=count).filter(|n| *n != number).map(address).collect();
                let (ns, own) = (NetNs::create().unwrap(), address(number));
                let net = seal_net::seal(&ns, &output_rules(own, &others)).await.unwrap();
                join(&ns, Path::new(&hub.path()), number).await.unwrap();
                net.link((&ns, INTERFACE), own, &others).await.unwrap();
                instances.push(Instance { ns, net, own });
            }
            (hub, instances)
        });
        Self { hub, instances, runtime }
    }
}

impl Instance {
    fn connect(&self, to: SocketAddr) -> io::Result<TcpStream> {
        let mut result = Err(io::ErrorKind::Other.into());
        self.ns
            .run(|| {
                result = TcpStream::connect_timeout(&to, SOON);
                Ok(())
            })
            .unwrap();
        result
    }

    fn listen(&self, at: IpAddr) -> TcpListener {
        let listener = self.ns.listen(SocketAddr::new(at, 0)).unwrap();
        listener.set_nonblocking(false).unwrap();
        listener
    }
}

/// A listener that can be reached: the positive control of every refusal.
fn hears(listener: &TcpListener, mut from: TcpStream) {
    from.write_all(b"hello").unwrap();
    drop(from);
    let (mut accepted, _) = listener.accept().unwrap();
    let mut text = String::new();
    accepted.read_to_string(&mut text).unwrap();
    assert_eq!(text, "hello");
}

pub(crate) fn reach(_: Privilege) -> Outcome {
    let job = Job::new(3);
    for to in &job.instances {
        // All ports and both ways of binding: what a library chooses must do.
        for at in [IpAddr::V4(to.own), Ipv4Addr::UNSPECIFIED.into()] {
            let listener = to.listen(at);
            let port = listener.local_addr().unwrap().port();
            for from in &job.instances {
                hears(&listener, from.connect((to.own, port).into()).unwrap());
            }
        }
        let heard = to.ns.bind_udp((to.own, 0).into()).unwrap();
        heard.set_nonblocking(false).unwrap();
        heard.set_read_timeout(Some(SOON)).unwrap();
        for from in &job.instances {
            let target = heard.local_addr().unwrap();
            from.ns
                .run(|| {
                    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
                    socket.send_to(b"datagram", target).unwrap();
                    Ok(())
                })
                .unwrap();
            let mut bytes = [0; 16];
            let (length, sender) = heard.recv_from(&mut bytes).unwrap();
            assert_eq!((&bytes[..length], sender.ip()), (&b"datagram"[..], IpAddr::V4(from.own)));
        }
    }
    Ok(())
}

pub(crate) fn nobody_else(_: Privilege) -> Outcome {
    let (job, other) = (Job::new(2), Job::new(2));
    let [first, second] = job.instances.as_slice() else { unreachable!() };
    // The same address in another job is another instance: a listener there hears nothing.
    let theirs = other.instances[1].listen(Ipv4Addr::UNSPECIFIED.into());
    let port = theirs.local_addr().unwrap().port();
    assert_eq!(
        first.connect((second.own, port).into()).unwrap_err().kind(),
        io::ErrorKind::ConnectionRefused
    );
    hears(&theirs, other.instances[0].connect((second.own, port).into()).unwrap());
    // A third instance that there is not, the rest of the prefix, the host, the internet.
    let host = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = host.local_addr().unwrap().port();
    let recorded = || job.runtime.block_on(first.net.read()).unwrap().recorded;
    let before = recorded();
    let tried = ["100.127.7.3", "100.127.7.254", "10.0.0.1", "169.254.169.254", "192.0.2.1"];
    for (i, to) in tried.iter().enumerate() {
        let refused = first.connect(SocketAddr::new(to.parse().unwrap(), port)).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused, "{to}");
        assert_eq!(recorded(), before + 1 + i as u64, "{to} is recorded");
    }
    hears(&host, TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap());
    Ok(())
}

pub(crate) fn read_back(_: Privilege) -> Outcome {
    let job = Job::new(3);
    let read = job.runtime.block_on(job.instances[1].net.read()).unwrap();
    assert_eq!(read.interfaces, ["eth0", "lo"]);
    let out: Vec<_> = read.routes.iter().filter(|r| !r.contains("dev lo")).collect();
    assert_eq!(
        out,
        ["100.127.7.1/32 dev eth0 src 100.127.7.2", "100.127.7.3/32 dev eth0 src 100.127.7.2"]
    );
    let own: Vec<_> = read.addresses.iter().filter(|a| a.starts_with("eth0")).collect();
    assert_eq!(own, ["eth0 100.127.7.2/24"]);
    // Nothing was said by the kernel on its own account.
    assert_eq!(read.recorded, 0);
    let hub = job.runtime.block_on(job.hub.read()).unwrap();
    assert_eq!(hub.interfaces, ["hub", "hub-1", "hub-2", "hub-3", "lo"]);
    assert_eq!((hub.addresses.len(), hub.routes.len()), (0, 0), "{hub:?}");
    Ok(())
}
