//! What these tests share.

use belljar_domain::{Outcome, Stream};
use belljar_testkit::{As, Run, Scene, Training};
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A scene with the probe's image.
pub(crate) fn scene(who: As) -> Scene {
    let scene = Scene::new(who);
    scene.import_probe();
    scene
}

/// A folder with the probe at `path` in it, to be imported.
pub(crate) fn root_with_probe(scene: &Scene, name: &str, path: &str) -> PathBuf {
    let root = scene.dir(name);
    let program = root.join(path);
    fs::create_dir_all(program.parent().unwrap()).unwrap();
    fs::copy(scene.tools().probe(), &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    root
}

/// Runs a job, which must complete.
pub(crate) fn complete(scene: &Scene, training: &Training) -> Run {
    let run = training.run(scene);
    assert_eq!(run.report().outcome, Outcome::Completed, "{:?} {run:?}", scene.who());
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    run
}

/// Standard output, joined again.
pub(crate) fn printed(run: &Run) -> String {
    run.lines(Stream::Stdout).join("\n")
}

/// `FailureReason` and hint of a run that failed.
pub(crate) fn failure(run: &Run) -> (&str, Option<&str>) {
    match &run.report().outcome {
        Outcome::Failed { reason, hint, .. } => (reason, hint.as_deref()),
        other => panic!("{other:?}"),
    }
}

/// Names and kinds of what is in an artifact, in order.
pub(crate) fn entries(archive: &Path) -> Vec<(String, tar::EntryType)> {
    let file = File::open(archive).unwrap_or_else(|e| panic!("{}: {e}", archive.display()));
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
    let entry = |entry: std::io::Result<tar::Entry<'_, _>>| {
        let entry = entry.unwrap();
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        (name, entry.header().entry_type())
    };
    let mut all: Vec<_> = archive.entries().unwrap().map(entry).collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

/// A job's artifact, where it belongs.
pub(crate) fn artifact(scene: &Scene, job: &str, name: &str) -> PathBuf {
    scene.output().join(job).join("output").join(name)
}
