//! What a warden's events change in the state.

use belljar_domain::{Assignment, Attempt, Event, HostName, JobName, Protocol, Timestamp};
use belljar_store::jobs::{self, JobError, Position};
use belljar_store::logs::{self, LogEvent};
use belljar_store::{Connection, StoreError};
use std::collections::BTreeMap;

/// The log group of all training jobs.
pub(crate) const LOG_GROUP: &str = "/aws/sagemaker/TrainingJobs";

/// Why events are not taken in.
#[derive(Debug, thiserror::Error)]
pub(super) enum IngestError {
    /// The job or the attempt is not there any more.
    #[error("the attempt is gone")]
    Gone,
    /// Somebody else has taken them in.
    #[error("the events were taken in by another follower")]
    Stale,
    /// The spool cannot be read.
    #[error("cannot read the events")]
    Read(#[from] std::io::Error),
    /// The state failed.
    #[error(transparent)]
    Job(#[from] JobError),
    /// The state failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Events from one place of a spool to another.
pub(super) struct Batch {
    pub(super) job: JobName,
    pub(super) generation: u64,
    pub(super) from: Position,
    pub(super) to: Position,
    pub(super) events: Vec<Event>,
}

/// The events of lines. What is none was written by no warden of this version, and is told.
pub(super) fn parse(lines: &[u8]) -> Vec<Event> {
    let lines = lines.split(|b| *b == b'\n').filter(|l| !l.is_empty());
    lines
        .map(|line| {
            serde_json::from_slice(line).unwrap_or_else(|e| Event::Warning {
                message: format!("the warden wrote a line that is no event ({e}); it is left out"),
            })
        })
        .collect()
}

impl Batch {
    /// In one transaction: log lines, what they say of the job, and the place up to which they
    /// are taken in. If they were taken in before, nothing happens.
    pub(super) fn commit(self, c: &Connection, now: Timestamp) -> Result<(), IngestError> {
        let attempt = jobs::attempt(c, &self.job, self.generation)?.ok_or(IngestError::Gone)?;
        if attempt.position != self.from {
            return Err(IngestError::Stale);
        }
        let (lines, changes) = sort(self.events, &attempt.assignment.host);
        for (host, lines) in lines {
            let stream = stream_name(&attempt.assignment, &host);
            logs::append_creating(c, LOG_GROUP, &stream, &lines, now)?;
        }
        if !changes.is_empty() {
            jobs::update(c, self.job.as_str(), now, |progress| {
                let mut changed = false;
                for event in &changes {
                    changed |= progress.apply(event);
                    changed |= words_of_attempt(event).is_some_and(|words| progress.warn(&words));
                }
                changed
            })?;
        }
        Ok(jobs::advance(c, &self.job, self.generation, self.to)?)
    }
}

/// The log lines by their instance, and everything else. What no instance tells, the job's warden
/// does, which speaks in the stream of `first`.
fn sort(events: Vec<Event>, first: &HostName) -> (BTreeMap<HostName, Vec<LogEvent>>, Vec<Event>) {
    let mut lines: BTreeMap<HostName, Vec<LogEvent>> = BTreeMap::new();
    let mut changes = Vec::new();
    let mut add = |host: HostName, line: String, at: Timestamp| {
        lines.entry(host).or_default().push(LogEvent { at, message: message(line) });
    };
    for event in events {
        match event {
            Event::Log { line, at, .. } => add(first.clone(), line, at),
            Event::Instance { host, told } => match *told {
                Event::Log { line, at, .. } => add(host, line, at),
                told => changes.push(Event::Instance { host, told: Box::new(told) }),
            },
            other => changes.push(other),
        }
    }
    (lines, changes)
}

/// `<job>/algo-1-<seconds of the attempt's beginning>`: the same for every service that follows.
fn stream_name(attempt: &Assignment, host: &HostName) -> String {
    let begun = attempt.begun.unwrap_or_default().millis() / 1000;
    format!("{}/{host}-{begun}", attempt.job)
}

/// A line as CloudWatch Logs can hold it: an event of no character is none (`EventMessage`).
fn message(line: String) -> String {
    if line.is_empty() { " ".to_owned() } else { line }
}

fn words_of_attempt(event: &Event) -> Option<String> {
    match event {
        Event::Attempt(attempt) => Some(words(attempt, "the container")),
        Event::Instance { host, told } => match told.as_ref() {
            Event::Attempt(attempt) => Some(words(attempt, &format!("the container of {host}"))),
            _ => None,
        },
        _ => None,
    }
}

/// An attempt to reach something, in words.
fn words(attempt: &Attempt, who: &str) -> String {
    let protocol = match attempt.protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
        Protocol::Icmp => "ICMP",
        Protocol::Dns => "DNS",
        Protocol::Other => "another protocol",
    };
    let mut target = attempt.name.clone().unwrap_or_default();
    if let Some(address) = attempt.address {
        let port = attempt.port.map(|p| format!(":{p}")).unwrap_or_default();
        target = format!("{target} {address}{port}").trim().to_owned();
    }
    format!(
        "{who} tried to reach {target} ({protocol}) and was refused: it is sealed off the network"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_line_stays_a_line() {
        assert_eq!(message(String::new()), " ");
        assert_eq!(message(" x".to_owned()), " x");
    }

    #[test]
    fn each_instance_has_a_stream_of_its_own() {
        let log = |line: &str| Event::Log {
            stream: belljar_domain::Stream::Stdout,
            line: line.into(),
            raw: None,
            at: Timestamp::from_millis(7),
        };
        let of = |host: &str, told: Event| Event::Instance {
            host: host.parse().unwrap(),
            told: Box::new(told),
        };
        let warning = Event::Warning { message: "w".into() };
        let events = vec![
            log("notice"),
            of("algo-2", log("b")),
            of("algo-1", log("a")),
            of("algo-2", warning.clone()),
        ];
        let (lines, changes) = sort(events, &"algo-1".parse().unwrap());
        let texts = |host: &str| -> Vec<&str> {
            lines[&host.parse().unwrap()].iter().map(|l| l.message.as_str()).collect()
        };
        assert_eq!((texts("algo-1"), texts("algo-2")), (vec!["notice", "a"], vec!["b"]));
        assert_eq!(changes, [of("algo-2", warning)]);
    }

    #[test]
    fn what_is_no_event_is_told_and_the_rest_is_taken() {
        let events = parse(b"{\"event\":\"warning\",\"message\":\"m\"}\n\nnonsense\n");
        assert_eq!(events.len(), 2);
        assert_eq!(events[0], Event::Warning { message: "m".into() });
        assert!(matches!(&events[1], Event::Warning { message } if message.contains("no event")));
    }
}
