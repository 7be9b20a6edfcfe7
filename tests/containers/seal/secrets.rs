//! Nothing of the host's environment, descriptors or files is inside, nor in anything that is
//! written about a job.

use crate::inside::{self, fact};
use belljar_domain::Stream;
use belljar_testkit::{As, Scene, Training};
use serde_json::json;
use std::fs;
use std::io::ErrorKind::PermissionDenied;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// In Belljar's own environment in these tests, and nowhere else in the world.
const SECRETS: [(&str, &str); 3] = [
    ("AWS_SECRET_ACCESS_KEY", "canary-7f3a91-secret-key"),
    ("AWS_SESSION_TOKEN", "canary-7f3a91-token"),
    ("BELLJAR_CANARY", "canary-7f3a91-variable"),
];
const CANARY: &str = "canary-7f3a91";

fn with_secrets(command: &mut Command) -> &mut Command {
    command.env("AWS_ACCESS_KEY_ID", "canary-7f3a91-id").envs(SECRETS)
}

/// Whether a file contains the canary, in whatever form it could be written as text.
fn holds_canary(path: &Path) -> bool {
    fs::read(path).unwrap().windows(CANARY.len()).any(|w| w == CANARY.as_bytes())
}

/// Every regular file below.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    let entries = match fs::read_dir(folder) {
        // The kernel's own, where an overlay is mounted: it lets nobody in but a real root.
        Err(e) if e.kind() == PermissionDenied && folder.ends_with("scratch/work/work") => {
            return all;
        }
        read => read.unwrap_or_else(|e| panic!("{}: {e}", folder.display())),
    };
    for entry in entries {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            all.extend(files(&entry.path()));
        } else if entry.file_type().unwrap().is_file() {
            all.push(entry.path());
        }
    }
    all
}

fn command_lines() -> Vec<u8> {
    let mut all = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        // A process that has just ended has none.
        all.extend(fs::read(entry.path().join("cmdline")).unwrap_or_default());
    }
    all
}

#[test]
fn the_environment_is_the_images_the_requests_and_the_platforms() {
    for who in As::all() {
        let scene = inside::scene(who);
        let training = Training::probe("environment", &["attempts"]).option("--env", "MINE=1");
        let output = with_secrets(&mut training.command(&scene)).output().unwrap();
        assert!(output.status.success(), "{who:?}: {}", String::from_utf8_lossy(&output.stderr));
        let run = belljar_testkit::Run::of(&output.stdout, &output.stderr, output.status.code());
        let lines = inside::read(run.lines(Stream::Stdout));
        let expected = json!([
            "AWS_REGION",
            "HOME",
            "HOSTNAME",
            "MINE",
            "PATH",
            "TRAINING_JOB_ARN",
            "TRAINING_JOB_NAME"
        ]);
        assert_eq!(*fact(&lines, "environment"), expected, "{who:?}");
        let control = with_secrets(&mut scene.command(scene.tools().probe()))
            .args(["attempts", "--outside"])
            .output()
            .unwrap();
        let control = inside::read(std::str::from_utf8(&control.stdout).unwrap().lines());
        let names = fact(&control, "environment").as_array().unwrap();
        for (name, _) in SECRETS {
            assert!(names.contains(&json!(name)), "outside it is there");
        }
        for stream in [&output.stdout, &output.stderr] {
            assert!(!String::from_utf8_lossy(stream).contains(CANARY), "{who:?}");
        }
    }
}

/// While a job runs and after it: no file of the state folder or of the output, and no command
/// line of any process, has it.
#[test]
fn no_file_or_command_line_has_a_secret() {
    for who in As::all() {
        let scene = inside::scene(who);
        // The search finds what there is to find.
        assert!(holds_canary(&scene.file("control", format!("x{CANARY}"))));
        let training = Training::probe("files", &["trap-term", "0"]);
        let mut belljar = with_secrets(&mut training.command(&scene))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        crate::neighbours::until_it_says(&mut belljar, "waiting for TERM");
        let while_running = files(&scene.state());
        for file in &while_running {
            assert!(!holds_canary(file), "{who:?}: {}", file.display());
        }
        let lines = command_lines();
        assert!(lines.windows(9).any(|w| w == b"trap-term"), "the container is among them");
        assert!(!lines.windows(CANARY.len()).any(|w| w == CANARY.as_bytes()), "{who:?}");
        crate::neighbours::interrupt(&belljar);
        let output = belljar.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
        let left = [files(&scene.state()), files(&scene.output())].concat();
        assert!(left.iter().any(|f| f.ends_with("evidence/algo-1.intoto.json")), "{left:?}");
        for file in left {
            assert!(!holds_canary(&file), "{who:?}: {}", file.display());
        }
    }
}

/// A descriptor that Belljar's caller forgot to close ends with Belljar.
#[test]
fn a_leaked_descriptor_does_not_reach_the_container() {
    let leak = "exec 7< /etc/passwd; exec \"$@\"";
    let leaking = |scene: &Scene, inner: &Command| {
        let mut command = scene.command(Path::new("/bin/sh"));
        command.args(["-c", leak, "sh"]).arg(inner.get_program()).args(inner.get_args());
        command
    };
    for who in As::all() {
        let scene = inside::scene(who);
        let mut probe = scene.command(scene.tools().probe());
        probe.args(["attempts", "--outside"]);
        let control = leaking(&scene, &probe).output().unwrap();
        let control = inside::read(std::str::from_utf8(&control.stdout).unwrap().lines());
        assert_eq!(fact(&control, "leaked-descriptors")["7"], "/etc/passwd", "{who:?}");
        let training = Training::probe("leak", &["attempts"]);
        let output = leaking(&scene, &training.command(&scene)).output().unwrap();
        let run = belljar_testkit::Run::of(&output.stdout, &output.stderr, output.status.code());
        let lines = inside::read(run.lines(Stream::Stdout));
        assert_eq!(*fact(&lines, "leaked-descriptors"), json!({}), "{who:?}");
    }
}
