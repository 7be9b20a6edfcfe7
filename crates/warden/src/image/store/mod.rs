//! The store: images by digest, layers by diff-id, names that lead to digests.
//!
//! ```text
//! ROOT/lock                          held for moments: shared to add, exclusive to take away
//! ROOT/layers/sha256/<diff-id>/      an unpacked layer, as overlayfs takes it
//! ROOT/layers/sha256/<diff-id>.json  what is to be known of it
//! ROOT/images/sha256/<digest>/       manifest.json and config.json, byte by byte as fetched
//! ROOT/tags/<sha256 of name>.json    a name and the digest it leads to
//! ROOT/*/.tmp-*                      unfinished; swept once its maker is gone
//! ```
//!
//! **Invariants**: whoever works with a layer or image holds a shared `flock` on its folder, and
//! only who gets an exclusive one takes it away. Everything becomes visible by one rename, after
//! its content is on the disk. Locks die with their process, so a kill leaves nothing but
//! temporary names that nobody holds.

mod collect;
mod layers;
mod records;

use super::config::ImageConfig;
use super::digest::Digest;
use super::error::ImageError;
use super::reference::Reference;
use super::registry_name::RegistryName;
use rustix::fs::{FlockOperation, Mode, OFlags};
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) use layers::NewLayer;
pub(crate) use records::NewImage;

/// A folder of images.
#[derive(Debug, Clone)]
pub struct ImageStore {
    root: PathBuf,
}

/// One layer, unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Digest of its tar stream.
    pub diff_id: Digest,
    /// Its folder: a lower layer for overlayfs (mount with `userxattr`). Never to be changed.
    pub path: PathBuf,
}

/// An image ready to run. While a clone of it lives, the store keeps it.
#[derive(Clone)]
pub struct Image {
    /// By what name it was found.
    pub reference: String,
    /// Digest of its manifest, `sha256:...`.
    pub digest: String,
    /// What its containers run.
    pub config: ImageConfig,
    /// Its layers, the lowest first. May be fewer than the manifest's: a layer that hides
    /// everything below it comes first.
    pub layers: Vec<Layer>,
    _leases: Arc<Vec<Lease>>,
}

impl fmt::Debug for Image {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Image")
            .field("reference", &self.reference)
            .field("digest", &self.digest)
            .field("config", &self.config)
            .field("layers", &self.layers)
            .finish_non_exhaustive()
    }
}

/// An image of the store in one line.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ImageSummary {
    /// Names that lead to it, sorted; may be none.
    pub names: Vec<String>,
    /// Digest of its manifest.
    pub digest: String,
    /// Bytes of its layers' tar streams, shared layers included.
    pub bytes: u64,
    /// How many layers it has.
    pub layers: usize,
}

/// All that is known of an image of the store.
#[derive(Debug, Clone)]
pub struct ImageDetails {
    /// Names, digest, size.
    pub summary: ImageSummary,
    /// What its containers run.
    pub config: ImageConfig,
    /// Its layers, the lowest first.
    pub layers: Vec<LayerDetails>,
}

/// All that is known of a layer of the store.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct LayerDetails {
    /// Digest of its tar stream.
    pub diff_id: Digest,
    /// Bytes of its tar stream.
    pub bytes: u64,
    /// Entries in it.
    pub entries: u64,
    /// How many device nodes were left out of it.
    pub left_out: u64,
    /// Names of the first of them.
    pub left_out_names: Vec<String>,
}

/// A shared lock on a folder; freed when dropped, or when the process dies.
#[derive(Debug)]
pub(crate) struct Lease {
    _folder: OwnedFd,
}

/// The store's lock.
pub(crate) struct Locked {
    _file: OwnedFd,
}

pub(crate) fn write_failed<E: Into<io::Error>>(path: &Path) -> impl FnOnce(E) -> ImageError {
    move |e| ImageError::WriteStore { path: path.to_owned(), source: e.into() }
}

fn open_failed<E: Into<io::Error>>(path: &Path) -> impl FnOnce(E) -> ImageError {
    move |e| ImageError::OpenStore { path: path.to_owned(), source: e.into() }
}

