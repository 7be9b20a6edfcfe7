//! Layers: made under a temporary name, visible once whole.

use super::{ImageStore, Lease, lease, open_folder, write_failed};
use crate::image::digest::Digest;
use crate::image::error::ImageError;
use crate::image::unpack::Unpacked;
use crate::image::unpack::remove::remove_tree;
use rustix::fs::{CWD, FlockOperation, RenameFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// What is kept beside a layer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct LayerRecord {
    pub(crate) bytes: u64,
    pub(crate) entries: u64,
    #[serde(default)]
    pub(crate) left_out: u64,
    #[serde(default)]
    pub(crate) left_out_names: Vec<String>,
    #[serde(default)]
    pub(crate) opaque_root: bool,
}

/// A layer in the making. Dropped before [`NewLayer::commit`], it vanishes.
pub(crate) struct NewLayer {
    store: ImageStore,
    path: PathBuf,
    /// Locked exclusively: the sweeper leaves it alone.
    folder: Option<OwnedFd>,
}

impl NewLayer {
    pub(crate) fn create(store: &ImageStore) -> Result<Self, ImageError> {
        use std::os::unix::fs::DirBuilderExt;
        let path = store.layers().join(super::records::temporary_name()?);
        // No sweep can come between making and locking.
        let _locked = store.lock(FlockOperation::LockShared)?;
        std::fs::DirBuilder::new().mode(0o700).create(&path).map_err(write_failed(&path))?;
        let folder = open_folder(&path).map_err(write_failed(&path))?;
        rustix::fs::flock(&folder, FlockOperation::NonBlockingLockExclusive)
            .map_err(write_failed(&path))?;
        Ok(Self { store: store.clone(), path, folder: Some(folder) })
    }

    /// Where to unpack to.
    pub(crate) fn folder(&self) -> Option<BorrowedFd<'_>> {
        self.folder.as_ref().map(AsFd::as_fd)
    }

    /// Makes the layer visible under its diff-id, durably. If another process was faster, its
    /// layer is taken.
    pub(crate) fn commit(mut self, unpacked: &Unpacked) -> Result<Lease, ImageError> {
        let hex = unpacked.diff_id.hex();
        let name = self.store.layers().join(hex);
        if let Some(folder) = &self.folder {
            rustix::fs::syncfs(folder).map_err(write_failed(&self.path))?;
        }
        let _locked = self.store.lock(FlockOperation::LockShared)?;
        let record = LayerRecord {
            bytes: unpacked.bytes,
            entries: unpacked.entries,
            left_out: unpacked.left_out,
            left_out_names: unpacked.left_out_names.clone(),
            opaque_root: unpacked.opaque_root,
        };
        super::records::write_json(&self.store.layers().join(format!("{hex}.json")), &record)?;
        let flags = RenameFlags::NOREPLACE;
        match rustix::fs::renameat_with(CWD, &self.path, CWD, &name, flags) {
            Ok(()) => drop(self.folder.take()),
            Err(Errno::EXIST | Errno::NOTEMPTY) => {}
            Err(error) => return Err(write_failed(&name)(error)),
        }
        lease(&name)?.ok_or_else(|| ImageError::DamagedStore {
            path: name,
            reason: "the layer just made is gone".to_owned(),
        })
    }
}

impl Drop for NewLayer {
    fn drop(&mut self) {
        if self.folder.is_none() {
            return;
        }
        let removed = match (self.path.parent(), self.path.file_name()) {
            (Some(parent), Some(name)) => open_folder(parent)
                .map_err(std::io::Error::from)
                .and_then(|parent| remove_tree(parent, name.as_bytes())),
            _ => Ok(()),
        };
        if let Err(error) = removed {
            tracing::warn!(path = %self.path.display(), %error, "an unfinished layer stays until the next sweep");
        }
    }
}

impl ImageStore {
    /// Holds a layer; `None` if the store does not have it.
    pub(crate) fn lease_layer(&self, diff_id: &Digest) -> Result<Option<Lease>, ImageError> {
        let _locked = self.lock(FlockOperation::LockShared)?;
        lease(&self.layers().join(diff_id.hex()))
    }

    pub(crate) fn layer_record(&self, diff_id: &Digest) -> Result<LayerRecord, ImageError> {
        let path = self.layers().join(format!("{}.json", diff_id.hex()));
        super::records::read_json(&path)?
            .ok_or_else(|| ImageError::DamagedStore { path, reason: "it is missing".to_owned() })
    }
}
