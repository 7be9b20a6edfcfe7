//! Data in before the container starts, artifacts out after it is dead: File mode, one instance.
//!
//! **Invariants**: nothing is written outside the channel's folder, whatever the names; no link
//! leads anywhere that was not named; no artifact stands under its final name before it is whole.
//!
//! Names follow SageMaker's File mode for paths and S3 alike (see [`stage_in`]). Files are 0644
//! and folders 0755, as from S3, which knows no mode: an executable bit of a local file is
//! dropped, so that a job behaves the same wherever its data lies.

mod archive;
mod copy;
mod error;
mod failure_file;
pub mod limits;
mod local;
mod location;
mod meter;
mod names;
mod out;
mod s3;
mod s3_in;
mod s3_out;
mod sink;

pub use error::{FileError, InputError, StageInError, StageOutError};
pub use failure_file::read_failure_file;
pub use location::{Location, LocationError};
pub use out::{
    StageOut, check_output, check_output_with, put_file, put_file_with, stage_out, stage_out_with,
    sweep, sweep_with,
};
pub use s3::{S3Error, S3Settings};

use crate::progress::Progress;
use belljar_domain::{Channel, StagedChannel, StagedFile};
use meter::{Meter, metered};
use s3_in::Source;
use std::path::Path;
use std::sync::Arc;

/// Whom the container's files belong to: the host's user that is root in the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// Copies every channel to `data_dir/<channel>` (`/opt/ml/input/data` of the container) and
/// returns what was copied with its digests, files sorted by path. Files belong to `owner`, or,
/// without one, to the user that this process runs as. What an earlier try left there goes first.
///
/// - A single file or object keeps its base name; everything else its name below the folder.
/// - `s3://` prefixes match every key that begins with them; a local path names one file or folder.
/// - Links in a local folder are followed while they stay in it; FIFOs, sockets and devices are
///   refused.
///
/// # Errors
/// If there is nothing, a name is not fit, or a file cannot be read or written, or changes.
pub async fn stage_in(
    channels: &[Channel],
    data_dir: &Path,
    owner: Option<Owner>,
    progress: &dyn Progress,
) -> Result<Vec<StagedChannel>, StageInError> {
    stage_in_with(&S3Settings::from_env(), channels, data_dir, owner, progress).await
}

/// [`stage_in`] with S3 reached as `settings` say.
///
/// # Errors
/// As [`stage_in`].
pub async fn stage_in_with(
    settings: &S3Settings,
    channels: &[Channel],
    data_dir: &Path,
    owner: Option<Owner>,
    progress: &dyn Progress,
) -> Result<Vec<StagedChannel>, StageInError> {
    check_inputs_with(settings, channels, data_dir).await?;
    let mut staged = Vec::with_capacity(channels.len());
    for channel in channels {
        let files = one_channel(settings, channel, data_dir, owner, progress)
            .await
            .map_err(|source| StageInError { channel: channel.name.clone(), source })?;
        let (name, uri) = (channel.name.clone(), channel.uri.clone());
        staged.push(StagedChannel { channel: name, uri, files, pipe: None });
    }
    Ok(staged)
}

async fn one_channel(
    settings: &S3Settings,
    channel: &Channel,
    data_dir: &Path,
    owner: Option<Owner>,
    progress: &dyn Progress,
) -> Result<Vec<StagedFile>, InputError> {
    let target = data_dir.join(channel.name.as_str());
    match std::fs::remove_dir_all(&target) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            return Err(FileError::new("clear", &target, e).into());
        }
        _ => copy::make_folder(&target, owner)?,
    }
    let meter = Arc::new(Meter::default());
    let work = async {
        match channel.uri.parse()? {
            Location::Path(path) => {
                let meter = Arc::clone(&meter);
                tokio::task::spawn_blocking(move || local::copy_in(&path, &target, owner, &meter))
                    .await
                    .map_err(|_| InputError::Broken)?
            }
            Location::S3 { bucket, prefix } => {
                let source = Source { settings, bucket: &bucket, prefix: &prefix };
                source.copy_in(&target, owner, &meter).await
            }
        }
    };
    metered(channel.name.as_str(), progress, &meter, Box::pin(work)).await
}

/// Whether every channel has something to stage, as far as can be seen without copying.
///
/// # Errors
/// If a URI is none, nothing is there, or `data_dir` lies in a channel's folder.
pub async fn check_inputs(channels: &[Channel], data_dir: &Path) -> Result<(), StageInError> {
    check_inputs_with(&S3Settings::from_env(), channels, data_dir).await
}

/// [`check_inputs`] with S3 reached as `settings` say.
///
/// # Errors
/// As [`check_inputs`].
pub async fn check_inputs_with(
    settings: &S3Settings,
    channels: &[Channel],
    data_dir: &Path,
) -> Result<(), StageInError> {
    for channel in channels {
        let checked = match channel.uri.parse() {
            Ok(Location::Path(path)) => local::check(&path, data_dir),
            Ok(Location::S3 { bucket, prefix }) => {
                Source { settings, bucket: &bucket, prefix: &prefix }.check().await
            }
            Err(error) => Err(InputError::Location(error)),
        };
        checked.map_err(|source| StageInError { channel: channel.name.clone(), source })?;
    }
    Ok(())
}
