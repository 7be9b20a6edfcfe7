//! Several instances: how the job ends.

use crate::instances::{each, several};
use crate::stopping::{is_stopped, processes, until_no_process};
use crate::support::{artifact, entries, failure, scene};
use belljar_domain::{Outcome, SecondaryStatus};
use belljar_testkit::{As, Run, start_all};
use rustix::process::Signal;
use std::thread;
use std::time::{Duration, Instant};

/// Between TERM and KILL, for the peers of one that failed.
const GRACE: Duration = Duration::from_secs(10);
/// As long as the others would have slept, or been let to save what they have.
const LONG: Duration = Duration::from_secs(60);

/// How long it takes, and how it ends.
fn timed(run: impl FnOnce() -> Run) -> (Run, Duration) {
    let began = Instant::now();
    let run = run();
    (run, began.elapsed())
}

fn codes(run: &Run) -> Vec<i32> {
    run.report().instances.iter().map(|r| r.exit.unwrap().code).collect()
}

#[test]
fn the_first_failure_stops_the_others_and_is_the_reason() {
    for who in As::all() {
        let scene = scene(who);
        let sleeps = "in-turn 'meet 7000' 'sleep 600'";
        // The others hear TERM once they have a handler for it: a container's first process has none.
        let fails = "in-turn 'meet 7000' 'sleep 1' 'write-failure no-data 3'";
        let run = each("failed", &[sleeps, fails, sleeps]).run(&scene);
        assert_eq!(run.code, Some(1), "{run:?}");
        let statuses = run.report().transitions.as_slice();
        let training = statuses.iter().find(|t| t.status == SecondaryStatus::Training).unwrap();
        let took = Duration::from_millis(training.end.unwrap().since(training.start));
        let (reason, _) = failure(&run);
        assert_eq!(reason, "AlgorithmError: no-data, exit code: 3 (algo-2)", "{who:?}");
        assert_eq!(codes(&run), [143, 3, 143], "{who:?}");
        assert_eq!(run.report().exit.unwrap().code, 3, "{who:?}: the reason's own");
        assert!(took < GRACE, "{who:?}: who heeds TERM is not waited for: {took:?}");
        assert!(!artifact(&scene, "failed", "model.tar.gz").exists());
    }
}

#[test]
fn a_peer_that_ignores_term_is_killed_after_its_grace() {
    let deaf = |who| {
        let scene = scene(who);
        let commands =
            ["in-turn 'meet 7000' 'sleep 600 --ignore-term'", "in-turn 'meet 7000' 'exit 3'"];
        let (run, took) = timed(|| each("deaf", &commands).run(&scene));
        assert_eq!(failure(&run).0, "AlgorithmError: Exit Code: 3 (algo-2)", "{who:?}");
        assert_eq!(codes(&run), [137, 3], "{who:?}");
        assert!((GRACE..LONG).contains(&took), "{who:?}: {took:?}");
    };
    thread::scope(|scope| {
        As::all().into_iter().for_each(|who| drop(scope.spawn(move || deaf(who))))
    });
}

#[test]
fn a_stop_reaches_all() {
    for who in As::all() {
        let scene = scene(who);
        for (job, signal) in [("int", Signal::INT), ("term", Signal::TERM)] {
            let training = several(job, 2, &["trap-term", "9", "/opt/ml/model/last"]);
            let runs = start_all(&scene, &training, "waiting for TERM", 2);
            runs.signal(signal);
            let run = runs.end();
            is_stopped(&run, 9, None);
            assert_eq!((run.code, codes(&run)), (Some(3), vec![9, 9]), "{who:?}");
            let saved = vec![("last".to_owned(), tar::EntryType::Regular)];
            assert_eq!(entries(&artifact(&scene, job, "model.tar.gz")), saved, "{who:?}");
        }
    }
}

#[test]
fn asked_twice_all_end_at_once() {
    for who in As::all() {
        let scene = scene(who);
        let training = several("twice", 2, &["sleep", "614", "--ignore-term"]);
        let mut job = start_all(&scene, &training, "sleeping", 2);
        assert_eq!(processes("614"), 2, "{who:?}: the control");
        let (run, took) = timed(|| {
            job.signal(Signal::INT);
            // Two signals at once would be one.
            job.until("\"Stopping\"");
            job.signal(Signal::INT);
            job.end()
        });
        assert_eq!(run.code, Some(3), "{who:?}: {}", run.stderr);
        // Asked once, they would have two minutes.
        assert!(took < LONG, "{who:?}: {took:?}");
        until_no_process("614");
        assert!(!artifact(&scene, "twice", "model.tar.gz").exists(), "{who:?}");
    }
}

#[test]
fn the_maximum_runtime_is_that_of_each() {
    for who in As::all() {
        let scene = scene(who);
        let training = several("late", 2, &["trap-term", "0", "/opt/ml/model/last"]);
        let (run, took) = timed(|| training.option("--max-runtime", "1s").run(&scene));
        assert_eq!(run.report().outcome, Outcome::MaxRuntimeExceeded, "{who:?} {run:?}");
        assert_eq!((run.code, codes(&run)), (Some(3), vec![0, 0]), "{who:?}: TERM was heeded");
        assert!((Duration::from_secs(1)..LONG).contains(&took), "{who:?}: {took:?}");
        assert!(artifact(&scene, "late", "model.tar.gz").exists(), "{who:?}");
    }
}
