//! The seal of an instance with peers: what a single one cannot reach, none of several can, alone
//! or with a peer's help; and its peers it can, which is the control.

use crate::attempts::{Target, list, of_attempts};
use crate::ways::differences;
use crate::{inside, table, world};
use belljar_domain::{Allowed, Event, PeerLink, Protocol, SealReading};
use belljar_testkit::{As, Run, Scene, Training, start_all};
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

fn each(job: &str, commands: &[&str]) -> Training {
    let arguments = [&["each"], commands].concat();
    Training::probe(job, &arguments).option("--instances", &commands.len().to_string())
}

fn seal_of<'a>(run: &'a Run, host: &str) -> (&'a SealReading, &'a PeerLink) {
    let sealed = |e| match e {
        &Event::Sealed { ref seal, peers: Some(ref link) } => Some((&**seal, &**link)),
        _ => None,
    };
    run.of_instance(host).into_iter().find_map(sealed).unwrap()
}

/// A listener on all of the host's addresses, which answers with a text as long as the test runs.
struct Host {
    port: u16,
    called: Arc<AtomicUsize>,
}

impl Host {
    fn answering(text: &'static str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let called = Arc::new(AtomicUsize::new(0));
        let counter = called.clone();
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                counter.fetch_add(1, Ordering::SeqCst);
                let _gone = stream.write_all(text.as_bytes());
            }
        });
        Self { port, called }
    }

    /// Its loopback's, and those that others know it by where it has any.
    fn targets(&self) -> Vec<String> {
        let trie = std::fs::read_to_string("/proc/net/fib_trie").unwrap();
        let lines: Vec<&str> = trie.lines().map(str::trim).collect();
        let local = lines.windows(2).filter(|pair| pair[1] == "/32 host LOCAL");
        let local: BTreeSet<Ipv4Addr> =
            local.map(|pair| pair[0].trim_start_matches("|-- ").parse().unwrap()).collect();
        let others = local.into_iter().filter(|address| !address.is_loopback()).take(2);
        let all = std::iter::once(Ipv4Addr::LOCALHOST).chain(others);
        all.map(|address| format!("{address}:{}", self.port)).collect()
    }

    fn called(&self) -> usize {
        self.called.load(Ordering::SeqCst)
    }
}

fn asked_outside(scene: &Scene, target: &str) -> String {
    let output = scene.command(scene.tools().probe()).args(["ask", target]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// What an instance said to `ask`.
fn answers(run: &Run, host: &str) -> Vec<String> {
    let lines = run.lines_of(host).into_iter();
    let said = |line: &&str| line.split_once(' ').is_some_and(|(target, _)| target.contains(':'));
    lines.filter(said).map(str::to_owned).collect()
}

fn tried<'a>(run: &'a Run, host: &str) -> Vec<Target<'a>> {
    let report = run.report().instances.iter().find(|r| r.host.as_str() == host).unwrap();
    list(&report.attempts)
}

/// One connection, as the report has it.
fn tcp(target: &str) -> Target<'_> {
    let target: std::net::SocketAddrV4 = target.parse().unwrap();
    (Protocol::Tcp, Some((*target.ip()).into()), Some(target.port()), None, 1)
}

/// The table of a single instance's ways holds on each of several, whichever way leads to its peer.
#[test]
fn every_way_out_is_closed_on_every_instance() {
    for who in As::all() {
        let training = Training::probe("ways", &["nested", "attempts"]).option("--instances", "2");
        every_way_is_closed(who, &training);
        // An ordinary user may be kept from TUN devices; `contract` holds what then comes.
        if who == As::Root {
            every_way_is_closed(who, &training.flag("--encrypt-inter-container-traffic"));
        }
    }
}

