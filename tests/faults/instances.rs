//! Parts of a job with several instances are killed.

use crate::leftovers::Footprint;
use crate::processes::Process;
use crate::run::{
    Live, assert_clean, assert_killed, model, reason, scene, training, until, waiting,
};
use belljar_domain::Outcome;
use belljar_testkit::{As, Scene, Training};

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

/// None of them runs an instruction if one dies before all are ready.
#[test]
fn one_that_dies_before_the_start_lets_none_start() {
    for who in As::all() {
        let scene = scene(who);
        let job = training(&scene, "gate", &["fill", "/opt/ml/model/ran", "1"]);
        let job = job.option("--instances", "2");
        // Both stop there; one is killed, the other goes on.
        let mut live =
            Live::start(&scene, &job, &[("BELLJAR_WARDEN_PAUSE_AT", "container:before")]);
        let warden = live.warden();
        let members = until("both are before their containers", || {
            let below: Vec<_> = warden.tree().into_iter().filter(is_member).collect();
            (below.len() == 2 && below.iter().all(|p| p.is_stopped())).then_some(below)
        });
        members[0].kill();
        members[1].signal(rustix::process::Signal::CONT);
        let run = live.end();
        assert!(reason(run.report()).starts_with("InternalServerError"), "{run:?}");
        assert!(!run.stderr.contains("filled") && !format!("{:?}", run.events).contains("filled"));
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
        live.belljar().signal(rustix::process::Signal::INT);
        let run = live.end();
        assert_eq!(run.report().outcome, Outcome::Stopped, "{run:?}");
        assert_clean(&scene, training.job(), &before);
    }
}
