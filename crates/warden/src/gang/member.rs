//! One instance's warden, as the job's warden sees it: a child that tells events and hears words.

use super::state::{End, Happening};
use crate::job::JobDir;
use belljar_domain::spool::{Order, Word};
use belljar_domain::{Assignment, Event, HostName, Outcome, Report};
use belljar_linux::privilege::Privilege;
use std::io;
use std::process::{ExitStatus, Stdio};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;

/// A child and its end of the line.
pub(super) struct Member {
    pub(super) host: HostName,
    pub(super) dir: JobDir,
    stdin: Option<ChildStdin>,
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
        let mut command = Command::new("/proc/self/exe");
        command
            .arg("instance")
            .arg(dir.path())
            .arg(dir.state())
            .arg(std::process::id().to_string())
            .arg(birth.privilege.to_string())
            .args(birth.hub)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn()?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let host = assignment.host.clone();
        let place =
            Place { number: birth.number, host: host.clone(), generation: assignment.generation };
        tokio::spawn(attend(place, dir.clone(), child, stdout, ears));
        Ok(Self { host, dir, stdin })
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
        if let Some(stdin) = &mut self.stdin
            && stdin.write_all(line).await.is_err()
        {
            // It has ended; that is told by its end.
            self.stdin = None;
        }
    }

    /// How it ended, by its own account.
    pub(super) fn report(&self, generation: u64) -> Option<Report> {
        read_report(&self.dir, generation)
    }
}

/// Which child.
struct Place {
    number: usize,
    host: HostName,
    generation: u64,
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

fn read_report(dir: &JobDir, generation: u64) -> Option<Report> {
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
async fn hand_on(place: &Place, event: Event, ears: &Ears) {
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
    let folder = job.instances().join(own.host.as_str());
    std::fs::create_dir_all(&folder)?;
    let text = serde_json::to_vec(own)?;
    std::fs::write(folder.join(crate::job::ASSIGNMENT), text)?;
    JobDir::of_instance(&folder, job.state())
}