fn every_way_is_closed(who: As, training: &Training) {
    let scene = inside::scene(who);
    let run = inside::complete(&scene, training);
    for host in ["algo-1", "algo-2"] {
        let lines = inside::read(run.lines_of(host));
        let found = differences(&lines, |way| &way.inside);
        assert!(found.is_empty(), "{who:?} {host}: {found:#?}");
        let (seal, link) = seal_of(&run, host);
        assert_eq!(
            seal.breaches(Allowed::joined(Some(link))),
            Vec::<String>::new(),
            "{who:?} {host}"
        );
        assert_eq!(tried(&run, host), of_attempts(), "{who:?} {host}");
    }
    let of_both =
        of_attempts().into_iter().map(|(p, a, port, n, count)| (p, a, port, n, 2 * count));
    assert_eq!(list(&run.report().attempts), of_both.collect::<Vec<_>>(), "{who:?}: the job's own");
    // The same ways are open where nothing is sealed: `ways.rs` holds all of them.
    assert!(!table::ways().is_empty() && !world::attempts(&scene).is_empty());
}

#[test]
fn it_sees_its_peers_interface_and_a_route_to_each_alone() {
    for who in As::all() {
        let scene = inside::scene(who);
        let training = Training::probe("facts", &["attempts"]).option("--instances", "3");
        let run = inside::complete(&scene, &training);
        let lines = inside::read(run.lines_of("algo-2"));
        let interfaces = inside::fact(&lines, "interfaces");
        assert_eq!(*interfaces, serde_json::json!(["eth0", "lo"]), "{who:?}");
        // Destinations as /proc/net/route has them: little-endian hexadecimal.
        let routes = inside::text(&lines, "routes4");
        let to_eth0: BTreeSet<&str> = routes
            .lines()
            .skip(1)
            .map(|l| l.split_whitespace().collect::<Vec<_>>())
            .filter(|words| words[0] == "eth0")
            .map(|words| words[1])
            .collect();
        assert_eq!(to_eth0, ["01077F64", "03077F64"].into(), "{who:?}: {routes}");
    }
}

/// A peer that forwards on purpose reaches what it reaches itself: its peers, and nothing else.
#[test]
fn a_peer_that_forwards_helps_nobody_out() {
    let host = Host::answering("the-host");
    let outside = host.targets();
    // What is no container's own address is recorded, of whoever tried.
    let direct: Vec<_> =
        outside.iter().filter(|t| !t.starts_with("127.")).map(|target| tcp(target)).collect();
    for who in As::all() {
        let scene = inside::scene(who);
        for target in &outside {
            assert_eq!(asked_outside(&scene, target), format!("{target} the-host"), "the control");
        }
        let called = host.called();
        assert!(called >= outside.len());
        let ways = (7100..).zip(&outside);
        let ways: String = ways.map(|(port, target)| format!("{port}={target} ")).collect();
        let mut asks = outside.clone();
        asks.extend((7100..).take(outside.len()).map(|port| format!("algo-2:{port}")));
        asks.extend(["algo-2:7200", "algo-2:7201", "algo-2:7000"].map(str::to_owned));
        let commands = [
            format!("in-turn 'meet 7001' 'ask {}' 'meet 7002'", asks.join(" ")),
            format!(
                "in-turn 'proxy 0 {ways}7200=192.0.2.77:80 7201=algo-3:7000' 'answer 0 7000 itself' 'meet 7001' 'meet 7002'"
            ),
            "in-turn 'answer 0 7000 a-peer' 'meet 7001' 'meet 7002'".to_owned(),
        ];
        let run =
            inside::complete(&scene, &each("proxy", &commands.each_ref().map(|c| c.as_str())));
        let open = ["algo-2:7201 a-peer", "algo-2:7000 itself"];
        let expected = asks.iter().map(|target| {
            let open = open.iter().find(|answer| answer.starts_with(&format!("{target} ")));
            open.map_or(format!("{target} -"), |answer| (*answer).to_owned())
        });
        assert_eq!(answers(&run, "algo-1"), expected.collect::<Vec<_>>(), "{who:?}");
        assert_eq!(host.called(), called, "{who:?}: nobody has called since the control");
        assert_eq!(tried(&run, "algo-1"), direct, "{who:?}");
        let mut forwarded = [direct.clone(), vec![tcp("192.0.2.77:80")]].concat();
        forwarded.sort_unstable();
        assert_eq!(tried(&run, "algo-2"), forwarded, "{who:?}");
        assert_eq!(tried(&run, "algo-3"), [], "{who:?}");
    }
}

