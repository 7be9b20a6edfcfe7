//! What a node is to run, and which instances are given up: by the records, and the folders of
//! their attempts.

use super::{Nodes, folder_of};
use crate::reconcile::{folder, key};
use crate::service::Service;
use crate::state::ASSIGNMENT_FILE;
use belljar_domain::node::{LOST, OUT, Orders, Place, Work};
use belljar_domain::{Assignment, NodeName};
use belljar_store::StoreError;
use belljar_store::jobs::{self, JobError};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Why the work of a node cannot be told.
#[derive(Debug, thiserror::Error)]
pub(super) enum WorkError {
    #[error("the jobs cannot be read")]
    Jobs(#[from] JobError),
    #[error("the key of a job cannot be read")]
    Key(#[from] StoreError),
    #[error("the folder of a job cannot be read")]
    Folder(#[from] io::Error),
}

/// An instance of a running attempt that a node has.
struct Away {
    attempt: Assignment,
    place: Place,
    node: NodeName,
    folder: PathBuf,
}

/// All that `node` is to run.
pub(super) async fn orders(service: &Service, node: &NodeName) -> Result<Orders, WorkError> {
    let mut work = Vec::new();
    for away in away(service)?.into_iter().filter(|a| a.node == *node) {
        if is_over(&away.folder) {
            continue;
        }
        // The job's warden writes it when it is about to start its instances.
        let text = match fs::read(away.folder.join(ASSIGNMENT_FILE)) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            Err(e) => return Err(e.into()),
        };
        let Ok(assignment) = serde_json::from_slice::<Assignment>(&text) else { continue };
        let key = key(service, &away.attempt).await?;
        work.push(Work {
            assignment,
            access_key_id: key.id,
            secret_access_key: key.secret.expose().to_owned(),
            region: service.config.region.clone(),
        });
    }
    Ok(Orders { work })
}

/// Whether nothing more is wanted of an instance, or can come of it.
fn is_over(folder: &Path) -> bool {
    folder.join(crate::state::REPORT_FILE).exists() || folder.join(LOST).exists()
}

/// Gives up the instances of nodes that are gone, which their jobs' wardens then see.
pub(crate) fn give_up(service: &Service) -> Result<(), JobError> {
    for Away { place, node, folder, .. } in away(service)? {
        if !folder.join(ASSIGNMENT_FILE).exists() || is_over(&folder) {
            continue;
        }
        if is_lost(&service.nodes, &node, &place, &folder) {
            tracing::warn!(%node, job = %place.job, host = %place.host, "an instance is given up");
            if let Err(e) = fs::write(folder.join(LOST), node.as_str()) {
                tracing::error!(error = %e, folder = %folder.display(), "cannot give an instance up");
            }
        }
    }
    Ok(())
}

/// What was never begun waits for its node as long as that lives.
fn is_lost(nodes: &Nodes, node: &NodeName, place: &Place, folder: &Path) -> bool {
    match folder.join(OUT).exists() {
        true => nodes.has_lost(node, place),
        false => nodes.is_silent(node),
    }
}

fn away(service: &Service) -> Result<Vec<Away>, JobError> {
    let attempts = service.db().read(|c| {
        let mut attempts = Vec::new();
        for job in jobs::unfinished(c)?.into_iter().filter(|j| j.progress.generation > 0) {
            attempts.extend(jobs::attempt(c, &job.name, job.progress.generation)?);
        }
        Ok::<_, JobError>(attempts)
    })?;
    let mut all = Vec::new();
    for attempt in attempts.into_iter().map(|a| a.assignment) {
        let base = folder::of(&service.config.state, &attempt.job, attempt.generation);
        for instance in attempt.cluster.iter().flat_map(|c| &c.instances) {
            let Some(node) = instance.node().cloned() else { continue };
            let place = Place {
                job: attempt.job.clone(),
                generation: attempt.generation,
                host: instance.host.clone(),
            };
            let folder = folder_of(&base, &place);
            all.push(Away { attempt: attempt.clone(), place, node, folder });
        }
    }
    Ok(all)
}
