//! What is seen of the jobs' last attempts.

use super::start::Started;
use super::{Reconciler, folder};
use crate::state;
use belljar_domain::plan::{Desired, Observed};
use belljar_domain::{JobName, spool};
use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// Bytes of a warden's diagnostics that are looked at: the last.
const DIAGNOSTICS_BYTES: u64 = 4 << 10;

impl Reconciler {
    pub(super) fn observe(&self, desired: &[Desired]) -> BTreeMap<JobName, Observed> {
        let attempts = desired.iter().filter(|d| d.generation > 0);
        attempts.map(|d| (d.name.clone(), self.observe_one(d))).collect()
    }

    fn observe_one(&self, d: &Desired) -> Observed {
        let started = self.started.get(&(d.name.clone(), d.generation));
        let folder = folder::of(&self.service.config.state, &d.name, d.generation);
        let how = match started {
            Some(Started::Running(_)) => return Observed::Alive,
            Some(Started::Ended(how)) => how.as_str(),
            None => "the warden died",
        };
        match folder::is_held(&folder) {
            Ok(false) => {}
            // What cannot be seen is taken for alive: nothing is started or ended on a guess.
            Ok(true) => return Observed::Alive,
            Err(e) => {
                tracing::error!(job = %d.name, error = %e, "a warden's lock cannot be looked at");
                return Observed::Alive;
            }
        }
        match state::read_report(&folder) {
            Ok(Some(report)) if report.generation == d.generation && report.job == d.name => {
                Observed::Reported
            }
            Ok(_) if folder::is_begun(&folder) || started.is_some() => {
                Observed::Dead { known: known(how, &folder) }
            }
            Ok(_) => Observed::NotBegun,
            Err(e) => Observed::Dead {
                known: format!("{how}, and its report is not readable: {}", crate::chain(&e)),
            },
        }
    }
}

/// How a warden died, with what it last said.
pub(super) fn known(how: &str, folder: &Path) -> String {
    let last = last_words(folder).unwrap_or_default();
    let line = last.lines().rev().map(str::trim).find(|l| !l.is_empty()).unwrap_or_default();
    if line.is_empty() { how.to_owned() } else { format!("{how}; its last words: {line}") }
}

fn last_words(folder: &Path) -> std::io::Result<String> {
    let mut file = std::fs::File::open(folder.join(spool::DIAGNOSTICS))?;
    let size = file.metadata()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(DIAGNOSTICS_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(DIAGNOSTICS_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
