//! The sealed network: model, loaded rules and real packets must agree.

use crate::Outcome;
use belljar_linux::netns::NetNs;
use belljar_linux::nflog::Listener;
use belljar_linux::privilege::Privilege;
use belljar_linux::seal_net::{self, NetReading, SealedNet};
use belljar_vpc::rules::{Packet, Ruleset, TCP, UDP, Verdict};
use belljar_vpc::sealed::{GROUP, SNAP_LENGTH, output_rules};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::process::Command;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// Flows that are tried against the kernel.
const FLOWS: u32 = 600;

/// A sealed network, and the event loop that its sockets belong to.
struct Bench {
    ns: NetNs,
    net: SealedNet,
    runtime: Runtime,
}

impl Bench {
    fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let ns = NetNs::create().unwrap();
        let net = runtime.block_on(seal_net::seal(&ns, &output_rules())).unwrap();
        Self { ns, net, runtime }
    }

    fn read(&self) -> NetReading {
        self.runtime.block_on(self.net.read()).unwrap()
    }
}

/// What became of one real packet. A closed port of the container itself answers with a reset as
/// the rules do; the kernel's counter tells the two apart.
pub(crate) fn send(ns: &NetNs, packet: Packet) -> io::Result<()> {
    let to = SocketAddr::new(packet.destination, 9);
    let mut result = Ok(());
    ns.run(|| {
        result = match packet.protocol {
            TCP => TcpStream::connect_timeout(&to, Duration::from_secs(5)).map(drop),
            _ => {
                let any: IpAddr = if to.is_ipv4() {
                    Ipv4Addr::UNSPECIFIED.into()
                } else {
                    Ipv6Addr::UNSPECIFIED.into()
                };
                UdpSocket::bind((any, 0)).and_then(|s| s.send_to(b"x", to)).map(drop)
            }
        };
        Ok(())
    })
    .unwrap();
    result
}

/// Destinations near every border of the rules, and some from anywhere; the same in every run.
pub(crate) fn flows() -> Vec<Packet> {
    let fixed = [
        "127.0.0.1",
        "127.255.255.254",
        "126.255.255.255",
        "128.0.0.1",
        "169.254.7.2",
        "169.254.7.1",
        "169.254.7.3",
        "169.254.169.254",
        "10.0.0.1",
        "255.255.255.254",
        "::1",
        "::2",
        "fd6a:6172::2",
        "fd6a:6172::1",
        "fd6a:6172::3",
        "2001:db8::1",
        "fd00:ec2::254",
    ];
    let mut all: Vec<IpAddr> = fixed.iter().map(|a| a.parse().unwrap()).collect();
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut next = || {
        // xorshift64: only to be spread out, and the same every time.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    while all.len() < FLOWS as usize / 2 {
        let v4 = Ipv4Addr::from_bits((next() >> 32) as u32);
        // Multicast, broadcast and "this network" are refused before any rule sees them.
        if v4.octets()[0] < 224 && v4.octets()[0] != 0 {
            all.push(v4.into());
        }
        let low = u128::from(next()) | u128::from(next()) << 64;
        // Global unicast, 2000::/3 (RFC 4291).
        all.push(Ipv6Addr::from_bits(low >> 3 | 1 << 125).into());
    }
    let both = |destination| [TCP, UDP].map(|protocol| Packet { destination, protocol });
    all.into_iter().flat_map(both).collect()
}

/// The first packet on which the kernel and `model` disagree.
fn disagreement(bench: &Bench, model: &Ruleset) -> Option<String> {
    let mut recorded = bench.read().recorded;
    for packet in flows() {
        let meant = model.interpret(&packet);
        let result = send(&bench.ns, packet);
        let now = bench.read().recorded;
        let was_recorded = now > recorded;
        recorded = now;
        let refused = result.is_err();
        // A datagram to a closed port of one's own is sent; a connection there is refused.
        let must_fail = meant.verdict != Verdict::Accept || packet.protocol == TCP;
        if was_recorded != meant.recorded || refused != must_fail {
            return Some(format!(
                "{packet:?}: meant {meant:?}, got {result:?}, recorded {was_recorded}"
            ));
        }
    }
    None
}

