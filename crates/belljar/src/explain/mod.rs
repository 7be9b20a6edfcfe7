//! `belljar explain`: whether one reaches another in the network, by which way and rules, and what
//! mends it if not. With a running service or without.

mod answer;
mod ask;
mod lookup;
mod plan;
mod say;
mod source;
mod target;
#[cfg(test)]
mod tests;
mod way;

use crate::args_network::ExplainArgs;
use crate::deps::Deps;
use crate::doctor::WIDTH;
use crate::exit::Exit;
use crate::network::names::Names;
use crate::network::{print_coloured, print_json};
use crate::run::state_path;
use crate::terminal::Console;
use crate::trouble::Trouble;
use belljar_control::service::network;
use std::path::Path;
use target::Place;

pub(crate) fn run(
    mut deps: Deps,
    console: &Console,
    given: Option<&Path>,
    args: &ExplainArgs,
) -> Result<Exit, Trouble> {
    let view = network(&state_path(&deps, given)?, Some(&args.from))?;
    let target = target::parse(&args.to, args.protocol)?;
    if let Place::Interface(id) = &target.place
        && !view.network.interfaces.contains_key(id)
    {
        let trouble = Trouble::new(Exit::Usage, format!("there is no network interface {id}"));
        return Err(trouble.hint(source::SHOW));
    }
    let source = source::find(&args.from, &view)?;
    let answer = ask::all(&source, &target);
    if args.json {
        print_json(&mut deps, &answer)?;
    } else {
        let names = Names::new(&source.network, &view.tags);
        let columns = deps.stdout_columns.map_or(WIDTH, |n| usize::from(n).min(WIDTH));
        print_coloured(&mut deps, console, &say::text(&names, &answer, columns))?;
    }
    Ok(if answer.passes { Exit::Completed } else { Exit::Failed })
}
