//! `belljar keys`: who may call the service. With a running service or without.

use crate::args_service::KeysCommand;
use crate::deps::Deps;
use crate::exit::Exit;
use crate::run::{runtime, state_path};
use crate::terminal::{Console, printable};
use crate::trouble::Trouble;
use belljar_control::service::{Key, create_key, keys, revoke_key};
use belljar_control::state::State;
use std::fmt::Write as _;
use std::path::Path;

pub(crate) fn run(
    mut deps: Deps,
    console: &Console,
    given: Option<&Path>,
    command: KeysCommand,
) -> Result<Exit, Trouble> {
    let state = State::open(&state_path(&deps, given)?)?;
    let state = state.path();
    let runtime = runtime()?;
    match command {
        KeysCommand::Create => {
            let key = runtime.block_on(create_key(state, (deps.now)()))?;
            console.say("keep the secret: it is not shown again");
            let (id, secret) = (&key.id, key.secret());
            deps.print_once(&format!("AWS_ACCESS_KEY_ID={id}\nAWS_SECRET_ACCESS_KEY={secret}\n"))?;
        }
        KeysCommand::List => deps.print(&table(&keys(state)?))?,
        KeysCommand::Revoke { id } => {
            runtime.block_on(revoke_key(state, id.clone()))?;
            console.say(&format!("revoked {}", printable(&id)));
        }
    }
    Ok(Exit::Completed)
}

fn table(keys: &[Key]) -> String {
    let mut out = format!("{:20}  {:24}  OWNER\n", "ACCESS KEY", "CREATED");
    for key in keys {
        let expires = key.expires.map_or_else(String::new, |at| format!(", until {at}"));
        let owner = printable(&key.owner);
        // Writing into a String cannot fail.
        let _ = writeln!(out, "{:20}  {:24}  {owner}{expires}", key.id, key.created.to_string());
    }
    out
}
