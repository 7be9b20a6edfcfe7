//! The model of a container that serves, brought in before it starts, and the models of a
//! multi-model container, brought in while it serves.

use super::copy::hex;
use super::error::{FileError, InputError, is_full};
use super::limits;
use super::location::Location;
use super::meter::{Meter, metered};
use super::reading::{Clients, Object, Opened, Place};
use super::s3::{S3Error, S3Settings};
use super::source::{self, Inputs};
use super::{Owner, copy_in, local};
use crate::failure::{Explain, chain};
use crate::image::unpack::{Content, Promise, UnpackError, unpack_as};
use crate::progress::Progress;
use belljar_domain::fabric::Refusal;
use belljar_domain::failure::Blame;
use belljar_domain::serving::{ModelData, ModelForm, model_unreachable};
use belljar_domain::{Channel, ChannelName, StagedFile};
use bytes::Bytes;
use futures_util::StreamExt;
use object_store::path::Path as Key;
use sha2::{Digest, Sha256};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tokio::sync::mpsc;

/// The first bytes of what gzip has compressed (RFC 1952, 2.3.1).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Why a model could not be brought in.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// Nothing answers where it is.
    #[error("{}", model_unreachable(.uri))]
    Unreachable {
        /// Where it is.
        uri: String,
        /// The network's words.
        reason: String,
    },
    /// An instance in a VPC, and what is in its way.
    #[error("{} ({refusal})", model_unreachable(.uri))]
    NoWay {
        /// Where it is.
        uri: String,
        /// What is in the way.
        refusal: Refusal,
        /// What would help.
        hint: Option<String>,
    },
    /// Something else is wrong with where it is.
    #[error("{}. Failed to download model data from URL \"{uri}\".", chain(.cause))]
    Input {
        /// Where it is.
        uri: String,
        /// What.
        cause: InputError,
    },
    /// It cannot be unpacked.
    #[error("{}. Failed to unpack model data from URL \"{uri}\".", chain(.cause))]
    Archive {
        /// Where it is.
        uri: String,
        /// Why.
        cause: UnpackError,
    },
    /// It took too long.
    #[error(
        "It took longer than {seconds} seconds (ModelDataDownloadTimeoutInSeconds). Failed to download model data from URL \"{uri}\"."
    )]
    Late {
        /// Where it is.
        uri: String,
        /// How long it may take.
        seconds: u64,
    },
}

impl Explain for ModelError {
    fn blame(&self) -> Blame {
        match self {
            Self::Input { cause, .. } => cause.blame(),
            Self::Archive { cause: UnpackError::Write { source, .. }, .. } if is_full(source) => {
                Blame::Capacity
            }
            Self::Unreachable { .. }
            | Self::NoWay { .. }
            | Self::Late { .. }
            | Self::Archive { .. } => Blame::Client,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Unreachable { reason, .. } => Some(reason.clone()),
            Self::NoWay { hint, .. } => hint.clone(),
            Self::Input { cause, .. } => cause.hint(),
            Self::Archive { cause, .. } => cause.hint(),
            Self::Late { .. } => Some("Give it more time, or a smaller model.".to_owned()),
        }
    }

    fn machine(&self) -> bool {
        self.blame() == Blame::Capacity
    }
}

/// What kept an archive from being unpacked.
enum Broken {
    Input(InputError),
    Archive(UnpackError),
}

impl<E: Into<InputError>> From<E> for Broken {
    fn from(error: E) -> Self {
        Self::Input(error.into())
    }
}

impl Broken {
    fn of(self, uri: &str) -> ModelError {
        let uri = uri.to_owned();
        match self {
            Self::Input(InputError::S3(e @ S3Error::Unreachable { .. })) => {
                ModelError::Unreachable { uri, reason: e.to_string() }
            }
            Self::Input(InputError::S3(S3Error::NoWay { refusal })) => {
                ModelError::NoWay { uri, hint: refusal.fixes(), refusal }
            }
            Self::Input(cause) => ModelError::Input { uri, cause },
            Self::Archive(cause) => ModelError::Archive { uri, cause },
        }
    }
}

/// What a model becomes.
#[derive(Debug, Clone, Copy)]
pub struct ModelIn<'a> {
    /// The model.
    pub data: &'a ModelData,
    /// The folder that it is brought to, which exists and is empty.
    pub target: &'a Path,
    /// Whom files belong to; without one, the user that this process runs as.
    pub owner: Option<Owner>,
    /// Seconds that it may take.
    pub seconds: u64,
}

/// Brings a model in. Returns what was fetched, with digests: of an archive itself, not of what
/// is in it.
///
/// # Errors
/// If there is nothing, it cannot be had in time, or an archive is none or leads out of the folder.
/// What is in the folder is then worthless.
pub async fn stage_model(
    settings: &S3Settings,
    request: &ModelIn<'_>,
    progress: &dyn Progress,
) -> Result<Vec<StagedFile>, ModelError> {
    let meter = Arc::new(Meter::default());
    let (uri, seconds) = (&request.data.uri, request.seconds);
    let work = Box::pin(bring(settings, request, &meter));
    let work = metered("model", progress, &meter, work);
    match tokio::time::timeout(Duration::from_secs(seconds), work).await {
        Ok(brought) => brought.map_err(|e| e.of(uri)),
        Err(_) => Err(ModelError::Late { uri: uri.clone(), seconds }),
    }
}

/// Whether there is a model, as far as can be seen without fetching it.
///
/// # Errors
/// If not.
pub async fn check_model(
    settings: &S3Settings,
    data: &ModelData,
    target: &Path,
) -> Result<(), ModelError> {
    let check = async {
        match data.form {
            ModelForm::Prefix => source::check(settings, &channel(&data.uri), target).await,
            ModelForm::Archive | ModelForm::Object => {
                Clients::new(settings).open(one(&data.uri)?).await.map(drop)
            }
        }
    };
    check.await.map_err(|e| Broken::Input(e).of(&data.uri))
}

