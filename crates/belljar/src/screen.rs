//! What a person sees while a job runs, or a program with `--json`: events in, output out.

use crate::summary;
use crate::terminal::{Console, printable};
use belljar_domain::{Event, HostName, PeerLink, SealReading, Stage, StageState};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use owo_colors::OwoColorize;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;
use tokio::sync::mpsc;

/// Bars that are drawn at once; what is beyond is not drawn.
const MAX_BARS: usize = 8;
/// Characters of an item's name beside its bar.
const ITEM_WIDTH: usize = 28;

/// What to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// The container's lines.
    Lines,
    /// Every event.
    Json,
}

/// What was learnt from events that no report repeats.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    /// The seals as they were read back, by instance; one that is alone has no name here.
    pub(crate) seals: BTreeMap<Option<HostName>, Sealed>,
    /// Warnings that were already told.
    pub(crate) warnings: Vec<String>,
    /// Why standard output could not be written, if it could not.
    pub(crate) stdout: Option<io::Error>,
}

/// A seal as it was read back, and the link to peers that it may have.
pub(crate) type Sealed = (Box<SealReading>, Option<Box<PeerLink>>);

/// Shows events until they end, or until standard output is closed: then the events' receiver is
/// dropped, and whoever sends them stops the job.
pub(crate) struct Screen {
    stdout: Box<dyn Write + Send>,
    console: Console,
    look: Look,
    bars: BTreeMap<(Stage, String), ProgressBar>,
    spinner: Option<ProgressBar>,
    shown: Shown,
}

impl Screen {
    pub(crate) fn new(stdout: Box<dyn Write + Send>, console: Console, look: Look) -> Self {
        Self {
            stdout,
            console,
            look,
            bars: BTreeMap::new(),
            spinner: None,
            shown: Shown::default(),
        }
    }

    /// The whole show. Runs on a thread of its own, because writing may block.
    pub(crate) fn show(
        mut self,
        mut events: mpsc::Receiver<Event>,
    ) -> (Shown, Box<dyn Write + Send>) {
        while let Some(event) = self.next(&mut events) {
            if let Err(e) = self.event(event) {
                self.shown.stdout = Some(e);
                break;
            }
        }
        if self.shown.stdout.is_none() {
            self.shown.stdout = self.stdout.flush().err();
        }
        self.clear();
        (self.shown, self.stdout)
    }

    /// The next event; lines are flushed before waiting, so that they are live and still cheap.
    fn next(&mut self, events: &mut mpsc::Receiver<Event>) -> Option<Event> {
        match events.try_recv() {
            Ok(event) => return Some(event),
            Err(mpsc::error::TryRecvError::Disconnected) => return None,
            Err(mpsc::error::TryRecvError::Empty) => {}
        }
        if let Err(e) = self.stdout.flush() {
            self.shown.stdout = Some(e);
            return None;
        }
        events.blocking_recv()
    }

    fn event(&mut self, event: Event) -> io::Result<()> {
        if self.look == Look::Json {
            serde_json::to_writer(&mut self.stdout, &event)?;
            self.stdout.write_all(b"\n")?;
        }
        match event {
            Event::Instance { host, told } => self.told(Some(&host), *told),
            event => self.told(None, event),
        }
    }

    fn told(&mut self, host: Option<&HostName>, event: Event) -> io::Result<()> {
        match event {
            Event::Log { line, raw, .. } => {
                self.log(host, raw.as_deref().unwrap_or(line.as_bytes()))?;
            }
            Event::Stage { stage, state, .. } => self.stage(host, stage, state),
            Event::Progress { stage, item, done, total } => {
                self.progress(stage, of_host(host, &item), done, total);
            }
            Event::Status { message, .. } => self.console.detail(&printable(&message)),
            Event::Metric(m) => {
                let text = format!("metric {} = {}", printable(&m.name), m.value);
                self.console.detail(&text);
            }
            Event::Attempt(a) => {
                let text = format!("blocked {}", summary::target(&a));
                self.console.detail(&of_host(host, &text));
            }
            Event::Sealed { seal, peers } => {
                self.console.detail(&summary::seal_line(host, &seal, peers.as_deref()));
                self.shown.seals.insert(host.cloned(), (seal, peers));
            }
            Event::Health { healthy, why, .. } => {
                let state =
                    if healthy { "healthy".to_owned() } else { format!("unhealthy: {why}") };
                self.console.detail(&printable(&state));
            }
            Event::Warning { message } => {
                let message = of_host(host, &message);
                self.console.warn(&message);
                self.shown.warnings.push(message);
            }
            // What instances and their job's warden say to each other.
            Event::Instance { .. }
            | Event::Offer(_)
            | Event::Exited { .. }
            | Event::Ready
            | Event::Report(_) => {}
        }
        Ok(())
    }

