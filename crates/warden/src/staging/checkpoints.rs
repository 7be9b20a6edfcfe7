//! Checkpoints that an earlier job left, brought in before the container starts.

use super::error::InputError;
use super::keep::KeepError;
use super::limits;
use super::location::Location;
use super::meter::{Meter, metered};
use super::s3::S3Settings;
use super::s3_in::Source;
use super::source::Inputs;
use super::{Owner, copy_in, local, sink};
use crate::failure::Explain;
use crate::progress::Progress;
use belljar_domain::data::LocalPathError;
use belljar_domain::failure::Blame;
use belljar_domain::{Checkpoints, StagedFile};
use std::path::Path;
use std::sync::Arc;

/// Why checkpoints could not be brought in or kept. Texts stand behind `ClientError: `.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// They cannot be mounted there.
    #[error("CheckpointConfig.LocalPath")]
    LocalPath(#[from] LocalPathError),
    /// From where they are kept.
    #[error("Checkpoint download failed")]
    Restore(#[source] InputError),
    /// To where they are kept.
    #[error("Checkpoint upload failed")]
    Keep(#[from] KeepError),
}

impl Explain for CheckpointError {
    fn blame(&self) -> Blame {
        match self {
            Self::LocalPath(_) => Blame::Client,
            Self::Restore(e) => e.blame(),
            Self::Keep(e) => e.blame(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::LocalPath(_) => {
                Some("Choose /opt/ml/checkpoints, or a folder that nothing else uses.".to_owned())
            }
            Self::Restore(e) => e.hint(),
            Self::Keep(e) => e.hint(),
        }
    }

    fn machine(&self) -> bool {
        match self {
            Self::LocalPath(_) => false,
            Self::Restore(e) => e.machine(),
            Self::Keep(e) => e.machine(),
        }
    }
}

/// The place as a folder: `s3://bucket/a` keeps `a/x`, and has nothing to do with `ab`.
fn folder(uri: &str) -> Result<Location, InputError> {
    Ok(match uri.parse()? {
        Location::S3 { bucket, prefix } if !prefix.is_empty() && !prefix.ends_with('/') => {
            Location::S3 { bucket, prefix: format!("{prefix}/") }
        }
        location => location,
    })
}

/// Whether checkpoints can be had, as far as can be seen for one request.
///
/// # Errors
/// If not, with the reason.
pub async fn check_checkpoints(
    settings: &S3Settings,
    checkpoints: &Checkpoints,
) -> Result<(), CheckpointError> {
    checkpoints.check_local_path()?;
    if let Location::S3 { bucket, prefix } =
        folder(&checkpoints.uri).map_err(CheckpointError::Restore)?
    {
        let source = Source { settings, bucket: &bucket, prefix: &prefix };
        match source.check().await {
            Err(InputError::Nothing(_)) => {}
            checked => checked.map_err(CheckpointError::Restore)?,
        }
    }
    Ok(())
}

/// Copies what is kept at `uri` into the empty folder `target`, and returns it, sorted by path.
///
/// # Errors
/// If a name is not fit, or a file cannot be read or written, or changes.
pub async fn restore(
    settings: &S3Settings,
    uri: &str,
    target: &Path,
    owner: Option<Owner>,
    progress: &dyn Progress,
) -> Result<Vec<StagedFile>, CheckpointError> {
    let meter = Arc::new(Meter::default());
    let work = async {
        let (inputs, prefix) = match folder(uri)? {
            Location::Path(path) => {
                let listing = move || local::list(&path, limits::MAX_INPUT_FILES);
                match tokio::task::spawn_blocking(listing).await {
                    Ok(Err(InputError::Nothing(_))) => return Ok(Vec::new()),
                    Ok(Ok(mut listing)) => {
                        // What a warden left that was killed while it kept a checkpoint.
                        listing.files.retain(|f| !sink::is_unfinished(Path::new(&f.name)));
                        (Inputs::Local(listing), String::new())
                    }
                    Ok(Err(e)) => return Err(e),
                    Err(_) => return Err(InputError::Broken),
                }
            }
            Location::S3 { bucket, prefix } => {
                let source = Source { settings, bucket: &bucket, prefix: &prefix };
                let objects =
                    source.list_any(true, limits::MAX_INPUT_FILES).await?.unwrap_or_default();
                (Inputs::S3(objects), prefix)
            }
        };
        copy_in(settings, inputs, prefix, target.to_owned(), owner, &meter).await
    };
    let restored = metered("checkpoints", progress, &meter, Box::pin(work)).await;
    restored.map_err(CheckpointError::Restore)
}
