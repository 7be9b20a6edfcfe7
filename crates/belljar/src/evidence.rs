//! `belljar evidence`: the signed proof of a job, read and checked.

use crate::args::EvidenceCommand;
use crate::deps::Deps;
use crate::doctor::{WIDTH, wrap};
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
    match deps.stdout_columns {
        Some(columns) => deps.print(&folded(&text, usize::from(columns).min(WIDTH)))?,
        None => deps.print(&text)?,
    }
    Ok(exit)
}

/// What is proved and what not, for a terminal; everything else as it is.
fn folded(text: &str, columns: usize) -> String {
    let fold = |line: &str| match line.strip_prefix("  - ") {
        Some(said) => format!("  - {}\n", wrap(said, "    ", columns)),
        None => format!("{line}\n"),
    };
    text.lines().map(fold).collect()
}

#[cfg(test)]
mod tests {
    use super::folded;

    #[test]
    fn a_verdict_fits_the_terminal() {
        let long = "It was given 2 files in 2 channels, ".repeat(4);
        let text = format!("VALID: signed.\n\nProved:\n  - {long}\n  - Short.\n");
        let seen = folded(&text, 80);
        assert!(seen.lines().all(|line| line.len() <= 80) && seen.contains("\n    "), "{seen}");
        let words = |t: &str| t.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(words(&seen), words(&text));
    }
}
