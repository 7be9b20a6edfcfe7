//! Parts of a job with several instances are killed.

use crate::leftovers::Footprint;
use crate::processes::Process;
use crate::run::{
    Live, assert_clean, assert_killed, kept_report, model, reason, scene, training, until, waiting,
};
use belljar_domain::{Outcome, Stage};
use belljar_testkit::{As, Scene, Training};
use rustix::process::Signal;

fn several(scene: &Scene, what: &str) -> Training {
    waiting(scene, what).option("--instances", "2")
}

/// The job's warden and those of its instances, once both containers run.
fn running(live: &mut Live<'_>) -> (Process, Vec<Process>, Footprint) {
    let warden = live.warden();
    until("both containers run", || {
        (live.stdout().matches("waiting for TERM").count() == 2).then_some(())
    });
    let below = warden.tree().into_iter();
    let members: Vec<_> = below.filter(is_member).collect();
    assert_eq!(members.len(), 2, "{members:?}");
    (warden, members, Footprint::of(warden))
}

fn is_member(process: &Process) -> bool {
    process.command().contains("exe instance ")
}

/// A job of one name can be tried again after it: nothing is left but what a record is.
#[test]
fn the_jobs_warden() {
    for who in As::all() {
        let scene = scene(who);
        let training = several(&scene, "leader");
        let mut live = Live::start(&scene, &training, &[]);
        let (warden, _, before) = running(&mut live);
        warden.kill();
        assert_killed(&scene, training.job(), &live.end());
        assert_clean(&scene, training.job(), &before);
    }
}

#[test]
fn the_warden_of_an_instance() {
    for who in As::all() {
        let scene = scene(who);
        let training = several(&scene, "member");
        let mut live = Live::start(&scene, &training, &[]);
        let (_, members, before) = running(&mut live);
        members[1].kill();
        let run = live.end();
        let said = reason(run.report());
        assert!(said.starts_with("InternalServerError") && said.contains("algo-"), "{said}");
        assert_clean(&scene, training.job(), &before);
    }
}

#[test]
fn belljar_and_the_jobs_warden() {
    for who in As::all() {
        let scene = scene(who);
        let training = several(&scene, "both");
        let mut live = Live::start(&scene, &training, &[]);
        let (warden, _, before) = running(&mut live);
        live.kill_with(warden);
        assert_eq!(live.end().code, None);
        let next = model(&scene, "next").run(&scene);
        assert_eq!(next.report().outcome, Outcome::Completed, "{next:?}");
        assert_clean(&scene, training.job(), &before);
    }
}

/// `belljar` alone: all are stopped as on request, and what they left is kept.
#[test]
fn belljar_itself() {
    for who in As::all() {
        let scene = scene(who);
        let training = several(&scene, "belljar");
        let mut live = Live::start(&scene, &training, &[]);
        let (warden, _, before) = running(&mut live);
        live.belljar().kill();
        assert_eq!(live.end().code, None);
        until("the warden's end", || (!warden.lives()).then_some(()));
        let report = kept_report(&scene, training.job());
        assert_eq!(report.outcome, Outcome::Stopped);
        for instance in &report.instances {
            assert_eq!(instance.exit.unwrap().code, 0, "TERM should have reached it: {report:?}");
        }
        assert_clean(&scene, training.job(), &before);
    }
}

/// What of one instance is killed besides its warden, and whose failure that is.
#[test]
fn the_helper_or_the_container_of_an_instance() {
    for who in As::all() {
        let scene = scene(who);
        for (victim, blamed) in [("helper", "InternalServerError"), ("container", "AlgorithmError")]
        {
            let training = several(&scene, victim);
            let mut live = Live::start(&scene, &training, &[]);
            let (_, members, before) = running(&mut live);
            let below: Vec<_> = members[1].tree().into_iter().collect();
            let helper = below.iter().find(|p| p.command().contains(" box"));
            let container = below.iter().find(|p| p.command().starts_with("/probe"));
            if victim == "helper" { helper } else { container }.unwrap().kill();
            let run = live.end();
            let said = reason(run.report());
            assert!(said.starts_with(blamed), "{who:?} {victim}: {said}");
            let first = run.report().instances.iter().find(|i| said.contains(i.host.as_str()));
            assert!(matches!(first.unwrap().outcome, Outcome::Failed { .. }), "{who:?}: {run:?}");
            let other = run.report().instances.iter().find(|i| i.host != first.unwrap().host);
            assert_eq!(other.unwrap().outcome, Outcome::Stopped, "{who:?}: {run:?}");
            assert_clean(&scene, training.job(), &before);
        }
    }
}

