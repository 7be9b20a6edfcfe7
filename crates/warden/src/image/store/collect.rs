//! Taking away: removed images, layers nobody refers to, remnants of killed processes.

use super::records::names;
use super::{ImageStore, open_failed, open_folder, write_failed};
use crate::image::digest::Digest;
use crate::image::error::ImageError;
use crate::image::unpack::remove::remove_tree;
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A folder that nobody holds, locked by us and under a temporary name.
struct Condemned {
    path: PathBuf,
    _held: OwnedFd,
}

impl ImageStore {
    /// Removes the image of this name or digest, and the layers that no other image has.
    ///
    /// If other names lead to the image, a name alone goes. Layers still held (by a pull) stay
    /// until the next removal.
    ///
    /// # Errors
    /// [`ImageError::NotStored`]; [`ImageError::InUse`] if an [`super::Image`] of it is alive in
    /// any process; [`ImageError::WriteStore`].
    pub fn remove(&self, name: &str) -> Result<(), ImageError> {
        let condemned = {
            let _locked = self.lock(FlockOperation::LockExclusive)?;
            let digest = self.find(name)?;
            let is_name = name.parse::<Digest>().is_err();
            let mut tags = self.all_tags()?;
            tags.retain(|tag| tag.digest == digest);
            if is_name && tags.len() > 1 {
                let wanted = [Self::canonical(name), name.to_owned()];
                tags.retain(|tag| wanted.contains(&tag.name));
                return self.remove_tags(&tags);
            }
            let record = self.images().join(digest.hex());
            let Some(record) = self.condemn(&self.images(), &record)? else {
                return Err(ImageError::InUse { name: name.to_owned() });
            };
            self.remove_tags(&tags)?;
            let mut condemned = self.unreferenced()?;
            condemned.push(record);
            condemned
        };
        condemned.into_iter().try_for_each(destroy)
    }

    fn remove_tags(&self, tags: &[super::records::Tag]) -> Result<(), ImageError> {
        for tag in tags {
            let path = self.tag_path(&tag.name);
            std::fs::remove_file(&path).map_err(write_failed(&path))?;
        }
        Ok(())
    }

    /// Layers that no image has and nobody holds. The store must be locked exclusively.
    fn unreferenced(&self) -> Result<Vec<Condemned>, ImageError> {
        let mut kept = HashSet::new();
        for digest in self.all_images()? {
            let (_, config) = self.documents(&digest)?;
            kept.extend(config.rootfs.diff_ids.iter().map(|d| d.hex().to_owned()));
        }
        let mut condemned = Vec::new();
        for name in names(&self.layers())? {
            let hex = name.strip_suffix(".json").unwrap_or(&name);
            if kept.contains(hex) {
                continue;
            }
            let folder = self.layers().join(hex);
            if name.ends_with(".json") {
                if !folder.is_dir() {
                    remove_if_there(&self.layers().join(&name))?;
                }
            } else if let Some(layer) = self.condemn(&self.layers(), &folder)? {
                condemned.push(layer);
                remove_if_there(&self.layers().join(format!("{hex}.json")))?;
            }
        }
        Ok(condemned)
    }

    /// Takes a folder out of sight; `None` if somebody holds it. Its removal may take long, and
    /// needs no lock.
    fn condemn(&self, parent: &Path, folder: &Path) -> Result<Option<Condemned>, ImageError> {
        let held = open_folder(folder).map_err(open_failed(folder))?;
        match rustix::fs::flock(&held, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Ok(None),
            Err(error) => return Err(open_failed(folder)(error)),
        }
        let path = parent.join(super::records::temporary_name()?);
        std::fs::rename(folder, &path).map_err(write_failed(folder))?;
        Ok(Some(Condemned { path, _held: held }))
    }

    /// Removes temporary files and folders whose maker is gone.
    pub(super) fn sweep(&self) -> Result<(), ImageError> {
        let mut condemned = Vec::new();
        {
            let _locked = self.lock(FlockOperation::LockExclusive)?;
            for folder in [self.layers(), self.images(), self.tags()] {
                for entry in std::fs::read_dir(&folder).map_err(open_failed(&folder))? {
                    let entry = entry.map_err(open_failed(&folder))?;
                    if !entry.file_name().as_bytes().starts_with(b".tmp-") {
                        continue;
                    }
                    let path = entry.path();
                    if !entry.file_type().map_err(open_failed(&path))?.is_dir() {
                        // Files are written while the store is locked: this one is a remnant.
                        std::fs::remove_file(&path).map_err(write_failed(&path))?;
                        continue;
                    }
                    let held = open_folder(&path).map_err(open_failed(&path))?;
                    match rustix::fs::flock(&held, FlockOperation::NonBlockingLockExclusive) {
                        Ok(()) => condemned.push(Condemned { path, _held: held }),
                        Err(Errno::WOULDBLOCK) => {}
                        Err(error) => return Err(open_failed(&path)(error)),
                    }
                }
            }
        }
        condemned.into_iter().try_for_each(destroy)
    }
}

fn remove_if_there(path: &Path) -> Result<(), ImageError> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(write_failed(path)(e)),
        _ => Ok(()),
    }
}

fn destroy(condemned: Condemned) -> Result<(), ImageError> {
    let (Some(parent), Some(name)) = (condemned.path.parent(), condemned.path.file_name()) else {
        return Ok(());
    };
    let parent = open_folder(parent).map_err(open_failed(parent))?;
    remove_tree(parent, name.as_bytes()).map_err(write_failed(&condemned.path))
}
