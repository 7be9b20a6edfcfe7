//! `belljar train`: the same road as the service's, without the HTTP front.

use crate::args::TrainArgs;
use crate::deps::Deps;
use crate::exit::Exit;
use crate::image_store;
use crate::run::{runtime, state_path, warden_path};
use crate::screen::{Look, Screen, Shown, begins};
use crate::signals::listen;
use crate::summary;
use crate::terminal::{Console, printable};
use crate::trouble::Trouble;
use belljar_control::local::{self, Ask, Ended, Warden, environment};
use belljar_control::request::{Surroundings, TrainRequest, default_name};
use belljar_control::state::State;
use belljar_domain::{Assignment, limits};
use owo_colors::OwoColorize;
use std::io;
use std::path::Path;
use tokio::sync::mpsc;

/// Events that may wait for a slow terminal before the warden is slowed down.
const EVENTS_AHEAD: usize = 256;

pub(crate) fn run(
    deps: Deps,
    console: &Console,
    state: Option<&Path>,
    args: TrainArgs,
) -> Result<Exit, Trouble> {
    let look = if args.json { Look::Json } else { Look::Lines };
    let done = job(deps, console, state, args.request(), look)?;
    if look == Look::Lines {
        summary::print(console, &done.ended.report, &done.shown);
    }
    done.tell(console);
    Ok(Exit::of(&done.ended.report.outcome))
}

/// A job that has ended.
pub(crate) struct Done {
    pub(crate) ended: Ended,
    pub(crate) shown: Shown,
}

impl Done {
    /// What went wrong around the job, if something did.
    pub(crate) fn tell(&self, console: &Console) {
        if let Some(e) = &self.shown.stdout {
            console.warn(&format!("standard output was closed ({e}): the job was asked to stop"));
        }
        if let Some(said) = self.ended.diagnostics.as_deref().filter(|s| !s.trim().is_empty()) {
            console.detail("the warden's last words:");
            said.lines().for_each(|l| console.detail(&format!("  {}", printable(l))));
        }
    }
}

/// Checks, prepares and runs one job to its end.
pub(crate) fn job(
    deps: Deps,
    console: &Console,
    state: Option<&Path>,
    request: TrainRequest,
    look: Look,
) -> Result<Done, Trouble> {
    let around = Surroundings {
        machine: deps.machine,
        directory: deps.directory.clone(),
        default_name: default_name((deps.now)(), (deps.random)()),
    };
    let accepted = request.assignment(&around)?;
    image_store::check(&accepted.assignment.image)?;
    let warden = Warden {
        program: warden_path(&deps)?,
        environment: environment::for_warden(deps.variables.iter().cloned()).collect(),
    };
    let state = State::open(&state_path(&deps, state)?)?;
    accepted.warnings.iter().for_each(|w| console.warn(w));
    runtime()?.block_on(run_one(deps, console, &state, &warden, &accepted.assignment, look))
}

async fn run_one(
    deps: Deps,
    console: &Console,
    state: &State,
    warden: &Warden,
    assignment: &Assignment,
    look: Look,
) -> Result<Done, Trouble> {
    let interrupts = listen(deps.interrupts).map_err(|e| Trouble::runtime(&e))?;
    let folder = state.create_job(assignment)?;
    if look == Look::Lines {
        console.say(&begins(assignment.job.as_str(), &assignment.image));
    }
    let (events, shown) = mpsc::channel(EVENTS_AHEAD);
    let (asks, asked) = mpsc::channel(4);
    let screen = Screen::new(deps.stdout, console.clone(), look);
    let screen = std::thread::Builder::new()
        .name("screen".to_owned())
        .spawn(move || screen.show(shown))
        .map_err(|e| Trouble::runtime(&e))?;
    let stopper = tokio::spawn(stop_on(interrupts, asks, console.clone()));
    let ended = local::run(warden, &folder, assignment, events, asked).await;
    stopper.abort();
    // A panic in that thread has ended the program (see `bug`).
    let (shown, _) = screen
        .join()
        .map_err(|_| Trouble::runtime(&io::Error::other("the screen's thread is gone")))?;
    Ok(Done { ended: ended?, shown })
}

/// The first wish to stop is passed on; the second ends the warden at once.
async fn stop_on(mut interrupts: mpsc::Receiver<()>, asks: mpsc::Sender<Ask>, console: Console) {
    let mut ask = Ask::Stop;
    while interrupts.recv().await.is_some() {
        match ask {
            Ask::Stop => console.say(&format!(
                "{} the container has {} s; Ctrl-C again to kill it now",
                "stopping:".yellow().bold(),
                limits::STOP_GRACE_SECONDS
            )),
            Ask::Kill => console.say(&format!("{} nothing is uploaded", "killing:".red().bold())),
        }
        if asks.send(ask).await.is_err() {
            return;
        }
        ask = Ask::Kill;
    }
}
