//! A `belljar train` that is watched while it runs.

use crate::leftovers::{Footprint, assert_none, below};
use crate::processes::Process;
use belljar_domain::{Event, Outcome, Report, SecondaryStatus};
use belljar_testkit::{Run, Scene, Training};
use rustix::process::Signal;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longer than anything here takes; it only keeps a failing test from hanging.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until there is something.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A scene with the probe's image and a channel of data.
pub(crate) fn scene(who: belljar_testkit::As) -> Scene {
    let scene = Scene::new(who);
    scene.import_probe();
    scene.file("data/part", vec![7; 100_000]);
    scene
}

/// A name that no other job of the machine has.
pub(crate) fn name(scene: &Scene, what: &str) -> String {
    let folder = scene.path().file_name().unwrap().to_str().unwrap();
    format!("{what}-{}", folder.rsplit('-').next().unwrap())
}

/// A job with an input, whose container runs the probe.
pub(crate) fn training(scene: &Scene, what: &str, probe: &[&str]) -> Training {
    let data = scene.path().join("data");
    Training::probe(&name(scene, what), probe)
        .option("--input", &format!("train={}", data.display()))
}

/// A job that writes a model.
pub(crate) fn model(scene: &Scene, what: &str) -> Training {
    training(scene, what, &["fill", "/opt/ml/model/weights", "200000"])
}

/// A job whose container runs until it is told to stop.
pub(crate) fn waiting(scene: &Scene, what: &str) -> Training {
    training(scene, what, &["trap-term", "0"])
}

/// `belljar train` while it runs.
pub(crate) struct Live<'s> {
    scene: &'s Scene,
    job: String,
    child: Child,
}

impl<'s> Live<'s> {
    /// Starts it.
    pub(crate) fn start(scene: &'s Scene, training: &Training, variables: &[(&str, &str)]) -> Self {
        Self::spawn(scene, training.job(), training.command(scene).envs(variables.iter().copied()))
    }

    /// Starts a command that runs that job.
    pub(crate) fn spawn(scene: &'s Scene, job: &str, command: &mut Command) -> Self {
        let file = |name: &str| File::create(scene.path().join(format!("{job}.{name}"))).unwrap();
        command.stdin(Stdio::null()).stdout(file("stdout")).stderr(file("stderr"));
        Self { scene, job: job.to_owned(), child: command.spawn().unwrap() }
    }

    /// What it has printed so far.
    pub(crate) fn stdout(&self) -> String {
        fs::read_to_string(self.scene.path().join(format!("{}.stdout", self.job))).unwrap()
    }

    fn stderr(&self) -> String {
        fs::read_to_string(self.scene.path().join(format!("{}.stderr", self.job))).unwrap()
    }

    /// `belljar` itself.
    pub(crate) fn belljar(&self) -> Process {
        let pid = i32::try_from(self.child.id()).unwrap();
        crate::processes::all().into_iter().find(|p| p.pid == pid).unwrap()
    }

    /// Fails the test if it has ended.
    fn assert_running(&mut self, what: &str) {
        if let Some(status) = self.child.try_wait().unwrap() {
            panic!("it ended ({status}) before {what}\n{}{}", self.stdout(), self.stderr());
        }
    }

    /// The warden, once it is there.
    pub(crate) fn warden(&mut self) -> Process {
        let what = "its warden was there";
        until(what, || {
            self.assert_running(what);
            let mut below = self.belljar().tree().into_iter();
            below.find(|p| p.command().contains("belljar-warden run --job"))
        })
    }

    /// The warden, once it has stopped itself.
    pub(crate) fn stopped_warden(&mut self, place: &str) -> Process {
        let warden = self.warden();
        until(place, || {
            self.assert_running(place);
            warden.is_stopped().then_some(warden)
        })
    }

    /// Waits until the container has said that it waits for TERM.
    pub(crate) fn until_waiting(&mut self) {
        let what = "the container ran";
        until(what, || {
            self.assert_running(what);
            self.stdout().contains("waiting for TERM").then_some(())
        });
    }

    /// Kills `belljar` and its warden, so that neither can act on the other's end.
    pub(crate) fn kill_with(&self, warden: Process) {
        let belljar = self.belljar();
        belljar.signal(Signal::STOP);
        warden.kill();
        until("the warden's end", || (!warden.lives()).then_some(()));
        belljar.kill();
    }

    /// Waits for the end.
    pub(crate) fn end(mut self) -> Run {
        let status = until("belljar's end", || self.child.try_wait().unwrap());
        let stdout = self.stdout();
        // A killed one may leave half a line.
        let whole = stdout.rfind('\n').map_or("", |end| &stdout[..=end]);
        Run::of(whole.as_bytes(), self.stderr().as_bytes(), status.code())
    }
}

impl Drop for Live<'_> {
    fn drop(&mut self) {
        // Only a failed test leaves it running.
        let _ended = self.child.kill().and_then(|()| self.child.wait());
    }
}

/// The report that is kept.
pub(crate) fn kept_report(scene: &Scene, job: &str) -> Report {
    let path = scene.state().join("jobs").join(job).join("report.json");
    let text = fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_slice(&text).unwrap()
}

/// Why a job failed.
pub(crate) fn reason(report: &Report) -> &str {
    match &report.outcome {
        Outcome::Failed { reason, .. } => reason,
        other => panic!("it should have failed: {other:?}"),
    }
}

/// The job failed because its warden was killed, and every account of it says so.
pub(crate) fn assert_killed(scene: &Scene, job: &str, run: &Run) {
    assert_eq!(run.code, Some(1), "{run:?}");
    let reason = reason(run.report());
    assert!(reason.starts_with("InternalServerError"), "{reason}");
    assert!(reason.contains("killed by signal 9"), "{reason}");
    assert!(matches!(run.events.last(), Some(Event::Report(_))), "{run:?}");
    assert_eq!(kept_report(scene, job), *run.report());
    let completed =
        |e: &&Event| matches!(e, Event::Status { status: SecondaryStatus::Completed, .. });
    assert!(!run.events.iter().any(|e| completed(&e)), "{run:?}");
    let could_not = run.report().warnings.iter().find(|w| w.contains("could not"));
    assert_eq!(could_not, None);
}

/// Nothing is left, artifacts are whole, and the state folder runs the next job.
pub(crate) fn assert_clean(scene: &Scene, job: &str, before: &Footprint) {
    assert_none(scene, job, before);
    assert_whole(&scene.output().join(job));
    let next = format!("next-{job}");
    let run = model(scene, "").named(&next).run(scene);
    assert_eq!((run.code, &run.report().outcome), (Some(0), &Outcome::Completed), "{run:?}");
    assert_none(scene, &next, &Footprint::default());
}

/// Every archive below a folder can be read to its end.
pub(crate) fn assert_whole(folder: &Path) {
    for path in below(folder).into_iter().filter(|p| p.extension().is_some_and(|e| e == "gz")) {
        let stream = flate2::read::GzDecoder::new(File::open(&path).unwrap());
        let mut archive = tar::Archive::new(stream);
        for entry in archive.entries().unwrap() {
            std::io::copy(&mut entry.unwrap(), &mut std::io::sink()).unwrap();
        }
        let mut rest = archive.into_inner();
        std::io::copy(&mut rest, &mut std::io::sink()).unwrap();
    }
}
