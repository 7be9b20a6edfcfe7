//! What a container is: its privileges, its view of the machine, and what it may still do.

use crate::inside::{self, Lines, fact, text};
use belljar_domain::Stream;
use belljar_testkit::{As, Scene};
use std::fs;

fn inside_of(who: As) -> (Scene, Lines) {
    let scene = inside::scene(who);
    let (_, lines) = inside::attempts(&scene, "facts", &[]);
    (scene, lines)
}

#[test]
fn there_is_no_privilege_and_no_way_to_one() {
    for who in As::all() {
        let (scene, lines) = inside_of(who);
        let status = fact(&lines, "status");
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert_eq!(status[set], "0000000000000000", "{who:?}: {set}");
        }
        assert_eq!((&status["NoNewPrivs"], &status["Seccomp"]), (&"1".into(), &"2".into()));
        assert_eq!(status["Uid"], "0\t0\t0\t0", "{who:?}: root, but only in its own namespace");
        assert_eq!(status["Groups"], "", "{who:?}: no group of the host's");
        let copy = text(&lines, "setuid-copy");
        assert!(copy.contains("CapEff:\t0000000000000000"), "{who:?}: {copy}");
        // The control: the same probe, outside, has none of this taken away.
        let control = inside::outside(&scene, &["attempts", "--outside"]);
        let status = fact(&control, "status");
        assert_eq!((&status["NoNewPrivs"], &status["Seccomp"]), (&"0".into(), &"0".into()));
        assert_ne!(status["CapBnd"], "0000000000000000", "{who:?}");
    }
}

#[test]
fn its_ids_are_not_the_hosts() {
    for who in As::all() {
        let (_, lines) = inside_of(who);
        for map in ["uid-map", "gid-map"] {
            let map: Vec<u32> =
                text(&lines, map).split_whitespace().map(|n| n.parse().unwrap()).collect();
            let [0, outside, count] = map[..] else { panic!("{who:?}: {map:?}") };
            match who {
                // Far above what the host gives to anyone, and 65,536 of them.
                As::Root => assert!(outside >= 1 << 30 && count == 1 << 16, "{map:?}"),
                // The user's own id alone, as the namespace around this one has it.
                As::User => assert_eq!((outside, count), (0, 1)),
            }
        }
    }
}

#[test]
fn every_namespace_is_its_own() {
    for who in As::all() {
        let (scene, lines) = inside_of(who);
        let control = inside::outside(&scene, &["attempts", "--outside"]);
        let (own, host) = (fact(&lines, "namespaces"), fact(&control, "namespaces"));
        for kind in ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"] {
            assert!(host[kind].is_string(), "{kind}: {host}");
            assert_ne!(own[kind], host[kind], "{who:?}: {kind}");
        }
        assert_eq!(*fact(&lines, "processes"), serde_json::json!([1]), "{who:?}");
        assert!(fact(&control, "processes").as_array().unwrap().len() > 1);
        assert_eq!(text(&lines, "hostname"), "algo-1\n", "{who:?}");
        assert_ne!(text(&control, "hostname"), "algo-1\n");
        let cgroup = text(&lines, "cgroup");
        assert!(cgroup.lines().all(|l| l.ends_with(":/")), "{who:?}: {cgroup}");
    }
}

#[test]
fn it_sees_one_interface_and_no_route_out() {
    for who in As::all() {
        let (_, lines) = inside_of(who);
        assert_eq!(*fact(&lines, "interfaces"), serde_json::json!(["lo"]), "{who:?}: sysfs");
        let devices = text(&lines, "net-dev");
        let devices: Vec<&str> = devices
            .lines()
            .filter_map(|l| l.split_once(':'))
            .map(|(name, _)| name.trim())
            .collect();
        assert_eq!(devices, ["lo"], "{who:?}: procfs");
        for (table, last) in [("routes4", false), ("routes6", true)] {
            for route in text(&lines, table).lines().skip(usize::from(!last)) {
                let mut words = route.split_whitespace();
                let device = if last { words.next_back() } else { words.next() };
                assert_eq!(device, Some("lo"), "{who:?}: {route}");
            }
        }
        assert_eq!(text(&lines, "resolv").lines().next(), Some("nameserver 127.0.0.1"));
    }
}

/// As in Docker, below 1024 too: it is alone there.
#[test]
fn it_may_listen_at_every_port_of_its_own() {
    for who in As::all() {
        let commands = ["in-turn", "answer 0 22 itself", "ask algo-1:22 udp:algo-1:22"];
        let run = inside::probe(&inside::scene(who), "listens", &commands);
        let said = ["answering", "algo-1:22 itself", "udp:algo-1:22 itself"];
        assert_eq!(run.lines(Stream::Stdout), said, "{who:?}");
    }
}

/// Files that are masked are empty inside, and not outside.
#[test]
fn masked_files_say_nothing() {
    let masked = ["/proc/timer_list", "/proc/interrupts", "/proc/keys"];
    for who in As::all() {
        let scene = inside::scene(who);
        let run = inside::probe(&scene, "masked", &[&["cat"], &masked[..]].concat());
        assert_eq!(run.lines(Stream::Stdout), [""; 0], "{who:?}");
        assert!(!fs::read("/proc/interrupts").unwrap().is_empty(), "there is something to hide");
        let run = inside::probe(&scene, "shown", &["cat", "/proc/self/comm"]);
        assert_eq!(run.lines(Stream::Stdout), ["probe"], "{who:?}: others can be read");
    }
}

/// Its root has what the image has and what the platform adds, and nothing of the host's.
#[test]
fn the_hosts_files_are_not_there() {
    for who in As::all() {
        let scene = inside::scene(who);
        let secret = scene.file("secret", "the host's own");
        let path = secret.to_str().unwrap();
        let run = belljar_testkit::Training::probe("files", &["cat", path]).run(&scene);
        assert_eq!(run.code, Some(1), "{who:?}: {run:?}");
        assert!(run.lines(Stream::Stderr).concat().contains("No such file"), "{run:?}");
        let tree = inside::probe(&scene, "tree", &["tree", "/"]);
        let tree = tree.lines(Stream::Stdout);
        let names = tree.iter().map(|l| l.split(' ').next_back().unwrap());
        // What is in these is looked at elsewhere.
        let apart = |n: &&str| !n.starts_with("/dev/") && !n.starts_with("/opt/ml/");
        let names: Vec<&str> = names.filter(apart).collect();
        let own = "/ /dev /etc /etc/hostname /etc/hosts /etc/resolv.conf /opt /opt/ml /probe /proc \
                   /sys /tmp";
        assert_eq!(names.join(" "), own, "{who:?}");
    }
}
