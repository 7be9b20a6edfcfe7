//! What dead instances leave, and their folders: their evidence is elsewhere.

use super::super::pause::{self, Point};
use super::super::steps::sweep;
use super::super::{StepError, folder, start};
use super::Endpoints;
use crate::service::Service;
use crate::state::ASSIGNMENT_FILE;
use belljar_domain::{Assignment, serving};
use belljar_store::StoreError;
use belljar_store::endpoints::servers;
use std::io;
use std::path::{Path, PathBuf};

/// What the name of a folder begins with that is being removed.
const GONE: &str = "gone-";

/// Removes a folder of which nothing is needed. It loses its name first, so that one of which
/// only a part was removed is known for what it is.
pub(super) fn discard(folder: &Path) {
    pause::before(Point::Tidy);
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let gone = folder.with_file_name(format!("{GONE}{name}"));
    match std::fs::rename(folder, &gone) {
        Ok(()) => remove(&gone),
        Err(e) => complain(folder, &e),
    }
    pause::after(Point::Tidy);
}

fn remove(folder: &Path) {
    if let Err(e) = std::fs::remove_dir_all(folder) {
        complain(folder, &e);
    }
}

fn complain(folder: &Path, e: &io::Error) {
    if e.kind() != io::ErrorKind::NotFound {
        let folder = folder.display();
        tracing::warn!(%folder, error = %e, "an instance's folder cannot be removed");
    }
}

/// Takes away what the dead wardens of an instance left. Answers its folders of which nothing is
/// needed any more. One that cannot be swept stays, and a later service tries again.
async fn clear(service: &Service, id: &str) -> Result<Vec<PathBuf>, StepError> {
    let mut cleared = Vec::new();
    for container in service.db().read(|c| servers::containers(c, id))? {
        let assignment = &container.assignment;
        let folder = folder::of_assignment(&service.config.state, assignment);
        if !folder.exists() || !start::is_ours(&folder, assignment) {
            continue;
        }
        if !folder::is_begun(&folder) || sweep(service, assignment, &folder).await? {
            cleared.push(folder);
        }
    }
    Ok(cleared)
}

impl Endpoints {
    /// Has what an instance left taken away, beside the loop: others do not wait for it. `None` until
    /// it is done, and the loop is woken then.
    pub(super) async fn cleared(&mut self, id: &str) -> Result<Option<Vec<PathBuf>>, StepError> {
        let Some(task) = self.clearing.remove(id) else {
            let (service, server) = (self.service.clone(), id.to_owned());
            let task = tokio::spawn(async move {
                let cleared = clear(&service, &server).await;
                service.wanted.notify_one();
                cleared
            });
            self.clearing.insert(id.to_owned(), task);
            return Ok(None);
        };
        if !task.is_finished() {
            self.clearing.insert(id.to_owned(), task);
            return Ok(None);
        }
        Ok(Some(task.await??))
    }

    /// What an earlier service did not come to remove: folders of instances without a record. Those
    /// of `belljar serve`, which has none, are its own.
    pub(in super::super) async fn tidy_all(&self) -> Result<(), StoreError> {
        let known = self.service.db().read(servers::all)?;
        let above = self.service.config.state.join(serving::FOLDER);
        for entry in std::fs::read_dir(&above).into_iter().flatten().flatten() {
            let (folder, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            if name.starts_with(GONE) {
                remove(&folder);
                continue;
            }
            let id = name.rsplit_once('-').map_or(&*name, |(id, _)| id);
            let living = folder::is_held(&folder).unwrap_or(true);
            if known.iter().any(|s| s.id == id) || living || !is_a_services(&folder) {
                continue;
            }
            // A key is not needed: no output of a container that serves is in S3.
            let swept = match folder::is_begun(&folder) {
                true => self.service.config.warden.sweep_job(&folder).await,
                false => Ok(()),
            };
            match swept {
                Ok(()) => discard(&folder),
                Err(e) => {
                    let (folder, e) = (folder.display(), crate::chain(&e));
                    tracing::warn!(%folder, error = %e, "what an instance left cannot be swept");
                }
            }
        }
        Ok(())
    }
}

/// Only what a service records has a time at which it was begun.
fn is_a_services(folder: &Path) -> bool {
    let text = std::fs::read(folder.join(ASSIGNMENT_FILE)).unwrap_or_default();
    serde_json::from_slice::<Assignment>(&text).is_ok_and(|a| a.begun.is_some())
}
