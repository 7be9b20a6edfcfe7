//! What a killed warden left is swept by hand, twice.

use crate::leftovers::Footprint;
use crate::run::{Live, assert_clean, model, scene, waiting};
use belljar_domain::Stage;
use belljar_testkit::{As, Scene};
use std::path::Path;

fn sweep(scene: &Scene, what: &str, path: &Path) {
    let mut command = scene.command(scene.tools().warden());
    let output = command.args(["sweep", what]).arg(path).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{:?} {said}", output.status);
}

#[test]
fn what_every_stage_leaves_is_undone_twice() {
    for who in As::all() {
        let scene = scene(who);
        for stage in Stage::ALL {
            for when in ["before", "during", "after"] {
                let place = format!("{}:{when}", stage.as_str());
                let training = model(&scene, &format!("swept-{}-{when}", stage.as_str()));
                let variables = [("BELLJAR_WARDEN_PAUSE_AT", place.as_str())];
                let mut live = Live::start(&scene, &training, &variables);
                let warden = live.stopped_warden(&place);
                let before = Footprint::of(warden);
                live.kill_with(warden);
                live.end();
                let folder = scene.state().join("jobs").join(training.job());
                for _ in 0..2 {
                    sweep(&scene, "--job", &folder);
                }
                crate::leftovers::assert_none(&scene, training.job(), &before);
            }
        }
    }
}

#[test]
fn what_a_running_container_leaves_is_undone_twice() {
    for who in As::all() {
        let scene = scene(who);
        let training = waiting(&scene, "swept");
        let mut live = Live::start(&scene, &training, &[]);
        live.until_waiting();
        let warden = live.warden();
        let before = Footprint::of(warden);
        live.kill_with(warden);
        live.end();
        for _ in 0..2 {
            sweep(&scene, "--state", &scene.state());
        }
        assert_clean(&scene, training.job(), &before);
    }
}

#[test]
fn what_several_instances_leave_is_undone_twice() {
    for who in As::all() {
        let scene = scene(who);
        let training = waiting(&scene, "several").option("--instances", "2");
        let mut live = Live::start(&scene, &training, &[]);
        live.until_waiting();
        let warden = live.warden();
        let before = Footprint::of(warden);
        live.kill_with(warden);
        live.end();
        let folder = scene.state().join("jobs").join(training.job());
        for _ in 0..2 {
            sweep(&scene, "--job", &folder);
        }
        crate::leftovers::assert_none(&scene, training.job(), &before);
    }
}
