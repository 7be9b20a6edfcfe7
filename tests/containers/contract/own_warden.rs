//! A warden without `belljar` in front: for assignments that the command line does not make.

use belljar_testkit::{Run, Scene, Training};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

/// A warden that runs one job.
pub(crate) struct OwnWarden {
    warden: Child,
    /// Its end would tell the warden that it is alone.
    orders: ChildStdin,
    events: BufReader<ChildStdout>,
    said: String,
}

impl OwnWarden {
    /// Takes the assignment of a small job that has ended, gives it the probe's `arguments` and
    /// what else is to change, and runs it as the job `name`.
    pub(crate) fn new(
        scene: &Scene,
        name: &str,
        arguments: &[&str],
        change: impl FnOnce(&mut Value),
    ) -> Self {
        let base = Training::probe(&format!("{name}-base"), &["exit", "0"]).run(scene);
        let path = scene.state().join("jobs").join(base.report().job.as_str());
        let text = fs::read_to_string(path.join("assignment.json")).unwrap();
        let mut assignment: Value = serde_json::from_str(&text).unwrap();
        assignment["job"] = name.into();
        assignment["arguments"] = arguments.into();
        change(&mut assignment);
        let file =
            scene.file(&format!("state/jobs/{name}/assignment.json"), assignment.to_string());
        let mut warden = scene
            .command(scene.tools().warden())
            .args(["run", "--job"])
            .arg(file.parent().unwrap())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let orders = warden.stdin.take().unwrap();
        let events = BufReader::new(warden.stdout.take().unwrap());
        Self { warden, orders, events, said: String::new() }
    }

    /// Waits until the container has said a line.
    pub(crate) fn until(&mut self, wanted: &str) {
        while !self.said.contains(wanted) {
            let read = self.events.read_line(&mut self.said).unwrap();
            assert!(read > 0, "it never said {wanted}: {}", self.said);
        }
    }

    /// Gives an order.
    pub(crate) fn order(&mut self, word: &str) {
        writeln!(self.orders, "{word}").unwrap();
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Run {
        self.events.read_to_string(&mut self.said).unwrap();
        drop(self.orders);
        let output = self.warden.wait_with_output().unwrap();
        Run::of(self.said.as_bytes(), &output.stderr, output.status.code())
    }
}
