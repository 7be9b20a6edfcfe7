//! Files with random names. A name is handed out once and its bytes never change.
//!
//! A blob is written below `tmp/`, moved to its place and made durable before any row names it;
//! it is unlinked after the last row that named it is durably gone. So a row's blob exists, and
//! a blob without a row is nobody's: it is swept at the next start.

use super::sums::{hex, unhex};
use crate::StoreError;
use rusqlite::Connection;
use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A blob's name.
pub(super) type BlobId = [u8; 16];

#[derive(Debug)]
pub(super) struct Blobs {
    root: PathBuf,
    pins: Mutex<HashMap<BlobId, Pin>>,
}

#[derive(Debug, Default)]
struct Pin {
    readers: usize,
    unlink: bool,
}

impl Blobs {
    /// Opens the folders, and removes what no row of `parts` names.
    pub(super) fn open(root: &Path, connection: &Connection) -> Result<Arc<Self>, StoreError> {
        let blobs = Self { root: root.to_path_buf(), pins: Mutex::default() };
        let temporary = root.join("tmp");
        match fs::remove_dir_all(&temporary) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(failed("sweep", &temporary)(e));
            }
            _ => {}
        }
        fs::create_dir_all(&temporary).map_err(failed("create", &temporary))?;
        for first in 0..=u8::MAX {
            let folder = blobs.folder(first);
            if folder.is_dir() {
                blobs.sweep(&folder, connection)?;
            } else {
                fs::create_dir_all(&folder).map_err(failed("create", &folder))?;
            }
        }
        for folder in [root, &root.join("blobs")] {
            sync_folder(folder).map_err(failed("sync", folder))?;
        }
        Ok(Arc::new(blobs))
    }

    fn sweep(&self, folder: &Path, connection: &Connection) -> Result<(), StoreError> {
        let mut named = connection.prepare_cached("SELECT 1 FROM parts WHERE blob = ?1")?;
        for entry in fs::read_dir(folder).map_err(failed("list", folder))? {
            let path = entry.map_err(failed("list", folder))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let orphan = match <BlobId>::try_from(unhex(&name)) {
                Ok(id) => self.path(id) == path && !named.exists([id])?,
                Err(_) => false,
            };
            if orphan {
                fs::remove_file(&path).map_err(failed("sweep", &path))?;
            }
        }
        Ok(())
    }

    fn folder(&self, first: u8) -> PathBuf {
        self.root.join("blobs").join(hex(&[first]))
    }

    fn path(&self, id: BlobId) -> PathBuf {
        self.folder(id[0]).join(hex(&id))
    }

    fn temporary(&self, id: BlobId) -> PathBuf {
        self.root.join("tmp").join(hex(&id))
    }

    /// An empty file to write to, not yet in its place.
    pub(super) fn create(&self) -> std::io::Result<(BlobId, File)> {
        let id = random()?;
        let file = File::options().write(true).create_new(true).open(self.temporary(id))?;
        Ok((id, file))
    }

    /// Moves what was written to its place and makes it durable.
    pub(super) fn keep(&self, id: BlobId, file: &File) -> std::io::Result<()> {
        // Moved first: syncing the file then often commits the new name along with it.
        fs::rename(self.temporary(id), self.path(id))?;
        file.sync_all()?;
        sync_folder(&self.folder(id[0]))
    }

    /// Removes a blob that no row names and none ever will.
    pub(super) fn discard(&self, id: BlobId) {
        // What cannot be removed now is swept at the next start.
        let _ = fs::remove_file(self.temporary(id)).or_else(|_| fs::remove_file(self.path(id)));
    }

    pub(super) fn open_blob(&self, id: BlobId) -> std::io::Result<File> {
        File::open(self.path(id))
    }

    fn pins(&self) -> MutexGuard<'_, HashMap<BlobId, Pin>> {
        self.pins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps blobs from being unlinked until the guard is dropped. The caller looks again, after
    /// this, whether a row still names them: if one does, their files stay.
    pub(super) fn pin(self: &Arc<Self>, ids: Vec<BlobId>) -> Pinned {
        let mut pins = self.pins();
        for id in &ids {
            pins.entry(*id).or_default().readers += 1;
        }
        drop(pins);
        Pinned { blobs: Arc::clone(self), ids }
    }

    /// Unlinks blobs whose last row is durably gone: now, or when their last reader is done.
    pub(super) fn unlink(&self, ids: Vec<BlobId>) {
        let mut pins = self.pins();
        for id in ids {
            match pins.get_mut(&id) {
                Some(pin) => pin.unlink = true,
                None => self.discard(id),
            }
        }
    }
}

/// Blobs that are being read.
#[derive(Debug)]
pub(super) struct Pinned {
    blobs: Arc<Blobs>,
    ids: Vec<BlobId>,
}

impl Pinned {
    pub(super) fn open(&self, id: BlobId) -> std::io::Result<File> {
        self.blobs.open_blob(id)
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        let mut pins = self.blobs.pins();
        for id in &self.ids {
            let Some(pin) = pins.get_mut(id) else { continue };
            pin.readers -= 1;
            if pin.readers == 0 {
                if pin.unlink {
                    self.blobs.discard(*id);
                }
                pins.remove(id);
            }
        }
    }
}

/// Sixteen bytes that nobody can guess.
pub(super) fn random() -> std::io::Result<[u8; 16]> {
    let mut bytes = [0; 16];
    let mut filled = 0;
    while filled < bytes.len() {
        filled +=
            rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty())?;
    }
    Ok(bytes)
}

fn sync_folder(path: &Path) -> std::io::Result<()> {
    File::open(path)?.sync_all()
}

fn failed(operation: &'static str, path: &Path) -> impl Fn(std::io::Error) -> StoreError {
    move |source| StoreError::File { operation, path: path.to_path_buf(), source }
}
