//! The warden is killed before, in and after every stage.

use crate::leftovers::Footprint;
use crate::run::{Live, assert_clean, assert_killed, model, scene};
use belljar_domain::Stage;
use belljar_testkit::{As, Scene};
use std::path::PathBuf;

const WHENS: [&str; 3] = ["before", "during", "after"];

fn kill_at_every_stage(who: As) {
    let scene = scene(who);
    for stage in Stage::ALL {
        for when in WHENS {
            kill_at(&scene, stage, when);
        }
    }
}

fn kill_at(scene: &Scene, stage: Stage, when: &str) {
    let place = format!("{}:{when}", stage.as_str());
    let training = model(scene, &place.replace(':', "-"));
    let job = training.job().to_owned();
    let mut live = Live::start(scene, &training, &[("BELLJAR_WARDEN_PAUSE_AT", &place)]);
    let warden = live.stopped_warden(&place);
    let before = Footprint::of(warden);
    assert!(before.namespaces() > 0, "at {place} the warden should have its own mounts");
    warden.kill();
    let run = live.end();
    assert_killed(scene, &job, &run);
    assert_eq!(artifacts(scene, &job), expected(stage, when), "killed at {place}");
    assert_clean(scene, &job, &before);
}

/// What is there under its final name.
fn artifacts(scene: &Scene, job: &str) -> Vec<&'static str> {
    let folder: PathBuf = scene.output().join(job);
    let all = ["output/model.tar.gz", "output/output.tar.gz", "evidence/algo-1.intoto.json"];
    all.into_iter().filter(|name| folder.join(name).exists()).collect()
}

/// What a stage that was done has made.
fn expected(stage: Stage, when: &str) -> Vec<&'static str> {
    let done = |wanted| stage > wanted || (stage == wanted && when == "after");
    let mut all = Vec::new();
    if done(Stage::StageOut) {
        all.push("output/model.tar.gz");
    }
    if done(Stage::Evidence) {
        all.push("evidence/algo-1.intoto.json");
    }
    all
}

#[test]
fn killed_at_every_stage_as_each_user() {
    for who in As::all() {
        kill_at_every_stage(who);
    }
}

#[test]
#[should_panic(expected = "before nowhere:during")]
fn a_warden_that_never_stops_fails_the_harness() {
    let scene = scene(As::all()[0]);
    let training = model(&scene, "never");
    let mut live = Live::start(&scene, &training, &[("BELLJAR_WARDEN_PAUSE_AT", "nowhere:during")]);
    live.stopped_warden("nowhere:during");
}
