//! The program `belljar-warden`.

use crate::failure::chain;
use crate::gang::Membership;
use crate::job::{JobDir, JobError};
use crate::journal::Audience;
use crate::run::{self, Ending, cannot_seal};
use crate::{doctor, exec, fabric, node, sweep, words};
use belljar_domain::fabric::{FOLDER, SOCKET};
use belljar_domain::spool;
use belljar_linux::privilege::Privilege;
use belljar_linux::{container, privilege, process, reading};
use std::error::Error;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

pub(crate) const USAGE: &str = "\
belljar-warden runs one container of a Belljar job. Belljar starts it; you need not.

  belljar-warden run --job DIR      run the assignment in DIR; events on standard output
  belljar-warden run --job DIR --detached
                                    the same apart from whoever started it: events in DIR/events,
                                    orders from the FIFO DIR/orders. Exit code 75: another warden
                                    runs DIR; 76: an earlier one began it
  belljar-warden sweep --job DIR    remove what a killed warden of that job left
  belljar-warden sweep --state DIR  the same for every job of a state folder
  belljar-warden exec --service DIR --ca FILE [--at IP:PORT] [--quiet] -- COMMAND...
                                    run a command where all of AWS is the service of DIR
  belljar-warden fabric --state DIR hold the routers of the VPCs of the service of DIR, until it is
                                    told to end or DIR is gone. Exit code 75: another one does
  belljar-warden join TICKET ADDRESS STATE
                                    run instances for the service that gave the ticket
  belljar-warden doctor             what this machine can do, one JSON object a line
";

/// Wrong usage; see `sysexits.h`, like 70 for a failure of Belljar's own.
pub(crate) const USAGE_ERROR: u8 = 64;
pub(crate) const INTERNAL_ERROR: u8 = 70;
/// How long a detached warden waits for its lock before it says that another one has it.
const LOCK_PATIENCE: Duration = Duration::from_millis(500);

/// Runs the program; its arguments are those of the process. Must be called before the process
/// has a second thread, because it changes namespaces.
#[must_use]
pub fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let words: Vec<&str> = arguments.iter().filter_map(|a| a.to_str()).collect();
    // A command's arguments need not be words.
    if let Some(("exec", rest)) = words.first().copied().zip(arguments.get(1..)) {
        return exec::main(rest);
    }
    match words.as_slice() {
        [container::HELPER] => exit_code(container::helper_main()),
        ["instance", _, _, parent, privilege, hub @ ..] if hub.len() <= 1 => {
            let place = (arguments[1].clone().into(), arguments[2].clone().into());
            answer(instance(place, parent, privilege, hub.first().copied()))
        }
        ["run", "--job", _] => answer(run_job(arguments[2].clone().into(), Audience::Pipe)),
        ["run", "--job", _, "--detached"] => detached(arguments[2].clone().into()),
        ["sweep", "--job", _] => answer(sweep_one(arguments[2].clone().into())),
        ["sweep", "--state", _] => answer(sweep_state(arguments[2].clone().into())),
        ["join", _, address, _] => {
            let (ticket, state) = (arguments[1].clone(), arguments[3].clone());
            answer(node::main(ticket.as_ref(), address, state.into()))
        }
        ["fabric", "--state", _] => fabric::main(arguments[2].clone().into()),
        ["doctor"] => answer(doctor::main()),
        _ => {
            say(USAGE);
            ExitCode::from(USAGE_ERROR)
        }
    }
}

fn exit_code(code: i32) -> ExitCode {
    ExitCode::from(u8::try_from(code).unwrap_or(INTERNAL_ERROR))
}

fn answer(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            say(&format!("belljar-warden: {text}\n"));
            ExitCode::from(INTERNAL_ERROR)
        }
    }
}

/// Standard error is for whoever started the warden; if it is closed, nobody listens.
pub(crate) fn say(text: &str) {
    let _ = std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes());
}

/// Runs apart from whoever started it: in a session of its own, in no folder of theirs.
fn detached(folder: PathBuf) -> ExitCode {
    // Fails only for the leader of a group, which nobody's terminal reaches either.
    let _ = rustix::process::setsid();
    let result = std::path::absolute(&folder).map_err(|e| JobError::Open(folder, e));
    let result = result.map_err(|e| (INTERNAL_ERROR, e)).and_then(|folder| {
        let _ = rustix::process::chdir("/");
        run(folder, Audience::Spool).map_err(|e| match e {
            JobError::Taken(_) => (spool::EXIT_TAKEN, e),
            JobError::Begun(_) => (spool::EXIT_BEGUN, e),
            e => (INTERNAL_ERROR, e),
        })
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, e)) => {
            say(&format!("belljar-warden: {}\n", chain(&e)));
            ExitCode::from(code)
        }
    }
}

