//! Rules that change under load, and a process that is killed while it changes them.

use crate::agree::runtime;
use crate::packet::{Phase, build, parse};
use crate::wire::Wire;
use belljar_linux::netns::NetNs;
use belljar_linux::router::{RouterNet, Uplink, holds};
use belljar_vpc::compile::{Router, compile};
use belljar_vpc::id::{InterfaceId, VpcId};
use belljar_vpc::traffic::{Header, Payload, Transport};
use belljar_vpc::{Network, sample};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

const CHANGES: usize = 50;

/// Two sets of rules. Port 443 passes both. Port 80 is let out by the one and in by the other; 53
/// has a route in the one, and a group that lets it out in the other; 22 passes the one alone.
fn rules(first: bool) -> Result<Router, Box<dyn std::error::Error>> {
    let (out, entry, route) = if first {
        ("egress all 0.0.0.0/0", "ingress 10 deny tcp 80 0.0.0.0/0", "eni-gone")
    } else {
        ("egress tcp 443 0.0.0.0/0", "ingress 10 deny tcp 22 0.0.0.0/0", "eni-m")
    };
    let text = format!(
        "vpc vpc-a 10.0.0.0/16\n\
         subnet subnet-a vpc-a us-east-1a 10.0.1.0/24\n\
         subnet subnet-b vpc-a us-east-1b 10.0.2.0/24\n\
         group sg-a vpc-a\n  {out}\n\
         group sg-b vpc-a\n  ingress all 0.0.0.0/0\n  egress all 0.0.0.0/0\n\
         acl acl-b vpc-a subnet-b\n  {entry}\n  ingress 20 allow all 0.0.0.0/0\n  \
         egress 20 allow all 0.0.0.0/0\n\
         table rtb-a vpc-a subnet-a\n  8.8.8.0/24 {route}\n\
         eni eni-a subnet-a 10.0.1.10 sg-a\n\
         eni eni-b subnet-b 10.0.2.10 sg-b\n\
         eni eni-m subnet-b 10.0.2.11 sg-b forwards\n"
    );
    let network = Network::new(sample::read(&text)?)?;
    Ok(compile(&network, &vpc()?))
}

fn vpc() -> Result<VpcId, belljar_vpc::id::IdError> {
    "vpc-a".parse()
}

fn head(to: &str, port: u16, source: u16) -> Header {
    let transport = if port == 53 { Transport::Udp } else { Transport::Tcp };
    let payload = Payload::Ports { transport, source, destination: port };
    let source = IpAddr::from([10, 0, 1, 10]);
    Header { source, destination: to.parse().unwrap(), payload }
}

/// Sends first packets, each of a connection of its own, until it is told to stop.
fn flood(wire: &Wire, interface: u32, stop: &AtomicBool, count: &AtomicU64) {
    let mut sent = 0;
    while !stop.load(Ordering::Relaxed) {
        let source = 1024 + (sent % 60_000) as u16;
        for header in [
            head("10.0.2.10", 80, source),
            head("8.8.8.8", 53, source),
            head("10.0.2.10", 22, source),
        ] {
            for packet in build(&header, Phase::Open, (sent, 0), false) {
                wire.send(interface, &packet);
            }
        }
        sent += 1;
        count.store(sent, Ordering::Relaxed);
    }
}

/// Counts what arrives, by port: 80 and 53, which both rules forbid, and 22.
fn count(wire: &Wire, forbidden: &AtomicU64, passed: &AtomicU64) {
    let mut buffer = [0; 2048];
    while let Some(length) = wire.receive(&mut buffer) {
        let Some((Header { payload: Payload::Ports { destination, .. }, .. }, _)) =
            parse(&buffer[..length])
        else {
            continue;
        };
        match destination {
            80 | 53 => forbidden.fetch_add(1, Ordering::Relaxed),
            22 => passed.fetch_add(1, Ordering::Relaxed),
            _ => 0,
        };
    }
}

/// Says something and hears it again, over one connection, until it is told to stop.
fn talk(mut stream: TcpStream, stop: &AtomicBool, count: &AtomicU64) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.set_nodelay(true)?;
    let (mut rounds, mut back) = (0u64, [0; 8]);
    while !stop.load(Ordering::Relaxed) {
        stream.write_all(&rounds.to_be_bytes())?;
        stream.read_exact(&mut back)?;
        assert_eq!(u64::from_be_bytes(back), rounds);
        rounds += 1;
        count.store(rounds, Ordering::Relaxed);
    }
    Ok(())
}

fn echo(listener: &TcpListener) {
    let (mut stream, _) = listener.accept().unwrap();
    let mut bytes = [0; 8];
    while stream.read_exact(&mut bytes).is_ok() {
        stream.write_all(&bytes).unwrap();
    }
}

