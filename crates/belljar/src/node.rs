//! `belljar node`: further machines for jobs with several instances.

use crate::args_service::NodeCommand;
use crate::deps::Deps;
use crate::exit::Exit;
use crate::run::{runtime, state_path, warden_path};
use crate::terminal::{Console, printable, quoted};
use crate::trouble::Trouble;
use belljar_control::local::environment;
use belljar_control::service::{add_node, list_nodes, remove_node};
use belljar_control::state::State;
use belljar_domain::{NodeName, Timestamp};
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use tokio::runtime::Runtime;

pub(crate) fn run(
    mut deps: Deps,
    console: &Console,
    given: Option<&Path>,
    command: NodeCommand,
) -> Result<Exit, Trouble> {
    let state = State::open(&state_path(&deps, given)?)?;
    let state = state.path();
    let runtime = runtime()?;
    let text = match command {
        NodeCommand::Join { ticket, address } => {
            return Err(join(&deps, &deps.directory.join(ticket), address, state));
        }
        NodeCommand::Add { name, ticket } => {
            let path = ticket.unwrap_or_else(|| PathBuf::from(format!("{name}.ticket")));
            let path = deps.directory.join(path);
            add(&runtime, state, name, &path, (deps.now)())?;
            let shown = quoted(&printable(&path.display().to_string()));
            console.say(&format!("{shown} is a secret: who has it gets data of jobs. Bring it to the other machine, and there:\n\n    belljar node join TICKET --address ADDRESS\n"));
            String::new()
        }
        NodeCommand::List => {
            let mut text = format!("{:24}  CREATED\n", "NODE");
            for node in list_nodes(state)? {
                // Writing into a String cannot fail.
                let _ = writeln!(text, "{:24}  {}", node.name.as_str(), node.created);
            }
            text
        }
        NodeCommand::Remove { name } => {
            runtime.block_on(remove_node(state, name.clone()))?;
            console.say(&format!("removed {}", printable(name.as_str())));
            String::new()
        }
    };
    deps.print(&text)?;
    Ok(Exit::Completed)
}

/// Makes the ticket's file first: a node whose ticket cannot be kept is of no use.
fn add(
    runtime: &Runtime,
    state: &Path,
    node: NodeName,
    path: &Path,
    now: Timestamp,
) -> Result<(), Trouble> {
    let wrong = |e: &std::io::Error| Trouble::file("write", path, e);
    let file = File::options().write(true).create_new(true).mode(0o600).open(path);
    let mut file = file.map_err(|e| wrong(&e))?;
    let added = runtime.block_on(add_node(state, node, now)).inspect_err(|_| {
        // It is this command's own, and empty.
        let _ = std::fs::remove_file(path);
    });
    let text = serde_json::to_vec(&added?).map_err(|e| Trouble::of(Exit::Bug, &e, None))?;
    file.write_all(&text).and_then(|()| file.sync_all()).map_err(|e| wrong(&e))
}

/// Becomes the node: the warden's program is what runs instances. It returns only if it failed.
fn join(deps: &Deps, ticket: &Path, address: IpAddr, state: &Path) -> Trouble {
    let warden = match warden_path(deps) {
        Ok(warden) => warden,
        Err(trouble) => return trouble,
    };
    let error = Command::new(&warden)
        .arg("join")
        .arg(ticket)
        .arg(address.to_string())
        .arg(state)
        .env_clear()
        .envs(environment::for_warden(deps.variables.iter().cloned()))
        .exec();
    Trouble::new(Exit::Machine, format!("cannot run {}: {error}", warden.display()))
}
