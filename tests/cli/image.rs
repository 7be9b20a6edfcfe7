//! The image store from the command line, and the quickstart that uses it.

use crate::scene::Scene;

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
fn the_quickstart_assembles_trains_and_shows() {
    let scene = Scene::new("normal");
    for file in ["train.csv", "test.csv", "digits"] {
        std::fs::write(scene.path(file), "1\n").unwrap();
    }
    let answer = scene.run(&["quickstart", "--program", "digits", "--data", "."]);
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    assert!(answer.stderr.contains("/belljar evidence verify /out/"), "{}", answer.stderr);
    assert!(answer.stderr.contains("tcp  169.254.169.254:80"), "{}", answer.stderr);
    // This part is played without an accuracy: it is not made up.
    assert!(answer.stderr.contains("the program printed no accuracy"), "{}", answer.stderr);
    assert!(scene.run(&["image", "list"]).stdout.contains("belljar/digits:latest"));
    let missing = scene.run(&["quickstart", "--program", "nothing", "--data", "."]);
    assert_eq!(missing.code, 2);
}
