//! The loop around a running warden: one closed set of things that can happen, and what each
//! changes.

use super::lines::{Line, Lines, MAX_LINE_BYTES};
use super::process::{ended, last_line, tail};
use super::{Ask, LocalError};
use belljar_domain::attempt::Attempts;
use belljar_domain::failure::Blame;
use belljar_domain::metrics::{MetricDatum, keep_last};
use belljar_domain::status::Transitions;
use belljar_domain::{Assignment, Event, Outcome, Report, Timestamp};
use std::process::ExitStatus;
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// How long a warden may live on after it closed its output, and its output after it died.
const PARTING_SECONDS: u64 = 5;
/// Lines that are no events and are told one by one; the rest is counted.
const MAX_COMPLAINTS: u64 = 3;

/// What was seen of a warden from start to end.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) report: Option<Report>,
    pub(super) diagnostics: String,
    status: ExitStatus,
    killed: bool,
    notes: Notes,
}

/// What the events told, for the case that no report follows.
#[derive(Debug, Default)]
struct Notes {
    transitions: Transitions,
    metrics: Vec<MetricDatum>,
    attempts: Attempts,
    warnings: Vec<String>,
    garbage: u64,
}

/// Everything that can happen.
enum Happening {
    Line(std::io::Result<Option<Line>>),
    Delivered,
    Unheard,
    Asked(Option<Ask>),
    Died(std::io::Result<ExitStatus>),
    Late,
}

struct Watch {
    child: Child,
    stdin: Option<ChildStdin>,
    pending: Option<Event>,
    output_ended: bool,
    status: Option<ExitStatus>,
    deadline: Option<Instant>,
    asks_open: bool,
    heard: bool,
    killed: bool,
    report: Option<Report>,
    notes: Notes,
}

/// Watches until the warden is dead and all that it said is read.
pub(super) async fn watch(
    mut child: Child,
    events: mpsc::Sender<Event>,
    mut asks: mpsc::Receiver<Ask>,
) -> Result<Seen, LocalError> {
    let stdout = child.stdout.take();
    let mut diagnostics = tokio::spawn(tail(child.stderr.take()));
    let mut lines =
        stdout.map(|out| Lines::new(BufReader::with_capacity(64 << 10, out), MAX_LINE_BYTES));
    let mut w = Watch {
        stdin: child.stdin.take(),
        child,
        pending: None,
        output_ended: lines.is_none(),
        status: None,
        deadline: None,
        asks_open: true,
        heard: true,
        killed: false,
        report: None,
        notes: Notes::default(),
    };
    while !w.is_over() {
        let happening = next(&mut w, lines.as_mut(), &events, &mut asks).await;
        w.handle(happening).await?;
    }
    // A grandchild that holds the pipe open must not hold the caller.
    let said = tokio::time::timeout(Duration::from_secs(PARTING_SECONDS), &mut diagnostics).await;
    diagnostics.abort();
    let diagnostics = said.ok().and_then(Result::ok).unwrap_or_default();
    let Some(status) = w.status else {
        return Err(LocalError::Wait(std::io::Error::other("the warden has no exit status")));
    };
    Ok(Seen { report: w.report, diagnostics, status, killed: w.killed, notes: w.notes })
}

/// Waits for the next thing to happen. A caller that is slow to take events slows the warden
/// down, but never keeps an ask from being heard.
async fn next(
    w: &mut Watch,
    lines: Option<&mut Lines<BufReader<tokio::process::ChildStdout>>>,
    events: &mpsc::Sender<Event>,
    asks: &mut mpsc::Receiver<Ask>,
) -> Happening {
    let deadline = w.deadline.unwrap_or_else(Instant::now);
    let line = async {
        match lines {
            Some(lines) => lines.next().await,
            None => std::future::pending().await,
        }
    };
    let hand_over = w.pending.is_some();
    tokio::select! {
        biased;
        ask = asks.recv(), if w.asks_open => Happening::Asked(ask),
        () = events.closed(), if w.heard => Happening::Unheard,
        permit = events.reserve(), if hand_over => match (permit, w.pending.take()) {
            (Ok(permit), Some(event)) => {
                permit.send(event);
                Happening::Delivered
            }
            _ => Happening::Unheard,
        },
        line = line, if !hand_over && !w.output_ended => Happening::Line(line),
        status = w.child.wait(), if w.status.is_none() => Happening::Died(status),
        () = sleep_until(deadline), if w.deadline.is_some() && !hand_over => Happening::Late,
    }
}

impl Watch {
    fn is_over(&self) -> bool {
        self.status.is_some() && self.output_ended && self.pending.is_none()
    }

