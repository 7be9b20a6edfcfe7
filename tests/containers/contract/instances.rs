//! Several instances: what each is told, and what becomes of the job.

use crate::own_warden::OwnWarden;
use crate::support::{artifact, complete, entries, failure, scene, start};
use belljar_domain::{Outcome, SecondaryStatus};
use belljar_testkit::{As, Run, Training};
use rustix::process::Signal;
use serde_json::Value;
use std::time::{Duration, Instant};

fn several(job: &str, count: u8, arguments: &[&str]) -> Training {
    Training::probe(job, arguments).option("--instances", &count.to_string())
}

/// A job whose instances run a command each.
fn each(job: &str, commands: &[&str]) -> Training {
    let count = u8::try_from(commands.len()).unwrap();
    several(job, count, &[&["each"], commands].concat())
}

#[test]
fn all_know_each_other_before_they_run() {
    const CONFIG: &str = "/opt/ml/input/config/resourceconfig.json";
    for who in As::all() {
        let scene = scene(who);
        let run = complete(&scene, &several("known", 12, &["cat", "/etc/hosts", CONFIG]));
        let mut hosts: Vec<String> = (1..=12).map(|n| format!("algo-{n}")).collect();
        let addresses: Vec<String> = (1..=12).map(|n| format!("100.127.7.{n}\talgo-{n}")).collect();
        hosts.sort();
        for host in &hosts {
            let lines = run.lines_of(host);
            for address in &addresses {
                assert!(lines.contains(&address.as_str()), "{who:?} {host}: {lines:?}");
            }
            let config: Value = serde_json::from_str(lines.last().unwrap()).unwrap();
            assert_eq!(config["current_host"], host.as_str());
            assert_eq!(config["hosts"], serde_json::json!(hosts), "algo-1, algo-10, algo-11, ...");
            assert_eq!(config["network_interface_name"], "eth0");
            assert_eq!(config["instance_groups"][0]["hosts"].as_array().unwrap().len(), 12);
        }
    }
}

#[test]
fn every_port_of_every_peer_is_open() {
    for who in As::all() {
        let scene = scene(who);
        for count in [2, 3] {
            let run =
                complete(&scene, &several(&format!("meet-{count}"), count, &["meet", "7777"]));
            for n in 1..=count {
                let met = run.lines_of(&format!("algo-{n}"));
                assert_eq!(met.len(), usize::from(count) - 1, "{who:?}: {met:?}");
            }
        }
        let asked = ["1024", "5353", "29500", "65535"];
        let answers: Vec<String> =
            asked.iter().map(|port| format!("answer 4 {port} from-{port}")).collect();
        // One port for each of the peers.
        let all = asked.iter().enumerate().map(|(i, port)| format!("algo-{}:{port}", i + 2));
        let both: Vec<String> = all.flat_map(|t| [format!("udp:{t}"), t]).collect();
        let ask = format!("ask {}", both.join(" "));
        let mut commands = vec![ask.as_str()];
        commands.extend(answers.iter().map(String::as_str));
        let run = complete(&scene, &each("ports", &commands));
        let said = run.lines_of("algo-1");
        assert_eq!(said.len(), 8, "{said:?}");
        for line in said {
            let (target, text) = line.split_once(' ').unwrap();
            assert!(target.ends_with(text.trim_start_matches("from-")), "{who:?}: {line}");
        }
        assert_eq!(run.report().attempts.total(), 0, "{who:?}");
    }
}

#[test]
fn what_they_leave_is_put_together_and_clashes_are_told() {
    for who in As::all() {
        let scene = scene(who);
        let run = complete(
            &scene,
            &each(
                "left",
                &[
                    "fill /opt/ml/model/same 10",
                    "fill /opt/ml/model/same 20",
                    "fill /opt/ml/output/data/other 5",
                ],
            ),
        );
        let names = |archive: &str| -> Vec<String> {
            entries(&artifact(&scene, "left", archive)).into_iter().map(|(n, _)| n).collect()
        };
        assert_eq!(names("model.tar.gz"), ["same", "same.algo-2"], "{who:?}");
        assert_eq!(names("output.tar.gz"), ["other"], "{who:?}");
        let [told] = run.report().warnings.as_slice() else {
            panic!("{:?}", run.report().warnings)
        };
        assert!(told.contains("same.algo-2"), "{told}");
        let equal = complete(&scene, &several("equal", 2, &["fill", "/opt/ml/model/same", "10"]));
        assert_eq!(equal.report().warnings, [""; 0], "{who:?}");
        assert_eq!(entries(&artifact(&scene, "equal", "model.tar.gz")).len(), 1);
    }
}

/// How long it takes, and how it ends.
fn timed(run: impl FnOnce() -> Run) -> (Run, Duration) {
    let began = Instant::now();
    let run = run();
    (run, began.elapsed())
}

#[test]
fn the_first_failure_stops_the_others_and_is_the_reason() {
    for who in As::all() {
        let scene = scene(who);
        let commands = ["sleep 600", "write-failure 'no such data' 3 1", "sleep 600 --ignore-term"];
        let (run, took) = timed(|| each("failed", &commands).run(&scene));
        assert_eq!(run.code, Some(1), "{run:?}");
        let (reason, _) = failure(&run);
        assert_eq!(reason, "AlgorithmError: no such data, exit code: 3 (algo-2)", "{who:?}");
        let codes: Vec<_> = run.report().instances.iter().map(|r| r.exit.unwrap().code).collect();
        assert_eq!(codes, [143, 3, 137], "{who:?}: TERM was heeded, and ignored");
        // 10 s are those that the deaf one had between TERM and KILL.
        assert!(took < Duration::from_secs(60), "{who:?}: {took:?}");
        assert!(!artifact(&scene, "failed", "model.tar.gz").exists());
    }
}

#[test]
fn a_stop_reaches_all() {
    for who in As::all() {
        let scene = scene(who);
        let training = several("stopped", 2, &["trap-term", "9", "/opt/ml/model/last"]);
        let mut job = start(&scene, &training, "waiting for TERM");
        job.until(r#""host":"algo-1""#);
        job.until(r#""host":"algo-2""#);
        std::thread::sleep(Duration::from_millis(200));
        job.signal(Signal::INT);
        let run = job.end();
        assert_eq!(run.report().outcome, Outcome::Stopped, "{run:?}");
        let statuses: Vec<_> =
            run.report().transitions.as_slice().iter().map(|t| t.status).collect();
        assert!(statuses.contains(&SecondaryStatus::Stopping), "{statuses:?}");
        let saved = vec![("last".to_owned(), tar::EntryType::Regular)];
        assert_eq!(entries(&artifact(&scene, "stopped", "model.tar.gz")), saved, "{who:?}");
    }
}

#[test]
fn the_maximum_runtime_is_that_of_each() {
    for who in As::all() {
        let scene = scene(who);
        let mut warden = OwnWarden::new(&scene, "late", &["trap-term", "0"], |assignment| {
            let instance = |n: u8| {
                serde_json::json!({
                    "host": format!("algo-{n}"),
                    "group": "homogeneousCluster",
                    "instanceType": assignment["instanceType"],
                    "resources": assignment["resources"],
                    "address": format!("100.127.7.{n}"),
                })
            };
            let instances = [instance(1), instance(2)];
            assignment["cluster"] =
                serde_json::json!({ "instances": instances, "encrypted": false });
            assignment["stop"]["maxRuntimeSeconds"] = 1.into();
        });
        warden.until("waiting for TERM");
        let run = warden.end();
        assert_eq!(run.report().outcome, Outcome::MaxRuntimeExceeded, "{who:?} {run:?}");
    }
}
