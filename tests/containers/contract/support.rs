//! What these tests share.

use belljar_domain::{Outcome, Stream};
use belljar_testkit::{As, Run, Scene, Training};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Stdio};

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

/// Starts a job and waits until its container has said a line.
pub(crate) fn start(scene: &Scene, training: &Training, wanted: &str) -> Started {
    let mut command = training.command(scene);
    let mut belljar = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let events = BufReader::new(belljar.stdout.take().unwrap());
    let mut started = Started { belljar, events, said: String::new() };
    started.until(wanted);
    started
}

/// A job that runs.
pub(crate) struct Started {
    belljar: Child,
    events: BufReader<ChildStdout>,
    said: String,
}

impl Started {
    /// Waits for something among the events.
    pub(crate) fn until(&mut self, wanted: &str) {
        while !self.said.contains(wanted) {
            let read = self.events.read_line(&mut self.said).unwrap();
            assert!(read > 0, "it never said {wanted}: {}", self.said);
        }
    }

    /// Sends `belljar` a signal.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.belljar);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Run {
        self.events.read_to_string(&mut self.said).unwrap();
        let output = self.belljar.wait_with_output().unwrap();
        Run::of(self.said.as_bytes(), &output.stderr, output.status.code())
    }
}
