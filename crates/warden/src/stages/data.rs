//! What flows in and out while the container runs.

use super::Facts;
use super::root::Rooted;
use crate::failure::Failure;
use crate::run::{Context, Ending};
use crate::staging::{CheckpointError, Keeper, Keeping, Pipes, Prepared};
use belljar_domain::data::DEFAULT_CHECKPOINTS;
use std::path::PathBuf;

/// Channels in Pipe mode, and checkpoints.
pub(super) struct Data {
    pipes: Pipes,
    keeper: Option<Keeper>,
    failure: Option<Failure>,
}

/// What went wrong with them.
pub(super) struct Problems {
    /// The container was not given what it was promised: its exit says nothing.
    pub(super) no_data: Option<Failure>,
    /// What it left has not been kept.
    pub(super) not_kept: Option<Failure>,
}

/// Where checkpoints of this `LocalPath` are, below `/opt/ml` of the host's side: the usual place
/// is a volume that is always there, any other is one of its own.
pub(super) fn checkpoints_folder(local_path: &str) -> PathBuf {
    let path = local_path.trim_end_matches('/');
    match path.strip_prefix(DEFAULT_CHECKPOINTS) {
        Some(below) if below.is_empty() || below.starts_with('/') => {
            PathBuf::from("checkpoints").join(below.trim_start_matches('/'))
        }
        _ => PathBuf::from("kept"),
    }
}

impl Data {
    /// Makes everything ready for a container that does not run yet.
    pub(super) fn start(
        cx: &Context,
        rooted: &Rooted,
        pipes: Vec<Prepared>,
    ) -> Result<Self, Ending> {
        let opt_ml = cx.job.opt_ml();
        let pipes = Pipes::start(pipes, &opt_ml.join("input/data"), rooted.owner())?;
        let keep = |c: &belljar_domain::Checkpoints| {
            let keeping = Keeping {
                uri: c.uri.clone(),
                root: opt_ml.clone(),
                folder: checkpoints_folder(&c.local_path),
                journal: cx.job.uploads(),
            };
            Keeper::start(&cx.s3(), keeping).map_err(CheckpointError::from)
        };
        let keeper = cx.assignment.checkpoints.as_ref().map(keep).transpose()?;
        Ok(Self { pipes, keeper, failure: None })
    }

    /// Returns once the container cannot be given what it was promised.
    pub(super) async fn failed(&mut self) {
        self.failure = Some(self.pipes.failed().await.into());
    }

    /// The container is dead: keeps what it left, and notes what it was given.
    pub(super) async fn finish(self, facts: &mut Facts) -> Problems {
        let (piped, error) = self.pipes.finish().await;
        for (name, pipe) in piped {
            if let Some(input) = facts.inputs.iter_mut().find(|i| i.channel == name) {
                input.pipe = Some(pipe);
            }
        }
        let no_data = self.failure.or(error.map(Failure::from));
        let Some(keeper) = self.keeper else { return Problems { no_data, not_kept: None } };
        let not_kept = match keeper.finish().await {
            Ok(kept) => {
                let left_out = |w: String| format!("Checkpoints: {w}");
                facts.warnings.extend(kept.warnings.into_iter().map(left_out));
                if let Some(checkpoints) = &mut facts.checkpoints {
                    checkpoints.kept = kept.files;
                }
                None
            }
            Err(e) => Some(CheckpointError::from(e).into()),
        };
        Problems { no_data, not_kept }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_places_have_a_volume_of_their_own() {
        for (path, folder) in [
            ("/opt/ml/checkpoints", "checkpoints/"),
            ("/opt/ml/checkpoints/a/b/", "checkpoints/a/b"),
            ("/opt/ml/checkpoints2", "kept"),
            ("/checkpoints", "kept"),
        ] {
            assert_eq!(checkpoints_folder(path), PathBuf::from(folder), "{path}");
        }
    }
}
