//! Evidence from the command line: signed by this machine, and by nobody else.

use crate::scene::Scene;
use belljar_domain::{SealReading, Statement};
use belljar_warden::evidence::{HostKey, sign};
use serde_json::json;
use std::path::PathBuf;

/// What a sealed process reads as.
fn seal() -> SealReading {
    let kinds = ["net", "user", "mnt", "pid", "ipc", "uts", "cgroup"];
    let sets = ["inheritable", "permitted", "effective", "bounding", "ambient"];
    SealReading {
        interfaces: vec!["lo".into()],
        routes: vec!["default dev lo src 169.254.7.2".into()],
        rules: vec!["output: log, reject".into()],
        namespaces: kinds.iter().map(|k| ((*k).to_owned(), 1)).collect(),
        capabilities: sets.iter().map(|s| ((*s).to_owned(), "0".repeat(16))).collect(),
        no_new_privileges: true,
        seccomp_mode: 2,
        seccomp_filters: 2,
        ..SealReading::default()
    }
}

fn statement(model_sha256: &str) -> Statement {
    let time = "2026-11-23T13:15:00.000Z";
    let seal = serde_json::to_value(seal()).unwrap();
    serde_json::from_value(json!({
        "_type": belljar_domain::evidence::STATEMENT_TYPE,
        "subject": [{"name": "model.tar.gz", "digest": {"sha256": model_sha256}}],
        "predicateType": belljar_domain::evidence::PREDICATE_TYPE,
        "predicate": {
            "belljar": "0.1.0", "job": "j1", "host": "algo-1", "generation": 1,
            "image": {"reference": "x", "digest": format!("sha256:{}", "a".repeat(64)), "diffIds": []},
            "command": ["train"], "environmentNames": [], "inputs": [],
            "sealAtStart": seal, "sealAtEnd": seal,
            "attempts": {"targets": [], "beyond": 0, "lost": 0},
            "credentials": {"givenByPlatform": false, "suspiciousEnvironmentNames": []},
            "started": time, "ended": time,
            "exit": {"code": 0, "signal": null, "outOfMemory": false},
            "outcome": {"status": "completed"}, "kernel": "6.1.0 x86_64",
        },
    }))
    .unwrap()
}

/// SHA-256 of "abc" (FIPS 180-2, appendix B.1).
const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

/// A job's output: evidence signed by the scene's machine, and the model that it speaks of.
fn job(scene: &Scene) -> PathBuf {
    let key = HostKey::open(&scene.path("state/keys")).unwrap();
    for folder in ["out/evidence", "out/output"] {
        std::fs::create_dir_all(scene.path(folder)).unwrap();
    }
    std::fs::write(scene.path("out/output/model.tar.gz"), "abc").unwrap();
    let file = scene.path("out/evidence/algo-1.intoto.json");
    std::fs::write(&file, sign(&statement(ABC), &key).unwrap()).unwrap();
    file
}

const VERIFY: [&str; 3] = ["evidence", "verify", "out/evidence/algo-1.intoto.json"];

#[test]
fn what_this_machine_signed_is_valid_and_shown() {
    let scene = Scene::new("normal");
    job(&scene);
    let answer = scene.run(&VERIFY);
    assert_eq!(answer.code, 0, "{}{}", answer.stdout, answer.stderr);
    assert!(answer.stdout.starts_with("VALID"), "{}", answer.stdout);
    assert!(answer.stdout.contains("model.tar.gz: is the file"), "{}", answer.stdout);
    let shown = scene.run(&["evidence", "show", VERIFY[2]]);
    assert_eq!(shown.code, 0);
    assert!(shown.stdout.contains("The signature was not checked"), "{}", shown.stdout);
}

#[test]
fn another_model_another_key_and_a_changed_byte_are_told() {
    let scene = Scene::new("normal");
    let file = job(&scene);
    std::fs::write(scene.path("out/output/model.tar.gz"), "abd").unwrap();
    let answer = scene.run(&VERIFY);
    assert_eq!(answer.code, 1);
    assert!(answer.stdout.contains("model.tar.gz: is NOT"), "{}", answer.stdout);

    let other = HostKey::open(&scene.path("other")).unwrap().public().to_pem();
    std::fs::write(scene.path("other.pem"), other).unwrap();
    let answer = scene.run(&[&VERIFY[..], &["--key", "other.pem"]].concat());
    assert_eq!((answer.code, answer.stdout.as_str()), (1, ""), "{}", answer.stderr);

    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    assert_eq!(scene.run(&VERIFY).code, 1);
}

#[test]
fn without_a_key_nothing_is_called_valid() {
    let scene = Scene::new("normal");
    job(&scene);
    std::fs::remove_dir_all(scene.path("state/keys")).unwrap();
    let answer = scene.run(&VERIFY);
    assert_eq!(answer.code, 1);
    assert!(answer.stdout.starts_with("NOT CHECKED"), "{}", answer.stdout);
}
