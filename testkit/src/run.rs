//! `belljar train`, run and read.

use crate::Scene;
use belljar_domain::{Event, Report, Stream};
use std::process::{Command, Stdio};

/// A training to be run: an image and what else `belljar train` takes.
#[derive(Debug, Clone)]
pub struct Training {
    job: String,
    arguments: Vec<String>,
}

impl Training {
    /// A job of that name on an image.
    #[must_use]
    pub fn new(job: &str, image: &str) -> Self {
        Self { job: job.to_owned(), arguments: vec!["--image".into(), image.into()] }
    }

    /// A job whose container runs the probe with these arguments.
    #[must_use]
    pub fn probe(job: &str, arguments: &[&str]) -> Self {
        arguments.iter().fold(Self::new(job, "probe"), |t, a| t.option("--argument", a))
    }

    /// Adds an option with its value.
    #[must_use]
    pub fn option(mut self, name: &str, value: &str) -> Self {
        self.arguments.push(format!("{name}={value}"));
        self
    }

    /// Adds an option without a value.
    #[must_use]
    pub fn flag(mut self, name: &str) -> Self {
        self.arguments.push(name.to_owned());
        self
    }

    /// The same under another name.
    #[must_use]
    pub fn named(mut self, job: &str) -> Self {
        job.clone_into(&mut self.job);
        self
    }

    /// The job's name.
    #[must_use]
    pub fn job(&self) -> &str {
        &self.job
    }

    /// The command, with `--json`.
    #[must_use]
    pub fn command(&self, scene: &Scene) -> Command {
        let mut command = scene.belljar(&["train", "--json", "--job-name", &self.job]);
        command.arg("--output").arg(scene.output()).args(&self.arguments);
        command.stdin(Stdio::null());
        command
    }

    /// Runs it to its end.
    #[must_use]
    pub fn run(&self, scene: &Scene) -> Run {
        let output = self.command(scene).output().expect("belljar");
        Run::of(&output.stdout, &output.stderr, output.status.code())
    }
}

/// What a run of `belljar train --json` said.
#[derive(Debug)]
pub struct Run {
    /// Every event.
    pub events: Vec<Event>,
    /// Standard error.
    pub stderr: String,
    /// Exit code, if it exited.
    pub code: Option<i32>,
}

impl Run {
    /// Reads what was printed; every line of standard output must be an event.
    #[must_use]
    pub fn of(stdout: &[u8], stderr: &[u8], code: Option<i32>) -> Self {
        let text = std::str::from_utf8(stdout).expect("events are UTF-8");
        let read = |l: &str| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e} in: {l}"));
        let events = text.lines().map(read).collect();
        Self { events, stderr: String::from_utf8_lossy(stderr).into_owned(), code }
    }

    /// The report.
    #[must_use]
    pub fn report(&self) -> &Report {
        let found = self.events.iter().rev().find_map(|e| match e {
            Event::Report(r) => Some(&**r),
            _ => None,
        });
        found.unwrap_or_else(|| panic!("no report: {self:?}"))
    }

    /// What one instance of several told.
    #[must_use]
    pub fn of_instance(&self, host: &str) -> Vec<&Event> {
        fn told<'a>(event: &'a Event, host: &str) -> Option<&'a Event> {
            match event {
                Event::Instance { host: from, told } if from.as_str() == host => Some(told),
                _ => None,
            }
        }
        self.events.iter().filter_map(|event| told(event, host)).collect()
    }

    /// The lines of one instance of several on standard output.
    #[must_use]
    pub fn lines_of(&self, host: &str) -> Vec<&str> {
        let line = |e| match e {
            &Event::Log { stream: Stream::Stdout, ref line, .. } => Some(line.as_str()),
            _ => None,
        };
        self.of_instance(host).into_iter().filter_map(line).collect()
    }

    /// The container's lines on one stream.
    #[must_use]
    pub fn lines(&self, wanted: Stream) -> Vec<&str> {
        let line = |e| match e {
            &Event::Log { stream, ref line, .. } if stream == wanted => Some(line.as_str()),
            _ => None,
        };
        self.events.iter().filter_map(line).collect()
    }
}
