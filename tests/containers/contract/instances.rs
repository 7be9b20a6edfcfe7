//! Several instances: what each is told, whom it reaches, and what of all they leave is kept.

use crate::support::{artifact, complete, entries, scene};
use belljar_testkit::{As, Training};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use tar::EntryType::{Directory, Regular, Symlink};

pub(crate) fn several(job: &str, count: usize, arguments: &[&str]) -> Training {
    Training::probe(job, arguments).option("--instances", &count.to_string())
}

/// A job whose instances run a command each.
pub(crate) fn each(job: &str, commands: &[&str]) -> Training {
    several(job, commands.len(), &[&["each"], commands].concat())
}

#[test]
fn all_know_each_other_before_they_run() {
    const CONFIG: &str = "/opt/ml/input/config/resourceconfig.json";
    // Variables end with NUL, the last of them also; what follows is the other file.
    const ENVIRON: &str = "/proc/self/environ";
    for who in As::all() {
        let scene = scene(who);
        let run = complete(&scene, &several("known", 12, &["cat", "/etc/hosts", ENVIRON, CONFIG]));
        let mut hosts: Vec<String> = (1..=12).map(|n| format!("algo-{n}")).collect();
        let addresses: Vec<String> = (1..=12).map(|n| format!("100.127.7.{n}\talgo-{n}")).collect();
        hosts.sort();
        for host in &hosts {
            let lines = run.lines_of(host);
            for address in &addresses {
                assert!(lines.contains(&address.as_str()), "{who:?} {host}: {lines:?}");
            }
            let (environ, config) = lines.last().unwrap().rsplit_once('\0').unwrap();
            let hostname = format!("HOSTNAME={host}");
            assert!(environ.split('\0').any(|v| v == hostname), "{who:?} {host}: {environ}");
            let config: Value = serde_json::from_str(config).unwrap();
            assert_eq!(config["current_host"], host.as_str());
            assert_eq!(config["hosts"], serde_json::json!(hosts), "algo-1, algo-10, algo-11, ...");
            assert_eq!(config["network_interface_name"], "eth0");
            assert_eq!(config["instance_groups"][0]["hosts"].as_array().unwrap().len(), 12);
        }
    }
}

/// Between all, both ways, by TCP and UDP, by name. Ports below 1024 are like any other.
#[test]
fn every_port_of_every_peer_is_open() {
    const PORTS: [&str; 5] = ["22", "1024", "5353", "29500", "65535"];
    for who in As::all() {
        let scene = scene(who);
        for count in [2, 3] {
            let job = format!("meet-{count}");
            let run = complete(&scene, &several(&job, count, &[&["meet"], &PORTS[..]].concat()));
            for own in 1..=count {
                let others = (1..=count).filter(|n| *n != own);
                let ways = others.flat_map(|n| ["tcp", "udp"].map(|by| (n, by)));
                let met = |(n, by), port| format!("met algo-{n} at 100.127.7.{n} by {by} {port}");
                let expected: BTreeSet<String> =
                    ways.flat_map(|way| PORTS.map(|port| met(way, port))).collect();
                let found = run.lines_of(&format!("algo-{own}"));
                let found: BTreeSet<String> = found.into_iter().map(str::to_owned).collect();
                assert_eq!(found, expected, "{who:?} algo-{own}");
            }
            assert_eq!(run.report().attempts.total(), 0, "{who:?}");
        }
    }
}

#[test]
fn what_they_leave_is_put_together_and_clashes_are_told() {
    for who in As::all() {
        let scene = scene(who);
        let commands = [
            "in-turn 'fill /opt/ml/model/same 10' 'fill /opt/ml/model/equal 7'",
            "in-turn 'fill /opt/ml/model/same 20' 'fill /opt/ml/model/equal 7'",
            "in-turn 'fill /opt/ml/output/data/other 5' 'fill /opt/ml/model/own 1'",
        ];
        let run = complete(&scene, &each("left", &commands));
        let files = |name: &str| {
            let archive = fs::File::open(artifact(&scene, "left", name)).unwrap();
            let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(archive));
            let sizes = archive.entries().unwrap().map(|entry| {
                let entry = entry.unwrap();
                (entry.path().unwrap().display().to_string(), entry.size())
            });
            sizes.collect::<BTreeSet<_>>()
        };
        let named = |all: &[(&str, u64)]| all.iter().map(|(n, s)| (n.to_string(), *s)).collect();
        let model: BTreeSet<_> =
            named(&[("equal", 7), ("own", 1), ("same", 10), ("same.algo-2", 20)]);
        assert_eq!(files("model.tar.gz"), model, "{who:?}");
        assert_eq!(files("output.tar.gz"), named(&[("other", 5)]), "{who:?}");
        let [told] = run.report().warnings.as_slice() else {
            panic!("{:?}", run.report().warnings)
        };
        assert!(told.contains("same.algo-2"), "{told}");
    }
}

/// One instance's link to a folder of the host's, where another has a folder of that name.
#[test]
fn links_are_moved_and_not_followed() {
    for who in As::all() {
        let scene = scene(who);
        let host = scene.dir("host");
        let link = format!("replace /opt/ml/model/deeper {}", host.display());
        let commands = [link.as_str(), "deep /opt/ml/model 1", link.as_str()];
        let run = complete(&scene, &each("links", &commands));
        let found = entries(&artifact(&scene, "links", "model.tar.gz"));
        let expected =
            [("deeper", Symlink), ("deeper.algo-2", Directory), ("deeper.algo-2/bottom", Regular)];
        let found: Vec<_> = found.iter().map(|(n, t)| (n.trim_end_matches('/'), *t)).collect();
        assert_eq!(found, expected, "{who:?}");
        assert_eq!(run.report().warnings.len(), 1, "{who:?}: {:?}", run.report().warnings);
        assert_eq!(fs::read_dir(host).unwrap().count(), 0, "{who:?}");
    }
}
