//! The internet, as a namespace beside that of the host: who reaches it, and what else is there.

use crate::scene::{SOON, Scene, fd, is_root};
use crate::way::echoes;
use crate::{Outcome, USER, names};
use belljar_domain::fabric::{Answer, Ask};
use belljar_linux::netns::NetNs;
use hickory_proto::op::ResponseCode;
use nlink::netlink::addr::Ipv4Address;
use nlink::netlink::link::VethLink;
use nlink::netlink::route::Ipv4Route;
use nlink::netlink::{Connection, Route};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::process::Command;
use std::thread;

/// Behind an internet gateway, with a public address and without; behind a NAT gateway; behind
/// nothing. And a second VPC.
const NETWORK: &str = "
vpc vpc-1 10.0.0.0/16
vpc vpc-2 10.1.0.0/16
vpc vpc-3 10.2.0.0/16
subnet subnet-p vpc-1 us-east-1a 10.0.1.0/24
subnet subnet-n vpc-1 us-east-1a 10.0.2.0/24
subnet subnet-x vpc-1 us-east-1a 10.0.3.0/24
subnet subnet-q vpc-2 us-east-1a 10.1.1.0/24
subnet subnet-r vpc-3 us-east-1a 10.2.1.0/24
list pl-1 com.amazonaws.us-east-1.s3 AWS 52.216.0.0/15
group sg-1 vpc-1
  egress all 0.0.0.0/0
group sg-2 vpc-2
  ingress all 0.0.0.0/0
group sg-3 vpc-3
  egress all 0.0.0.0/0
igw igw-1 vpc-1
igw igw-2 vpc-2
eni eni-n subnet-p 10.0.1.9 - forwards managed
eip eipalloc-1 203.0.113.1
nat nat-1 subnet-p eni-n eipalloc-1
table rtb-p vpc-1 subnet-p
  0.0.0.0/0 igw-1
table rtb-n vpc-1 subnet-n
  0.0.0.0/0 nat-1
table rtb-q vpc-2 subnet-q
  0.0.0.0/0 igw-2
eni eni-1 subnet-p 10.0.1.10=203.0.113.2 sg-1
eni eni-2 subnet-n 10.0.2.10 sg-1
eni eni-3 subnet-x 10.0.3.10 sg-1
eni eni-4 subnet-p 10.0.1.11 sg-1
eni eni-5 subnet-q 10.1.1.10=203.0.113.3 sg-2
eni eni-6 subnet-r 10.2.1.10 sg-3
";

const STRANGER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
/// The host's own address towards it.
const HOST: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 100);
/// The router between them, on either side: who is beside the host is not reached.
const ROUTERS: [Ipv4Addr; 2] = [Ipv4Addr::new(198, 18, 0, 1), Ipv4Addr::new(198, 18, 0, 2)];
const PORT: u16 = 7777;

pub(crate) fn as_root() -> Outcome {
    if is_root() { reaches(None) } else { Ok(()) }
}

/// The fabric is an ordinary user's, who has no power over the host's network.
pub(crate) fn as_user() -> Outcome {
    if is_root() { reaches(Some(USER)) } else { Ok(()) }
}

/// The host's network, and that of a stranger who answers.
struct Outside {
    host: NetNs,
    _stranger: NetNs,
    /// Hears who comes to the host itself.
    own: TcpListener,
}

impl Outside {
    fn new() -> Self {
        let (host, stranger) = (NetNs::create().unwrap(), NetNs::create().unwrap());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let one = Connection::<Route>::new_in(host.as_fd()).unwrap();
            let other = Connection::<Route>::new_in(stranger.as_fd()).unwrap();
            one.add_link(VethLink::new("up", "down").peer_netns_fd(stranger.as_fd()))
                .await
                .unwrap();
            let [here, there] = ROUTERS;
            let both = [
                (&one, "up", HOST, (STRANGER, here, there)),
                (&other, "down", STRANGER, (HOST, there, here)),
            ];
            for (route, name, address, (to, near, far)) in both {
                route.set_link_up("lo").await.unwrap();
                route.add_address(Ipv4Address::new(name, address, 32)).await.unwrap();
                route.add_address(Ipv4Address::new(name, near, 24)).await.unwrap();
                route.set_link_up(name).await.unwrap();
                let way = Ipv4Route::from_addr(to, 32).dev(name).prefsrc(address);
                route.add_route(way.gateway(far)).await.unwrap();
            }
        });
        let listener = stranger.listen((STRANGER, PORT).into()).unwrap();
        let socket = stranger.bind_udp((STRANGER, PORT).into()).unwrap();
        thread::spawn(move || echo(&listener));
        thread::spawn(move || answer(&socket));
        let own = host.listen((Ipv4Addr::UNSPECIFIED, PORT).into()).unwrap();
        Self { host, _stranger: stranger, own }
    }
}