    async fn handle(&mut self, happening: Happening) -> Result<(), LocalError> {
        match happening {
            Happening::Line(Ok(Some(line))) => self.line(&line),
            Happening::Line(Ok(None) | Err(_)) => {
                self.output_ended = true;
                self.part();
            }
            // A slow caller is no reason to give up on what is still to be read.
            Happening::Delivered => self.deadline = self.deadline.map(|_| parting()),
            Happening::Unheard => {
                self.pending = None;
                if std::mem::take(&mut self.heard) {
                    self.ask(Ask::Stop).await?;
                }
            }
            Happening::Asked(Some(ask)) => self.ask(ask).await?,
            Happening::Asked(None) => self.asks_open = false,
            Happening::Died(status) => {
                self.status = Some(status.map_err(LocalError::Wait)?);
                self.stdin = None;
                self.part();
            }
            Happening::Late => self.late()?,
        }
        Ok(())
    }

    /// One of output and process is gone: the other follows soon, or is made to.
    fn part(&mut self) {
        self.deadline.get_or_insert_with(parting);
    }

    fn late(&mut self) -> Result<(), LocalError> {
        self.deadline = None;
        if self.status.is_some() {
            // Died, and something else still holds its output: what it said itself was read.
            self.output_ended = true;
            return Ok(());
        }
        self.notes.warnings.push(format!(
            "the warden closed its output and lived on for {PARTING_SECONDS} s: it was killed"
        ));
        self.child.start_kill().map_err(LocalError::Wait)
    }

    async fn ask(&mut self, ask: Ask) -> Result<(), LocalError> {
        if self.status.is_some() {
            return Ok(());
        }
        match ask {
            Ask::Stop => {
                let told = match &mut self.stdin {
                    Some(stdin) => stdin.write_all(b"stop\n").await.is_ok(),
                    None => false,
                };
                if !told {
                    // It no longer reads: closing the pipe says the same, and cannot fail.
                    self.stdin = None;
                }
                Ok(())
            }
            Ask::Kill => {
                self.killed = true;
                self.child.start_kill().map_err(LocalError::Wait)
            }
        }
    }

    fn line(&mut self, line: &Line) {
        let event = match line {
            Line::Whole(bytes) => match serde_json::from_slice(bytes) {
                Ok(event) => event,
                Err(e) => return self.complain(&format!("that is no event ({e})")),
            },
            Line::TooLong => {
                return self.complain(&format!("longer than {} MiB", MAX_LINE_BYTES >> 20));
            }
        };
        self.notes.take(&event);
        match event {
            // The caller gets it once, when it is known to be the one.
            Event::Report(report) => self.report = Some(*report),
            event => self.deliver(event),
        }
    }

    fn complain(&mut self, what: &str) {
        self.notes.garbage += 1;
        if self.notes.garbage > MAX_COMPLAINTS {
            return;
        }
        let message = format!("the warden wrote a line {what}; it is left out");
        self.notes.warnings.push(message.clone());
        self.deliver(Event::Warning { message });
    }

    fn deliver(&mut self, event: Event) {
        if self.heard {
            self.pending = Some(event);
        }
    }
}

impl Notes {
    fn take(&mut self, event: &Event) {
        match event {
            Event::Instance { told, .. } => self.take(told),
            Event::Status { status, at, .. } => {
                self.transitions.enter(*status, *at);
            }
            Event::Metric(datum) => keep_last(&mut self.metrics, datum.clone()),
            Event::Attempt(attempt) => {
                self.attempts.add(attempt.clone());
            }
            _ => {}
        }
    }
}

impl Seen {
    /// What can honestly be said of a job whose warden left no report.
    pub(super) fn report_in_place(
        &self,
        assignment: &Assignment,
        trouble: Option<&dyn std::error::Error>,
    ) -> Report {
        let how = ended(self.status);
        let outcome = if self.killed {
            Outcome::Stopped
        } else {
            let said = last_line(&self.diagnostics);
            let said = if said.is_empty() { said } else { format!(" Its last words: {said}") };
            let cause = match trouble {
                Some(e) => format!("the warden {how}, and its report is not readable: {e}."),
                None => format!("the warden {how} before it could report."),
            };
            let swept = " The container ended with it.";
            Outcome::Failed {
                reason: Blame::Internal.reason(&format!("{cause}{swept}{said}")),
                hint: Some(
                    "run it again; if it happens twice, `belljar doctor` may say why".to_owned(),
                ),
                machine: false,
            }
        };
        let mut transitions = self.notes.transitions.clone();
        transitions.enter(outcome.status(), now());
        let mut warnings = self.notes.warnings.clone();
        if self.killed {
            warnings.push("killed at once on request: nothing was uploaded".to_owned());
        }
        warnings.push("this report was put together from what the warden said before its end; attempts are complete only up to then".to_owned());
        Report {
            generation: assignment.generation,
            job: assignment.job.clone(),
            host: assignment.host.clone(),
            outcome,
            exit: None,
            transitions,
            metrics: self.notes.metrics.clone(),
            inputs: Vec::new(),
            artifacts: Vec::new(),
            attempts: self.notes.attempts.clone(),
            image_digest: None,
            evidence: None,
            evidence_sha256: None,
            instances: Vec::new(),
            warnings,
        }
    }
}

fn parting() -> Instant {
    Instant::now() + Duration::from_secs(PARTING_SECONDS)
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
