//! `belljar evidence`: the signed proof of a job, read and checked.

use crate::args::EvidenceCommand;
use crate::deps::Deps;
use crate::evidence_files;
use crate::exit::Exit;
use crate::run::state_path;
use crate::trouble::Trouble;
use std::path::Path;

pub(crate) fn run(
    mut deps: Deps,
    given: Option<&Path>,
    command: EvidenceCommand,
) -> Result<Exit, Trouble> {
    let (text, exit) = match command {
        EvidenceCommand::Show { file } => {
            (evidence_files::show(&deps.directory.join(file))?, Exit::Completed)
        }
        EvidenceCommand::Verify { file, key } => {
            let keys: Vec<_> = key.into_iter().map(|k| deps.directory.join(k)).collect();
            let state = state_path(&deps, given)?;
            evidence_files::verify(&deps.directory.join(file), &keys, &state)?
        }
    };
    deps.print(&text)?;
    Ok(exit)
}