pub(crate) fn agreement(_: Privilege) -> Outcome {
    match disagreement(&Bench::new(), &output_rules()) {
        None => Ok(()),
        Some(text) => Err(text.into()),
    }
}

/// A model with any one rule missing must be told from the kernel's rules, or the agreement
/// proves nothing.
pub(crate) fn mutations(_: Privilege) -> Outcome {
    let bench = Bench::new();
    let whole = output_rules();
    // The last two rules give a refusal its form; without them the policy drops, and for the
    // container a dropped packet is refused too.
    for missing in 0..whole.rules.len() - 2 {
        let mut broken = whole.clone();
        let rule = broken.rules.remove(missing);
        if disagreement(&bench, &broken).is_none() {
            return Err(format!("nobody noticed that '{rule}' was missing").into());
        }
    }
    Ok(())
}

/// nftables' own program, also where an ordinary user's PATH lacks its folder.
fn nft() -> Command {
    let mut command = Command::new("nft");
    command.env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin");
    command
}

/// An independent reader: nftables' own program.
pub(crate) fn nft_agrees(_: Privilege) -> Outcome {
    let bench = Bench::new();
    let mut listed = Err(io::Error::other("not run"));
    bench.ns.run(|| {
        listed = nft().args(["--stateless", "list", "ruleset"]).output();
        Ok(())
    })?;
    let listed = listed.map_err(|e| format!("run nft (apt-get install nftables): {e}"))?;
    let text = String::from_utf8(listed.stdout)?;
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    assert!(lines.iter().any(|l| l.contains("hook output") && l.contains("policy drop")), "{text}");
    for rule in bench.read().rules {
        assert!(lines.contains(&rule.as_str()), "nft does not list '{rule}':\n{text}");
    }
    Ok(())
}

/// The missing interface is the wall, the rules only the witness.
pub(crate) fn flushed(_: Privilege) -> Outcome {
    let bench = Bench::new();
    bench.ns.run(|| {
        let done = nft().args(["flush", "ruleset"]).status();
        assert!(done.is_ok_and(|s| s.success()), "nft is needed: apt-get install nftables");
        Ok(())
    })?;
    let outside: IpAddr = "198.51.100.1".parse()?;
    let to = SocketAddr::new(outside, 443);
    let mut reached = true;
    bench.ns.run(|| {
        // Nothing answers, and nothing leaves: the packet goes into `lo` and is not for it.
        reached = TcpStream::connect_timeout(&to, Duration::from_millis(300)).is_ok();
        Ok(())
    })?;
    assert!(!reached);
    assert_eq!(read_interfaces(&bench.ns), ["lo"]);
    Ok(())
}

fn read_interfaces(ns: &NetNs) -> Vec<String> {
    let mut names = Vec::new();
    ns.run(|| {
        let text = std::fs::read_to_string("/proc/thread-self/net/dev").unwrap();
        let name = |l: &str| l.split_once(':').map(|(n, _)| n.trim().to_owned());
        names = text.lines().filter_map(name).collect();
        Ok(())
    })
    .unwrap();
    names
}

pub(crate) fn heard(_: Privilege) -> Outcome {
    let bench = Bench::new();
    let outside: Vec<Packet> =
        flows().into_iter().filter(|p| output_rules().interpret(p).recorded).collect();
    bench.runtime.block_on(async {
        let mut listener = Listener::bind(&bench.ns, GROUP, SNAP_LENGTH).await?;
        for packet in &outside {
            let _ = send(&bench.ns, *packet);
            let heard = tokio::time::timeout(Duration::from_secs(20), listener.next()).await?;
            let heard = heard.ok_or("a record that could not be read")?;
            assert_eq!((heard.destination, heard.protocol), (packet.destination, packet.protocol));
            assert_eq!(heard.port, Some(9));
            assert!(matches!(heard.protocol, TCP | UDP));
        }
        Ok::<_, libtest_mimic::Failed>(())
    })?;
    assert_eq!(bench.read().recorded, outside.len() as u64);
    Ok(())
}
