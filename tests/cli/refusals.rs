//! What is refused before anything is started, by name and with a hint.

use crate::scene::Scene;

#[test]
fn wrong_usage() {
    let scene = Scene::new("normal");
    let train = |more: &[&str]| {
        let mut args = vec!["train", "--image", "x", "--output", "out"];
        args.extend(more);
        scene.transcript(&args)
    };
    let all = [
        scene.transcript(&["train"]),
        scene.transcript(&["trian"]),
        train(&["--job-name", "under_score"]),
        train(&["--hyperparameter", "novalue"]),
        train(&["--hyperparameter", "a=1", "--hyperparameter", "a=2"]),
        train(&["--env", "1A=x"]),
        train(&["--input", "train=missing"]),
        train(&["--input", "train=ftp://example.com/x"]),
        train(&["--instance-type", "m5.large"]),
        train(&["--instance-type", "ml.m5.large", "--cpus", "1"]),
        train(&["--metric", "loss=loss=.*"]),
        train(&["--max-runtime", "29d"]),
        train(&["--memory", "lots"]),
    ];
    insta::assert_snapshot!("wrong_usage", all.join("\n\n"));
    assert!(!scene.path("state").exists(), "nothing was started");
}

#[test]
fn more_than_this_machine_has() {
    let scene = Scene::new("normal");
    let args = ["train", "--image", "x", "--output", "out", "--cpus", "100000"];
    insta::assert_snapshot!("too_many_cpus", scene.transcript(&args));
    assert!(!scene.path("state").exists(), "nothing was started");
}

#[test]
fn a_name_is_used_once() {
    let scene = Scene::new("normal");
    assert_eq!(scene.answer(scene.train(&[]).spawn().unwrap()).code, 0);
    let again = scene.answer(scene.train(&[]).spawn().unwrap());
    insta::assert_snapshot!("name_used", again.transcript());
}

#[test]
fn no_warden() {
    let scene = Scene::new("normal");
    let child = scene.train(&[]).env("BELLJAR_WARDEN", "/nonexistent").spawn().unwrap();
    insta::assert_snapshot!("no_warden", scene.answer(child).transcript());
}
