//! What a warden's events change in the state.

use belljar_domain::{Attempt, Event, JobName, Protocol, Timestamp};
use belljar_store::jobs::{self, JobError, Position};
use belljar_store::logs::{self, LogEvent};
use belljar_store::{Connection, StoreError};

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
    /// The log stream.
    pub(super) stream: String,
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
        let mut lines = Vec::new();
        let mut changes = Vec::new();
        for event in self.events {
            match event {
                Event::Log { line, at, .. } => lines.push(LogEvent { at, message: message(line) }),
                other => changes.push(other),
            }
        }
        if !lines.is_empty() {
            logs::append_creating(c, LOG_GROUP, &self.stream, &lines, now)?;
        }
        if !changes.is_empty() {
            jobs::update(c, self.job.as_str(), now, |progress| {
                let mut changed = false;
                for event in &changes {
                    changed |= progress.apply(event);
                    if let Event::Attempt(attempt) = event {
                        changed |= progress.warn(&words(attempt));
                    }
                }
                changed
            })?;
        }
        Ok(jobs::advance(c, &self.job, self.generation, self.to)?)
    }
}

/// A line as CloudWatch Logs can hold it: an event of no character is none (`EventMessage`).
fn message(line: String) -> String {
    if line.is_empty() { " ".to_owned() } else { line }
}

/// An attempt to reach something, in words.
fn words(attempt: &Attempt) -> String {
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
        "the container tried to reach {target} ({protocol}) and was refused: it is sealed off the network"
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
    fn what_is_no_event_is_told_and_the_rest_is_taken() {
        let events = parse(b"{\"event\":\"warning\",\"message\":\"m\"}\n\nnonsense\n");
        assert_eq!(events.len(), 2);
        assert_eq!(events[0], Event::Warning { message: "m".into() });
        assert!(matches!(&events[1], Event::Warning { message } if message.contains("no event")));
    }
}
