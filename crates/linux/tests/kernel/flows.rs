//! Flow logs of real packets: what crosses a router is counted, what is refused is heard, and the
//! records say so.

use crate::Outcome;
use belljar_linux::flows::{Heard, Meter, Ports, Refusals};
use belljar_linux::netns::NetNs;
use belljar_linux::privilege::Privilege;
use belljar_linux::router::RouterNet;
use belljar_vpc::compile::{self, compile};
use belljar_vpc::flow_log::{Aggregator, Context, Format};
use belljar_vpc::{Description, Network};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

const A: &str = "eni-a";
const B: &str = "eni-b";
const A_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 10);
const B_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 10);
const RESOLVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
/// Long enough for a packet on one machine, and not for a second try of TCP.
const DROPPED: Duration = Duration::from_millis(400);
/// The port of a client whose answers the network ACL of B's subnet lets not out.
const UNANSWERED: u16 = 50_082;

fn subnet(block: &str) -> Value {
    json!({"vpc": "vpc-1", "zone": "us-east-1a", "block": block, "blockV6": null,
        "associationV6": null, "mapPublicIp": false, "assignV6": false, "defaultForZone": false})
}

fn interface(subnet: &str, address: Ipv4Addr, group: &str) -> Value {
    json!({"subnet": subnet, "addresses": [{"address": address, "public": null}],
        "addressesV6": [], "groups": [group], "sourceDestCheck": true, "mac": "",
        "description": "", "kind": "interface", "requesterManaged": true,
        "attachment": {"id": "eni-attach-1", "owner": "somebody"}})
}

fn group(rules: Value) -> Value {
    json!({"vpc": "vpc-1", "name": "g", "description": "", "rules": rules})
}

fn acl(number: u8, subnet: &str, ingress: Value, egress: Value) -> Value {
    let associations = json!({subnet: format!("aclassoc-{number}")});
    json!({"vpc": "vpc-1", "isDefault": false, "ingress": ingress, "egress": egress,
        "associations": associations})
}

fn entry(port: Option<u16>, allow: bool) -> Value {
    let ports = port.map(|p| json!({"kind": "ports", "transport": "tcp", "from": p, "to": p}));
    let traffic = ports.unwrap_or(json!({"kind": "all"}));
    json!({"traffic": traffic, "block": "0.0.0.0/0", "allow": allow})
}

/// A may send; B takes 80 to 82; the network ACL of B's subnet refuses 81 on its way in, and what
/// is for one port of A's on its way out.
fn network() -> Network {
    let all = json!({"kind": "all"});
    let some = json!({"kind": "ports", "transport": "tcp", "from": 80, "to": 82});
    let rule = |direction: &str, traffic: &Value| {
        json!({"direction": direction, "traffic": traffic, "peer": {"cidr": "0.0.0.0/0"},
            "description": null})
    };
    let allow = json!({"100": entry(None, true)});
    let cidr = json!({"association": "vpc-cidr-assoc-1", "block": "10.0.0.0/16"});
    let description = json!({
        "vpcs": {"vpc-1": {"cidrs": [cidr], "dnsSupport": true, "dnsHostnames": true,
            "dhcpOptions": null, "isDefault": false}},
        "subnets": {"subnet-1": subnet("10.0.0.0/24"), "subnet-2": subnet("10.0.1.0/24")},
        "groups": {
            "sg-a": group(json!({"sgr-1": rule("egress", &all)})),
            "sg-b": group(json!({"sgr-2": rule("ingress", &some)})),
        },
        "acls": {
            "acl-1": acl(1, "subnet-1", allow.clone(), allow.clone()),
            "acl-2": acl(2, "subnet-2",
                json!({"90": entry(Some(81), false), "100": entry(None, true)}),
                json!({"90": entry(Some(UNANSWERED), false), "100": entry(None, true)})),
        },
        "routeTables": {"rtb-1": {"vpc": "vpc-1", "main": "rtbassoc-1", "associations": {},
            "routes": []}},
        "interfaces": {
            A: interface("subnet-1", A_ADDRESS, "sg-a"),
            B: interface("subnet-2", B_ADDRESS, "sg-b"),
        },
        "flowLogs": {"fl-1": {"of": {"vpc": "vpc-1"}, "traffic": "ALL",
            "destination": {"logs": "flows"}, "format": "${version}", "interval": 60,
            "role": null}},
    });
    let description: Description = serde_json::from_value(description).unwrap();
    Network::new(description).unwrap()
}

