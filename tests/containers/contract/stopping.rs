//! TERM, the grace, KILL.

use crate::own_warden::OwnWarden;
use crate::support::{artifact, entries, scene};
use belljar_domain::{Outcome, SecondaryStatus};
use belljar_testkit::{As, Run, Training, start};
use rustix::process::Signal;

pub(crate) fn is_stopped(run: &Run, code: i32, signal: Option<i32>) {
    assert_eq!(run.report().outcome, Outcome::Stopped, "{run:?}");
    let exit = run.report().exit.unwrap();
    assert_eq!((exit.code, exit.signal), (code, signal), "{run:?}");
    let statuses: Vec<_> = run.report().transitions.as_slice().iter().map(|t| t.status).collect();
    assert!(statuses.contains(&SecondaryStatus::Stopping), "{statuses:?}");
    assert_eq!(statuses.last(), Some(&SecondaryStatus::Stopped), "{statuses:?}");
}

/// What it saves within the grace is kept; its own exit code does not make it a failure.
#[test]
fn a_program_that_heeds_term_saves_its_model() {
    for who in As::all() {
        let scene = scene(who);
        for (job, signal) in [("int", Signal::INT), ("term", Signal::TERM), ("hup", Signal::HUP)] {
            let training = Training::probe(job, &["trap-term", "9", "/opt/ml/model/last"]);
            let job_runs = start(&scene, &training, "waiting for TERM");
            job_runs.signal(signal);
            let run = job_runs.end();
            is_stopped(&run, 9, None);
            assert_eq!(run.code, Some(3), "{who:?}: {}", run.stderr);
            let saved = vec![("last".to_owned(), tar::EntryType::Regular)];
            assert_eq!(entries(&artifact(&scene, job, "model.tar.gz")), saved, "{who:?}");
        }
    }
}

/// A program without a handler, as process 1, does not even hear TERM.
#[test]
fn a_program_that_ignores_term_is_killed_after_its_grace() {
    for who in As::all() {
        let scene = scene(who);
        let arguments = ["sleep", "600", "--ignore-term"];
        let mut warden = OwnWarden::new(&scene, "deaf", &arguments, |assignment| {
            assignment["stop"]["graceSeconds"] = 1.into();
        });
        warden.until("sleeping");
        warden.order("stop");
        let run = warden.end();
        is_stopped(&run, 137, Some(9));
        assert!(artifact(&scene, "deaf", "model.tar.gz").is_file(), "{who:?}");
    }
}

/// The second Ctrl-C does not wait for any grace, and nothing is left that runs.
#[test]
fn asked_twice_it_ends_at_once() {
    for who in As::all() {
        let scene = scene(who);
        let training = Training::probe("twice", &["sleep", "613", "--ignore-term"]);
        let mut job = start(&scene, &training, "sleeping");
        assert_eq!(processes("613"), 1, "{who:?}: the control");
        job.signal(Signal::INT);
        // Two signals at once would be one.
        job.until("\"Stopping\"");
        job.signal(Signal::INT);
        let run = job.end();
        assert_eq!(run.code, Some(3), "{who:?}: {}", run.stderr);
        until_no_process("613");
        assert!(!artifact(&scene, "twice", "model.tar.gz").exists(), "{who:?}");
    }
}

/// Waits until none does.
pub(crate) fn until_no_process(seconds: &str) {
    let began = std::time::Instant::now();
    while processes(seconds) > 0 {
        assert!(began.elapsed().as_secs() < 20, "{seconds} is left");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// How many containers sleep for that time.
pub(crate) fn processes(seconds: &str) -> usize {
    let wanted = format!("/probe\0sleep\0{seconds}\0");
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = all.filter_map(|p| std::fs::read_to_string(p.path().join("cmdline")).ok());
    lines.filter(|line| line.starts_with(&wanted)).count()
}