impl ImageStore {
    /// Opens the store in `root`, making it if need be, and sweeps what killed processes left.
    ///
    /// # Errors
    /// [`ImageError::OpenStore`] if folders cannot be made, opened or locked.
    pub fn open(root: &Path) -> Result<Self, ImageError> {
        use std::os::unix::fs::DirBuilderExt;
        // Overlay mounts want absolute paths.
        let root = std::path::absolute(root).map_err(open_failed(root))?;
        let store = Self { root };
        // Unpacked images are nobody else's business.
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        for folder in [store.layers(), store.images(), store.tags()] {
            builder.create(&folder).map_err(open_failed(&folder))?;
        }
        store.sweep()?;
        Ok(store)
    }

    /// The image of a name, from the store or pulled now.
    ///
    /// A plain name is looked for in the store first; `docker://` too, if it was pulled from
    /// there. Files and folders are always read, since they may have changed; what the store
    /// already has of them is not unpacked again.
    ///
    /// # Errors
    /// As [`Self::pull`].
    pub async fn resolve(
        &self,
        reference: &Reference,
        progress: &dyn crate::progress::Progress,
    ) -> Result<Image, ImageError> {
        if let Some(image) = self.stored(reference)? {
            return Ok(image);
        }
        self.pull(reference, None, progress).await
    }

    fn stored(&self, reference: &Reference) -> Result<Option<Image>, ImageError> {
        let (name, pulled_only) = match reference {
            Reference::Plain(name) => (name, false),
            Reference::Docker(name) => (name, true),
            _ => return Ok(None),
        };
        if let Some(tag) = self.tag(&name.to_string())? {
            let fits = !pulled_only || tag.source == format!("docker://{name}");
            if fits && let Some(image) = self.load(&tag.digest, &tag.name)? {
                return Ok(Some(image));
            }
        }
        match &name.digest {
            Some(digest) => self.load(digest, &name.to_string()),
            None => Ok(None),
        }
    }

    /// The names under which a user's word may be stored: as a reference, as a plain name.
    fn canonical(name: &str) -> String {
        match name.parse::<Reference>() {
            Ok(Reference::Plain(name) | Reference::Docker(name)) => name.to_string(),
            Ok(other) => other.to_string(),
            Err(_) => name.to_owned(),
        }
    }

    /// The name an image is stored under: `tag` in full form, or what it was pulled by.
    pub(crate) fn name_for(reference: &Reference, tag: Option<&str>) -> Result<String, ImageError> {
        match (tag, reference) {
            (Some(tag), _) => Ok(RegistryName::parse(tag)?.to_string()),
            (None, Reference::Plain(name) | Reference::Docker(name)) => Ok(name.to_string()),
            (None, other) => Ok(other.to_string()),
        }
    }

    pub(crate) fn layers(&self) -> PathBuf {
        self.root.join("layers/sha256")
    }

    pub(crate) fn images(&self) -> PathBuf {
        self.root.join("images/sha256")
    }

    pub(crate) fn tags(&self) -> PathBuf {
        self.root.join("tags")
    }

    /// The store's root.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Waits for the store's lock; it is held for moments only.
    pub(crate) fn lock(&self, operation: FlockOperation) -> Result<Locked, ImageError> {
        let path = self.root.join("lock");
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file =
            rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR).map_err(open_failed(&path))?;
        rustix::io::retry_on_intr(|| rustix::fs::flock(&file, operation))
            .map_err(open_failed(&path))?;
        Ok(Locked { _file: file })
    }
}

pub(crate) fn open_folder(path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty())
}

/// A shared lock on a folder of the store; `None` if there is none. The store must be locked.
fn lease(path: &Path) -> Result<Option<Lease>, ImageError> {
    let folder = match open_folder(path) {
        Ok(folder) => folder,
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(error) => return Err(open_failed(path)(error)),
    };
    rustix::io::retry_on_intr(|| rustix::fs::flock(&folder, FlockOperation::LockShared))
        .map_err(open_failed(path))?;
    Ok(Some(Lease { _folder: folder }))
}
