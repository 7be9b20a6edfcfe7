//! Pipe mode: a channel as a stream for each epoch, through FIFOs that the container opens.
//!
//! `CHANNEL_0` is there before the container starts; `CHANNEL_1` appears when the reader is done
//! with `CHANNEL_0`, having read it to its end or closed it before. Channels know nothing of each
//! other. Nothing is fetched for a FIFO that nobody opens.
//!
//! **Invariant**: the end of a stream is the end of the data. If the data cannot be had, the FIFO
//! stays open until the container is dead, so that it never takes what it got for all there is.

mod augmented;
mod entries;
mod fifo;
mod produce;
mod recordio;
mod shuffle;

use super::Owner;
use super::copy::hex;
use super::error::{FileError, InputError, StageInError};
use super::limits;
use super::s3::S3Settings;
use super::source;
use augmented::Augmented;
use belljar_domain::{Channel, ChannelName, DataType, PipedChannel, PipedEpoch};
use entries::Entries;
use fifo::{Fifo, Fifos};
use produce::Recipe;
use sha2::{Digest, Sha256};
use std::path::Path;
use std::sync::Arc;
use tokio::net::unix::pipe::Sender;
use tokio::sync::{mpsc, oneshot, watch};

/// A channel that is ready to be streamed: its data has been listed.
pub struct Prepared {
    name: ChannelName,
    recipe: Recipe,
}

/// Lists what a channel consists of. `private` is a folder of the warden's own.
pub(super) async fn prepare(
    settings: &S3Settings,
    channel: &Channel,
    private: &Path,
) -> Result<Prepared, InputError> {
    let entries = if channel.data_type == DataType::AugmentedManifestFile {
        let names = &channel.attribute_names;
        let manifest = Augmented::fetch(settings, &channel.uri, names, private).await?;
        Entries::Augmented(Arc::new(manifest))
    } else {
        Entries::Objects(source::list(settings, channel).await?.objects().into())
    };
    let recipe = Recipe {
        settings: settings.clone(),
        entries,
        compression: channel.compression,
        wrapper: channel.record_wrapper,
        seed: channel.shuffle_seed,
        shard: channel.shard,
        private: private.join(channel.name.as_str()),
    };
    Ok(Prepared { name: channel.name.clone(), recipe })
}

/// Channels that are being streamed.
pub struct Pipes {
    running: Vec<(ChannelName, oneshot::Receiver<PipedChannel>)>,
    failures: mpsc::Receiver<StageInError>,
    stop: watch::Sender<bool>,
}

impl Pipes {
    /// Makes the first FIFO of each channel in `data_dir` (`/opt/ml/input/data` of a container that
    /// does not run yet) and serves them, each from a thread of its own.
    ///
    /// # Errors
    /// If a FIFO or a thread cannot be made.
    pub fn start(
        prepared: Vec<Prepared>,
        data_dir: &Path,
        owner: Option<Owner>,
    ) -> Result<Self, StageInError> {
        let (stop, stopped) = watch::channel(false);
        let (failed, failures) = mpsc::channel(prepared.len().max(1));
        let mut running = Vec::with_capacity(prepared.len());
        for Prepared { name, recipe } in prepared {
            let wrong = |source: InputError| StageInError { channel: name.clone(), source };
            let fifos = Fifos::new(data_dir, &name, owner).map_err(|e| wrong(e.into()))?;
            let first = fifos.make(0).map_err(wrong)?;
            let (done, told) = oneshot::channel();
            let server = Server {
                name: name.clone(),
                fifos,
                recipe,
                stopped: stopped.clone(),
                failed: failed.clone(),
                told: PipedChannel::default(),
                current: None,
            };
            std::thread::Builder::new()
                .name("pipe".into())
                .spawn(move || server.run(first, done))
                .map_err(|e| wrong(FileError::new("start a thread for", "a FIFO", e).into()))?;
            running.push((name, told));
        }
        Ok(Self { running, failures, stop })
    }

    /// Returns once a channel cannot be streamed on; its FIFO stays open.
    pub async fn failed(&mut self) -> StageInError {
        match self.failures.recv().await {
            Some(error) => error,
            // Every channel is served to its end: there is nothing to wait for.
            None => std::future::pending().await,
        }
    }

