//! From a reference to an image in the store.

use super::error::ImageError;
use super::limits::{DOWNLOAD_TRIES, PARALLEL_LAYERS};
use super::reference::Reference;
use super::store::{Image, ImageStore, Lease, NewImage, NewLayer};
use super::transport::{Description, LayerSource, Source};
use super::unpack::{UnpackError, unpack};
use crate::progress::Progress;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;

/// Ends the layers' threads when the pull is dropped or fails.
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A layer in work: how far it is, and the thread's result.
struct Work {
    item: String,
    total: Option<u64>,
    done: Arc<AtomicU64>,
}

impl ImageStore {
    /// Fetches an image, whatever the store has under its name, and stores it under `tag`, or
    /// else under the name it is fetched by. Layers that the store has are not fetched.
    ///
    /// # Errors
    /// Whatever [`ImageError`] names. The store is then as before, but for whole layers.
    pub async fn pull(
        &self,
        reference: &Reference,
        tag: Option<&str>,
        progress: &dyn Progress,
    ) -> Result<Image, ImageError> {
        let name = Self::name_for(reference, tag)?;
        let source = Arc::new(Source::open(reference, self.root()).await?);
        let description = source.describe().await?;
        let leases = self.fetch_layers(&source, &description, progress).await?;
        let new = NewImage {
            manifest: &description.manifest,
            config: &description.config,
            name: &name,
            source: match reference {
                Reference::Plain(name) => format!("docker://{name}"),
                other => other.to_string(),
            },
        };
        let image = self.record(&new);
        drop(leases);
        image
    }

    /// Unpacks what is missing, a few layers at a time; returns leases on all.
    async fn fetch_layers(
        &self,
        source: &Arc<Source>,
        description: &Description,
        progress: &dyn Progress,
    ) -> Result<Vec<Lease>, ImageError> {
        let mut leases = Vec::new();
        let mut missing: Vec<&LayerSource> = Vec::new();
        for layer in &description.layers {
            match self.lease_layer(&layer.diff_id)? {
                Some(lease) => leases.push(lease),
                None if missing.iter().any(|m| m.diff_id == layer.diff_id) => {}
                None => missing.push(layer),
            }
        }
        let stop = StopOnDrop(Arc::new(AtomicBool::new(false)));
        let mut waiting = missing.into_iter();
        let mut running: JoinSet<Result<Lease, ImageError>> = JoinSet::new();
        let mut works: Vec<Work> = Vec::new();
        let mut tick = tokio::time::interval(Duration::from_millis(100));
        loop {
            while running.len() < PARALLEL_LAYERS
                && let Some(layer) = waiting.next()
            {
                let work = Work {
                    item: layer.diff_id.to_string(),
                    total: layer.size,
                    done: Arc::new(AtomicU64::new(0)),
                };
                let task = Task {
                    store: self.clone(),
                    source: Arc::clone(source),
                    promise: layer.promise.clone(),
                    locator: layer.locator.clone(),
                    done: Arc::clone(&work.done),
                    stop: Arc::clone(&stop.0),
                };
                works.push(work);
                running.spawn(task.run());
            }
            tokio::select! {
                finished = running.join_next() => match finished {
                    Some(result) => leases.push(result.map_err(ImageError::Worker)??),
                    None => break,
                },
                _ = tick.tick() => {}
            }
            report(&works, progress);
        }
        report(&works, progress);
        Ok(leases)
    }
}

fn report(works: &[Work], progress: &dyn Progress) {
    for work in works {
        progress.update(&work.item, work.done.load(Ordering::Relaxed), work.total);
    }
}

/// One layer's way into the store.
struct Task {
    store: ImageStore,
    source: Arc<Source>,
    promise: super::unpack::Promise,
    locator: super::transport::Locator,
    done: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

impl Task {
    /// Tries again if the stream broke off; a lie about a digest is final.
    async fn run(self) -> Result<Lease, ImageError> {
        let mut tries = 1;
        loop {
            let reader = self.source.layer(&self.locator).await?;
            let (store, promise) = (self.store.clone(), self.promise.clone());
            let (done, stop) = (Arc::clone(&self.done), Arc::clone(&self.stop));
            let result = super::transport::blocking(move || {
                unpack_one(&store, reader, &promise, &done, &stop)
            })
            .await;
            match result {
                Err(ImageError::Unpack { source, layer })
                    if source.is_transient() && tries < DOWNLOAD_TRIES =>
                {
                    let cause = crate::failure::chain(&source);
                    tracing::warn!(%layer, %cause, tries, "a layer broke off; fetching it again");
                    tokio::time::sleep(Duration::from_millis(200 << tries)).await;
                    tries += 1;
                }
                other => return other,
            }
        }
    }
}

fn unpack_one(
    store: &ImageStore,
    reader: Box<dyn Read + Send>,
    promise: &super::unpack::Promise,
    done: &AtomicU64,
    stop: &AtomicBool,
) -> Result<Lease, ImageError> {
    let new = NewLayer::create(store)?;
    let failed = |source: UnpackError| ImageError::Unpack {
        layer: match (&promise.diff_id, &promise.blob) {
            (_, Some((digest, _))) | (Some(digest), _) => digest.to_string(),
            (None, None) => "of unknown digest".to_owned(),
        },
        source,
    };
    let progress = |bytes| done.store(bytes, Ordering::Relaxed);
    let unpacked = match new.folder() {
        Some(folder) => unpack(reader, promise, folder, &progress, stop).map_err(failed)?,
        None => return Err(failed(UnpackError::Stopped)),
    };
    new.commit(&unpacked)
}
