//! What a node is to run, and which instances are given up: by the records, and the folders of
//! their attempts.

use super::folder_of;
use crate::reconcile::folder;
use crate::service::Service;
use crate::state::ASSIGNMENT_FILE;
use belljar_domain::node::{LOST, OUT, Orders, Place, Work};
use belljar_domain::{Assignment, NodeName};
use belljar_store::StoreError;
use belljar_store::identity;
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
    place: Place,
    node: NodeName,
    folder: PathBuf,
}

/// All that `node` is to run, which has begun these. What it has told of and does not know any
/// more is lost: it was begun by this node's earlier life.
pub(super) fn orders(
    service: &Service,
    node: &NodeName,
    begun: &[Place],
) -> Result<Orders, WorkError> {
    let mut work = Vec::new();
    for away in away(service)?.into_iter().filter(|a| a.node == *node) {
        if is_over(&away.folder) {
            continue;
        }
        if away.folder.join(OUT).exists() && !begun.contains(&away.place) {
            away.give_up()?;
            continue;
        }
        // The job's warden writes it when it is about to start its instances.
        let text = match fs::read(away.folder.join(ASSIGNMENT_FILE)) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            Err(e) => return Err(e.into()),
        };
        let Ok(assignment) = serde_json::from_slice::<Assignment>(&text) else { continue };
        // It ends with the attempt: none is made here, where that may have ended just now.
        let Place { job, generation, .. } = &away.place;
        let key = service.db().read(|c| identity::job_key(c, job.as_str(), *generation))?;
        let Some(key) = key else { continue };
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

impl Away {
    /// Gives it up, which its job's warden then sees.
    fn give_up(&self) -> io::Result<()> {
        let Self { node, place, .. } = self;
        tracing::warn!(%node, job = %place.job, host = %place.host, "an instance is given up");
        fs::write(self.folder.join(LOST), node.as_str())
    }
}

/// Gives up the instances of nodes that have been silent for too long.
pub(crate) fn give_up(service: &Service) -> Result<(), JobError> {
    for away in away(service)? {
        let wanted = away.folder.join(ASSIGNMENT_FILE).exists() && !is_over(&away.folder);
        if wanted
            && service.nodes.is_silent(&away.node)
            && let Err(e) = away.give_up()
        {
            tracing::error!(error = %e, folder = %away.folder.display(), "an instance cannot be given up");
        }
    }
    Ok(())
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
            all.push(Away { place, node, folder });
        }
    }
    Ok(all)
}