    /// Ends it: the container is dead. Returns what went through the FIFOs, and why a channel
    /// failed that nobody has been told of.
    pub async fn finish(mut self) -> (Vec<(ChannelName, PipedChannel)>, Option<StageInError>) {
        let _ = self.stop.send(true);
        let mut all = Vec::with_capacity(self.running.len());
        for (name, told) in self.running {
            all.push((name, told.await.unwrap_or_default()));
        }
        (all, self.failures.try_recv().ok())
    }
}

/// Serves one channel.
struct Server {
    name: ChannelName,
    fifos: Fifos,
    recipe: Recipe,
    stopped: watch::Receiver<bool>,
    failed: mpsc::Sender<StageInError>,
    told: PipedChannel,
    current: Option<Streamed>,
}

impl Server {
    fn run(mut self, first: Fifo, done: oneshot::Sender<PipedChannel>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let Ok(runtime) = runtime else {
            let error = StageInError { channel: self.name, source: InputError::Broken };
            let _ = self.failed.try_send(error);
            return;
        };
        let mut stopped = self.stopped.clone();
        runtime.block_on(async {
            let served = async {
                if let Err(source) = self.serve(first).await {
                    let error = StageInError { channel: self.name.clone(), source };
                    let _ = self.failed.send(error).await;
                }
            };
            tokio::select! {
                () = served => {}
                // Its sender is dropped with the job, which is as good a reason.
                _ = stopped.wait_for(|stop| *stop) => {}
            }
        });
        runtime.shutdown_background();
        self.close(false);
        let _ = done.send(self.told);
    }

    async fn serve(&mut self, first: Fifo) -> Result<(), InputError> {
        let mut fifo = first;
        for epoch in 0.. {
            let end = fifo.opened().await?;
            self.told.opened += 1;
            let current = self.current.insert(Streamed::new(epoch));
            match epoch_into(&self.recipe, &end, current).await {
                Ok(complete) => self.close(complete),
                Err(source) => {
                    let error = StageInError { channel: self.name.clone(), source };
                    let _ = self.failed.send(error).await;
                    // This end stays open: the container must not see an end of the data.
                    return std::future::pending().await;
                }
            }
            // Whoever has seen the end of this one finds the next.
            fifo = self.fifos.make(epoch + 1)?;
            drop(end);
        }
        Ok(())
    }

    /// Notes how far the present epoch came.
    fn close(&mut self, complete: bool) {
        if let Some(Streamed { epoch, size, digest }) = self.current.take()
            && self.told.epochs.len() < limits::PIPE_EPOCHS
        {
            self.told.epochs.push(PipedEpoch { epoch, size, sha256: hex(digest), complete });
        }
    }
}

/// What went into the FIFO of an epoch.
struct Streamed {
    epoch: u64,
    size: u64,
    digest: Sha256,
}

impl Streamed {
    fn new(epoch: u64) -> Self {
        Self { epoch, size: 0, digest: Sha256::new() }
    }

    fn add(&mut self, bytes: &[u8]) {
        self.size += bytes.len() as u64;
        self.digest.update(bytes);
    }
}

/// Streams one epoch; whether its reader has read it to its end.
async fn epoch_into(
    recipe: &Recipe,
    end: &Sender,
    streamed: &mut Streamed,
) -> Result<bool, InputError> {
    let mut chunks = produce::start(recipe.clone(), streamed.epoch);
    while let Some(chunk) = chunks.recv().await {
        let chunk = chunk?;
        let mut rest = &chunk[..];
        while !rest.is_empty() {
            match end.try_write(rest) {
                Ok(written) => {
                    let (done, left) = rest.split_at(written);
                    streamed.add(done);
                    rest = left;
                }
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {
                    let ready = end.writable().await;
                    ready.map_err(|e| FileError::new("write to", "a FIFO", e))?;
                }
                Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => return Ok(false),
                Err(e) => return Err(FileError::new("write to", "a FIFO", e).into()),
            }
        }
    }
    Ok(fifo::drained(end).await)
}
