//! How a job ends, in SageMaker's words and in exit codes.

use crate::own_warden::OwnWarden;
use crate::support::{artifact, complete, failure, scene};
use belljar_domain::{Event, Exit, Outcome, SecondaryStatus};
use belljar_testkit::{As, Training};
use serde_json::json;

#[test]
fn an_exit_code_without_a_word() {
    for who in As::all() {
        let scene = scene(who);
        for code in [1, 7, 255] {
            let run = Training::probe(&format!("exit-{code}"), &["exit", &code.to_string()]);
            let run = run.run(&scene);
            assert_eq!(failure(&run).0, format!("AlgorithmError: Exit Code: {code}"), "{who:?}");
            let exit = Exit { code, signal: None, out_of_memory: false };
            assert_eq!(run.report().exit, Some(exit), "{who:?}");
            assert_eq!(run.code, Some(1), "{who:?}: the job failed, whatever its own code");
            let mut statuses = run.report().transitions.as_slice().iter().map(|t| t.status);
            assert_eq!(statuses.next_back(), Some(SecondaryStatus::Failed), "{who:?}");
        }
    }
}

#[test]
fn the_failure_file_becomes_the_reason() {
    for who in As::all() {
        let scene = scene(who);
        let run = Training::probe("file", &["write-failure", "no column 'y'", "3"]).run(&scene);
        assert_eq!(failure(&run).0, "AlgorithmError: no column 'y', exit code: 3", "{who:?}");
        // Two hundred and fifty characters are all that one argument may have; four times as
        // many come by the hyperparameter.
        let long = "ä".repeat(1200);
        let says = format!("probe=write-failure {long} 1");
        let run = Training::new("long", "probe").option("--hyperparameter", &says).run(&scene);
        let (reason, _) = failure(&run);
        assert_eq!(reason.chars().count(), 1024, "{who:?}: {reason}");
        assert!(reason.ends_with("ä, exit code: 1"), "{who:?}: {reason}");
    }
}

/// A failure file does not make a success a failure.
#[test]
fn exit_zero_is_completed() {
    for who in As::all() {
        let scene = scene(who);
        let run = complete(&scene, &Training::probe("zero", &["write-failure", "so what", "0"]));
        assert_eq!(run.report().exit.unwrap().code, 0, "{who:?}");
        let statuses: Vec<_> =
            run.report().transitions.as_slice().iter().map(|t| t.status).collect();
        use SecondaryStatus::{Completed, Downloading, Starting, Training as Trains, Uploading};
        assert_eq!(statuses, [Starting, Downloading, Trains, Uploading, Completed], "{who:?}");
    }
}

#[test]
fn a_failed_job_leaves_no_artifact_but_evidence() {
    for who in As::all() {
        let scene = scene(who);
        let says = "probe=exit 4";
        let run = Training::new("failed", "probe").option("--hyperparameter", says).run(&scene);
        assert_eq!(run.code, Some(1), "{who:?}");
        assert!(!artifact(&scene, "failed", "model.tar.gz").exists(), "{who:?}");
        assert!(scene.output().join("failed/evidence/algo-1.intoto.json").is_file(), "{who:?}");
    }
}

#[test]
fn metrics_are_read_from_both_streams_and_the_last_counts() {
    for who in As::all() {
        let scene = scene(who);
        let training = Training::probe("metrics", &["print-lines", "20"])
            .option("--metric", "line=line ([0-9]+)")
            .option("--metric", "none=loss=([0-9.]+)");
        let run = complete(&scene, &training);
        let told: Vec<f64> = run
            .events
            .iter()
            .filter_map(|e| match e {
                Event::Metric(m) => Some(m.value),
                _ => None,
            })
            .collect();
        assert_eq!(told.len(), 20, "{who:?}: {told:?}");
        let [metric] = &run.report().metrics[..] else { panic!("{:?}", run.report().metrics) };
        assert_eq!(metric.name, "line");
        // Two streams have no order between them: the last of either may come last.
        assert!(metric.value >= 19.0, "{who:?}: {metric:?}");
    }
}

/// The same name twice would put two jobs' artifacts in one place.
#[test]
fn a_jobs_name_is_used_once() {
    for who in As::all() {
        let scene = scene(who);
        complete(&scene, &Training::probe("once", &["exit", "0"]));
        let again = Training::probe("once", &["exit", "0"]).command(&scene).output().unwrap();
        assert_eq!(again.status.code(), Some(2), "{who:?}: {again:?}");
    }
}

#[test]
fn out_of_time_is_stopped_and_keeps_its_artifacts() {
    for who in As::all() {
        let scene = scene(who);
        let training = Training::probe("time", &["sleep", "600"]).option("--max-runtime", "1s");
        let run = training.run(&scene);
        assert_eq!(run.report().outcome, Outcome::MaxRuntimeExceeded, "{who:?}");
        assert_eq!(run.code, Some(3), "{who:?}");
        assert_eq!(run.report().exit.unwrap().code, 143, "{who:?}: TERM came first");
        assert!(artifact(&scene, "time", "model.tar.gz").is_file(), "{who:?}");
    }
}

/// Without a report, the attempt is lost, and the service may begin another one.
#[test]
fn a_vpc_that_nobody_holds_fails_the_attempt_and_not_the_job() {
    for who in As::all() {
        let scene = scene(who);
        let warden = OwnWarden::new(&scene, "no-fabric", &["exit", "0"], |assignment| {
            assignment["vpc"] = json!({
                "interface": "eni-1", "vpc": "vpc-1", "subnet": "subnet-1", "address": "10.0.1.10",
                "prefix": 24, "gateway": "10.0.1.1", "mac": "02:00:00:00:00:01", "addressV6": null,
                "resolvers": [], "search": null, "inside": true,
            });
        });
        let run = warden.end();
        assert!(!run.events.iter().any(|e| matches!(e, Event::Report(_))), "{who:?}: {run:?}");
        assert!(run.stderr.contains("there is no holder of the VPC"), "{who:?}: {}", run.stderr);
        assert_eq!(run.code, Some(70), "{who:?}");
    }
}
