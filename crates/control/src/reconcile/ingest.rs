//! What a warden's events change in the state.

use belljar_domain::endpoint::Health;
use belljar_domain::{Assignment, Attempt, Event, HostName, JobName, Protocol, Serving, Timestamp};
use belljar_store::endpoints::servers;
use belljar_store::jobs::{self, JobError, Position};
use belljar_store::logs::{self, LogEvent};
use belljar_store::{Connection, StoreError};
use std::collections::BTreeMap;
use std::fmt;

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

/// Who tells: which record has the position in the spool.
#[derive(Debug, Clone)]
pub(super) enum Whose {
    /// An attempt of a training job.
    Attempt(JobName, u64),
    /// A container of an endpoint's instance, by the instance's id and its number from 1.
    Container(String, u32),
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attempt(job, generation) => write!(f, "{job}~{generation}"),
            Self::Container(server, number) => write!(f, "{server}-{number}"),
        }
    }
}

impl Whose {
    /// Up to where its events are taken in.
    pub(super) fn position(&self, c: &Connection) -> Result<Position, IngestError> {
        let found = match self {
            Self::Attempt(job, generation) => {
                jobs::attempt(c, job, *generation)?.map(|a| a.position)
            }
            Self::Container(id, number) => servers::container(c, id, *number)?.map(|c| c.position),
        };
        found.ok_or(IngestError::Gone)
    }
}

/// Events from one place of a spool to another.
pub(super) struct Batch {
    pub(super) whose: Whose,
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
    /// are taken in. If they were taken in before, nothing happens. Answers whether the
    /// reconciler should look at once.
    pub(super) fn commit(self, c: &Connection, now: Timestamp) -> Result<bool, IngestError> {
        if self.whose.position(c)? != self.from {
            return Err(IngestError::Stale);
        }
        match self.whose {
            Whose::Attempt(job, generation) => {
                of_attempt(c, &job, generation, self.events, now)?;
                jobs::advance(c, &job, generation, self.to)?;
                Ok(false)
            }
            Whose::Container(id, number) => {
                let changed = of_container(c, &id, number, self.events, now)?;
                servers::advance(c, &id, number, self.to)?;
                Ok(changed)
            }
        }
    }
}

fn of_attempt(
    c: &Connection,
    job: &JobName,
    generation: u64,
    events: Vec<Event>,
    now: Timestamp,
) -> Result<(), IngestError> {
    let attempt = jobs::attempt(c, job, generation)?.ok_or(IngestError::Gone)?;
    let (lines, changes) = sort(events, &attempt.assignment.host);
    for (host, lines) in lines {
        let stream = stream_name(&attempt.assignment, &host);
        logs::append_creating(c, LOG_GROUP, &stream, &lines, now)?;
    }
    if changes.is_empty() {
        return Ok(());
    }
    jobs::update(c, job.as_str(), now, |progress| {
        let mut changed = false;
        for event in &changes {
            changed |= progress.apply(event);
            changed |= words_of_attempt(event).is_some_and(|words| progress.warn(&words));
        }
        changed
    })?;
    Ok(())
}

/// Log lines, and whether it is healthy.
fn of_container(
    c: &Connection,
    id: &str,
    number: u32,
    events: Vec<Event>,
    now: Timestamp,
) -> Result<bool, IngestError> {
    let container = servers::container(c, id, number)?.ok_or(IngestError::Gone)?;
    let serving = container.assignment.serving.as_deref().ok_or(IngestError::Gone)?;
    let mut lines = Vec::new();
    let mut last = None;
    for event in events {
        match event {
            Event::Log { line, at, .. } => lines.push(LogEvent { at, message: message(line) }),
            // An endpoint has no other place where a person would look.
            Event::Warning { message } => lines.push(LogEvent { at: now, message }),
            Event::Attempt(attempt) => {
                let message = format!("{}.", words(&attempt, "The container"));
                lines.push(LogEvent { at: attempt.first, message });
            }
            Event::Health { healthy, why, at } => {
                if !healthy {
                    let message = format!("The container gets no requests for now: {why}");
                    lines.push(LogEvent { at, message });
                }
                last = Some(Health { healthy, why, at });
            }
            _ => {}
        }
    }
    if !lines.is_empty() {
        let (group, stream) = (endpoint_group(&serving.endpoint), endpoint_stream(id, serving));
        logs::append_creating(c, &group, &stream, &lines, now)?;
    }
    if let Some(health) = &last {
        servers::set_health(c, id, number, health)?;
    }
    Ok(last.is_some())
}

/// The log group of an endpoint.
pub(crate) fn endpoint_group(endpoint: &str) -> String {
    format!("/aws/sagemaker/Endpoints/{endpoint}")
}

/// `<variant>/<instance>`, and with the container's name where there are several.
pub(crate) fn endpoint_stream(server: &str, serving: &Serving) -> String {
    let Serving { variant, container, .. } = serving;
    match serving.bind_to_port {
        Some(_) => format!("{variant}/{server}/{container}"),
        None => format!("{variant}/{server}"),
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
