//! The seal of an instance with peers: what a single one cannot reach, none of several can, alone
//! or with a peer's help; and its peers it can, which is the control.

use crate::ways::differences;
use crate::{inside, table, world};
use belljar_domain::{Event, PeerLink, SealReading};
use belljar_testkit::{As, Run, Scene, Training};
use std::collections::BTreeSet;
use std::io::Write;
use std::net::TcpListener;
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

/// A listener on the host's loopback that answers with a text, as long as the test runs.
fn answering(text: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _gone = stream.write_all(text.as_bytes());
        }
    });
    address
}

fn asked_outside(scene: &Scene, target: &str) -> String {
    let output = scene.command(scene.tools().probe()).args(["ask", target]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
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
    for (place, host) in ["algo-1", "algo-2"].into_iter().enumerate() {
        let lines = inside::read(run.lines_of(host));
        let found = differences(&lines, |way| &way.inside);
        assert!(found.is_empty(), "{who:?} {host}: {found:#?}");
        let (seal, link) = seal_of(&run, host);
        assert_eq!(seal.breaches(Some(link)), Vec::<String>::new(), "{who:?} {host}");
        let recorded = &run.report().instances[place].attempts;
        let targets: BTreeSet<_> = recorded.targets.iter().filter_map(|t| t.address).collect();
        for address in ["192.0.2.1", "10.0.0.1", "169.254.169.254", "2001:db8::1"] {
            assert!(targets.contains(&address.parse().unwrap()), "{who:?} {host}: {address}");
        }
    }
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
    let target = answering("the host");
    for who in As::all() {
        let scene = inside::scene(who);
        assert_eq!(asked_outside(&scene, &target), format!("{target} the host"), "the control");
        let ask = format!("ask {target} algo-2:7001 algo-2:7002 algo-2:7003");
        let proxy = format!("proxy 9 7001={target} 7002=192.0.2.1:80 7003=algo-3:7000");
        let run = inside::complete(&scene, &each("proxy", &[&ask, &proxy, "answer 9 7000 a-peer"]));
        let said = run.lines_of("algo-1");
        let expected = [
            format!("{target} -"),
            "algo-2:7001 -".to_owned(),
            "algo-2:7002 -".to_owned(),
            "algo-2:7003 a-peer".to_owned(),
        ];
        assert_eq!(said, expected, "{who:?}");
        let tried = &run.report().instances[1].attempts.targets;
        let elsewhere = Some("192.0.2.1".parse().unwrap());
        assert!(tried.iter().any(|t| t.address == elsewhere), "{who:?}: the proxy's is recorded");
    }
}

/// Every job has the same addresses, and each reaches its own peers by them.
#[test]
fn two_jobs_side_by_side_do_not_meet() {
    for who in As::all() {
        let scene = inside::scene(who);
        let job = |name: &str, text: &str, own: &str| {
            let answer = format!("answer 6 {own} {text}");
            each(name, &[&answer, "ask algo-1:7100 algo-1:7200 udp:algo-1:7100 udp:algo-1:7200"])
        };
        let (first, second) = (job("first", "one", "7100"), job("second", "two", "7200"));
        let (a, b) = thread::scope(|scope| {
            let first = scope.spawn(|| inside::complete(&scene, &first));
            let second = inside::complete(&scene, &second);
            (first.join().unwrap(), second)
        });
        let ports = |one: &str, two: &str| {
            [
                format!("algo-1:7100 {one}"),
                format!("algo-1:7200 {two}"),
                format!("udp:algo-1:7100 {one}"),
                format!("udp:algo-1:7200 {two}"),
            ]
        };
        assert_eq!(a.lines_of("algo-2"), ports("one", "-"), "{who:?}");
        assert_eq!(b.lines_of("algo-2"), ports("-", "two"), "{who:?}");
        for kind in ["net", "user", "mnt", "pid"] {
            let number = |run, host| seal_of(run, host).0.namespaces[kind];
            let all: BTreeSet<u64> = [&a, &b]
                .into_iter()
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
