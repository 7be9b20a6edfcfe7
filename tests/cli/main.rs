//! Transcripts of whole commands: what is typed, what comes out on each stream, and the exit
//! code. `INSTA_UPDATE=always cargo test -p belljar --test cli` rewrites them.

#![expect(clippy::unwrap_used, reason = "a test ends at what goes wrong")]

mod door;
mod evidence;
mod image;
mod job;
mod network;
mod refusals;
mod scene;
mod serve;
mod service;

use scene::Scene;

#[test]
fn help() {
    let scene = Scene::new("normal");
    for (name, args) in [
        ("help", &["--help"][..]),
        ("help_train", &["train", "--help"]),
        ("help_serve", &["serve", "--help"]),
        ("help_up", &["up", "--help"]),
        ("help_keys", &["keys", "--help"]),
        ("help_node", &["node", "--help"]),
        ("help_explain", &["explain", "--help"]),
        ("help_network", &["network", "--help"]),
        ("help_image", &["image", "--help"]),
        ("help_image_import", &["image", "import", "--help"]),
        ("help_evidence_verify", &["evidence", "verify", "--help"]),
        ("help_quickstart", &["quickstart", "--help"]),
        ("help_exec", &["exec", "--help"]),
    ] {
        insta::assert_snapshot!(name, scene.transcript(args));
    }
}

#[test]
fn doctor() {
    let scene = Scene::new("normal");
    let findings = [
        r#"{"check":"user namespaces","state":"ok","finding":"unprivileged ones work","remedy":null}"#,
        r#"{"check":"memory limits","state":"limited","finding":"no cgroup is delegated to this user","remedy":"systemd-run --user --scope -p Delegate=yes belljar …"}"#,
    ];
    scene.doctor_says(&findings.join("\n"));
    // What differs from machine to machine: a Docker daemon, and the space that is left.
    let transcript = scene.transcript(&["doctor"]);
    let same = |l: &&str| !l.contains("docker") && !l.contains("state folder");
    let lines: Vec<&str> = transcript.lines().filter(same).collect();
    insta::assert_snapshot!("doctor_can", lines.join("\n"));
    scene.doctor_says(&findings.join("\n").replace("\"ok\"", "\"missing\""));
    assert_eq!(scene.run(&["doctor"]).code, 4);
    scene.doctor_says("no JSON");
    let answer = scene.run(&["doctor"]);
    assert_eq!(answer.code, 4);
    // Where the lines are broken depends on how long the warden's path is.
    let words: Vec<&str> = answer.stdout.split_whitespace().collect();
    assert!(words.join(" ").contains("one of its findings"), "{}", answer.stdout);
}
