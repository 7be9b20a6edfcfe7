//! Tells what happens: events to whoever started the warden, stages to the job's journal.

use crate::job::JobDir;
use crate::progress::Progress;
use crate::spool::{self, Queues, Spool};
use belljar_domain::{Event, Stage, StageState, Timestamp};
use rustix::process::{Signal, getpid, kill_process};
use std::cell::RefCell;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
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
    output: mpsc::Sender<Event>,
    stages: RefCell<File>,
    pause_at: Option<String>,
    deaf: watch::Receiver<bool>,
}

/// Who is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    /// Whoever started the warden, through its standard output.
    Pipe,
    /// Whoever follows the spool in the job's folder, now or later.
    Spool,
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
    /// Opens the journal and starts the writer. For a spool the journal's file is the mark that
    /// this folder was begun: it must not be there yet.
    pub(crate) fn open(job: &JobDir, audience: Audience) -> std::io::Result<(Self, Writer)> {
        let (nobody_reads, deaf) = watch::channel(false);
        let (events, told) = mpsc::channel(QUEUE);
        let mut file = File::options();
        file.append(true).mode(0o600);
        let (stages, output, thread) = match audience {
            Audience::Pipe => {
                let stages = file.create(true).open(job.journal())?;
                let thread = start(move || write_pipe(told, &nobody_reads))?;
                (stages, events.clone(), thread)
            }
            Audience::Spool => {
                let stages = file.create_new(true).open(job.journal())?;
                let mut spool = Spool::create(job)?;
                let (output, printed) = mpsc::channel(QUEUE);
                let queues = Queues { events: told, output: printed };
                let thread = start(move || write_spool(&mut spool, queues, &nobody_reads))?;
                (stages, output, thread)
            }
        };
        let pause_at = std::env::var(PAUSE_VARIABLE).ok();
        let stages = RefCell::new(stages);
        Ok((Self { events, output, stages, pause_at, deaf }, Writer { thread }))
    }

    /// A sender for another task.
    pub(crate) fn sender(&self) -> mpsc::Sender<Event> {
        self.events.clone()
    }

    /// A sender for what the container prints, which waits where a reader is slow.
    pub(crate) fn output(&self) -> mpsc::Sender<Event> {
        self.output.clone()
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

fn start(work: impl FnOnce() + Send + 'static) -> std::io::Result<std::thread::JoinHandle<()>> {
    std::thread::Builder::new().name("events".into()).spawn(work)
}

fn write_pipe(mut queue: mpsc::Receiver<Event>, nobody_reads: &watch::Sender<bool>) {
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
}

fn write_spool(spool: &mut Spool, mut queues: Queues, nobody_reads: &watch::Sender<bool>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let written = runtime.and_then(|r| r.block_on(spool::write_all(spool, &mut queues)));
    if written.is_ok() {
        return;
    }
    // As with a pipe that nobody reads: what cannot be kept is taken, and the job is ended.
    let _ = nobody_reads.send(true);
    drop(queues.output);
    while let Some(event) = queues.events.blocking_recv() {
        if matches!(event, Event::Report(_)) {
            return;
        }
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
