//! Control against wardens that end in every way they can.

#![expect(clippy::unwrap_used, reason = "a test ends at what goes wrong")]

use belljar_control::local::{self, Ask, Ended, Warden};
use belljar_control::machine::Machine;
use belljar_control::request::{Surroundings, TrainRequest};
use belljar_control::state::{REPORT_FILE, State, read_report};
use belljar_domain::{Assignment, Event, Outcome, SecondaryStatus};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use tokio::sync::mpsc;

struct Scene {
    _dir: tempfile::TempDir,
    job: PathBuf,
    sweeps: PathBuf,
    assignment: Assignment,
    warden: Warden,
}

impl Scene {
    fn new(plays: &str) -> Self {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
        let dir = tempfile::tempdir().unwrap();
        let around = Surroundings {
            machine: Machine::read(),
            directory: dir.path().to_path_buf(),
            default_name: "job-1".into(),
        };
        let request =
            TrainRequest { image: "x".into(), output: "o".into(), ..TrainRequest::default() };
        let assignment = request.assignment(&around).unwrap().assignment;
        let state = State::open(dir.path()).unwrap();
        let job = state.create_job(&assignment).unwrap();
        let sweeps = dir.path().join("sweeps");
        let set = |name: &str, value: &Path| (OsString::from(name), value.as_os_str().to_owned());
        let environment = vec![
            (OsString::from("PATH"), std::env::var_os("PATH").unwrap()),
            set("BELLJAR_FAKE", Path::new(plays)),
            set("BELLJAR_FAKE_REPORT", &here.join("fake-report.json")),
            set("BELLJAR_FAKE_SWEEPS", &sweeps),
        ];
        let warden = Warden { program: here.join("fake-warden.sh"), environment };
        Self { _dir: dir, job, sweeps, assignment, warden }
    }

    /// Runs to the end; `on` may ask at each event.
    async fn run(&self, mut on: impl FnMut(&Event) -> Option<Ask>) -> (Ended, Vec<Event>) {
        let (events, mut seen) = mpsc::channel(4);
        let (asks, asked) = mpsc::channel(4);
        let running = local::run(&self.warden, &self.job, &self.assignment, events, asked);
        let watching = async {
            let mut all = Vec::new();
            while let Some(event) = seen.recv().await {
                if let Some(ask) = on(&event) {
                    asks.send(ask).await.unwrap();
                }
                all.push(event);
            }
            all
        };
        let (ended, all) = tokio::join!(running, watching);
        (ended.unwrap(), all)
    }

    async fn just_run(&self) -> (Ended, Vec<Event>) {
        self.run(|_| None).await
    }

    fn swept(&self) -> bool {
        std::fs::read_to_string(&self.sweeps).is_ok_and(|s| s == "--job\n")
    }
}

fn reason(ended: &Ended) -> String {
    match &ended.report.outcome {
        Outcome::Failed { reason, .. } => reason.clone(),
        other => panic!("{other:?}"),
    }
}

fn says(event: &Event, wanted: &str) -> bool {
    matches!(event, Event::Log { line, .. } if line.contains(wanted))
}

fn warnings<'a>(all: &'a [Event]) -> Vec<&'a str> {
    let text = |e: &'a Event| match e {
        Event::Warning { message } => Some(message.as_str()),
        _ => None,
    };
    all.iter().filter_map(text).collect()
}

#[tokio::test]
async fn a_job_that_ends_well() {
    let scene = Scene::new("normal");
    let (ended, all) = scene.just_run().await;
    assert_eq!(ended.report.outcome, Outcome::Completed);
    assert!(matches!(all.last(), Some(Event::Report(r)) if **r == ended.report));
    assert_eq!(all.iter().filter(|e| matches!(e, Event::Report(_))).count(), 1);
    assert!(all.iter().any(|e| says(e, "epoch 1")));
    assert_eq!(read_report(&scene.job).unwrap().unwrap(), ended.report);
    assert!(!scene.swept());
}

#[tokio::test]
async fn a_warden_that_is_killed_leaves_an_honest_report() {
    let scene = Scene::new("killed");
    let (ended, _) = scene.just_run().await;
    let reason = reason(&ended);
    assert!(
        reason.starts_with("InternalServerError: the warden was killed by signal 9"),
        "{reason}"
    );
    assert!(reason.contains("about to be killed"), "{reason}");
    assert!(scene.swept());
    assert_eq!(ended.report.metrics.len(), 1, "what was seen is kept");
    let t = ended.report.transitions.as_slice();
    assert_eq!(t.len(), 3);
    assert_eq!(ended.report.transitions.current(), Some(SecondaryStatus::Failed));
    assert_eq!(read_report(&scene.job).unwrap().unwrap(), ended.report);
    assert!(ended.diagnostics.unwrap().contains("about to be killed"));
}

