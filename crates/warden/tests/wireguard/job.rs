//! Instances of one job, in namespaces of their own, and the namespace that is their host.

use belljar_domain::cluster::Endpoint;
use belljar_linux::netns::NetNs;
use belljar_linux::peer_net::{self, Hub};
use belljar_linux::seal_net::{self, SealedNet};
use belljar_vpc::peers::{INTERFACE, address, output_rules};
use belljar_vpc::sealed;
use belljar_warden::wireguard::{End, Link, Peer, mtu};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// A long time for a packet on one machine.
pub(crate) const SOON: Duration = Duration::from_secs(20);
const AT: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Encrypted,
    Clear,
}

pub(crate) struct Instance {
    pub(crate) ns: NetNs,
    pub(crate) net: SealedNet,
    pub(crate) own: Ipv4Addr,
    pub(crate) link: Option<Link>,
}

pub(crate) struct Job {
    pub(crate) host: NetNs,
    pub(crate) instances: Vec<Instance>,
    pub(crate) runtime: Runtime,
    ends: Vec<Endpoint>,
    _hub: Option<Hub>,
}

impl Job {
    pub(crate) fn new(count: u8, kind: Kind) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let host = sealed_ns(&runtime);
        let mut job = Self { host, instances: Vec::new(), runtime, ends: Vec::new(), _hub: None };
        match kind {
            Kind::Encrypted => job.encrypted(count),
            Kind::Clear => job.clear(count),
        }
        job
    }

    fn encrypted(&mut self, count: u8) {
        let ends: Vec<End> = (0..count).map(|_| self.end()).collect();
        self.ends = ends.iter().map(|end| end.offer().unwrap()).collect();
        for (number, end) in (1..=count).zip(ends) {
            let instance = self.instance(number, count, end);
            self.instances.push(instance);
        }
    }

    fn clear(&mut self, count: u8) {
        let (hub, instances) = self.runtime.block_on(async {
            let hub = Hub::create().await.unwrap();
            let mut instances = Vec::new();
            for number in 1..=count {
                let (ns, net, own, others) = sealed_instance(number, count).await;
                peer_net::join(&ns, Path::new(&hub.path()), number).await.unwrap();
                net.link((&ns, INTERFACE), own, &others).await.unwrap();
                instances.push(Instance { ns, net, own, link: None });
            }
            (hub, instances)
        });
        (self._hub, self.instances) = (Some(hub), instances);
    }

    /// An end whose datagrams pass the namespace that is the host.
    fn end(&self) -> End {
        let mut end = None;
        self.host
            .run(|| {
                end = End::open(AT).ok();
                Ok(())
            })
            .unwrap();
        end.unwrap()
    }

    fn instance(&self, number: u8, count: u8, end: End) -> Instance {
        let peer = |n: u8| Peer {
            host: format!("algo-{n}").parse().unwrap(),
            address: address(n),
            end: self.ends[usize::from(n) - 1].clone(),
        };
        let peers: Vec<Peer> = (1..=count).filter(|n| *n != number).map(peer).collect();
        self.runtime.block_on(async {
            let (ns, net, own, others) = sealed_instance(number, count).await;
            let tun = peer_net::tunnel(&ns, INTERFACE, mtu(AT)).await.unwrap();
            net.link((&ns, INTERFACE), own, &others).await.unwrap();
            let link = Some(end.connect(tun, mtu(AT), &peers).await.unwrap());
            Instance { ns, net, own, link }
        })
    }

    /// Somebody with a key of its own, who says that it is the second instance.
    pub(crate) fn stranger(&self) -> Instance {
        self.instance(2, 2, self.end())
    }

    pub(crate) fn interfaces(&self, place: usize) -> Vec<String> {
        self.runtime.block_on(self.instances[place].net.read()).unwrap().interfaces
    }
}

fn sealed_ns(runtime: &Runtime) -> NetNs {
    let ns = NetNs::create().unwrap();
    runtime.block_on(seal_net::seal(&ns, &sealed::output_rules())).unwrap();
    ns
}

async fn sealed_instance(number: u8, count: u8) -> (NetNs, SealedNet, Ipv4Addr, Vec<Ipv4Addr>) {
    let others: Vec<_> = (1..=count).filter(|n| *n != number).map(address).collect();
    let (ns, own) = (NetNs::create().unwrap(), address(number));
    let net = seal_net::seal(&ns, &output_rules(own, &others)).await.unwrap();
    (ns, net, own, others)
}

impl Instance {
    pub(crate) fn connect(&self, to: SocketAddr) -> io::Result<TcpStream> {
        self.connect_within(to, SOON)
    }

    pub(crate) fn connect_within(&self, to: SocketAddr, time: Duration) -> io::Result<TcpStream> {
        connect(&self.ns, to, time)
    }

    pub(crate) fn listen(&self) -> TcpListener {
        listen(&self.ns, self.own)
    }

    pub(crate) fn udp(&self, own: Ipv4Addr) -> UdpSocket {
        let socket = self.ns.bind_udp((own, 0).into()).unwrap();
        socket.set_nonblocking(false).unwrap();
        socket.set_read_timeout(Some(SOON)).unwrap();
        socket
    }
}

pub(crate) fn connect(ns: &NetNs, to: SocketAddr, time: Duration) -> io::Result<TcpStream> {
    let mut result = Err(io::ErrorKind::Other.into());
    ns.run(|| {
        result = TcpStream::connect_timeout(&to, time);
        Ok(())
    })
    .unwrap();
    result
}

pub(crate) fn listen(ns: &NetNs, at: Ipv4Addr) -> TcpListener {
    let listener = ns.listen((at, 0).into()).unwrap();
    listener.set_nonblocking(false).unwrap();
    listener
}

/// A listener that can be reached: the positive control of every refusal.
pub(crate) fn hears(listener: &TcpListener, mut from: TcpStream) {
    from.write_all(b"hello").unwrap();
    drop(from);
    let (mut accepted, _) = listener.accept().unwrap();
    let mut text = String::new();
    accepted.read_to_string(&mut text).unwrap();
    assert_eq!(text, "hello");
}
