//! Small file systems, mounted where only the command under test sees them.

use crate::leftovers::{Footprint, assert_none};
use crate::run::{Live, assert_clean, name, reason, scene, training, waiting};
use belljar_domain::{Event, Outcome, Report};
use belljar_testkit::{As, Run, Scene, Training};
use std::fs;
use std::process::Command;

const STATE_BYTES: usize = 24 << 20;

/// Runs a command with tmpfs of these sizes over folders of the scene. What the folders have when
/// it has ended is copied to `after` in the scene.
fn in_small(scene: &Scene, folders: &[(&str, &str)], command: &Command) -> Command {
    let mut script = String::from("set -e\n");
    for (folder, size) in folders {
        let path = scene.dir(folder);
        let path = path.display();
        script += &format!(
            "cp -a {path} {path}.before\nmount -t tmpfs -o mode=755,size={size} small {path}\n\
             cp -a {path}.before/. {path}\nrm -r {path}.before\n"
        );
    }
    script += "set +e\n\"$@\"\ncode=$?\n";
    let after = scene.dir("after");
    for (folder, _) in folders {
        let (from, to) = (scene.path().join(folder), after.join(folder));
        script += &format!("rm -rf {1}\ncp -a {0} {1}\n", from.display(), to.display());
    }
    script += "exit $code\n";
    let mut all = scene.command("/usr/bin/unshare".as_ref());
    match scene.who() {
        As::Root => all.args(["-m", "sh", "-c", &script, "sh"]),
        // Root of a namespace to mount, and in one more namespace an ordinary user again.
        As::User => all.args(["-Urm", "sh", "-c", &script, "sh"]).args([
            "unshare",
            "-U",
            "--map-user=1000",
            "--map-group=1000",
        ]),
    };
    all.arg(command.get_program()).args(command.get_args());
    all
}

fn run_in_small(scene: &Scene, folders: &[(&str, &str)], training: &Training) -> Run {
    let command = training.command(scene);
    let live = Live::spawn(scene, training.job(), &mut in_small(scene, folders, &command));
    live.end()
}

/// What was kept of a job in a small state folder.
fn kept(scene: &Scene, job: &str) -> Report {
    let path = scene.path().join("after/state/jobs").join(job);
    let mut names: Vec<_> = fs::read_dir(&path)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["assignment.json", "journal.jsonl", "lock", "report.json"]);
    serde_json::from_slice(&fs::read(path.join("report.json")).unwrap()).unwrap()
}

const SMALL_STATE: [(&str, &str); 1] = [("state", "24m")];

/// The disk is full: this machine cannot, and the hint says what to do.
fn assert_full(run: &Run) {
    assert_eq!(run.code, Some(4), "{run:?}");
    let Outcome::Failed { reason, hint, machine } = &run.report().outcome else {
        panic!("it should have failed: {run:?}");
    };
    assert!(machine, "{run:?}");
    assert!(reason.starts_with("CapacityError"), "{reason}");
    assert!(reason.contains("No space left on device"), "{reason}");
    assert_says_what_to_do(hint.as_deref().unwrap_or_default());
}

fn assert_says_what_to_do(hint: &str) {
    let hint = hint.to_lowercase();
    assert!(hint.contains("free") && hint.contains("space"), "{hint}");
}

#[test]
fn a_container_that_fills_the_disk() {
    for who in As::all() {
        let scene = scene(who);
        for (what, path) in [("root", "/tmp/big"), ("model", "/opt/ml/model/big")] {
            let job = training(&scene, what, &["fill", path, "100000000"]);
            let run = run_in_small(&scene, &SMALL_STATE, &job);
            assert_eq!(run.code, Some(1), "{run:?}");
            let report = run.report();
            assert!(reason(report).starts_with("AlgorithmError"), "{report:?}");
            assert_eq!(report.exit.map(|e| e.code), Some(1));
            let said = run.lines(belljar_domain::Stream::Stderr).join("\n");
            assert!(said.contains("No space left on device"), "{said}");
            assert_eq!(kept(&scene, job.job()), *report);
            assert_clean(&scene, job.job(), &Footprint::default());
        }
    }
}

#[test]
fn inputs_that_do_not_fit() {
    for who in As::all() {
        let scene = scene(who);
        let job = training(&scene, "inputs", &["exit", "0"]);
        scene.file("data/large", vec![1; STATE_BYTES]);
        let run = run_in_small(&scene, &SMALL_STATE, &job);
        assert_full(&run);
        assert_eq!(kept(&scene, job.job()), *run.report());
        fs::remove_file(scene.path().join("data/large")).unwrap();
        assert_clean(&scene, job.job(), &Footprint::default());
    }
}

#[test]
fn an_image_that_does_not_fit() {
    for who in As::all() {
        let scene = scene(who);
        scene.file("large/train", vec![1; STATE_BYTES]);
        let folder = scene.path().join("large").display().to_string();
        let import = scene.belljar(&["image", "import", &folder, "--tag", "large"]);
        let output = in_small(&scene, &SMALL_STATE, &import).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(4), "{said}");
        assert!(said.contains("No space left on device"), "{said}");
        assert_says_what_to_do(&said);
        let images = crate::leftovers::below(&scene.path().join("after/state/images"));
        let half: Vec<_> =
            images.iter().filter(|p| p.to_string_lossy().contains(".tmp-")).collect();
        assert!(!images.is_empty() && half.is_empty(), "{half:?}");
        assert_none(&scene, &name(&scene, "none"), &Footprint::default());
    }
}

#[test]
fn artifacts_that_do_not_fit() {
    for who in As::all() {
        let scene = scene(who);
        let job = training(&scene, "outputs", &["fill", "/opt/ml/model/big", "64000000"]);
        let run = run_in_small(&scene, &[("out", "32k")], &job);
        assert_full(&run);
        // The evidence is small enough, and says under signature that the job failed.
        let mut left = crate::leftovers::below(&scene.path().join("after/out"));
        left.retain(|p| !p.is_dir() && !p.ends_with("evidence/algo-1.intoto.json"));
        assert_eq!(left, Vec::<std::path::PathBuf>::new());
        assert_eq!(crate::run::kept_report(&scene, job.job()), *run.report());
        assert_clean(&scene, job.job(), &Footprint::default());
    }
}

/// Neither warden nor belljar can write the report: the event and the exit code tell it.
#[test]
fn a_report_that_cannot_be_kept() {
    for who in As::all() {
        let scene = scene(who);
        for (n, obstacle) in ["report.json.part", "report.json"].into_iter().enumerate() {
            let job = waiting(&scene, &format!("obstacle-{n}"));
            let mut live = Live::start(&scene, &job, &[]);
            live.until_waiting();
            let folder = scene.state().join("jobs").join(job.job());
            fs::create_dir_all(folder.join(obstacle).join("in-the-way")).unwrap();
            live.belljar().signal(rustix::process::Signal::INT);
            let run = live.end();
            assert_eq!(run.code, Some(3), "{run:?}");
            assert_eq!(run.report().outcome, Outcome::Stopped);
            assert!(matches!(run.events.last(), Some(Event::Report(_))));
            let warned = run.report().warnings.iter().any(|w| w.contains("told only here"));
            assert_eq!(warned, obstacle == "report.json", "{run:?}");
            fs::remove_dir_all(folder.join(obstacle)).unwrap();
            assert_clean(&scene, job.job(), &Footprint::default());
        }
    }
}