/// The job's warden is killed at each of its stages that instances are part of; in the second
/// round with `belljar`, so that nobody is left to sweep but the next.
#[test]
fn the_jobs_warden_at_its_own_stages() {
    for who in As::all() {
        let scene = scene(who);
        for stage in [Stage::Instances, Stage::StageOut] {
            for when in ["before", "during", "after"] {
                let place = format!("{}:{when}", stage.as_str());
                for alone in [true, false] {
                    let what = format!("{}-{when}-{alone}", stage.as_str());
                    let job = model(&scene, &what).option("--instances", "2");
                    let variables = [("BELLJAR_WARDEN_PAUSE_AT", place.as_str())];
                    let mut live = Live::start(&scene, &job, &variables);
                    let warden = live.stopped_warden(&place);
                    let before = Footprint::of(warden);
                    if alone {
                        warden.kill();
                        assert_killed(&scene, job.job(), &live.end());
                    } else {
                        live.kill_with(warden);
                        assert_eq!(live.end().code, None);
                    }
                    // Starts the next job first if it is that which sweeps.
                    let next = model(&scene, &format!("sweeps-{what}")).run(&scene);
                    assert_eq!(next.report().outcome, Outcome::Completed, "{place}: {next:?}");
                    assert_clean(&scene, job.job(), &before);
                }
            }
        }
    }
}

/// None of them runs an instruction if one dies before all are ready, whether the other is ready
/// by then or not.
#[test]
fn one_that_dies_before_the_start_lets_none_start() {
    for who in As::all() {
        let scene = scene(who);
        for is_ready in [false, true] {
            let what = format!("gate-{is_ready}");
            let job = training(&scene, &what, &["fill", "/opt/ml/model/ran", "1"]);
            let job = job.option("--instances", "2");
            // Both stop there; one is killed, the other goes on.
            let pause = [("BELLJAR_WARDEN_PAUSE_AT", "container:before")];
            let mut live = Live::start(&scene, &job, &pause);
            let warden = live.warden();
            let members = until("both are before their containers", || {
                let below: Vec<_> = warden.tree().into_iter().filter(is_member).collect();
                (below.len() == 2 && below.iter().all(|p| p.is_stopped())).then_some(below)
            });
            let before = Footprint::of(warden);
            if is_ready {
                members[1].signal(Signal::CONT);
                until("the other is sealed", || {
                    live.stdout().contains(r#""event":"sealed""#).then_some(())
                });
                members[0].kill();
            } else {
                members[0].kill();
                members[1].signal(Signal::CONT);
            }
            let run = live.end();
            assert!(reason(run.report()).starts_with("InternalServerError"), "{run:?}");
            let said = format!("{:?}", run.events);
            assert!(!run.stderr.contains("filled") && !said.contains("filled"), "{said}");
            assert!(!said.contains("status: Training"), "{said}");
            assert_clean(&scene, job.job(), &before);
        }
    }
}

/// The network of the instances is gone with them.
#[test]
fn nothing_is_left_of_one_that_completes() {
    for who in As::all() {
        let scene = scene(who);
        let training = several(&scene, "whole");
        let mut live = Live::start(&scene, &training, &[]);
        let (_, _, before) = running(&mut live);
        live.belljar().signal(Signal::INT);
        let run = live.end();
        assert_eq!(run.report().outcome, Outcome::Stopped, "{run:?}");
        assert_clean(&scene, training.job(), &before);
    }
}
