//! A VPC's router between a client and a server.

use belljar_linux::flows::{Heard, Meter, Ports, Refusals};
use belljar_linux::netns::NetNs;
use belljar_linux::router::RouterNet;
use belljar_vpc::compile::compile;
use belljar_vpc::flow_log::Aggregator;
use belljar_vpc::id::VpcId;
use belljar_vpc::{Description, Network};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tokio::runtime::Builder;

pub(crate) const ROUNDS: usize = 5;
const LONG: Duration = Duration::from_secs(2);
/// As often as the fabric reads a router by which much passes.
const EVERY: Duration = Duration::from_millis(250);
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 10);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 10);
/// Ports that the server listens at: so many that its clients do not run out of their own.
const PORTS: std::ops::Range<u16> = 8_000..8_016;
const BULK: u16 = 9_000;
/// Readings of sets that had no room for all that passed.
pub(crate) static FULL: AtomicUsize = AtomicUsize::new(0);

/// Two interfaces of one group, which allows all that comes; `rules` others come before it.
fn network(rules: u32) -> Network {
    let all = json!({"kind": "all"});
    let rule = |direction: &str| {
        json!({"direction": direction, "traffic": all, "peer": {"cidr": "0.0.0.0/0"},
            "description": null})
    };
    let mut allowed = json!({"sgr-a": rule("egress"), "sgr-b": rule("ingress")});
    for n in 0..rules {
        let [.., high, low] = n.to_be_bytes();
        let peer = json!({"cidr": format!("10.200.{high}.{low}/32")});
        let ports = json!({"kind": "ports", "transport": "tcp", "from": 443, "to": 443});
        let direction = if n % 2 == 0 { "egress" } else { "ingress" };
        allowed[format!("sgr-{n}")] = json!({"direction": direction, "traffic": ports,
            "peer": peer, "description": null});
    }
    let entry = json!({"100": {"traffic": all, "block": "0.0.0.0/0", "allow": true}});
    let subnet = |block: &str| {
        json!({"vpc": "vpc-1", "zone": "us-east-1a", "block": block, "blockV6": null,
            "associationV6": null, "mapPublicIp": false, "assignV6": false,
            "defaultForZone": false})
    };
    let interface = |subnet: &str, address: Ipv4Addr| -> Value {
        json!({"subnet": subnet, "addresses": [{"address": address, "public": null}],
            "addressesV6": [], "groups": ["sg-1"], "sourceDestCheck": true, "mac": "",
            "description": "", "kind": "interface", "requesterManaged": true,
            "attachment": {"id": "eni-attach-1", "owner": "somebody"}})
    };
    let description = json!({
        "vpcs": {"vpc-1": {"dnsSupport": true, "dnsHostnames": true, "dhcpOptions": null,
            "isDefault": false,
            "cidrs": [{"association": "vpc-cidr-assoc-1", "block": "10.0.0.0/16"}]}},
        "subnets": {"subnet-1": subnet("10.0.0.0/24"), "subnet-2": subnet("10.0.1.0/24")},
        "groups": {"sg-1": {"vpc": "vpc-1", "name": "g", "description": "",
            "rules": allowed}},
        "acls": {"acl-1": {"vpc": "vpc-1", "isDefault": true, "ingress": entry, "egress": entry,
            "associations": {"subnet-1": "aclassoc-1", "subnet-2": "aclassoc-2"}}},
        "routeTables": {"rtb-1": {"vpc": "vpc-1", "main": "rtbassoc-1", "associations": {},
            "routes": []}},
        "interfaces": {"eni-a": interface("subnet-1", CLIENT),
            "eni-b": interface("subnet-2", SERVER)},
        "flowLogs": {"fl-1": {"of": {"vpc": "vpc-1"}, "traffic": "ALL", "interval": 60,
            "destination": {"logs": "flows"}, "format": "${version}", "role": null}},
    });
    Network::new(serde_json::from_value::<Description>(description).unwrap()).unwrap()
}

/// A router, a client's namespace, and a server that answers in the other.
pub(crate) struct Rig {
    network: Network,
    router: RouterNet,
    client: NetNs,
    _server: NetNs,
}