fn run_job(folder: PathBuf, audience: Audience) -> Result<(), String> {
    run(folder, audience).map_err(|e| chain(&e))
}

fn run(folder: PathBuf, audience: Audience) -> Result<(), JobError> {
    let job = JobDir::open(folder)?;
    let _lock = match audience {
        Audience::Pipe => job.lock()?,
        Audience::Spool => lock_patiently(&job)?,
    };
    let host = reading::namespaces("self");
    let start = |e: io::Error| JobError::Start(e);
    privilege::assert_single_threaded().map_err(|e| start(io::Error::other(e)))?;
    let privilege = enter(&job);
    let runtime = runtime().map_err(|e| start(io::Error::other(e)))?;
    runtime.block_on(run::run(job, privilege, host, audience, None))
}

/// Becomes who can make a job's containers. Where they are to have interfaces of a VPC, that is
/// with whoever holds the VPC: an ordinary user's network namespaces must belong to the user
/// namespace of both.
fn enter(job: &JobDir) -> Result<Privilege, Ending> {
    // An assignment that cannot be read is told of later.
    let assignment = job.assignment().ok();
    if !assignment.and_then(|a| a.vpc).is_some_and(|link| link.inside) {
        return privilege::enter().map_err(cannot_seal);
    }
    let socket = job.state().join(FOLDER).join(SOCKET);
    // Whoever holds it may have ended, and is started anew: that fails this attempt, not the job.
    let lost = |e: &dyn Error| Ending::Lost(format!("there is no holder of the VPC: {}", chain(e)));
    let fabric = words::listener_of(&socket).map_err(|e| lost(&e))?;
    privilege::enter_beside(fabric).map_err(|e| lost(&e))
}

/// One instance of several; started by its job's warden, with which it ends.
fn instance(
    (folder, state): (PathBuf, PathBuf),
    parent: &str,
    privilege: &str,
    hub: Option<&str>,
) -> Result<(), String> {
    let parent = parent.parse().map_err(|_| "the parent is no process number".to_owned())?;
    process::die_with_parent(parent).map_err(|e| chain(&e))?;
    let who: Privilege = privilege.parse().map_err(|e| chain(&e))?;
    let job = JobDir::of_instance(&folder, &state).map_err(|e| e.to_string())?;
    let _lock = job.lock().map_err(|e| chain(&e))?;
    let host = reading::namespaces("self");
    privilege::assert_single_threaded().map_err(|e| chain(&e))?;
    let who = privilege::leave_mounts().map(|()| who).map_err(cannot_seal);
    let member = Membership { hub: hub.map(PathBuf::from) };
    let ran = runtime()?.block_on(run::run(job, who, host, Audience::Pipe, Some(member)));
    ran.map_err(|e| chain(&e))
}

/// Whoever looks whether a warden lives holds its lock for a moment.
fn lock_patiently(job: &JobDir) -> Result<File, JobError> {
    let began = Instant::now();
    loop {
        match job.lock() {
            Err(JobError::Taken(_)) if began.elapsed() < LOCK_PATIENCE => {
                std::thread::sleep(Duration::from_millis(5));
            }
            result => return result,
        }
    }
}

fn sweep_one(folder: PathBuf) -> Result<(), String> {
    let job = JobDir::open(folder).map_err(|e| chain(&e))?;
    enter_to_sweep()?;
    runtime()?.block_on(sweep::job(&job)).map_err(|e| chain(&e))
}

fn sweep_state(state: PathBuf) -> Result<(), String> {
    enter_to_sweep()?;
    runtime()?.block_on(sweep::state(&state))
}

/// An ordinary user's containers leave folders that only the root of its namespace may enter.
/// Where there can be no such namespace there were no containers either.
fn enter_to_sweep() -> Result<(), String> {
    privilege::assert_single_threaded().map_err(|e| chain(&e))?;
    let _ = privilege::enter();
    Ok(())
}

pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(4)
        .thread_stack_size(512 << 10)
        .build()
        .map_err(|e| format!("start the event loop: {e}"))
}