#[tokio::test]
async fn a_sweep_that_fails_is_told() {
    let (ended, _) = Scene::new("sweep-fails").just_run().await;
    assert!(ended.report.warnings.iter().any(|w| w.contains("a mount is busy")));
}

#[tokio::test]
async fn half_an_event_is_no_event() {
    let (ended, all) = Scene::new("half").just_run().await;
    assert!(reason(&ended).contains("signal 9"));
    assert_eq!(warnings(&all), Vec::<&str>::new());
}

#[tokio::test]
async fn garbage_is_named_and_left_out() {
    let (ended, all) = Scene::new("garbage").just_run().await;
    assert_eq!(ended.report.outcome, Outcome::Completed);
    assert_eq!(warnings(&all).len(), 2);
}

#[tokio::test]
async fn a_huge_line_is_left_out_and_the_next_is_read() {
    let (ended, all) = Scene::new("huge").just_run().await;
    assert_eq!(ended.report.outcome, Outcome::Completed);
    assert!(all.iter().any(|e| says(e, "after the long line")));
    assert!(warnings(&all)[0].contains("longer than"));
}

#[tokio::test]
async fn a_report_too_long_for_a_line_is_read_from_its_file() {
    let (ended, _) = Scene::new("file").just_run().await;
    assert_eq!(ended.report.outcome, Outcome::Completed);
}

#[tokio::test]
async fn no_report_and_an_exit_is_a_failure() {
    let scene = Scene::new("silent");
    let (ended, _) = scene.just_run().await;
    assert!(reason(&ended).contains("ended with exit code 3 before it could report"));
    assert!(scene.swept());
}

#[tokio::test]
async fn another_jobs_report_is_refused() {
    let (ended, _) = Scene::new("foreign").just_run().await;
    assert!(reason(&ended).contains("before it could report"));
}

#[tokio::test]
async fn a_stop_reaches_the_warden() {
    let scene = Scene::new("stop");
    let (ended, all) = scene.run(|e| says(e, "epoch 1").then_some(Ask::Stop)).await;
    assert_eq!(ended.report.outcome, Outcome::Completed);
    assert!(all.iter().any(|e| says(e, "asked: stop")));
}

#[tokio::test]
async fn a_kill_ends_a_warden_that_does_not_listen() {
    let scene = Scene::new("deaf");
    let (ended, _) = scene.run(|e| says(e, "deaf").then_some(Ask::Kill)).await;
    assert_eq!(ended.report.outcome, Outcome::Stopped);
    assert!(ended.report.artifacts.is_empty());
    assert!(ended.report.warnings.iter().any(|w| w.contains("nothing was uploaded")));
    assert!(scene.swept());
    assert!(scene.job.join(REPORT_FILE).is_file());
}

#[tokio::test]
async fn a_caller_that_goes_away_stops_the_job_and_gets_its_report() {
    let scene = Scene::new("chatty");
    let (events, mut seen) = mpsc::channel(1);
    let (_asks, asked) = mpsc::channel(1);
    let running = local::run(&scene.warden, &scene.job, &scene.assignment, events, asked);
    let leaving = async {
        let first = seen.recv().await;
        drop(seen);
        first
    };
    let (ended, first) = tokio::join!(running, leaving);
    assert!(first.is_some());
    assert_eq!(ended.unwrap().report.outcome, Outcome::Completed);
    assert_eq!(std::fs::read_to_string(scene.job.join("asked")).unwrap(), "stop\n");
}

#[tokio::test]
async fn a_caller_that_does_not_read_is_still_heard() {
    let scene = Scene::new("chatty");
    let (events, mut seen) = mpsc::channel(1);
    let (asks, asked) = mpsc::channel(1);
    let running = local::run(&scene.warden, &scene.job, &scene.assignment, events, asked);
    let reading = async {
        // The channel is full and nobody reads when the wish to stop comes.
        while !scene.job.join("asked").exists() {
            let _ = asks.try_send(Ask::Stop);
            tokio::task::yield_now().await;
        }
        while seen.recv().await.is_some() {}
    };
    let (ended, ()) = tokio::join!(running, reading);
    assert_eq!(ended.unwrap().report.outcome, Outcome::Completed);
}

#[tokio::test]
async fn a_warden_that_lingers_after_its_report_is_ended() {
    let (ended, _) = Scene::new("lingers").just_run().await;
    assert_eq!(ended.report.outcome, Outcome::Completed);
}

#[tokio::test]
async fn a_program_that_is_not_there_is_an_error() {
    let mut scene = Scene::new("normal");
    scene.warden.program = "/nonexistent/belljar-warden".into();
    let (events, _seen) = mpsc::channel(1);
    let (_asks, asked) = mpsc::channel(1);
    let result = local::run(&scene.warden, &scene.job, &scene.assignment, events, asked).await;
    assert!(result.unwrap_err().to_string().contains("/nonexistent/belljar-warden"));
}
