//! One instance's warden, as the job's warden sees it: a child, or the file of a node's, that tells
//! events and hears words.

use super::away;
use super::state::{End, Happening};
use crate::job::JobDir;
use belljar_domain::spool::{Order, Word};
use belljar_domain::{Assignment, Event, HostName, Outcome, Report};
use belljar_linux::privilege::Privilege;
use std::fs::File;
use std::io;
use std::process::{ExitStatus, Stdio};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;

/// An instance and its end of the line.
pub(super) struct Member {
    pub(super) host: HostName,
    pub(super) dir: JobDir,
    line: Line,
}

/// Where it hears words.
enum Line {
    Child(ChildStdin),
    /// Of an instance that a node runs.
    Node(File),
    Gone,
}

/// Where what an instance tells goes.
#[derive(Clone)]
pub(super) struct Ears {
    pub(super) happenings: mpsc::Sender<Happening>,
    /// The job's events.
    pub(super) events: mpsc::Sender<Event>,
    /// What containers print, which may have to wait.
    pub(super) output: mpsc::Sender<Event>,
}

/// Who the child is to be, and where its peers' links meet.
pub(super) struct Birth<'a> {
    pub(super) number: usize,
    pub(super) privilege: Privilege,
    pub(super) hub: Option<&'a str>,
}

impl Member {
    /// Starts the warden of an instance whose folder is in place.
    pub(super) fn start(
        dir: JobDir,
        assignment: &Assignment,
        birth: &Birth<'_>,
        ears: Ears,
    ) -> io::Result<Self> {
        let mut child = command(&dir, birth.privilege, birth.hub).spawn()?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let place = Place::of(assignment, birth.number);
        let host = place.host.clone();
        tokio::spawn(attend(place, dir.clone(), child, stdout, ears));
        Ok(Self { host, dir, line: stdin.map_or(Line::Gone, Line::Child) })
    }

    /// Leaves an instance to the node that is to run it.
    pub(super) fn leave(
        job: &JobDir,
        assignment: &Assignment,
        number: usize,
        ears: Ears,
    ) -> io::Result<Self> {
        let dir = folder(job, assignment)?;
        let line = Line::Node(away::open_in(&dir)?);
        write_assignment(&dir, assignment)?;
        let place = Place::of(assignment, number);
        let host = place.host.clone();
        tokio::spawn(away::attend(place, dir.clone(), ears));
        Ok(Self { host, dir, line })
    }

    /// Tells it to stop, or to end now. One that has died does not hear it.
    pub(super) async fn order(&mut self, order: Order) {
        self.write(format!("{order}\n").as_bytes()).await;
    }

    /// Tells it a word.
    pub(super) async fn tell(&mut self, word: &Word) {
        let Ok(mut line) = serde_json::to_vec(word) else { return };
        line.push(b'\n');
        self.write(&line).await;
    }

    async fn write(&mut self, line: &[u8]) {
        let written = match &mut self.line {
            Line::Child(stdin) => stdin.write_all(line).await,
            Line::Node(file) => io::Write::write_all(file, line),
            Line::Gone => return,
        };
        if let Err(e) = written {
            // A child has ended, which is told by its end.
            tracing::debug!(host = %self.host, error = %e, "an instance does not hear");
            self.line = Line::Gone;
        }
    }

    /// How it ended, by its own account.
    pub(super) fn report(&self, generation: u64) -> Option<Report> {
        read_report(&self.dir, generation)
    }
}

/// The warden of an instance, to be started as a child with pipes.
pub(crate) fn command(dir: &JobDir, privilege: Privilege, hub: Option<&str>) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command
        .arg("instance")
        .arg(dir.path())
        .arg(dir.state())
        .arg(std::process::id().to_string())
        .arg(privilege.to_string())
        .args(hub)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Which instance.
pub(super) struct Place {
    pub(super) number: usize,
    pub(super) host: HostName,
    pub(super) generation: u64,
}

impl Place {
    fn of(assignment: &Assignment, number: usize) -> Self {
        Self { number, host: assignment.host.clone(), generation: assignment.generation }
    }
}

async fn attend(
    place: Place,
    dir: JobDir,
    mut child: Child,
    stdout: Option<ChildStdout>,
    ears: Ears,
) {
    if let Some(stdout) = stdout {
        listen(&place, stdout, &ears).await;
    }
    let ended = child.wait().await;
    let end = match read_report(&dir, place.generation).map(|r| r.outcome) {
        Some(Outcome::Failed { .. }) => End::Failed,
        Some(_) => End::Well,
        None => {
            tracing::warn!(host = %place.host, ended = %how(&ended), "an instance's warden died");
            End::Failed
        }
    };
    // Whoever waits for it is gone only if the whole warden is.
    let _ = ears.happenings.send(Happening::Ended(place.number, end)).await;
}

pub(crate) fn read_report(dir: &JobDir, generation: u64) -> Option<Report> {
    let report: Report = serde_json::from_slice(&std::fs::read(dir.report()).ok()?).ok()?;
    (report.generation == generation).then_some(report)
}

fn how(ended: &io::Result<ExitStatus>) -> String {
    match ended {
        Ok(status) => status.to_string(),
        Err(e) => e.to_string(),
    }
}

/// Takes its events. The lines are those of this very program, and bounded by it.
async fn listen(place: &Place, stdout: ChildStdout, ears: &Ears) {
    let mut reader = BufReader::with_capacity(64 << 10, stdout);
    let mut line = Vec::new();
    loop {
        line.clear();
        match reader.read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let event = serde_json::from_slice(&line).unwrap_or_else(|e| Event::Warning {
            message: format!("an instance's warden wrote a line that is no event ({e})"),
        });
        hand_on(place, event, ears).await;
    }
}

/// What is for the job's warden goes to it, what is for others to them.
pub(super) async fn hand_on(place: &Place, event: Event, ears: &Ears) {
    let number = place.number;
    let happening = match event {
        Event::Offer(endpoint) => Happening::Offered(number, endpoint),
        Event::Ready => Happening::Ready(number),
        Event::Exited { exit } => Happening::Exited(number, exit),
        Event::Status { status, .. } => Happening::Status(status),
        // It is read from its file, whole.
        Event::Report(_) => return,
        event @ Event::Metric(_) => {
            let _ = ears.events.send(event).await;
            return;
        }
        event => {
            let ears = if matches!(event, Event::Log { .. }) { &ears.output } else { &ears.events };
            let (host, told) = (place.host.clone(), Box::new(event));
            let _ = ears.send(Event::Instance { host, told }).await;
            return;
        }
    };
    let _ = ears.happenings.send(happening).await;
}

/// The folder of an instance, with its Assignment in it.
pub(super) fn prepare(job: &JobDir, own: &Assignment) -> io::Result<JobDir> {
    let dir = folder(job, own)?;
    write_assignment(&dir, own)?;
    Ok(dir)
}

fn folder(job: &JobDir, own: &Assignment) -> io::Result<JobDir> {
    let folder = job.instances().join(own.host.as_str());
    std::fs::create_dir_all(&folder)?;
    JobDir::of_instance(&folder, job.state())
}

/// Whole or not at all: a node fetches it as soon as it is there.
pub(crate) fn write_assignment(dir: &JobDir, own: &Assignment) -> io::Result<()> {
    let path = dir.path().join(crate::job::ASSIGNMENT);
    let part = path.with_extension("part");
    std::fs::write(&part, serde_json::to_vec(own)?)?;
    std::fs::rename(part, path)
}