struct Ends {
    a: NetNs,
    b: NetNs,
    m: Uplink,
    net: RouterNet,
}

async fn ends() -> Result<Ends, Box<dyn std::error::Error>> {
    let router = rules(true)?;
    let mut net = RouterNet::create().await?;
    let (a, b, m) = (NetNs::create()?, NetNs::create()?, Uplink::forwarder()?);
    for (id, ns) in [("eni-a", &a), ("eni-b", &b), ("eni-m", m.ns())] {
        let link = router.interface(&id.parse::<InterfaceId>()?).ok_or("no link")?;
        net.add_link(link, ns).await?;
    }
    net.apply(router).await?;
    Ok(Ends { a, b, m, net })
}

pub(crate) fn under_load() -> crate::Outcome {
    let runtime = runtime();
    let mut ends = runtime.block_on(ends()).map_err(|e| e.to_string())?;
    let to = SocketAddr::from(([10, 0, 2, 10], 443));
    let listener = ends.b.listen(to)?;
    listener.set_nonblocking(false)?;
    let mut stream = None;
    let served = thread::spawn(move || echo(&listener));
    ends.a.run(|| {
        stream = TcpStream::connect_timeout(&to, Duration::from_secs(20)).ok();
        Ok(())
    })?;
    let stream = stream.ok_or("the rules that both allow it do not let it connect")?;
    let interface = runtime.block_on(crate::scene::number(&ends.a, "eth0"));
    let (sender, at_b, at_m) = (Wire::open(&ends.a), Wire::open(&ends.b), Wire::open(ends.m.ns()));
    let (stop, forbidden, passed) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let (sent, rounds) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        scope.spawn(|| flood(&sender, interface, &stop, &sent));
        let talk = scope.spawn(|| talk(stream, &stop, &rounds));
        let count = scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                count(&at_b, &forbidden, &passed);
                count(&at_m, &forbidden, &passed);
                thread::yield_now();
            }
        });
        // Some more where the load had no processor meanwhile.
        let loaded = || sent.load(Ordering::Relaxed) > 100 && rounds.load(Ordering::Relaxed) > 50;
        for change in 0..100 * CHANGES {
            if change >= CHANGES && (loaded() || talk.is_finished()) {
                break;
            }
            let router = rules(change % 2 == 1).unwrap();
            runtime.block_on(ends.net.apply(router)).unwrap();
        }
        stop.store(true, Ordering::Relaxed);
        count.join().unwrap();
        talk.join().unwrap().expect("an established connection saw an error");
        assert!(loaded(), "{sent:?} floods, {rounds:?} rounds: no load");
    });
    count(&at_b, &forbidden, &passed);
    count(&at_m, &forbidden, &passed);
    assert_eq!(forbidden.into_inner(), 0, "packets passed that both rules forbid");
    assert!(passed.into_inner() > 0, "what the one allows did not pass either");
    served.join().map_err(|_| "the listener panicked")?;
    Ok(())
}

/// The variable that makes this program the one that is killed.
const ROLE: &str = "BELLJAR_TEST_APPLY";

/// Applies the one and the other, until it is killed.
pub(crate) fn apply_forever() -> Option<()> {
    std::env::var_os(ROLE)?;
    runtime().block_on(async {
        let mut net = RouterNet::create().await.unwrap();
        net.apply(rules(true).unwrap()).await.unwrap();
        let fd = net.as_fd().as_raw_fd();
        let mut out = std::io::stdout();
        writeln!(out, "/proc/{}/fd/{fd}", std::process::id()).unwrap();
        for number in 0.. {
            net.apply(rules(number % 2 == 1).unwrap()).await.unwrap();
        }
    });
    Some(())
}

pub(crate) fn killed() -> crate::Outcome {
    let (one, other) =
        (rules(true).map_err(|e| e.to_string())?, rules(false).map_err(|e| e.to_string())?);
    let mut found = [0; 2];
    for tries in 0..24u64 {
        let mut child =
            Command::new(std::env::current_exe()?).env(ROLE, "1").stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        let out = child.stdout.take().ok_or("no output")?;
        BufReader::new(out).read_line(&mut line)?;
        let ns = File::open(line.trim())?;
        thread::sleep(Duration::from_micros(1000 + 700 * tries));
        child.kill()?;
        child.wait()?;
        let (is_one, is_other) =
            runtime().block_on(async { (holds(&ns, &one).await, holds(&ns, &other).await) });
        match (is_one, is_other) {
            (Ok(()), Err(_)) => found[0] += 1,
            (Err(_), Ok(())) => found[1] += 1,
            (one, other) => {
                return Err(format!("neither the one nor the other: {one:?}, {other:?}").into());
            }
        }
    }
    assert!(found[0] > 0 && found[1] > 0, "killed always at the same place: {found:?}");
    Ok(())
}
