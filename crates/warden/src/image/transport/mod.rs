//! Where images come from. Each transport tells an image's documents and opens its layers.

mod archive;
mod auth;
mod daemon;
mod layout;
mod registry;
mod tar_index;

use super::config::{Document, Manifest, choose, read_config, read_document};
use super::digest::Digest;
use super::error::ImageError;
use super::limits::{MAX_DOCUMENT, MAX_LAYER_BLOB};
use super::reference::Reference;
use super::unpack::Promise;
use std::io::{self, Read};
use std::path::Path;

pub(super) use archive::{descriptor, manifest_of};
use daemon::Daemon;

/// An opened place that has the image.
pub(super) enum Source {
    Registry(registry::Registry),
    Layout(layout::Layout),
    Docker(archive::DockerArchive),
}

/// An image's documents, checked, and what is promised about its layers.
pub(super) struct Description {
    pub(super) manifest: Vec<u8>,
    pub(super) config: Vec<u8>,
    /// In the manifest's order, the lowest first.
    pub(super) layers: Vec<LayerSource>,
}

pub(super) struct LayerSource {
    pub(super) diff_id: Digest,
    pub(super) promise: Promise,
    /// How the transport finds it: digest, or name in the archive.
    pub(super) locator: Locator,
    /// Bytes as stored, for progress.
    pub(super) size: Option<u64>,
}

#[derive(Debug, Clone)]
pub(super) enum Locator {
    Blob(Digest),
    Member(String),
}

impl Source {
    /// Opens the place. `spool` is a folder for a temporary file, if one is needed.
    pub(super) async fn open(reference: &Reference, spool: &Path) -> Result<Self, ImageError> {
        match reference {
            Reference::Plain(name) | Reference::Docker(name) => {
                registry::Registry::new(name).map(Self::Registry)
            }
            Reference::DockerDaemon(name) => {
                let file = Daemon::default_socket().save(name, spool).await?;
                let what = format!("docker-daemon:{name}");
                let pick = super::reference::Pick::Only;
                blocking(move || archive::DockerArchive::from_file(&what, file, pick))
                    .await
                    .map(Self::Docker)
            }
            Reference::OciLayout { path, pick } => {
                let (path, pick) = (path.clone(), pick.clone());
                blocking(move || layout::Layout::folder(&path, pick)).await.map(Self::Layout)
            }
            Reference::OciArchive { path, pick } => {
                let (path, pick, spool) = (path.clone(), pick.clone(), spool.to_owned());
                blocking(move || layout::Layout::archive(&path, pick, &spool))
                    .await
                    .map(Self::Layout)
            }
            Reference::DockerArchive { path, pick } => {
                let (path, pick, spool) = (path.clone(), pick.clone(), spool.to_owned());
                blocking(move || archive::DockerArchive::open(&path, pick, &spool))
                    .await
                    .map(Self::Docker)
            }
        }
    }

    /// Reads manifest and configuration.
    pub(super) async fn describe(&self) -> Result<Description, ImageError> {
        match self {
            Self::Registry(registry) => registry.describe().await,
            Self::Layout(layout) => layout.describe(),
            Self::Docker(archive) => archive.describe(),
        }
    }

    /// Opens a layer as stored. The reader blocks: use it on a thread of its own.
    pub(super) async fn layer(
        &self,
        locator: &Locator,
    ) -> Result<Box<dyn Read + Send>, ImageError> {
        match (self, locator) {
            (Self::Registry(registry), Locator::Blob(digest)) => registry.blob(digest).await,
            (Self::Layout(layout), Locator::Blob(digest)) => layout.blob(digest),
            (Self::Docker(archive), Locator::Member(name)) => archive.member(name),
            // Each transport makes its own locators.
            (_, locator) => Err(ImageError::Document {
                what: "the manifest".to_owned(),
                reason: format!("{locator:?} cannot be found here"),
            }),
        }
    }
}

/// Runs what blocks off the event loop.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ImageError> + Send + 'static,
) -> Result<T, ImageError> {
    tokio::task::spawn_blocking(work).await.map_err(ImageError::Worker)?
}

/// A description from documents whose digests have been checked.
fn description(name: &str, manifest: Vec<u8>, config: Vec<u8>) -> Result<Description, ImageError> {
    let parsed = manifest_only(name, &manifest)?;
    let document = read_config(name, &config, parsed.layers.len())?;
    let mut layers = Vec::with_capacity(parsed.layers.len());
    for (descriptor, diff_id) in parsed.layers.iter().zip(document.rootfs.diff_ids) {
        if descriptor.size > MAX_LAYER_BLOB {
            return Err(ImageError::Document {
                what: format!("the manifest of {name}"),
                reason: format!("a layer is larger than {MAX_LAYER_BLOB} bytes"),
            });
        }
        layers.push(LayerSource {
            promise: Promise {
                blob: Some((descriptor.digest.clone(), descriptor.size)),
                diff_id: Some(diff_id.clone()),
            },
            diff_id,
            locator: Locator::Blob(descriptor.digest.clone()),
            size: Some(descriptor.size),
        });
    }
    Ok(Description { manifest, config, layers })
}

fn manifest_only(name: &str, bytes: &[u8]) -> Result<Manifest, ImageError> {
    match read_document(&format!("the manifest of {name}"), bytes)? {
        Document::Manifest(manifest) => Ok(manifest),
        Document::Index(_) => Err(ImageError::Document {
            what: format!("the index of {name}"),
            reason: "it leads to another index".to_owned(),
        }),
    }
}

/// The manifest's descriptor that an index gives for this machine.
fn through_index(name: &str, bytes: &[u8]) -> Result<Option<(Digest, u64)>, ImageError> {
    match read_document(&format!("the manifest of {name}"), bytes)? {
        Document::Manifest(_) => Ok(None),
        Document::Index(index) => {
            let chosen = choose(name, &index)?;
            Ok(Some((chosen.digest.clone(), chosen.size)))
        }
    }
}

/// Reads a small document whole and checks its digest.
fn read_document_bytes(
    what: &str,
    reader: impl Read,
    digest: Option<&Digest>,
) -> Result<Vec<u8>, ImageError> {
    let invalid = |reason: String| ImageError::Document { what: what.to_owned(), reason };
    let mut bytes = Vec::new();
    let read: io::Result<usize> = reader.take(MAX_DOCUMENT + 1).read_to_end(&mut bytes);
    read.map_err(|e| invalid(e.to_string()))?;
    if bytes.len() as u64 > MAX_DOCUMENT {
        return Err(invalid(format!("it is larger than {MAX_DOCUMENT} bytes")));
    }
    check_digest(what, &bytes, digest)?;
    Ok(bytes)
}

fn check_digest(what: &str, bytes: &[u8], digest: Option<&Digest>) -> Result<(), ImageError> {
    let actual = Digest::of(bytes);
    match digest {
        Some(expected) if *expected != actual => Err(ImageError::Corrupt {
            what: what.to_owned(),
            expected: expected.to_string(),
            actual: actual.to_string(),
        }),
        _ => Ok(()),
    }
}
