//! Data in before the container starts, artifacts out after it is dead: File mode, one instance.
//!
//! **Invariants**: nothing is written outside the channel's folder, whatever the names; no link
//! leads anywhere that was not named; no artifact stands under its final name before it is whole.
//!
//! Names follow SageMaker's File mode for paths and S3 alike (see [`stage_in`]). Files are 0644
//! and folders 0755, as from S3, which knows no mode: an executable bit of a local file is
//! dropped, so that a job behaves the same wherever its data lies.

mod archive;
mod checkpoints;
mod copy;
mod error;
mod failure_file;
mod keep;
pub mod limits;
mod local;
mod location;
mod loose;
mod manifest;
mod meter;
mod model;
mod names;
mod out;
mod pipe;
mod reading;
mod s3;
mod s3_in;
mod s3_interface;
mod s3_out;
mod s3_socket;
mod sink;
mod source;

pub use checkpoints::{CheckpointError, check_checkpoints, restore};
pub use error::{FileError, InputError, StageInError, StageOutError};
pub use failure_file::read_failure_file;
pub use keep::{Checkpointed, KeepError, Keeper, Keeping};
pub use location::{Location, LocationError};
pub use model::{ModelError, ModelIn, check_model, stage_model};
pub(crate) use names::is_plain;
pub use out::{
    StageOut, check_output, check_output_to_replace, check_output_with, put_file, put_file_with,
    stage_out, stage_out_with, sweep, sweep_with,
};
pub use pipe::{Pipes, Prepared};
pub use s3::{S3Error, S3Settings};
pub use s3_interface::Interface;
pub use s3_socket::Socket;

use crate::progress::Progress;
use belljar_domain::data::check_channels;
use belljar_domain::{Channel, InputMode, PipedChannel, StagedChannel, StagedFile};
use meter::{Meter, metered};
use source::Inputs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Whom the container's files belong to: the host's user that is root in the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// What to stage in, and where to.
#[derive(Debug, Clone, Copy)]
pub struct StageIn<'a> {
    /// The channels.
    pub channels: &'a [Channel],
    /// `/opt/ml/input/data` of the container.
    pub data_dir: &'a Path,
    /// A folder of the warden's own, for what the container must not see.
    pub private: &'a Path,
    /// Whom files belong to; without one, the user that this process runs as.
    pub owner: Option<Owner>,
}

/// What has been staged in.
pub struct StagedIn {
    /// Every channel, those in File mode with their files.
    pub channels: Vec<StagedChannel>,
    /// Those in Pipe mode.
    pub pipes: Vec<Prepared>,
}

/// Copies every channel in File mode to `data_dir/<channel>` and lists those in Pipe mode. Returns
/// what was copied with its digests, files sorted by path. What an earlier try left there goes
/// first.
///
/// - A single file or object keeps its base name; everything else its name below the folder, or
///   what follows the prefix in a manifest.
/// - `s3://` prefixes match every key that begins with them; a local path names one file or folder.
/// - Of a channel that is dealt out among instances each gets every n-th object, by the order of
///   their keys or of the manifest; a local folder's files count as objects.
/// - Links in a local folder are followed while they stay in it; FIFOs, sockets and devices are
///   refused.
///
/// # Errors
/// If there is nothing, a name is not fit, or a file cannot be read or written, or changes.
pub async fn stage_in(
    settings: &S3Settings,
    request: &StageIn<'_>,
    progress: &dyn Progress,
) -> Result<StagedIn, StageInError> {
    check_inputs(settings, request.channels, request.data_dir).await?;
    let mut staged = StagedIn { channels: Vec::new(), pipes: Vec::new() };
    for channel in request.channels {
        let failed = |source| StageInError { channel: channel.name.clone(), source };
        let (name, uri) = (channel.name.clone(), channel.uri.clone());
        if channel.input_mode == InputMode::Pipe {
            let prepared = pipe::prepare(settings, channel, request.private).await;
            staged.pipes.push(prepared.map_err(failed)?);
            let pipe = Some(PipedChannel::default());
            staged.channels.push(StagedChannel { channel: name, uri, files: Vec::new(), pipe });
        } else {
            let files = files(settings, channel, request, progress).await.map_err(failed)?;
            staged.channels.push(StagedChannel { channel: name, uri, files, pipe: None });
        }
    }
    Ok(staged)
}

/// Stages one channel in File mode.
async fn files(
    settings: &S3Settings,
    channel: &Channel,
    request: &StageIn<'_>,
    progress: &dyn Progress,
) -> Result<Vec<StagedFile>, InputError> {
    let owner = request.owner;
    let target = request.data_dir.join(channel.name.as_str());
    match std::fs::remove_dir_all(&target) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            return Err(FileError::new("clear", &target, e).into());
        }
        _ => copy::make_folder(&target, owner)?,
    }
    let meter = Arc::new(Meter::default());
    let work = async {
        let inputs = source::list(settings, channel).await?;
        let prefix = match channel.uri.parse()? {
            Location::S3 { prefix, .. } => prefix,
            Location::Path(_) => String::new(),
        };
        copy_in(settings, inputs, prefix, target, owner, &meter).await
    };
    metered(channel.name.as_str(), progress, &meter, Box::pin(work)).await
}

/// Brings what was listed into the empty folder `target`.
async fn copy_in(
    settings: &S3Settings,
    inputs: Inputs,
    prefix: String,
    target: PathBuf,
    owner: Option<Owner>,
    meter: &Arc<Meter>,
) -> Result<Vec<StagedFile>, InputError> {
    let (settings, meter) = (settings.clone(), Arc::clone(meter));
    let work = move || match inputs {
        Inputs::Local(listing) => local::copy_in(listing, &target, owner, &meter),
        Inputs::S3(objects) => s3_in::download_all(
            &objects,
            &s3_in::Target {
                settings: &settings,
                prefix: &prefix,
                folder: &target,
                owner,
                meter: &meter,
            },
        ),
    };
    tokio::task::spawn_blocking(work).await.map_err(|_| InputError::Broken)?
}

/// Whether every channel has something to stage, as far as can be seen without copying.
///
/// # Errors
/// If a URI is none, nothing is there, or `data_dir` lies in a channel's folder; or if a channel
/// has members that mean nothing together.
pub async fn check_inputs(
    settings: &S3Settings,
    channels: &[Channel],
    data_dir: &Path,
) -> Result<(), StageInError> {
    if let (Err(error), Some(first)) = (check_channels(channels), channels.first()) {
        return Err(StageInError { channel: first.name.clone(), source: error.into() });
    }
    for channel in channels {
        source::check(settings, channel, data_dir)
            .await
            .map_err(|source| StageInError { channel: channel.name.clone(), source })?;
    }
    Ok(())
}
