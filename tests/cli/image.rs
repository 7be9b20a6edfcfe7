//! The image store from the command line, and the quickstart that uses it.

use crate::door;
use crate::scene::{Scene, source};

fn root(scene: &Scene) {
    std::fs::create_dir_all(scene.path("root/usr/bin")).unwrap();
    std::fs::write(scene.path("root/usr/bin/train"), "#!/bin/sh\n").unwrap();
}

#[test]
fn an_image_comes_and_goes() {
    let scene = Scene::new("normal");
    root(&scene);
    let made = scene.run(&["image", "import", "root", "--tag", "mine", "--cmd", "train"]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    assert!(made.stdout.starts_with("sha256:"), "{}", made.stdout);
    let list = scene.run(&["image", "list"]).stdout;
    assert!(list.lines().nth(1).unwrap().starts_with("mine:latest  sha256:"), "{list}");
    let known = scene.run(&["image", "inspect", "mine"]).stdout;
    let known: serde_json::Value = serde_json::from_str(&known).unwrap();
    assert_eq!(known["config"]["cmd"], serde_json::json!(["train"]));
    assert_eq!(format!("{}\n", known["digest"].as_str().unwrap()), made.stdout);
    let removed = scene.run(&["image", "remove", "mine"]);
    assert_eq!(removed.code, 0, "{}", removed.stderr);
    let gone = scene.run(&["image", "inspect", "mine"]);
    assert_eq!((gone.code, gone.stdout.as_str()), (1, ""));
    assert!(gone.stderr.contains("hint:"), "{}", gone.stderr);
}

#[test]
fn what_is_no_image_is_wrong_usage() {
    let scene = Scene::new("normal");
    assert_eq!(scene.run(&["image", "pull", "Bad Name"]).code, 2);
    assert_eq!(scene.run(&["image", "import", "missing", "--tag", "x"]).code, 2);
    let train = ["train", "--image", "Bad Name", "--output", "out"];
    assert_eq!(scene.run(&train).code, 2);
    assert!(!scene.path("state/jobs").exists(), "nothing was started");
}

#[test]
fn the_quickstart_assembles_trains_serves_and_shows() {
    let scene = Scene::new("normal");
    for file in ["train.csv", "digits"] {
        std::fs::write(scene.path(file), "1\n").unwrap();
    }
    std::fs::write(scene.path("test.csv"), "7,0,5,16\n1,0,0,0\n").unwrap();
    // The played report says that the model is there.
    let model = scene.path("model.tar.gz");
    std::fs::write(&model, "").unwrap();
    let report = scene.path("report.json");
    let played = std::fs::read_to_string(source("fake-report.json")).unwrap();
    let played = played.replace("/out/JOBNAME/output/model.tar.gz", model.to_str().unwrap());
    std::fs::write(&report, played).unwrap();
    let shown = door::answers(&scene.path("state"), "7\n");
    let mut command = scene.command(&["quickstart", "--program", "digits", "--data", "."]);
    let answer = scene.answer(command.env("BELLJAR_FAKE_REPORT", &report).spawn().unwrap());
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    assert_eq!(shown.join().unwrap(), "0,5,16\n", "the row without what it is");
    assert!(answer.stderr.contains("It says 7; whoever wrote it says 7."), "{}", answer.stderr);
    let verify =
        |of: &str| answer.stderr.matches(&format!("/belljar evidence verify /out/{of}")).count();
    assert_eq!((verify("belljar-"), verify("i-")), (1, 1), "{}", answer.stderr);
    assert!(answer.stderr.contains("tcp  169.254.169.254:80"), "{}", answer.stderr);
    // This part is played without an accuracy: it is not made up.
    assert!(answer.stderr.contains("the program printed no accuracy"), "{}", answer.stderr);
    assert!(scene.run(&["image", "list"]).stdout.contains("belljar/digits:latest"));
    let missing = scene.run(&["quickstart", "--program", "nothing", "--data", "."]);
    assert_eq!(missing.code, 2);
}
