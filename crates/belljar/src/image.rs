//! `belljar image`: the store's images.

use crate::args::ImageCommand;
use crate::deps::Deps;
use crate::exit::Exit;
use crate::image_store::{Import, Row, Store};
use crate::run::state_path;
use crate::screen::bar;
use crate::terminal::{Console, printable};
use crate::trouble::Trouble;
use belljar_control::request::image_name;
use belljar_control::state::State;
use belljar_domain::size::human_bytes;
use belljar_warden::progress::{Progress, Silent};
use indicatif::ProgressBar;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Bars that are drawn at once.
const MAX_BARS: usize = 8;

pub(crate) fn run(
    mut deps: Deps,
    console: &Console,
    given: Option<&Path>,
    command: ImageCommand,
) -> Result<Exit, Trouble> {
    let state = State::open(&state_path(&deps, given)?)?;
    let store = Store::open(&state.images())?;
    let progress: Box<dyn Progress> = match console.is_terminal() {
        true => Box::new(Bars { console: console.clone(), bars: Mutex::default() }),
        false => Box::new(Silent),
    };
    let text = match command {
        ImageCommand::Pull { reference, tag } => {
            let reference = image_name(&reference, &deps.directory);
            let digest = store.pull(&reference, tag.as_deref(), progress.as_ref())?;
            format!("{digest}\n")
        }
        ImageCommand::List => table(&store.list()?),
        ImageCommand::Inspect { reference } => format!("{}\n", store.inspect(&reference)?),
        ImageCommand::Remove { reference } => {
            store.remove(&reference)?;
            console.say(&format!("removed {}", printable(&reference)));
            String::new()
        }
        ImageCommand::Import(args) => {
            let import = Import {
                tag: args.tag,
                entrypoint: args.entrypoint,
                cmd: args.cmd,
                env: args.env,
                working_dir: args.working_dir,
                user: args.user,
            };
            let dir = deps.directory.join(&args.dir);
            if !dir.is_dir() {
                let text = format!("there is no folder at {}", dir.display());
                let trouble = Trouble::new(Exit::Usage, text);
                return Err(trouble.hint("give the folder that is to be the root file system"));
            }
            let digest = store.import(&dir, &import, progress.as_ref())?;
            format!("{digest}\n")
        }
    };
    deps.print(&text)?;
    Ok(Exit::Completed)
}

/// Names, digests and sizes, aligned.
fn table(rows: &[Row]) -> String {
    const NAME: &str = "NAME";
    let width = rows.iter().map(|r| printable(&r.name).chars().count()).max().unwrap_or(0);
    let width = width.max(NAME.len());
    let mut out = format!("{NAME:width$}  {:19}  {:>9}\n", "DIGEST", "SIZE");
    for row in rows {
        let digest: String = row.digest.chars().take(19).collect();
        // Writing into a String cannot fail.
        let _ = writeln!(
            out,
            "{:width$}  {:19}  {:>9}",
            printable(&row.name),
            printable(&digest),
            human_bytes(row.size)
        );
    }
    out
}

/// Progress bars, one for each item.
struct Bars {
    console: Console,
    bars: Mutex<BTreeMap<String, ProgressBar>>,
}

impl Progress for Bars {
    fn update(&self, item: &str, done: u64, total: Option<u64>) {
        let mut bars = self.bars.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = total == Some(done);
        if !bars.contains_key(item) && !ended && bars.len() < MAX_BARS {
            bars.insert(item.to_owned(), self.console.bars().add(bar(item, total)));
        }
        if let Some(bar) = bars.get(item) {
            bar.set_position(done);
        }
        if ended && let Some(bar) = bars.remove(item) {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_lines_up() {
        let row = |name: &str, size| Row {
            name: name.into(),
            digest: format!("sha256:{}", "a".repeat(64)),
            size,
        };
        let text = table(&[row("belljar/digits", 3 << 20), row("x", 12)]);
        let ends: Vec<_> = text.lines().map(|l| l.chars().count()).collect();
        assert!(ends.iter().all(|n| *n == ends[0]), "{text}");
        assert!(text.contains("belljar/digits  sha256:aaaaaaaaaaaa    3.0 MiB"), "{text}");
    }
}