/// The channel that stands for it.
fn channel(uri: &str) -> Channel {
    Channel::files(ChannelName::model(), uri)
}

async fn bring(
    settings: &S3Settings,
    request: &ModelIn<'_>,
    meter: &Arc<Meter>,
) -> Result<Vec<StagedFile>, Broken> {
    let ModelIn { data, target, owner, .. } = *request;
    let (inputs, prefix) = match data.form {
        ModelForm::Archive => return archive(settings, request, meter).await.map(|f| vec![f]),
        ModelForm::Prefix => {
            let prefix = match data.uri.parse().map_err(InputError::from)? {
                Location::S3 { prefix, .. } => prefix,
                Location::Path(_) => String::new(),
            };
            (source::list(settings, &channel(&data.uri)).await?, prefix)
        }
        ModelForm::Object => match data.uri.parse().map_err(InputError::from)? {
            Location::S3 { .. } => (Inputs::S3(vec![one(&data.uri)?]), String::new()),
            Location::Path(path) => {
                one(&data.uri)?;
                (Inputs::Local(local::list(&path, limits::MAX_INPUT_FILES)?), String::new())
            }
        },
    };
    Ok(copy_in(settings, inputs, prefix, target.to_owned(), owner, meter).await?)
}

/// The one object, or file, of that name.
fn one(uri: &str) -> Result<Object, InputError> {
    let (place, name) = match uri.parse()? {
        Location::S3 { bucket, prefix } => {
            let key = Key::parse(&prefix).map_err(|_| InputError::Name(prefix.clone()))?;
            let name = key.filename().filter(|_| !prefix.ends_with('/'));
            let name = name.ok_or_else(|| InputError::Nothing(uri.to_owned()))?.to_owned();
            (Place::S3 { bucket: bucket.into(), key, e_tag: None }, name)
        }
        Location::Path(path) => {
            let real = std::fs::canonicalize(&path).map_err(|e| match e.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                    InputError::Nothing(uri.to_owned())
                }
                _ => FileError::new("open", &path, e).into(),
            })?;
            let (root, from) = (real.parent().unwrap_or(Path::new("/")), real.file_name());
            let from = PathBuf::from(from.unwrap_or_default());
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            (Place::File { root: root.into(), from }, name)
        }
    };
    Ok(Object { place, name, size: None })
}

/// Unpacks an archive while it is fetched.
async fn archive(
    settings: &S3Settings,
    request: &ModelIn<'_>,
    meter: &Arc<Meter>,
) -> Result<StagedFile, Broken> {
    let object = one(&request.data.uri)?;
    let name = object.name.clone();
    let Opened { size, mut chunks } = Clients::new(settings).open(object).await?;
    meter.set_total(size);
    let (sender, receiver) = mpsc::channel(limits::CHUNKS_IN_FLIGHT);
    let unpacking = {
        let (target, meter) = (request.target.to_owned(), Arc::clone(meter));
        let owner = request.owner.map(|o| (o.uid, o.gid));
        tokio::task::spawn_blocking(move || unpack(&target, owner, receiver, &meter))
    };
    let mut digest = Sha256::new();
    let mut first = true;
    let fetched = async {
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk?;
            if std::mem::take(&mut first) && !chunk.starts_with(&GZIP) {
                let reason = "it is not compressed by gzip".to_owned();
                return Err(Broken::Archive(UnpackError::Malformed { reason }));
            }
            digest.update(&chunk);
            meter.add(chunk.len());
            if sender.send(Piece::Bytes(chunk)).await.is_err() {
                // The other side has stopped, and says why.
                return Ok(());
            }
        }
        if first {
            let reason = "it has no bytes".to_owned();
            return Err(Broken::Archive(UnpackError::Malformed { reason }));
        }
        // Without this word the stream did not end, but broke off.
        let _ = sender.send(Piece::End).await;
        Ok(())
    };
    let fetched = fetched.await;
    drop(sender);
    // Waited for also where it is in vain: whoever clears the folder must not meet it there.
    let unpacked = unpacking.await.map_err(|_| Broken::Input(InputError::Broken))?;
    fetched?;
    unpacked.map_err(Broken::Archive)?;
    Ok(StagedFile { path: name, size, sha256: hex(digest) })
}

fn unpack(
    target: &Path,
    owner: Option<(u32, u32)>,
    receiver: mpsc::Receiver<Piece>,
    meter: &Meter,
) -> Result<(), UnpackError> {
    let failed = |source| UnpackError::Write { path: ".".to_owned(), source };
    let folder = std::fs::File::open(target).map_err(failed)?;
    let stream = Pieces { receiver, current: Bytes::new(), ended: false };
    let content = Content::Files { owner };
    let stop = AtomicBool::new(false);
    let look = |_| stop.store(meter.cancelled(), std::sync::atomic::Ordering::Relaxed);
    unpack_as(content, Box::new(stream), &Promise::default(), folder.as_fd(), &look, &stop)?;
    Ok(())
}

/// A part of an archive that is being fetched.
enum Piece {
    Bytes(Bytes),
    End,
}

/// The parts as a stream.
struct Pieces {
    receiver: mpsc::Receiver<Piece>,
    current: Bytes,
    ended: bool,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() && !self.ended {
            match self.receiver.blocking_recv() {
                Some(Piece::Bytes(bytes)) => self.current = bytes,
                Some(Piece::End) => self.ended = true,
                None => return Err(io::Error::other("the download broke off")),
            }
        }
        let count = self.current.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.current.split_to(count));
        Ok(count)
    }
}