fn echo(listener: &TcpListener) {
    listener.set_nonblocking(false).unwrap();
    for mut stream in listener.incoming().flatten() {
        thread::spawn(move || {
            let mut bytes = [0; 1024];
            while let Ok(count @ 1..) = stream.read(&mut bytes) {
                let _ = stream.write_all(&bytes[..count]);
            }
        });
    }
}

fn answer(socket: &UdpSocket) {
    socket.set_nonblocking(false).unwrap();
    let mut bytes = [0; 2000];
    while let Ok((length, from)) = socket.recv_from(&mut bytes) {
        let _ = socket.send_to(&bytes[..length], from);
    }
}

fn scene(outside: &Outside, user: Option<u32>) -> Scene {
    let mut scene = Scene::none();
    let mut program = Command::new(std::env::current_exe().unwrap());
    if let Some(user) = user {
        let (dir, copy) = (scene.dir.path(), scene.dir.path().join("tests"));
        // The build's folder may be closed to others, and so are the sockets of root.
        std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
        std::os::unix::fs::chown(dir, Some(user), Some(user)).unwrap();
        std::os::unix::fs::chown(dir.join("service/socket"), Some(user), Some(user)).unwrap();
        program = Command::new("setpriv");
        let ids = [format!("--reuid={user}"), format!("--regid={user}")];
        program.args(ids).arg("--clear-groups").arg(copy);
    }
    scene.start_with(program, |command| outside.host.run(|| Ok(command.spawn().unwrap())).unwrap());
    assert_eq!(scene.replace(NETWORK), Answer::Applied { generation: 1 });
    scene
}

/// A connection that was taken inside, and could not be had outside.
fn breaks_off(mut stream: TcpStream) {
    let error = stream.read(&mut [0; 9]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

fn reaches(user: Option<u32>) -> Outcome {
    let outside = Outside::new();
    let scene = scene(&outside, user);
    assert!(scene.status().lacks.iter().all(|l| !l.contains("internet")));
    let stranger = STRANGER.to_string();
    for interface in ["eni-1", "eni-2"] {
        echoes(&mut scene.connect_from(interface, &stranger, PORT).unwrap());
    }
    for interface in ["eni-3", "eni-4", "eni-6"] {
        let refused = scene.connect_from(interface, &stranger, PORT);
        assert!(matches!(refused, Err(Answer::Refused(r)) if !r.blockers.is_empty()));
    }
    // A port where nobody listens; the host itself.
    breaks_off(scene.connect(&stranger, PORT + 1).unwrap());
    breaks_off(scene.connect(&HOST.to_string(), PORT).unwrap());
    assert_eq!(outside.own.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    for own in ["169.254.169.254", "127.0.0.1", "192.168.0.1"] {
        assert!(scene.connect(own, PORT).is_err(), "{own}");
    }
    // VPCs meet by their public addresses: nobody listens there, and nothing is carried.
    let Err(Answer::Refused(refusal)) = scene.connect("203.0.113.3", PORT) else {
        panic!("connected to nobody")
    };
    assert!(refusal.why.contains("refused") && refusal.blockers.is_empty(), "{refusal}");
    service(&scene);
    if user.is_none() {
        datagrams(&scene)?;
    }
    Ok(())
}

/// AWS is the service, by the internet as well; other names are asked for where there is a way.
fn service(scene: &Scene) {
    for host in ["52.216.0.1", "192.0.2.1"] {
        echoes(&mut scene.connect(host, 443).unwrap());
        breaks_off(scene.connect(host, 22).unwrap());
    }
    let sts = names::by_tcp(scene, "10.0.0.2", "sts.us-east-1.amazonaws.com.");
    assert_eq!(sts, (ResponseCode::NoError, vec!["192.0.2.1".to_owned()]));
    // Nobody answers the host's own questions here.
    assert_eq!(names::by_tcp(scene, "10.0.0.2", "example.com.").0, ResponseCode::ServFail);
}

fn datagrams(scene: &Scene) -> Outcome {
    let container = NetNs::create()?;
    let ask = Ask::Attach { interface: "eni-2".parse()? };
    let (answered, _held) = scene.ask_with(&ask, fd(&container));
    assert_eq!(answered, Answer::Attached);
    for round in 0..3 {
        let socket = container.bind_udp("0.0.0.0:0".parse()?)?;
        socket.set_nonblocking(false)?;
        socket.set_read_timeout(Some(SOON))?;
        for _ in 0..3 {
            socket.send_to(&[round; 1400], (STRANGER, PORT))?;
            let mut bytes = [0; 2000];
            let (length, from) = socket.recv_from(&mut bytes)?;
            assert_eq!((length, bytes[1399], from), (1400, round, (STRANGER, PORT).into()));
        }
    }
    Ok(())
}
