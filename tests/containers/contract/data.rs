//! Pipe mode, checkpoints and artifacts that are not compressed, in whole containers.

use crate::support::{artifact, complete, failure, printed, scene};
use belljar_domain::Outcome;
use belljar_testkit::{As, Training, start};
use rustix::process::Signal;
use std::fs;

const DATA: &str = "/opt/ml/input/data";

#[test]
fn epochs_are_read_from_inside_and_are_in_the_report() {
    for who in As::all() {
        let scene = scene(who);
        scene.file("data/a", "first\n");
        scene.file("data/b", "second\n");
        let fifos = [0, 1, 2].map(|epoch| format!("{DATA}/train_{epoch}"));
        let training = Training::probe("pipe", &["cat", &fifos[0], &fifos[1], &fifos[2]])
            .option("--input", &format!("train={}", scene.path().join("data").display()))
            .option("--input", &format!("unread={}", scene.path().join("data").display()))
            .option("--pipe", "train")
            .option("--pipe", "unread");
        let run = complete(&scene, &training);
        let epoch = "first\nsecond\n";
        assert_eq!(printed(&run), epoch.repeat(3).trim_end(), "{who:?}");
        let inputs = &run.report().inputs;
        let piped = inputs[0].pipe.as_ref().unwrap();
        assert_eq!(piped.opened, 3, "{who:?}");
        for told in &piped.epochs {
            assert!(told.complete, "{who:?} {told:?}");
            assert_eq!(told.size, epoch.len() as u64, "{who:?}");
            assert_eq!(told.sha256, piped.epochs[0].sha256, "{who:?}");
        }
        assert_eq!(inputs[1].pipe.as_ref().unwrap().opened, 0, "{who:?}");
    }
}

#[test]
fn a_link_in_the_place_of_a_fifo_is_neither_read_nor_written() {
    for who in As::all() {
        let scene = scene(who);
        scene.file("data/a", "data");
        let victim = scene.file("host/victim", "the host's own");
        let place = format!("{DATA}/train_0");
        let training = Training::probe("swap", &["replace", &place, victim.to_str().unwrap()])
            .option("--input", &format!("train={}", scene.path().join("data").display()))
            .option("--pipe", "train");
        // However the probe ends: nothing outside has changed, and the job ends.
        let run = training.run(&scene);
        assert_eq!(fs::read(&victim).unwrap(), b"the host's own", "{who:?} {run:?}");
        assert_eq!(run.report().inputs[0].pipe.as_ref().unwrap().opened, 0, "{who:?}");
    }
}

#[test]
fn a_channel_that_cannot_be_piped_is_refused_by_name() {
    let scene = scene(As::all()[0]);
    scene.file("data/a", "x");
    let input = |name: &str| format!("{name}={}", scene.path().join("data").display());
    let training = Training::probe("no", &["exit", "0"]).option("--input", &input("train"));
    let output = training.clone().option("--pipe", "other").command(&scene).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no channel 'other'"));
    let clash = training.option("--input", &input("train_0")).option("--pipe", "train");
    let output = clash.command(&scene).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("'train_0'"));
}

#[test]
fn checkpoints_come_back_and_those_made_are_kept_also_after_a_stop() {
    for who in As::all() {
        let scene = scene(who);
        scene.file("kept/old", "made before\n");
        let kept = scene.path().join("kept");
        let with = |t: Training| t.option("--checkpoints", kept.to_str().unwrap());
        let read = ["cat", "/opt/ml/checkpoints/old", "/opt/ml/input/config/checkpointconfig.json"];
        let run = complete(&scene, &with(Training::probe("reads", &read)));
        let config = serde_json::json!({"S3Uri": kept.to_str().unwrap(),
            "LocalPath": "/opt/ml/checkpoints"});
        assert_eq!(printed(&run), format!("made before\n{config}"), "{who:?}");
        let waits = Training::probe("waits", &["trap-term", "0", "/opt/ml/checkpoints/new"]);
        let started = start(&scene, &with(waits), "waiting for TERM");
        started.signal(Signal::INT);
        assert_eq!(started.end().report().outcome, Outcome::Stopped, "{who:?}");
        assert_eq!(fs::read(kept.join("new")).unwrap(), b"saved\n", "{who:?}");
        assert_eq!(fs::read(kept.join("old")).unwrap(), b"made before\n", "{who:?}");
    }
}

#[test]
fn a_container_that_fails_keeps_its_checkpoints_and_gets_its_own_reason() {
    for who in As::all() {
        let scene = scene(who);
        let kept = scene.dir("kept");
        let training = Training::probe("links", &["symlink-model", "/opt/ml/checkpoints"])
            .option("--checkpoints", kept.to_str().unwrap());
        let run = complete(&scene, &training);
        assert!(kept.join("model.txt").is_file(), "{who:?}");
        assert!(!kept.join("link-absolute").exists(), "{who:?}");
        let warnings = run.report().warnings.join("\n");
        assert!(warnings.contains("Checkpoints: 'fifo' is a FIFO"), "{who:?}: {warnings}");
        let training = Training::probe("fails", &["exit", "3"])
            .option("--checkpoints", kept.to_str().unwrap());
        let run = training.run(&scene);
        assert_eq!(failure(&run).0, "AlgorithmError: Exit Code: 3", "{who:?}");
        assert!(kept.join("model.txt").is_file(), "{who:?}");
    }
}

#[test]
fn without_compression_every_file_is_an_artifact() {
    for who in As::all() {
        let scene = scene(who);
        let training =
            Training::probe("loose", &["symlink-model"]).option("--output-compression", "none");
        let run = complete(&scene, &training);
        let names: Vec<_> = run.report().artifacts.iter().map(|a| a.name.as_str()).collect();
        assert!(names.contains(&"model/model.txt"), "{who:?} {names:?}");
        assert!(artifact(&scene, "loose", "model/model.txt").is_file(), "{who:?}");
        assert!(!artifact(&scene, "loose", "model.tar.gz").exists(), "{who:?}");
        assert!(run.report().warnings.join("\n").contains("link-absolute"), "{who:?}");
    }
}
