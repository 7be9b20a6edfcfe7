//! Parts of a job are killed while its container runs.

use crate::leftovers::Footprint;
use crate::processes::Process;
use crate::run::{
    Live, assert_clean, assert_killed, kept_report, model, reason, scene, training, until, waiting,
};
use belljar_domain::{Event, Outcome};
use belljar_testkit::{As, Scene};

/// The processes of a job while its container runs: warden, helper and container at least.
fn running(live: &mut Live<'_>) -> (Process, Footprint) {
    live.until_waiting();
    let warden = live.warden();
    let before = Footprint::of(warden);
    assert!(before.processes() >= 3, "{before:?}");
    (warden, before)
}

/// The helper below a warden, or the keeper below a helper.
fn helper(above: Process) -> Process {
    above.children().into_iter().find(|p| p.command().contains(" box")).unwrap()
}

fn container(warden: Process) -> Process {
    let tree = warden.tree();
    tree.into_iter().find(|p| p.command().starts_with("/probe")).unwrap()
}

#[test]
fn the_warden() {
    for who in As::all() {
        let scene = scene(who);
        let training = waiting(&scene, "warden");
        let mut live = Live::start(&scene, &training, &[]);
        let (warden, before) = running(&mut live);
        warden.kill();
        assert_killed(&scene, training.job(), &live.end());
        assert_clean(&scene, training.job(), &before);
    }
}

#[test]
fn the_helper_between_warden_and_container() {
    for who in As::all() {
        let scene = scene(who);
        let training = waiting(&scene, "helper");
        let mut live = Live::start(&scene, &training, &[]);
        let (warden, before) = running(&mut live);
        helper(warden).kill();
        let run = live.end();
        let said = reason(run.report());
        assert!(said.starts_with("InternalServerError"), "{said}");
        assert!(said.contains("helper: it was killed"), "{said}");
        assert_eq!(run.code, Some(4), "{run:?}");
        assert_eq!(kept_report(&scene, training.job()), *run.report());
        assert_clean(&scene, training.job(), &before);
    }
}

#[test]
fn the_container_itself() {
    for who in As::all() {
        let scene = scene(who);
        let training = waiting(&scene, "container");
        let mut live = Live::start(&scene, &training, &[]);
        let (warden, before) = running(&mut live);
        container(warden).kill();
        let run = live.end();
        let report = run.report();
        assert!(reason(report).starts_with("AlgorithmError"), "{report:?}");
        assert_eq!(report.exit.unwrap().signal, Some(9));
        assert_eq!(run.code, Some(1));
        assert_clean(&scene, training.job(), &before);
    }
}

/// The warden notices that it is alone, stops the container as on request, and keeps what the
/// container left.
#[test]
fn belljar_itself() {
    for who in As::all() {
        let scene = scene(who);
        let training = waiting(&scene, "belljar");
        let mut live = Live::start(&scene, &training, &[]);
        let (warden, before) = running(&mut live);
        live.belljar().kill();
        assert_eq!(live.end().code, None);
        until("the warden's end", || (!warden.lives()).then_some(()));
        let report = kept_report(&scene, training.job());
        assert_eq!(report.outcome, Outcome::Stopped);
        assert_eq!(report.exit.unwrap().code, 0, "TERM should have reached it: {report:?}");
        assert!(!report.artifacts.is_empty(), "{report:?}");
        assert_clean(&scene, training.job(), &before);
    }
}

/// Nobody is left to sweep, so the next job does, and writes the report that is missing.
#[test]
fn belljar_and_the_warden() {
    for who in As::all() {
        let scene = scene(who);
        let training = waiting(&scene, "both");
        let mut live = Live::start(&scene, &training, &[]);
        let (warden, before) = running(&mut live);
        live.kill_with(warden);
        assert_eq!(live.end().code, None);
        let folder = scene.state().join("jobs").join(training.job());
        assert!(folder.join("scratch").exists(), "there should be something to sweep");
        let next = model(&scene, "next").run(&scene);
        assert_eq!(next.report().outcome, Outcome::Completed, "{next:?}");
        let warned = next.events.iter().any(|e| matches!(e, Event::Warning { .. }));
        assert!(!warned && next.stderr.is_empty(), "{next:?}");
        let report = kept_report(&scene, training.job());
        assert!(reason(&report).starts_with("InternalServerError"), "{report:?}");
        assert_clean(&scene, training.job(), &before);
    }
}

/// A job that runs is not touched by another one's start.
#[test]
fn a_sweep_leaves_running_jobs_alone() {
    for who in As::all() {
        let scene = scene(who);
        let training = waiting(&scene, "runs");
        let mut live = Live::start(&scene, &training, &[]);
        let (_, before) = running(&mut live);
        let other = model(&scene, "other").run(&scene);
        assert_eq!(other.report().outcome, Outcome::Completed, "{other:?}");
        live.belljar().signal(rustix::process::Signal::INT);
        let run = live.end();
        assert_eq!((run.code, &run.report().outcome), (Some(3), &Outcome::Stopped), "{run:?}");
        assert!(!run.report().artifacts.is_empty());
        assert_clean(&scene, training.job(), &before);
    }
}

/// A container may ask the kernel not to be killed with its parent: it gains nothing by it.
#[test]
fn the_warden_of_a_container_that_clings_to_life() {
    for who in As::all() {
        let scene = scene(who);
        for victim in ["warden", "helper", "keeper"] {
            let training = training(&scene, &format!("clings-{victim}"), &["cling"]);
            let mut live = Live::start(&scene, &training, &[]);
            let (warden, before) = running(&mut live);
            if victim == "warden" {
                warden.kill()
            } else {
                helper(warden).kill()
            }
            let run = live.end();
            assert!(reason(run.report()).starts_with("InternalServerError"), "{run:?}");
            assert_clean(&scene, training.job(), &before);
        }
    }
}

/// What a container leaves in its folders may be as deep as it likes.
#[test]
fn a_tree_too_deep_to_be_walked_is_removed() {
    for who in As::all() {
        let scene: Scene = scene(who);
        let training = training(&scene, "deep", &["deep", "/tmp", "1500"]);
        let run = training.run(&scene);
        assert_eq!(run.report().outcome, Outcome::Completed, "{run:?}");
        let could_not = run.report().warnings.iter().find(|w| w.contains("could not"));
        assert_eq!(could_not, None);
        assert_clean(&scene, training.job(), &Footprint::default());
    }
}
