//! From the command line to an exit code.

use crate::args::{Cli, Command};
use crate::deps::Deps;
use crate::exit::Exit;
use crate::terminal::Console;
use crate::trouble::Trouble;
use crate::{
    doctor, env, evidence, exec, explain, image, keys, network, node, quickstart, serve, train, up,
};
use anstream::ColorChoice;
use belljar_control::state;
use clap::Parser;
use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Runs one command.
pub fn run(mut deps: Deps, args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(e) => return usage(&mut deps, &e).into(),
    };
    let console = Console::new(&deps, &cli.global);
    let (given, quiet) = (cli.global.state, cli.global.quiet);
    let result = match cli.command {
        Command::Train(args) => train::run(deps, &console, given.as_deref(), *args),
        Command::Serve(args) => serve::run(deps, &console, given.as_deref(), *args),
        Command::Up(args) => up::run(deps, &console, given.as_deref(), args),
        Command::Env => env::run(deps, given.as_deref()),
        Command::Exec(args) => exec::run(&deps, given.as_deref(), quiet, args),
        Command::Keys(command) => keys::run(deps, &console, given.as_deref(), command),
        Command::Node(command) => node::run(deps, &console, given.as_deref(), command),
        Command::Explain(args) => explain::run(deps, &console, given.as_deref(), &args),
        Command::Network(command) => network::run(deps, &console, given.as_deref(), command),
        Command::Image(command) => image::run(deps, &console, given.as_deref(), command),
        Command::Evidence(command) => evidence::run(deps, given.as_deref(), command),
        Command::Quickstart(args) => quickstart::run(deps, &console, given.as_deref(), args),
        Command::Doctor => doctor::run(deps, &console, given.as_deref()),
    };
    match result {
        Ok(exit) => exit.into(),
        Err(trouble) => {
            console.trouble(&trouble);
            trouble.exit.into()
        }
    }
}

/// Help and version go to standard output and are no error.
fn usage(deps: &mut Deps, error: &clap::Error) -> Exit {
    let text = error.render();
    if error.use_stderr() {
        let mut stderr = (deps.stderr)(ColorChoice::Auto);
        // Perhaps nobody listens; that the usage was wrong is still true.
        let _ = write!(stderr, "{}", text.ansi()).and_then(|()| stderr.flush());
        return Exit::Usage;
    }
    match deps.print(&text.to_string()) {
        Ok(()) => Exit::Completed,
        Err(trouble) => trouble.exit,
    }
}

/// The event loop of a command.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Trouble> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Trouble::runtime(&e))
}

/// The state folder's place.
pub(crate) fn state_path(deps: &Deps, given: Option<&Path>) -> Result<PathBuf, Trouble> {
    let found = state::find(given, |n| deps.variable(n).map(OsString::from), deps.root)?;
    Ok(deps.directory.join(found))
}

/// The warden's program: `BELLJAR_WARDEN`, else beside this one.
pub(crate) fn warden_path(deps: &Deps) -> Result<PathBuf, Trouble> {
    const HINT: &str = "build it (`cargo build -p belljar`), or set BELLJAR_WARDEN to its path";
    let path = match deps.variable("BELLJAR_WARDEN").filter(|v| !v.is_empty()) {
        Some(path) => deps.directory.join(path),
        None => match deps.executable.as_deref().and_then(Path::parent) {
            Some(folder) => folder.join("belljar-warden"),
            None => {
                let text = "cannot find out where belljar-warden is: /proc is not readable";
                return Err(Trouble::new(Exit::Machine, text).hint(HINT));
            }
        },
    };
    if path.is_file() {
        return Ok(path);
    }
    let text = format!("the warden is not at {}", path.display());
    Err(Trouble::new(Exit::Machine, text).hint(HINT))
}