/// Every job has the same addresses, and each reaches its own peers by them.
#[test]
fn two_jobs_side_by_side_do_not_meet() {
    const THIRD: &str = "100.127.7.3:7000";
    for who in As::all() {
        let scene = inside::scene(who);
        let ask = format!("ask algo-1:7000 udp:algo-1:7000 100.127.7.1:7000 {THIRD}");
        // Waits beside the other, and asks again while that one waits.
        let job = |name: &str, count: usize| {
            let answer = format!("answer 0 7000 {name}");
            let commands =
                ["in-turn", &answer, "meet 7001", &ask, "trap-term 0", &ask, "meet 7002"];
            let training = Training::probe(name, &commands);
            start_all(
                &scene,
                &training.option("--instances", &count.to_string()),
                "waiting for TERM",
                count,
            )
        };
        let three = job("three", 3);
        let two = job("two", 2);
        let alone = inside::probe(&scene, "alone", &["ask", "100.127.7.1:7000", THIRD]);
        let ended = [three, two].map(|job| {
            job.signal(Signal::INT);
            job.end()
        });
        let [three, two] = &ended;
        let own = |name: &str, third: &str| {
            let first = ["algo-1:7000", "udp:algo-1:7000", "100.127.7.1:7000"];
            let mut all = first.map(|target| format!("{target} {name}")).to_vec();
            all.push(format!("{THIRD} {third}"));
            [all.clone(), all].concat()
        };
        assert_eq!(answers(three, "algo-2"), own("three", "three"), "{who:?}: the control");
        assert_eq!(answers(two, "algo-2"), own("two", "-"), "{who:?}");
        let twice = |(protocol, address, port, name, _)| (protocol, address, port, name, 2);
        assert_eq!(tried(two, "algo-2"), [twice(tcp(THIRD))], "{who:?}: it is recorded");
        assert_eq!(tried(three, "algo-2"), [], "{who:?}");
        let said = alone.lines(belljar_domain::Stream::Stdout);
        assert_eq!(said, ["100.127.7.1:7000 -", "100.127.7.3:7000 -"], "{who:?}");
        assert_eq!(
            list(&alone.report().attempts),
            [tcp("100.127.7.1:7000"), tcp(THIRD)],
            "{who:?}"
        );
        for kind in ["net", "user", "mnt", "pid"] {
            let number = |run, host| seal_of(run, host).0.namespaces[kind];
            let all: BTreeSet<u64> = ended
                .iter()
                .flat_map(|run| ["algo-1", "algo-2"].map(|host| number(run, host)))
                .collect();
            assert_eq!(all.len(), 4, "{who:?}: {kind}");
        }
    }
}

/// Names of peers resolve, and others do not.
#[test]
fn the_names_of_peers_resolve_and_no_other() {
    for who in As::all() {
        let scene = inside::scene(who);
        let known = rustix::system::uname().nodename().to_str().unwrap().to_owned();
        let other = format!("dns:{known}");
        let arguments = ["attempts", "dns:algo-2", "dns:algo-3", &other];
        let training = Training::probe("names", &arguments).option("--instances", "2");
        let run = inside::complete(&scene, &training);
        let lines = inside::read(run.lines_of("algo-1"));
        assert_eq!(lines["dns algo-2"].value, serde_json::json!(["100.127.7.2"]), "{who:?}");
        for name in ["algo-3", &known] {
            assert_eq!(lines[&format!("dns {name}")].result, "unresolved", "{who:?}: {name}");
        }
    }
}