/// A router with both interfaces, and what records at it.
struct Rig {
    runtime: Runtime,
    router: RouterNet,
    a: NetNs,
    b: NetNs,
    meter: Meter,
    refusals: Refusals,
    ports: Ports,
    flows: Aggregator,
    now: u64,
}

impl Rig {
    fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let network = network();
        let (a, b) = (NetNs::create().unwrap(), NetNs::create().unwrap());
        let (router, meter, refusals) = runtime.block_on(async {
            let mut router = RouterNet::create().await.unwrap();
            let compiled = compile(&network, &"vpc-1".parse().unwrap());
            for (id, far) in [(A, &a), (B, &b)] {
                let link = compiled.interface(&id.parse().unwrap()).unwrap();
                router.add_link(link, far).await.unwrap();
            }
            router.apply(compiled).await.unwrap();
            let meter = Meter::start(&mut router).await.unwrap();
            let refusals = Refusals::listen(router.ns()).await.unwrap();
            (router, meter, refusals)
        });
        let mut flows = Aggregator::default();
        flows.set_network(&network, 600);
        let ports = Ports::default();
        Self { runtime, router, a, b, meter, refusals, ports, flows, now: 605 }
    }

    /// Reads what passed and what was refused since the last time.
    fn read(&mut self) {
        let (since, until) = (self.now, self.now + 5);
        self.now = until;
        self.ports.note(&self.router);
        self.runtime.block_on(async {
            let turn = self.meter.turn(&mut self.router).await.unwrap();
            let reading = self.meter.read(turn).await.unwrap();
            assert!(reading.lost.is_empty() && !reading.crowded);
            let mut crossings: Vec<_> =
                reading.counts.iter().map(|c| self.ports.crossing(c)).collect();
            let quiet = Duration::from_millis(50);
            while let Ok(heard) = tokio::time::timeout(quiet, self.refusals.next()).await {
                let Heard::Refused(count) = heard else { panic!("{heard:?}") };
                crossings.push(self.ports.crossing(&count));
            }
            for observation in crossings.iter().flat_map(|c| c.observations()) {
                self.flows.observe(&observation, since, until);
            }
            self.ports.settle();
        });
    }

    /// The records so far.
    fn lines(&mut self, format: &str) -> Vec<String> {
        let format: Format = format.parse().unwrap();
        let mut lines = Vec::new();
        for batch in self.flows.close(self.now, true) {
            for (interface, of) in &batch.interfaces {
                let context = Context {
                    account: "111122223333",
                    region: "us-east-1",
                    interface,
                    place: &of.place,
                    zone_id: "use1-az1",
                };
                lines.extend(of.records.iter().map(|r| r.line(&format, &context)));
            }
        }
        lines.sort_unstable();
        lines
    }

    fn connect(&self, from: u16, port: u16, limit: Duration) -> std::io::Result<TcpStream> {
        let mut result = Err(std::io::ErrorKind::Other.into());
        self.a
            .run(|| {
                result = connect_from(from, (B_ADDRESS, port).into(), limit).map_err(Into::into);
                Ok(())
            })
            .unwrap();
        result
    }
}

/// A TCP connection from this port of A's.
fn connect_from(port: u16, to: SocketAddr, limit: Duration) -> rustix::io::Result<TcpStream> {
    use rustix::net::{AddressFamily, SocketType, bind, connect, socket, sockopt};
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
    // What limits how long a connect waits on Linux.
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(limit))?;
    bind(&socket, &SocketAddr::from((A_ADDRESS, port)))?;
    connect(&socket, &to)?;
    Ok(socket.into())
}