impl Rig {
    /// With as many rules that no packet is for.
    pub(crate) async fn new(rules: u32) -> Self {
        let network = network(rules);
        let vpc: VpcId = "vpc-1".parse().unwrap();
        let compiled = compile(&network, &vpc);
        let (client, server) = (NetNs::create().unwrap(), NetNs::create().unwrap());
        let mut router = RouterNet::create().await.unwrap();
        for (id, far) in [("eni-a", &client), ("eni-b", &server)] {
            let link = compiled.interface(&id.parse().unwrap()).unwrap();
            router.add_link(link, far).await.unwrap();
        }
        router.apply(compiled).await.unwrap();
        // Connections that are over are forgotten, so that all rounds find the same room.
        let short = || {
            let at = "/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_time_wait";
            let _ = std::fs::write(at, "1");
            Ok(())
        };
        router.ns().run(short).unwrap();
        for port in PORTS.chain([BULK]) {
            let listener = server.listen((SERVER, port).into()).unwrap();
            listener.set_nonblocking(false).unwrap();
            thread::spawn(move || answer(&listener, port == BULK));
        }
        Self { network, router, client, _server: server }
    }

    /// Runs `work` in the client's namespace; with a flow log if that is wanted.
    pub(crate) fn measure(&mut self, flow_log: bool, work: fn() -> f64) -> f64 {
        let stop = &AtomicBool::new(false);
        let (network, router) = (&self.network, &mut self.router);
        thread::scope(|scope| {
            let recording = flow_log.then(|| scope.spawn(move || record(network, router, stop)));
            thread::sleep(Duration::from_millis(200));
            let measured = self.client.run(|| Ok(work()));
            stop.store(true, Ordering::Relaxed);
            recording.into_iter().for_each(|thread| thread.join().unwrap());
            measured.unwrap()
        })
    }
}

/// Closes connections, or takes what they carry.
fn answer(listener: &TcpListener, bulk: bool) {
    let mut room = vec![0; 1 << 20];
    while let Ok((mut stream, _)) = listener.accept() {
        while bulk && stream.read(&mut room).is_ok_and(|n| n > 0) {}
    }
}

/// What the fabric does for a router with a flow log.
fn record(network: &Network, router: &mut RouterNet, stop: &AtomicBool) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut flows = Aggregator::default();
        flows.set_network(network, 0);
        let mut meter = Meter::start(router).await.unwrap();
        let mut refusals = Refusals::listen(router.ns()).await.unwrap();
        let mut ports = Ports::default();
        ports.note(router);
        let (mut now, mut next) = (0, Instant::now() + EVERY);
        while !stop.load(Ordering::Relaxed) {
            let until = next.min(Instant::now() + Duration::from_millis(100));
            let heard = tokio::time::timeout_at(until.into(), refusals.next()).await;
            assert!(!matches!(heard, Ok(Heard::Lost)));
            if Instant::now() < next {
                continue;
            }
            (now, next) = (now + 1, next + EVERY);
            let turn = meter.turn(router).await.unwrap();
            let reading = meter.read(turn).await.unwrap();
            FULL.fetch_add(usize::from(!reading.lost.is_empty()), Ordering::Relaxed);
            for count in &reading.counts {
                for observation in ports.crossing(count).observations() {
                    flows.observe(&observation, now - 1, now);
                }
            }
        }
        meter.stop(router).await.unwrap();
    });
}

/// New connections a second, by two clients.
pub(crate) fn connections() -> f64 {
    let count = AtomicU64::new(0);
    let began = Instant::now();
    // Threads are in the namespace of the one that starts them.
    thread::scope(|scope| {
        for half in 0..2 {
            let count = &count;
            scope.spawn(move || {
                for port in PORTS.skip(half).step_by(2).cycle() {
                    let mut stream = TcpStream::connect(SocketAddr::from((SERVER, port))).unwrap();
                    let _ = stream.read(&mut [0]);
                    count.fetch_add(1, Ordering::Relaxed);
                    if began.elapsed() > LONG {
                        break;
                    }
                }
            });
        }
    });
    count.into_inner() as f64 / began.elapsed().as_secs_f64()
}

/// MiB a second over one connection.
pub(crate) fn bulk() -> f64 {
    let mut stream = TcpStream::connect(SocketAddr::from((SERVER, BULK))).unwrap();
    let chunk = vec![7; 1 << 20];
    let (began, mut chunks) = (Instant::now(), 0);
    while began.elapsed() < LONG {
        stream.write_all(&chunk).unwrap();
        chunks += 1;
    }
    f64::from(chunks) / began.elapsed().as_secs_f64()
}
