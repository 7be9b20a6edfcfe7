//! Outputs made to harm whoever handles them.

use crate::support::{artifact, complete, entries, failure, scene};
use belljar_testkit::{As, Run, Scene, Training};
use std::fs;
use tar::EntryType::{Regular, Symlink};

fn nothing_is_left(scene: &Scene, run: &Run) {
    let job = scene.state().join("jobs").join(run.report().job.as_str());
    for name in ["ml", "scratch"] {
        assert!(!job.join(name).exists(), "{:?}: {name} of {}", scene.who(), job.display());
    }
    let warnings = run.report().warnings.join(" ");
    assert!(!warnings.contains("could not clear"), "{:?}: {warnings}", scene.who());
}

#[test]
fn links_stay_links_and_what_is_no_file_is_left_out() {
    for who in As::all() {
        let scene = scene(who);
        let run = complete(&scene, &Training::probe("links", &["symlink-model"]));
        let expected = [
            ("hard-link", Regular),
            ("link-absolute", Symlink),
            ("link-inside", Symlink),
            ("link-root", Symlink),
            ("link-up", Symlink),
            ("loop", Symlink),
            ("model.txt", Regular),
            ("not-utf8-\u{fffd}", Regular),
            ("unreadable", Regular),
        ];
        let expected: Vec<_> = expected.into_iter().map(|(n, t)| (n.to_owned(), t)).collect();
        assert_eq!(entries(&artifact(&scene, "links", "model.tar.gz")), expected, "{who:?}");
        let warnings = run.report().warnings.join("\n");
        assert!(warnings.contains("'fifo' is a FIFO"), "{who:?}: {warnings}");
        assert!(warnings.contains("'socket' is a socket"), "{who:?}: {warnings}");
        nothing_is_left(&scene, &run);
    }
}

/// Whatever a container puts in the place of `/opt/ml`'s folders, the host's files behind its
/// links are neither read nor written nor removed.
#[test]
fn a_link_in_the_place_of_a_folder_is_not_followed() {
    for who in As::all() {
        let scene = scene(who);
        let secret = scene.file("host/data/secret", "the host's own");
        let host = scene.path().join("host");
        for (job, place) in [
            ("model", "/opt/ml/model"),
            ("output", "/opt/ml/output"),
            ("data", "/opt/ml/output/data"),
            ("failure", "/opt/ml/output/failure"),
        ] {
            let target = if job == "failure" { &secret } else { &host };
            let training = Training::probe(job, &["replace", place, target.to_str().unwrap()]);
            let run = training.run(&scene);
            for name in ["model.tar.gz", "output.tar.gz"] {
                let path = artifact(&scene, job, name);
                let held = if path.exists() { entries(&path) } else { vec![] };
                assert!(held.iter().all(|(n, _)| !n.contains("secret")), "{who:?} {job}: {held:?}");
            }
            assert!(!format!("{:?}", run.report()).contains("the host's own"), "{who:?} {job}");
            assert_eq!(fs::read(&secret).unwrap(), b"the host's own", "{who:?} {job}");
            nothing_is_left(&scene, &run);
        }
    }
}

/// Folders within folders, deeper than a path, a stack or the limit of descriptors: the job ends
/// as it should, and all of it is removed.
#[test]
fn five_thousand_levels_of_folders_are_removed() {
    for who in As::all() {
        let scene = scene(who);
        for (job, place) in [("checkpoints", "/opt/ml/checkpoints"), ("scratch", "/tmp")] {
            let run = complete(&scene, &Training::probe(job, &["deep", place, "5000"]));
            nothing_is_left(&scene, &run);
        }
        let run = Training::probe("artifact", &["deep", "/opt/ml/model", "200"]).run(&scene);
        let (reason, _) = failure(&run);
        assert!(
            reason.starts_with("AlgorithmError: Artifact upload failed: "),
            "{who:?}: {reason}"
        );
        assert!(reason.contains("levels of folders"), "{who:?}: {reason}");
        assert!(!artifact(&scene, "artifact", "model.tar.gz").exists(), "{who:?}");
        nothing_is_left(&scene, &run);
    }
}
