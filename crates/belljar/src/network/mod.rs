//! `belljar network`: what there is, as a tree or drawn. With a running service or without.

pub(crate) mod facts;
mod map;
pub(crate) mod names;
mod show;
#[cfg(test)]
pub(crate) mod testing;
mod tree;

use crate::args_network::NetworkCommand;
use crate::deps::Deps;
use crate::exit::Exit;
use crate::run::state_path;
use crate::terminal::{Console, printable};
use crate::trouble::Trouble;
use belljar_control::service::network;
use belljar_vpc::id::VpcId;
use names::Names;
use std::path::Path;

pub(crate) fn run(
    mut deps: Deps,
    console: &Console,
    given: Option<&Path>,
    command: NetworkCommand,
) -> Result<Exit, Trouble> {
    let view = network(&state_path(&deps, given)?, None)?;
    let names = Names::new(&view.network, &view.tags);
    match command {
        NetworkCommand::Show { vpc, json } => {
            let wanted = match vpc {
                Some(wanted) => vec![find(&names, &wanted)?],
                None => view.network.vpcs.keys().cloned().collect(),
            };
            let all: Vec<_> = wanted.iter().filter_map(|id| tree::of_vpc(&names, id)).collect();
            if json {
                print_json(&mut deps, &all)?;
            } else {
                print_coloured(&mut deps, console, &show::text(&names, &all))?;
            }
        }
        NetworkCommand::Map { vpc, port, out } => {
            let vpc = match vpc {
                Some(wanted) => find(&names, &wanted)?,
                None => only(&names)?,
            };
            let svg = map::draw(&names, &vpc, port);
            match out {
                Some(path) => {
                    let path = deps.directory.join(path);
                    std::fs::write(&path, svg).map_err(|e| Trouble::file("write", &path, &e))?;
                    console.say(&format!(
                        "drew {} in {}",
                        names.label(vpc.as_str()),
                        path.display()
                    ));
                }
                None => deps.print(&svg)?,
            }
        }
    }
    Ok(Exit::Completed)
}

/// A VPC by its id or its tag `Name`.
fn find(names: &Names<'_>, wanted: &str) -> Result<VpcId, Trouble> {
    let is = |id: &&VpcId| {
        id.as_str() == wanted || names.name(id.as_str()).is_some_and(|n| n == printable(wanted))
    };
    let found: Vec<&VpcId> = names.network.vpcs.keys().filter(is).collect();
    match found.as_slice() {
        [one] => Ok((*one).clone()),
        [] => Err(Trouble::new(Exit::Usage, format!("there is no VPC {wanted}")).hint(all(names))),
        _ => {
            Err(Trouble::new(Exit::Usage, format!("several VPCs are called {wanted}"))
                .hint(all(names)))
        }
    }
}

/// The one VPC that somebody made; the default VPC where there is no other.
fn only(names: &Names<'_>) -> Result<VpcId, Trouble> {
    let vpcs = &names.network.vpcs;
    let made: Vec<&VpcId> = vpcs.iter().filter(|(_, v)| !v.is_default).map(|(id, _)| id).collect();
    let all_of_them: Vec<&VpcId> = vpcs.keys().collect();
    match (made.as_slice(), all_of_them.as_slice()) {
        ([one], _) | ([], [one]) => Ok((*one).clone()),
        ([], []) => Err(Trouble::new(Exit::Usage, "there is no VPC")
            .hint("make one with `aws ec2 create-vpc` (see `belljar env`)")),
        _ => Err(Trouble::new(Exit::Usage, "there are several VPCs: say which").hint(all(names))),
    }
}

fn all(names: &Names<'_>) -> String {
    let all: Vec<String> = names.network.vpcs.keys().map(|id| names.label(id.as_str())).collect();
    format!("there is {}", all.join(", "))
}

pub(crate) fn print_json(deps: &mut Deps, value: &impl serde::Serialize) -> Result<(), Trouble> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|e| Trouble::new(Exit::Bug, format!("cannot write it as JSON: {e}")))?;
    deps.print(&format!("{text}\n"))
}

pub(crate) fn print_coloured(
    deps: &mut Deps,
    console: &Console,
    text: &str,
) -> Result<(), Trouble> {
    if console.colours_stdout() {
        deps.print(text)
    } else {
        let plain = anstream::adapter::strip_str(text).to_string();
        deps.print(&plain)
    }
}
