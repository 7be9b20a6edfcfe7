//! An image is killed on its way into the store.

use crate::leftovers::below;
use crate::processes::{self, Process};
use crate::run::until;
use belljar_testkit::{As, Scene, Training};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

const FILES: usize = 400;
/// It is killed when so many files of the image are in the store.
const POINTS: [usize; 4] = [0, 1, 50, 300];

fn unfinished(scene: &Scene) -> usize {
    let is_half = |p: &PathBuf| p.to_string_lossy().contains("/.tmp-");
    below(&scene.state().join("images")).iter().filter(|p| is_half(p)).count()
}

/// Starts a command and kills it once that much of an image is there. Whether it was in time.
fn killed_at(scene: &Scene, arguments: &[&str], files: usize) -> bool {
    let mut command = scene.belljar(arguments);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let pid = i32::try_from(child.id()).unwrap();
    let ended = until("the image to come in", || {
        let ended = child.try_wait().unwrap().is_some();
        (ended || unfinished(scene) >= files).then_some(ended)
    });
    let found: Option<Process> = processes::all().into_iter().find(|p| p.pid == pid);
    if let (false, Some(process)) = (ended, found) {
        process.kill();
    }
    child.wait().unwrap().code().is_none()
}

/// Whatever a killed command left, the store can be read, and the next command works and clears.
fn assert_consistent(scene: &Scene, arguments: &[&str]) {
    let belljar = |arguments: &[&str]| {
        let output = scene.belljar(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    };
    belljar(&["image", "list"]);
    let digest = belljar(arguments);
    assert!(digest.starts_with("sha256:"), "{digest}");
    assert!(belljar(&["image", "list"]).contains("many"));
    assert_eq!(unfinished(scene), 0);
    belljar(&["image", "inspect", "many"]);
    let job = format!("many-{}", below(&scene.state().join("jobs")).len());
    let run = Training::new(&job, "many").option("--entrypoint", "/probe");
    let run = run.option("--argument", "exit").option("--argument", "0").run(scene);
    assert_eq!(run.code, Some(0), "{run:?}");
    belljar(&["image", "remove", "many"]);
}

fn kill_at_points(scene: &Scene, arguments: &[&str]) {
    let mut in_time = 0;
    for files in POINTS {
        in_time += usize::from(killed_at(scene, arguments, files));
        assert_consistent(scene, arguments);
    }
    assert!(in_time > 0, "none was killed before it had ended");
}

/// A root file system of many files with the probe.
fn many_files(scene: &Scene) -> PathBuf {
    let root = scene.dir("many");
    for n in 0..FILES {
        fs::write(root.join(format!("file-{n}")), n.to_string()).unwrap();
    }
    fs::copy(scene.tools().probe(), root.join("probe")).unwrap();
    root
}

#[test]
fn an_import_killed_on_its_way() {
    for who in As::all() {
        let scene = Scene::new(who);
        let root = many_files(&scene).display().to_string();
        let entrypoint = ["--tag", "many", "--entrypoint", "/probe"];
        kill_at_points(&scene, &[&["image", "import", root.as_str()][..], &entrypoint].concat());
    }
}

#[test]
fn a_pull_killed_on_its_way() {
    for who in As::all() {
        let scene = Scene::new(who);
        let layout = layout(&scene, &many_files(&scene));
        let reference = format!("oci:{}", layout.display());
        kill_at_points(&scene, &["image", "pull", &reference, "--tag", "many"]);
    }
}

/// An OCI layout of one layer.
fn layout(scene: &Scene, root: &Path) -> PathBuf {
    let layout = scene.dir("layout");
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_dir_all(".", root).unwrap();
    let layer = archive.into_inner().unwrap();
    let config = serde_json::json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        "os": "linux",
        "config": { "Entrypoint": ["/probe"] },
        "rootfs": { "type": "layers", "diff_ids": [digest(&layer)] },
    });
    let layer = blob(&layout, "application/vnd.oci.image.layer.v1.tar", &layer);
    let config = config.to_string();
    let config = blob(&layout, "application/vnd.oci.image.config.v1+json", config.as_bytes());
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": kind, "config": config, "layers": [layer],
    });
    let manifest = blob(&layout, kind, manifest.to_string().as_bytes());
    let index = serde_json::json!({ "schemaVersion": 2, "manifests": [manifest] });
    fs::write(layout.join("index.json"), index.to_string()).unwrap();
    fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    layout
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold("sha256:".to_owned(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn blob(layout: &Path, kind: &str, bytes: &[u8]) -> serde_json::Value {
    let digest = digest(bytes);
    let folder = layout.join("blobs/sha256");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(&digest[7..]), bytes).unwrap();
    serde_json::json!({ "mediaType": kind, "digest": digest, "size": bytes.len() })
}