    /// The container's own line, as it is: to the byte. One of several has its name before it.
    fn log(&mut self, host: Option<&HostName>, line: &[u8]) -> io::Result<()> {
        if self.look == Look::Json {
            return Ok(());
        }
        let stdout = &mut self.stdout;
        let mut write = || {
            if let Some(host) = host {
                write!(stdout, "{host} | ")?;
            }
            stdout.write_all(line)?;
            stdout.write_all(b"\n")
        };
        if self.console.is_terminal() {
            let written = self.console.bars().suspend(write);
            return written.and_then(|()| self.stdout.flush());
        }
        write()
    }

    fn stage(&mut self, host: Option<&HostName>, stage: Stage, state: StageState) {
        if host.is_some() {
            // They overlap: what is drawn is the job's.
            let text = format!("{}: {state:?}", stage.as_str()).to_lowercase();
            return self.console.detail(&of_host(host, &text));
        }
        match state {
            StageState::Begun => {
                self.clear();
                self.console.detail(&format!("{}: begun", stage.as_str()));
                let runs = matches!(stage, Stage::Container | Stage::Instances);
                if self.console.is_terminal() && !runs {
                    self.spinner = Some(self.spinner(stage));
                }
            }
            StageState::Done => self.clear(),
            StageState::Failed => {
                self.clear();
                self.console.detail(&format!("{}: failed", stage.as_str()));
            }
            StageState::Undone => self.console.detail(&format!("{}: undone", stage.as_str())),
        }
    }

    fn spinner(&self, stage: Stage) -> ProgressBar {
        let words = match stage {
            Stage::Image => "getting the image",
            Stage::Root => "preparing the root file system",
            Stage::StageIn => "staging the channels in",
            Stage::Network => "sealing the network",
            Stage::Instances => "running the instances",
            Stage::Container => "running",
            Stage::StageOut => "staging the artifacts out",
            Stage::Evidence => "signing the evidence",
        };
        let spinner = self.console.bars().add(ProgressBar::new_spinner());
        spinner.set_message(words);
        spinner.enable_steady_tick(Duration::from_millis(100));
        spinner
    }

    fn progress(&mut self, stage: Stage, item: String, done: u64, total: Option<u64>) {
        if !self.console.is_terminal() {
            return;
        }
        let key = (stage, item);
        if let Some(bar) = self.bars.get(&key) {
            bar.set_position(done);
            if total == Some(done) {
                bar.finish_and_clear();
                self.bars.remove(&key);
            }
            return;
        }
        if self.bars.len() >= MAX_BARS || total == Some(done) {
            return;
        }
        let bar = self.console.bars().add(bar(&key.1, total));
        bar.set_position(done);
        self.bars.insert(key, bar);
    }

    fn clear(&mut self) {
        for bar in std::mem::take(&mut self.bars).into_values().chain(self.spinner.take()) {
            bar.finish_and_clear();
        }
    }
}

/// What an instance tells, with its name; as it is if there is one only.
fn of_host(host: Option<&HostName>, text: &str) -> String {
    host.map_or_else(|| text.to_owned(), |host| format!("{host}: {text}"))
}

/// A bar that names its item.
pub(crate) fn bar(item: &str, total: Option<u64>) -> ProgressBar {
    let name: String =
        printable(item.trim_start_matches("sha256:")).chars().take(ITEM_WIDTH).collect();
    // Drawn by whom it is added to, and not before.
    let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden());
    let template = match total {
        Some(_) => {
            "  {prefix:28.dim} {bar:30.cyan/dim} {bytes:>10} / {total_bytes:10} {bytes_per_sec:.dim}"
        }
        None => "  {prefix:28.dim} {spinner} {bytes:>10} {bytes_per_sec:.dim}",
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("━╸─"));
    }
    bar.set_prefix(name);
    bar
}

/// One line in colour for a job that begins.
pub(crate) fn begins(job: &str, image: &str) -> String {
    format!("{} {}  {}", "job".bold(), job.bold(), printable(image).dimmed())
}
