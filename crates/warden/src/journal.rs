//! Tells what happens: events to whoever started the warden, stages to the job's journal.

use crate::job::JobDir;
use crate::progress::Progress;
use belljar_domain::{Event, Stage, StageState, Timestamp};
use rustix::process::{Signal, getpid, kill_process};
use std::cell::RefCell;
use std::fs::File;
use std::io::Write;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::{mpsc, watch};

/// Events that wait for a slow reader. Further ones make the warden, and so the container, wait.
const QUEUE: usize = 256;
/// Progress of one item is told at most this often.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);
/// Stops the warden (SIGSTOP) at `<stage>:before`, `<stage>:during` or `<stage>:after`, so that
/// a test can kill it there.
const PAUSE_VARIABLE: &str = "BELLJAR_WARDEN_PAUSE_AT";

/// Where events go.
#[derive(Debug)]
pub(crate) struct Journal {
    events: mpsc::Sender<Event>,
    stages: RefCell<File>,
    pause_at: Option<String>,
    deaf: watch::Receiver<bool>,
}

/// The thread that writes events, and the news that nobody reads them any more.
#[derive(Debug)]
pub(crate) struct Writer {
    thread: std::thread::JoinHandle<()>,
}

/// The time now.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

impl Journal {
    /// Opens the journal and starts the writer.
    pub(crate) fn open(job: &JobDir) -> std::io::Result<(Self, Writer)> {
        let (events, mut queue) = mpsc::channel::<Event>(QUEUE);
        let (nobody_reads, deaf) = watch::channel(false);
        let thread = std::thread::Builder::new().name("events".into()).spawn(move || {
            let mut out = std::io::stdout().lock();
            let mut is_read = true;
            while let Some(event) = queue.blocking_recv() {
                // What nobody reads is still taken, so that the warden can finish its work.
                if is_read && write(&mut out, &event).is_err() {
                    is_read = false;
                    let _ = nobody_reads.send(true);
                }
                // A task that a failed stage left behind may hold a sender for ever.
                if matches!(event, Event::Report(_)) {
                    return;
                }
            }
        })?;
        let stages = File::options().create(true).append(true).open(job.journal())?;
        let pause_at = std::env::var(PAUSE_VARIABLE).ok();
        Ok((Self { events, stages: RefCell::new(stages), pause_at, deaf }, Writer { thread }))
    }

    /// A sender for another task.
    pub(crate) fn sender(&self) -> mpsc::Sender<Event> {
        self.events.clone()
    }

    /// Becomes true once nobody reads the events any more.
    pub(crate) fn deaf(&self) -> watch::Receiver<bool> {
        self.deaf.clone()
    }

    /// Tells an event.
    pub(crate) async fn tell(&self, event: Event) {
        // The writer takes events until the journal is dropped.
        let _ = self.events.send(event).await;
    }

    /// Tells and writes down that a stage begins or ends.
    pub(crate) async fn stage(&self, stage: Stage, state: StageState) {
        let event = Event::Stage { stage, state, at: now() };
        // A full disk must not keep a stage from being undone; the journal only explains.
        let _ = write(&mut *self.stages.borrow_mut(), &event);
        self.tell(event).await;
    }

    /// A place where a test may stop the warden.
    pub(crate) fn point(&self, stage: Stage, when: &str) {
        let here = || format!("{}:{when}", stage.as_str());
        if self.pause_at.as_ref().is_some_and(|at| *at == here()) {
            let _ = kill_process(getpid(), Signal::STOP);
        }
    }

    /// Progress of a stage, as events.
    pub(crate) fn progress(&self, stage: Stage) -> Teller {
        Teller { events: self.sender(), stage, last: Mutex::new(None) }
    }
}

impl Writer {
    /// Waits until everything is told, up to the report; without one the journal and its senders
    /// must be gone.
    pub(crate) fn finish(self) {
        let _ = self.thread.join();
    }
}

fn write(out: &mut impl Write, event: &Event) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(event)?;
    line.push(b'\n');
    out.write_all(&line)?;
    out.flush()
}

/// Tells progress, but no oftener than a person could see.
pub(crate) struct Teller {
    events: mpsc::Sender<Event>,
    stage: Stage,
    last: Mutex<Option<(String, Instant)>>,
}

impl Progress for Teller {
    fn update(&self, item: &str, done: u64, total: Option<u64>) {
        let Ok(mut last) = self.last.lock() else { return };
        let finished = total == Some(done);
        let soon = last.as_ref().is_some_and(|(i, t)| i == item && t.elapsed() < PROGRESS_EVERY);
        if soon && !finished {
            return;
        }
        *last = Some((item.to_owned(), Instant::now()));
        let event = Event::Progress { stage: self.stage, item: item.to_owned(), done, total };
        // A reader that is behind misses a step of a progress bar, and nothing else.
        let _ = self.events.try_send(event);
    }
}
