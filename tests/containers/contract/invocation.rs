//! What runs: `docker run [--entrypoint E] IMAGE [ARGUMENTS | train]`.

use crate::support::{complete, failure, printed, root_with_probe, scene};
use belljar_testkit::{As, Scene, Training};

const CMDLINE: &str = "/proc/self/cmdline";

/// The program's own arguments as it saw them.
fn command_line(scene: &Scene, training: &Training) -> String {
    printed(&complete(scene, training)).replace('\0', " ").trim_end().to_owned()
}

fn with(training: Training, option: &str, values: &[&str]) -> Training {
    values.iter().fold(training, |t, value| t.option(option, value))
}

#[test]
fn four_combinations_of_entry_point_and_arguments() {
    for who in As::all() {
        let scene = scene(who);
        let line = |t: Training| command_line(&scene, &t);
        let new = |job: &str| Training::new(job, "probe");
        let entrypoint = |t| with(t, "--entrypoint", &["/probe", "cat", CMDLINE]);
        // `probe train` does what the hyperparameter says.
        let neither = new("neither").option("--hyperparameter", &format!("probe=cat {CMDLINE}"));
        assert_eq!(line(neither), "/probe train", "{who:?}");
        let only_entrypoint = entrypoint(new("entrypoint"));
        assert_eq!(line(only_entrypoint), format!("/probe cat {CMDLINE}"), "{who:?}: no `train`");
        let only_arguments = with(new("arguments"), "--argument", &["cat", CMDLINE]);
        assert_eq!(line(only_arguments), format!("/probe cat {CMDLINE}"), "{who:?}: no `train`");
        let both = with(new("both"), "--entrypoint", &["/probe", "cat"]);
        let both = with(both, "--argument", &[CMDLINE, "/dev/null"]);
        assert_eq!(line(both), format!("/probe cat {CMDLINE} /dev/null"), "{who:?}");
    }
}

#[test]
fn an_image_without_entry_point_has_train_on_its_path() {
    for who in As::all() {
        let scene = Scene::new(who);
        let root = root_with_probe(&scene, "root", "opt/program/train");
        let options = ["--env", "PATH=/usr/bin:/opt/program", "--cmd", "never"];
        scene.import(&root, "bare", &options);
        let says = format!("probe=cat {CMDLINE}");
        // Its program is found by PATH; CMD is replaced by `train`, whose own argument is none.
        let bare = Training::new("bare", "bare").option("--hyperparameter", &says);
        let run = bare.run(&scene);
        assert_eq!(run.code, Some(1), "{who:?}: the probe wants a command: {run:?}");
        assert!(run.stderr.is_empty() || !run.stderr.contains("no program"), "{}", run.stderr);
        let line =
            with(Training::new("by-path", "bare"), "--entrypoint", &["train", "cat", CMDLINE]);
        assert_eq!(command_line(&scene, &line), format!("train cat {CMDLINE}"), "{who:?}");
    }
}

#[test]
fn the_images_cmd_is_never_used() {
    for who in As::all() {
        let scene = Scene::new(who);
        let root = root_with_probe(&scene, "root", "probe");
        scene.import(&root, "both", &["--entrypoint", "/probe", "--cmd", "exit", "--cmd", "9"]);
        let says = format!("probe=cat {CMDLINE}");
        let neither = Training::new("neither", "both").option("--hyperparameter", &says);
        assert_eq!(command_line(&scene, &neither), "/probe train", "{who:?}");
        let entrypoint = with(Training::new("e", "both"), "--entrypoint", &["/probe", "ids"]);
        complete(&scene, &entrypoint);
    }
}

#[test]
fn a_missing_train_is_named_before_anything_runs() {
    for who in As::all() {
        let scene = Scene::new(who);
        let root = root_with_probe(&scene, "root", "probe");
        scene.import(&root, "without", &[]);
        let run = Training::new("missing", "without").run(&scene);
        let (reason, hint) = failure(&run);
        assert!(reason.starts_with("ClientError: the image has no program 'train'"), "{reason}");
        assert!(hint.unwrap().contains("docker run IMAGE train"), "{hint:?}");
        assert_eq!(run.code, Some(1), "{who:?}");
        let run = Training::new("other", "without").option("--entrypoint", "/none").run(&scene);
        assert!(failure(&run).0.contains("no executable '/none'"), "{run:?}");
    }
}

/// As root any user is possible. An ordinary user has only one id to give: that is said, not hidden.
#[test]
fn an_image_with_a_user_of_its_own() {
    for who in As::all() {
        let scene = Scene::new(who);
        let root = root_with_probe(&scene, "root", "probe");
        scene.import(&root, "user", &["--entrypoint", "/probe", "--user", "1000:1000"]);
        let run = Training::new("user", "user").option("--argument", "ids").run(&scene);
        match who {
            As::Root => {
                assert_eq!(run.code, Some(0), "{run:?}");
                assert!(printed(&run).contains("Uid:\t1000\t1000\t1000\t1000"), "{run:?}");
            }
            As::User => {
                let (reason, hint) = failure(&run);
                assert!(reason.contains("user 1000"), "{reason}");
                assert!(hint.unwrap().contains("run belljar as root"), "{hint:?}");
                assert_eq!(run.code, Some(4));
            }
        }
    }
}

/// Wrong usage is told before anything is made.
#[test]
fn wrong_usage_ends_with_two() {
    for who in As::all() {
        let scene = scene(who);
        for (option, value) in [
            ("--input", "train=/no/such/folder"),
            ("--max-runtime", "never"),
            ("--metric", "loss=no group"),
            ("--hyperparameter", "no-equals-sign"),
            ("--instance-type", "ml.none.such"),
        ] {
            let command = Training::probe("usage", &["exit", "0"]).option(option, value);
            let output = command.command(&scene).output().unwrap();
            assert_eq!(output.status.code(), Some(2), "{who:?} {option}={value}: {output:?}");
            assert!(!output.stderr.is_empty(), "{option}={value}");
            assert!(!scene.state().join("jobs/usage").exists(), "{option}={value}");
        }
    }
}
