//! Jobs from start to end, and the ways to stop them.

use crate::scene::{Answer, Scene};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};

fn run(plays: &'static str, more: &[&str]) -> Answer {
    let scene = Scene::new(plays);
    scene.answer(scene.train(more).spawn().unwrap())
}

#[test]
fn a_job_for_a_person() {
    insta::assert_snapshot!("job", run("normal", &[]).transcript());
}

#[test]
fn a_seal_that_was_not_read_is_not_claimed() {
    let answer = run("unread", &[]);
    assert!(answer.stderr.contains("no reading of the seal"), "{}", answer.stderr);
}

#[test]
fn a_job_in_colour() {
    let answer = run("normal", &["--color", "always"]);
    assert!(answer.stderr.contains("\x1b["), "{}", answer.stderr);
    assert!(!answer.stdout.contains("\x1b["));
    let scene = Scene::new("normal");
    let child = scene.train(&[]).env("NO_COLOR", "1").spawn().unwrap();
    assert!(!scene.answer(child).stderr.contains("\x1b["));
}

#[test]
fn a_quiet_job_has_its_lines_alone() {
    let answer = run("normal", &["--quiet"]);
    assert_eq!((answer.stdout.as_str(), answer.stderr.as_str()), ("epoch 1 loss=0.5\n", ""));
}

#[test]
fn a_quiet_job_that_fails_says_why() {
    let answer = run("killed", &["--quiet"]);
    assert_eq!(answer.code, 1);
    assert!(answer.stderr.contains("reason"), "{}", answer.stderr);
    assert!(answer.stderr.contains("InternalServerError"), "{}", answer.stderr);
}

#[test]
fn json_is_events_and_nothing_else() {
    let answer = run("garbage", &["--json", "--quiet"]);
    let events: Vec<belljar_domain::Event> =
        answer.stdout.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert!(events.len() > 5);
    assert!(matches!(events.last(), Some(belljar_domain::Event::Report(_))));
    assert_eq!((answer.stderr.as_str(), answer.code), ("", 0));
}

#[test]
fn a_warden_that_dies_is_told_honestly() {
    let answer = run("killed", &[]);
    let plain = answer
        .transcript()
        .lines()
        .filter(|l| !l.contains("✗ Failed"))
        .map(|l| format!("{l}\n"))
        .collect::<String>();
    insta::assert_snapshot!("warden_killed", plain);
    assert_eq!(answer.code, 1);
}

/// Reads standard output until the container has spoken.
fn until(child: &mut Child, wanted: &str) -> BufReader<std::process::ChildStdout> {
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains(wanted) {
        line.clear();
        assert!(reader.read_line(&mut line).unwrap() > 0, "it ended before '{wanted}'");
    }
    reader
}

fn signal(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

#[test]
fn each_signal_asks_the_warden_to_stop() {
    for which in [Signal::INT, Signal::TERM, Signal::HUP] {
        let scene = Scene::new("stop");
        let mut child = scene.train(&[]).spawn().unwrap();
        let mut out = until(&mut child, "epoch 1");
        signal(&child, which);
        let mut rest = String::new();
        out.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "asked: stop\n");
        let answer = scene.answer(child);
        assert!(answer.stderr.contains("stopping: the container has 120 s"), "{}", answer.stderr);
    }
}

#[test]
fn a_second_signal_kills_at_once() {
    let scene = Scene::new("deaf");
    let mut child = scene.train(&[]).spawn().unwrap();
    let out = until(&mut child, "deaf");
    let stderr = child.stderr.take().unwrap();
    signal(&child, Signal::INT);
    let mut lines = BufReader::new(stderr);
    let mut said = String::new();
    while !said.contains("stopping") {
        said.clear();
        assert!(lines.read_line(&mut said).unwrap() > 0);
    }
    signal(&child, Signal::INT);
    lines.read_to_string(&mut said).unwrap();
    drop(out);
    assert_eq!(child.wait().unwrap().code(), Some(3), "{said}");
    assert!(said.contains("nothing was uploaded"), "{said}");
}

#[test]
fn a_closed_standard_output_stops_the_job_and_says_so() {
    let scene = Scene::new("chatty");
    let mut child = scene.train(&[]).spawn().unwrap();
    drop(until(&mut child, "again"));
    let answer = scene.answer(child);
    assert!(answer.stderr.contains("standard output was closed"), "{}", answer.stderr);
    let asked = std::fs::read_to_string(scene.path("state/jobs/j1/asked")).unwrap();
    assert_eq!(asked, "stop\n");
}

#[test]
fn a_caller_that_is_killed_closes_the_lifeline() {
    let scene = Scene::new("chatty");
    let mut child = scene.train(&[]).stderr(Stdio::null()).spawn().unwrap();
    let out = until(&mut child, "again");
    child.kill().unwrap();
    child.wait().unwrap();
    drop(out);
    let asked = scene.path("state/jobs/j1/asked");
    let began = std::time::Instant::now();
    while !asked.exists() && began.elapsed().as_secs() < 20 {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let wait_for_text = || std::fs::read_to_string(&asked).unwrap_or_default();
    while wait_for_text().is_empty() && began.elapsed().as_secs() < 20 {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert_eq!(wait_for_text(), "gone\n");
}
