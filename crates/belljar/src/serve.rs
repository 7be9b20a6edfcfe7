//! `belljar serve`: a model behind a local address, from sealed containers.

use crate::args::ServeArgs;
use crate::deps::Deps;
use crate::exit::Exit;
use crate::image_store;
use crate::run::{runtime, state_path, warden_path};
use crate::screen::{Look, Screen};
use crate::signals::listen;
use crate::terminal::{Console, printable};
use crate::trouble::Trouble;
use belljar_control::local::hosting::{self, Hosting, HostingError};
use belljar_control::local::{Ask, Warden, environment, front};
use belljar_control::request::serve::ServeRequest;
use belljar_control::request::{Surroundings, default_name};
use belljar_control::serving::{Failure, Request, Table, forward};
use belljar_control::state::State;
use belljar_domain::{Event, Outcome, serving};
use owo_colors::OwoColorize;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// Events that may wait for a slow terminal before wardens are slowed down.
const EVENTS_AHEAD: usize = 256;

pub(crate) fn run(
    deps: Deps,
    console: &Console,
    state: Option<&Path>,
    args: ServeArgs,
) -> Result<Exit, Trouble> {
    let look = if args.json { Look::Json } else { Look::Lines };
    let listener = bind(args.port)?;
    let served = Around::of(&deps, state)?.prepare(console, args.request())?;
    runtime()?.block_on(serve(deps, console, served, listener, look))
}

/// What is needed of the outside to serve something.
pub(crate) struct Around {
    surroundings: Surroundings,
    state: State,
    warden: Warden,
}

impl Around {
    pub(crate) fn of(deps: &Deps, state: Option<&Path>) -> Result<Self, Trouble> {
        Ok(Self {
            surroundings: Surroundings {
                machine: deps.machine,
                directory: deps.directory.clone(),
                default_name: default_name((deps.now)(), (deps.random)()),
            },
            state: State::open(&state_path(deps, state)?)?,
            warden: Warden {
                program: warden_path(deps)?,
                environment: environment::for_warden(deps.variables.iter().cloned()).collect(),
            },
        })
    }

    /// What is to be served, checked.
    pub(crate) fn prepare(
        self,
        console: &Console,
        request: ServeRequest,
    ) -> Result<Hosting, Trouble> {
        let Self { surroundings, state, warden } = self;
        let accepted = request.accept(&surroundings, &state.path().join("evidence"))?;
        image_store::check(accepted.image())?;
        accepted.warnings.iter().for_each(|w| console.warn(w));
        Ok(Hosting { accepted, state, warden })
    }
}

/// Serves a model for one request. Answers what it says, and where the evidence is.
pub(crate) fn ask(hosting: Hosting, request: Request) -> Result<(Vec<u8>, Vec<String>), Trouble> {
    let name = hosting.accepted.name().to_owned();
    let table = Arc::new(Table::default());
    let (stopping, stop) = watch::channel(None);
    let (events, mut heard) = mpsc::channel(EVENTS_AHEAD);
    let mut evidence = Vec::new();
    let (hosted, answer, ()) = runtime()?.block_on(async {
        let hosted = hosting::host(hosting, table.clone(), events, stop);
        let asked = async {
            let answer = loop {
                match forward(&table, &name, &request).await {
                    Err(Failure::Unavailable) => {}
                    answer => break answer,
                }
            };
            stopping.send_replace(Some(Ask::Stop));
            answer
        };
        let listens = async {
            while let Some(event) = heard.recv().await {
                if let Event::Report(report) = event {
                    evidence.extend(report.evidence);
                }
            }
        };
        tokio::join!(hosted, asked, listens)
    });
    let failed = |e: &dyn std::fmt::Display| {
        Trouble::new(Exit::Failed, format!("the model could not be asked: {e}"))
    };
    hosted.map_err(|e| failed(&e))?;
    Ok((answer.map_err(|e| failed(&e))?.body.to_vec(), evidence))
}

fn bind(port: u16) -> Result<TcpListener, Trouble> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let bind = || {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    bind().map_err(|e: io::Error| {
        Trouble::new(Exit::Machine, format!("cannot listen on {address}: {e}"))
            .hint("give another port with --port, or 0 for a free one")
    })
}

