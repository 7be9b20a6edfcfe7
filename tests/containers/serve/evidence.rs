//! The evidence of a container that serves, while it does and after.

use crate::inside::scene;
use belljar_domain::{Event, Outcome};
use belljar_testkit::server::{assignment, serving};
use belljar_testkit::{As, Scene, Server};
use std::fs;
use std::path::{Path, PathBuf};

fn file(scene: &Scene, id: &str) -> PathBuf {
    scene.output().join(id).join("evidence/algo-1.intoto.json")
}

fn tell(scene: &Scene, word: &str, file: &Path) -> (String, Option<i32>) {
    let mut command = scene.belljar(&["evidence", word]);
    command.arg(file);
    if word == "verify" {
        command.arg("--key").arg(scene.state().join("keys/evidence.pub.pem"));
    }
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (String::from_utf8(text).unwrap(), output.status.code())
}

#[test]
fn it_is_open_then_renewed_then_closed() {
    for who in As::all() {
        let scene = scene(who);
        let given = assignment(&scene, "i-1-1", &[], serving());
        let mut server = Server::start(&scene, &given, &[("BELLJAR_EVIDENCE_SECONDS", "1")]);
        server.until_healthy();
        let path = file(&scene, "i-1-1");
        let first = fs::read(&path).expect("there is evidence before it is told to be healthy");
        let (said, code) = tell(&scene, "verify", &path);
        assert!(said.starts_with("VALID") && code == Some(0), "{who:?}: {said}");
        for word in
            ["It serves since", "last renewed", "on.", "Anything after", "When this was last"]
        {
            assert!(said.contains(word), "{who:?} {word}: {said}");
        }
        let (shown, _) = tell(&scene, "show", &path);
        assert!(shown.contains("(open)") && shown.contains("variant AllTraffic"), "{shown}");
        assert!(shown.contains("Attempts to reach something: 0"), "{shown}");
        assert_eq!(server.invoke("connect 192.0.2.1:80").0, 200);
        server.until("it was renewed", |_| fs::read(&path).unwrap() != first);
        let mut renewed = String::new();
        server.until("the attempt was in it", |_| {
            (renewed, _) = tell(&scene, "show", &path);
            !renewed.contains("Attempts to reach something: 0")
        });
        assert!(renewed.contains("192.0.2.1:80"), "{renewed}");
        let report = server.stop();
        let (said, code) = tell(&scene, "verify", &path);
        assert!(said.starts_with("VALID") && code == Some(0), "{who:?}: {said}");
        assert!(said.contains("the account is closed") && said.contains("exit code 7"), "{said}");
        assert_eq!(report.evidence.as_deref(), path.to_str());
        let left: Vec<_> = fs::read_dir(path.parent().unwrap()).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }
}

#[test]
fn a_changed_one_does_not_verify() {
    let scene = scene(As::User);
    let mut server = Server::start(&scene, &assignment(&scene, "i-2-1", &[], serving()), &[]);
    server.until_healthy();
    let path = file(&scene, "i-2-1");
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.len() / 2;
    bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
    let changed = scene.file("changed.json", bytes);
    let (said, code) = tell(&scene, "verify", &changed);
    assert!(code != Some(0) && !said.contains("VALID:"), "{said}");
    let _report = server.stop();
}

/// Whoever removes its folder has taken away every way to reach it, or to stop it.
#[test]
fn it_does_not_outlive_its_folder() {
    let scene = scene(As::User);
    let given = assignment(&scene, "i-7-1", &[], serving());
    let mut server = Server::start(&scene, &given, &[("BELLJAR_EVIDENCE_SECONDS", "1")]);
    server.until_healthy();
    let moved = server.folder().with_extension("gone");
    fs::rename(server.folder(), &moved).unwrap();
    server.wait();
    assert!(!server.folder().exists());
}

/// Nobody is to take for sealed what there is no evidence of.
#[test]
fn without_evidence_it_does_not_serve() {
    let scene = scene(As::User);
    let given = assignment(&scene, "i-3-1", &[], serving());
    // A file where the evidence's folder is to be: seen only when it is written.
    let there = scene.file("out/i-3-1/evidence/algo-1.intoto.json/in-the-way", "x");
    for folder in there.ancestors().skip(1).take(4) {
        scene.share(folder);
    }
    let mut server = Server::start(&scene, &given, &[]);
    let report = server.end();
    assert!(matches!(report.outcome, Outcome::Failed { .. }), "{report:?}");
    assert!(server.health().is_empty());
    assert!(server.events().iter().any(|e| matches!(e, Event::Sealed { .. })));
}