pub(crate) fn records(_: Privilege) -> Outcome {
    let format = "${interface-id} ${flow-direction} ${srcport} ${dstport} ${tcp-flags} ${action} \
        ${belljar-layer} ${traffic-path}";
    let mut rig = Rig::new();
    let listen = |port| {
        let listener = rig.b.listen((B_ADDRESS, port).into()).unwrap();
        listener.set_nonblocking(false).unwrap();
        listener
    };
    let (open, unanswered) = (listen(80), listen(82));
    let resolver = rig.router.ns().bind_udp((RESOLVER, 53).into()).unwrap();
    // A connection from its beginning to its end, and a question to the resolver.
    let mut client = rig.connect(50_080, 80, Duration::from_secs(20)).unwrap();
    let (mut server, _) = open.accept().unwrap();
    client.write_all(b"hello").unwrap();
    server.write_all(b"world").unwrap();
    client.read_exact(&mut [0; 5]).unwrap();
    drop(client);
    let _ = server.read_to_end(&mut Vec::new());
    drop(server);
    rig.a
        .run(|| {
            let socket = UdpSocket::bind((A_ADDRESS, 0)).unwrap();
            socket.send_to(b"who", (RESOLVER, 53)).unwrap();
            Ok(())
        })
        .unwrap();
    // Refused by the network ACL, by the group, and of a third the answer.
    for (from, port) in [(50_081, 81), (50_083, 83), (UNANSWERED, 82)] {
        let refused = rig.connect(from, port, DROPPED).unwrap_err();
        assert_eq!(
            refused.raw_os_error(),
            Some(libc::EINPROGRESS),
            "{port}: dropped, and not told"
        );
    }
    rig.read();
    assert_eq!(
        rig.lines(format),
        [
            "eni-a egress 50080 80 3 ACCEPT - 1",
            "eni-a egress 50081 81 2 ACCEPT - 1",
            "eni-a egress 50082 82 2 ACCEPT - 1",
            "eni-a egress 50083 83 2 ACCEPT - 1",
            "eni-a ingress 80 50080 19 ACCEPT - -",
            "eni-b egress 80 50080 19 ACCEPT - 1",
            "eni-b egress 82 50082 18 REJECT nacl 1",
            "eni-b ingress 50080 80 3 ACCEPT - -",
            "eni-b ingress 50081 81 2 REJECT nacl -",
            "eni-b ingress 50082 82 2 ACCEPT - -",
            "eni-b ingress 50083 83 2 REJECT security-group -",
        ]
    );
    let mut asked = [0; 8];
    assert_eq!(
        resolver.recv(&mut asked).unwrap(),
        3,
        "the resolver was asked, and that is no record"
    );
    drop(unanswered);
    Ok(())
}

/// Readings while something is sent, changes of the rules between them, and an interface that goes:
/// every packet is in exactly one.
pub(crate) fn readings(_: Privilege) -> Outcome {
    let mut rig = Rig::new();
    let mut network = network().description().clone();
    let group = Arc::make_mut(network.groups.get_mut(&"sg-b".parse().unwrap()).unwrap());
    let udp = json!({"direction": "ingress", "peer": {"group": "sg-a"}, "description": null,
        "traffic": {"kind": "ports", "transport": "udp", "from": 7, "to": 7}});
    group.rules.insert("sgr-3".parse().unwrap(), serde_json::from_value(udp).unwrap());
    let network = Network::new(network).unwrap();
    let router = || compile(&network, &"vpc-1".parse().unwrap());
    rig.runtime.block_on(rig.router.apply(router())).unwrap();
    let _sink = rig.b.bind_udp((B_ADDRESS, 7).into()).unwrap();
    let socket = rig.a.bind_udp((A_ADDRESS, 5_000).into()).unwrap();
    socket.set_nonblocking(false).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let sender = std::thread::spawn(move || {
        let mut sent = 0;
        while !stopped.load(Ordering::Relaxed) {
            socket.send_to(&[0; 100], (B_ADDRESS, 7)).unwrap();
            sent += 1;
            if sent % 100 == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        sent
    });
    for _ in 0..5 {
        rig.read();
        rig.runtime.block_on(rig.router.apply(router())).unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    let packets: u64 = sender.join().unwrap();
    assert!(packets > 100, "{packets}");
    let gone = compile::link_name(A);
    rig.runtime.block_on(rig.router.remove_link(&gone)).unwrap();
    rig.read();
    let bytes = packets * 128;
    assert_eq!(
        rig.lines("${interface-id} ${packets} ${bytes} ${protocol} ${tcp-flags}"),
        [format!("eni-a {packets} {bytes} 17 0"), format!("eni-b {packets} {bytes} 17 0")]
    );
    rig.runtime.block_on(async {
        let turn = rig.meter.turn(&mut rig.router).await.unwrap();
        assert_eq!(rig.meter.read(turn).await.unwrap().counts, []);
        rig.router.verify().await.unwrap();
        rig.meter.stop(&mut rig.router).await.unwrap();
        rig.router.apply(router()).await.unwrap();
    });
    Ok(())
}