async fn serve(
    deps: Deps,
    console: &Console,
    hosting: Hosting,
    listener: TcpListener,
    look: Look,
) -> Result<Exit, Trouble> {
    let interrupts = listen(deps.interrupts).map_err(|e| Trouble::runtime(&e))?;
    let address = listener.local_addr().map_err(|e| Trouble::runtime(&e))?;
    if look == Look::Lines {
        let accepted = &hosting.accepted;
        let image = printable(accepted.image());
        let name = accepted.name().to_owned();
        console.say(&format!("{} {}  {}", "endpoint".bold(), name.bold(), image.dimmed()));
    }
    let name = hosting.accepted.name().to_owned();
    let table = Arc::new(Table::default());
    let (stopping, stop) = watch::channel(None);
    let (events, mut heard) = mpsc::channel(EVENTS_AHEAD);
    let front = tokio::spawn(front::serve(listener, table.clone(), name));
    let stopper = tokio::spawn(stop_on(interrupts, stopping.clone(), console.clone()));
    let (show, shown) = mpsc::channel(EVENTS_AHEAD);
    let screen = Screen::new(deps.stdout, console.clone(), look);
    let screen = std::thread::Builder::new()
        .name("screen".to_owned())
        .spawn(move || screen.show(shown))
        .map_err(|e| Trouble::runtime(&e))?;
    let listens = async {
        let mut seen = Seen::default();
        while let Some(event) = heard.recv().await {
            seen.take(&event, console, address);
            if show.send(event).await.is_err() {
                // Standard output is closed: nobody sees what is served.
                stopping.send_replace(Some(Ask::Stop));
                break;
            }
        }
        drop(show);
        // Wardens that are still there must not wait for somebody who listens.
        while heard.recv().await.is_some() {}
        seen
    };
    let (hosted, seen) = tokio::join!(hosting::host(hosting, table, events, stop), listens);
    front.abort();
    stopper.abort();
    // A panic in that thread has ended the program (see `bug`).
    let _ = screen.join();
    close(console, hosted, &seen.evidence)
}

/// What is to be remembered of what was told.
#[derive(Default)]
struct Seen {
    announced: bool,
    evidence: Vec<String>,
}

impl Seen {
    fn take(&mut self, event: &Event, console: &Console, address: SocketAddr) {
        match event {
            Event::Instance { told, .. } => self.take(told, console, address),
            Event::Health { healthy: true, .. } if !self.announced => {
                self.announced = true;
                console.say(&format!(
                    "{} at {}  (Ctrl-C ends it)",
                    "serving".green().bold(),
                    format!("http://{address}/invocations").bold(),
                ));
            }
            Event::Report(report) => self.evidence.extend(report.evidence.clone()),
            _ => {}
        }
    }
}

fn close(
    console: &Console,
    hosted: Result<(), HostingError>,
    evidence: &[String],
) -> Result<Exit, Trouble> {
    for place in evidence {
        console.say(&format!("evidence {}", printable(place)));
    }
    match hosted {
        Ok(()) => Ok(Exit::Completed),
        Err(HostingError::Failed(report)) => {
            if let Outcome::Failed { reason, hint, .. } = &report.outcome {
                console.say(&format!("{} {}", "failed:".red().bold(), printable(reason)));
                hint.iter().for_each(|h| console.say(&format!("  {}", printable(h))));
            }
            Ok(Exit::of(&report.outcome))
        }
        Err(e) => Err(Trouble::of(Exit::Machine, &e, None)),
    }
}

/// The first wish to stop is passed on; the second ends the containers at once.
async fn stop_on(
    mut interrupts: mpsc::Receiver<()>,
    stopping: watch::Sender<Option<Ask>>,
    console: Console,
) {
    while interrupts.recv().await.is_some() {
        let ask = match *stopping.borrow() {
            None => Ask::Stop,
            Some(_) => Ask::Kill,
        };
        if ask == Ask::Stop {
            console.say(&format!(
                "{} the containers have {} s; Ctrl-C again to kill them now",
                "stopping:".yellow().bold(),
                serving::STOP_GRACE_SECONDS
            ));
        }
        stopping.send_replace(Some(ask));
    }
}
