//! `belljar-warden exec`: a user's own command where all of AWS is Belljar's service, and nothing
//! else can be reached.
//!
//! The command's network is a container's: `lo` alone, and rules that record and refuse all else.
//! Beside the resolver, [`gate`] listens in it, at one address for every name of AWS, and carries
//! the bytes to the service's unix socket outside; it does not look at them.
//!
//! **Invariant**: whatever cannot be made as meant ends the command before it began.

mod faces;
mod gate;
mod options;
mod report;

use crate::attempts::{self, Watch};
use crate::dns::Names;
use crate::failure::chain;
use crate::program::{USAGE, USAGE_ERROR, runtime, say};
use belljar_linux::jar::{self, Ended, Heard, Jar, PASSED_ON};
use belljar_linux::netns::NetNs;
use belljar_linux::seal_net::{self, SealedNet};
use belljar_linux::{Result, privilege};
use belljar_vpc::sealed::output_rules;
use gate::Gate;
use options::Options;
use rustix::process::{Pid, getegid, getpgrp};
use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::process::ExitCode;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

/// Where AWS is inside: an address of `lo` that nothing else uses, so that 127.0.0.1 stays the
/// command's own. Its numbers spell "AWS".
const AWS: Ipv4Addr = Ipv4Addr::new(127, 65, 87, 83);
/// Exit code of a machine that cannot do it, as `belljar` has it.
const MACHINE: u8 = 4;
/// Exit code when the keeper was killed, and with it the command: that of a killed command.
const KILLED: u8 = 128 + 9;

/// Runs the command of these arguments; the exit code is the command's.
pub(crate) fn main(arguments: &[OsString]) -> ExitCode {
    let Some(options) = Options::read(arguments) else {
        say(USAGE);
        return ExitCode::from(USAGE_ERROR);
    };
    let terminal = Terminal::note();
    let ended = prepare(&options).and_then(|jar| {
        let runtime = runtime().map_err(|e| belljar_linux::Error {
            operation: "start the event loop".into(),
            source: std::io::Error::other(e),
        })?;
        runtime.block_on(attend(jar, &options))
    });
    terminal.give_back();
    match ended {
        Ok(ended) => exit(&ended),
        Err(e) => {
            say(&format!("error: cannot run the command in a bell jar: {}\n", chain(&e)));
            say("hint: `belljar doctor` says what this machine can do\n");
            ExitCode::from(MACHINE)
        }
    }
}

fn exit(ended: &Ended) -> ExitCode {
    if let Some(e) = &ended.not_executed {
        say(&format!("error: cannot {}\n", chain(e)));
    }
    if ended.signal == Some(SignalKind::interrupt().as_raw_value()) {
        // A shell that runs a script ends it only if the command is seen to have died of Ctrl-C.
        jar::end_by(SignalKind::interrupt().as_raw_value());
    }
    ExitCode::from(u8::try_from(ended.code).unwrap_or(KILLED))
}

/// Everything that needs a process of one thread.
fn prepare(options: &Options) -> Result<Jar> {
    let gid = getegid().as_raw();
    privilege::assert_single_threaded()?;
    let privilege = privilege::enter()?;
    let spec = jar::Spec {
        command: options.command.clone(),
        faces: faces::all(&options.ca),
        privilege,
        gid,
    };
    jar::make(&spec)
}

/// The command's network, and who listens in it.
struct Network {
    sealed: SealedNet,
    watch: Watch,
    gate: Gate,
}

async fn network(ns: &NetNs, options: &Options) -> Result<Network> {
    let sealed = seal_net::seal(ns, &output_rules()).await?;
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    // Nobody follows attempts as they happen: they are told at the end.
    let (events, _) = mpsc::channel(1);
    let watch = attempts::watch(ns, Some(Names::own(&host).with_aws(AWS)), events).await?;
    let gate = gate::open(ns, AWS, options.at, &options.service)?;
    Ok(Network { sealed, watch, gate })
}

async fn attend(jar: Jar, options: &Options) -> Result<Ended> {
    let network = network(jar.net(), options).await?;
    let mut running = jar.start().await?;
    let mut signals = Signals::listen()?;
    let mut heard = Heard::default();
    let ended = loop {
        tokio::select! {
            ended = running.wait(&mut heard) => break ended,
            // If the keeper is gone, the wait says so.
            signal = signals.next() => { let _ = running.pass_on(signal).await; }
        }
    };
    let recorded = network.sealed.read().await.map_or(0, |r| r.recorded);
    let attempts = network.watch.finish(recorded).await;
    let carried = network.gate.close();
    if !options.quiet {
        say(&report::text(&attempts, &carried));
    }
    match ended {
        Ok(ended) => Ok(ended),
        Err(e) if jar::is_keepers_death(&e) => {
            let code = i32::from(KILLED);
            Ok(Ended { code, signal: None, not_executed: Some(e) })
        }
        Err(e) => Err(e),
    }
}

/// The signals that are for the command.
struct Signals(mpsc::Receiver<i32>);

impl Signals {
    fn listen() -> Result<Self> {
        let (heard, all) = mpsc::channel(16);
        for number in PASSED_ON {
            let listen = signal(SignalKind::from_raw(number));
            let mut one: Signal = listen.map_err(|source| belljar_linux::Error {
                operation: "listen for signals".into(),
                source,
            })?;
            let heard = heard.clone();
            tokio::spawn(async move {
                while one.recv().await.is_some() && heard.send(number).await.is_ok() {}
            });
        }
        jar::take_over()?;
        Ok(Self(all))
    }

    async fn next(&mut self) -> i32 {
        match self.0.recv().await {
            Some(signal) => signal,
            None => std::future::pending().await,
        }
    }
}

/// The terminal, if this process and the command own it. A shell among the commands may take it
/// for a process group of its own and die with it.
struct Terminal(Option<Pid>);

impl Terminal {
    fn note() -> Self {
        let owner = rustix::termios::tcgetpgrp(std::io::stdin()).ok();
        Self(owner.filter(|owner| *owner == getpgrp()))
    }

    fn give_back(&self) {
        if let Some(owner) = self.0 {
            // It may be gone.
            let _ = rustix::termios::tcsetpgrp(std::io::stdin(), owner);
        }
    }
}
