//! A `belljar train` that runs while its test does something else.

use crate::{Run, Scene, Training};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Stdio};

/// Starts a job and waits until its container has said a line.
#[must_use]
pub fn start(scene: &Scene, training: &Training, wanted: &str) -> Started {
    start_all(scene, training, wanted, 1)
}

/// Starts a job and waits until so many of its instances have said a line.
#[must_use]
pub fn start_all(scene: &Scene, training: &Training, wanted: &str, instances: usize) -> Started {
    let mut command = training.command(scene);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut belljar = child.expect("belljar");
    let events = BufReader::new(belljar.stdout.take().expect("a pipe"));
    let mut started = Started { belljar, events, said: String::new() };
    started.until_said(wanted, instances);
    started
}

/// A job that runs.
#[derive(Debug)]
pub struct Started {
    belljar: Child,
    events: BufReader<ChildStdout>,
    said: String,
}

impl Started {
    /// Waits for something among the events.
    pub fn until(&mut self, wanted: &str) {
        self.until_said(wanted, 1);
    }

    fn until_said(&mut self, wanted: &str, times: usize) {
        while self.said.matches(wanted).count() < times {
            let read = self.events.read_line(&mut self.said).expect("events");
            assert!(read > 0, "it never said {wanted}: {}", self.said);
        }
    }

    /// Sends `belljar` a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.belljar), signal).expect("it runs");
    }

    /// Waits for its end.
    #[must_use]
    pub fn end(mut self) -> Run {
        self.events.read_to_string(&mut self.said).expect("events");
        let output = self.belljar.wait_with_output().expect("belljar");
        Run::of(self.said.as_bytes(), &output.stderr, output.status.code())
    }
}
