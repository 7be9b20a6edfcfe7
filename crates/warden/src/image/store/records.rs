//! Records: image documents and names, each written whole.

use super::{
    Image, ImageDetails, ImageStore, ImageSummary, Layer, LayerDetails, Lease, lease, open_folder,
    write_failed,
};
use crate::image::config::{ConfigDocument, Document, Manifest, read_config, read_document};
use crate::image::digest::Digest;
use crate::image::error::ImageError;
use crate::image::limits::MAX_DOCUMENT;
use rustix::fs::{CWD, FlockOperation, RenameFlags};
use rustix::io::Errno;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

/// A name and where it leads.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Tag {
    pub(super) name: String,
    pub(super) digest: Digest,
    /// The reference it was pulled by.
    pub(super) source: String,
}

/// An image whose layers are all in the store.
pub(crate) struct NewImage<'a> {
    pub(crate) manifest: &'a [u8],
    pub(crate) config: &'a [u8],
    pub(crate) name: &'a str,
    pub(crate) source: String,
}

impl ImageStore {
    /// Records an image under its digest and name. The caller holds leases on its layers.
    pub(crate) fn record(&self, new: &NewImage<'_>) -> Result<Image, ImageError> {
        let digest = Digest::of(new.manifest);
        let path = self.images().join(digest.hex());
        {
            let _locked = self.lock(FlockOperation::LockShared)?;
            let layers = self.layers();
            sync_folder(&layers)?;
            let temporary = self.images().join(temporary_name()?);
            std::fs::create_dir(&temporary).map_err(write_failed(&temporary))?;
            write_synced(&temporary.join("manifest.json"), new.manifest)?;
            write_synced(&temporary.join("config.json"), new.config)?;
            sync_folder(&temporary)?;
            match rustix::fs::renameat_with(CWD, &temporary, CWD, &path, RenameFlags::NOREPLACE) {
                Ok(()) => sync_folder(&self.images())?,
                Err(Errno::EXIST | Errno::NOTEMPTY) => {
                    std::fs::remove_dir_all(&temporary).map_err(write_failed(&temporary))?;
                }
                Err(error) => return Err(write_failed(&path)(error)),
            }
            let tag = Tag {
                name: new.name.to_owned(),
                digest: digest.clone(),
                source: new.source.clone(),
            };
            write_json(&self.tag_path(new.name), &tag)?;
        }
        self.load(&digest, new.name)?.ok_or_else(|| ImageError::DamagedStore {
            path,
            reason: "the image just recorded is not whole".to_owned(),
        })
    }

    /// The image of this digest, held; `None` if it or one of its layers is missing.
    pub(super) fn load(&self, digest: &Digest, name: &str) -> Result<Option<Image>, ImageError> {
        let mut leases: Vec<Lease> = Vec::new();
        {
            let _locked = self.lock(FlockOperation::LockShared)?;
            match lease(&self.images().join(digest.hex()))? {
                Some(held) => leases.push(held),
                None => return Ok(None),
            }
        }
        let (_, config) = self.documents(digest)?;
        let mut layers = Vec::new();
        for diff_id in &config.rootfs.diff_ids {
            match self.lease_layer(diff_id)? {
                Some(held) => leases.push(held),
                None => return Ok(None),
            }
            if self.layer_record(diff_id)?.opaque_root {
                layers.clear();
            }
            let path = self.layers().join(diff_id.hex());
            // Overlayfs refuses a folder that comes twice; only the topmost place counts... of
            // an identical layer, both places show the same files, so the lower one may go.
            layers.retain(|l: &Layer| l.diff_id != *diff_id);
            layers.push(Layer { diff_id: diff_id.clone(), path });
        }
        Ok(Some(Image {
            reference: name.to_owned(),
            digest: digest.to_string(),
            config: config.image_config(),
            layers,
            _leases: Arc::new(leases),
        }))
    }

    /// Manifest and configuration of a recorded image, checked against their digests.
    pub(super) fn documents(
        &self,
        digest: &Digest,
    ) -> Result<(Manifest, ConfigDocument), ImageError> {
        let folder = self.images().join(digest.hex());
        let damaged = |file: &str, reason: String| ImageError::DamagedStore {
            path: folder.join(file),
            reason,
        };
        let read = |file: &str, expected: &Digest| {
            let bytes = read_small(&folder.join(file))
                .map_err(|e| damaged(file, e.to_string()))?
                .ok_or_else(|| damaged(file, "it is missing".to_owned()))?;
            if Digest::of(&bytes) == *expected {
                Ok(bytes)
            } else {
                Err(damaged(file, format!("it does not have the digest {expected}")))
            }
        };
        let name = digest.as_str();
        let manifest = match read_document(name, &read("manifest.json", digest)?)? {
            Document::Manifest(manifest) => manifest,
            Document::Index(_) => {
                return Err(damaged("manifest.json", "it is an index".to_owned()));
            }
        };
        let config = read("config.json", &manifest.config.digest)?;
        let config = read_config(name, &config, manifest.layers.len())?;
        Ok((manifest, config))
    }

    pub(super) fn tag_path(&self, name: &str) -> std::path::PathBuf {
        self.tags().join(format!("{}.json", Digest::of(name.as_bytes()).hex()))
    }

    pub(super) fn tag(&self, name: &str) -> Result<Option<Tag>, ImageError> {
        read_json(&self.tag_path(name))
    }

    pub(super) fn all_tags(&self) -> Result<Vec<Tag>, ImageError> {
        let mut tags = Vec::new();
        for name in names(&self.tags())? {
            // Another process may remove one meanwhile.
            if let Some(tag) = read_json::<Tag>(&self.tags().join(name))? {
                tags.push(tag);
            }
        }
        tags.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(tags)
    }

    pub(super) fn all_images(&self) -> Result<Vec<Digest>, ImageError> {
        let images = names(&self.images())?;
        let mut digests: Vec<Digest> =
            images.iter().filter_map(|hex| format!("sha256:{hex}").parse().ok()).collect();
        digests.sort();
        Ok(digests)
    }

    /// All images, sorted by digest.
    ///
    /// # Errors
    /// [`ImageError::DamagedStore`] or [`ImageError::OpenStore`] if records cannot be read.
    pub fn list(&self) -> Result<Vec<ImageSummary>, ImageError> {
        let tags = self.all_tags()?;
        let mut list = Vec::new();
        for digest in self.all_images()? {
            list.push(self.details(&digest, &tags)?.summary);
        }
        Ok(list)
    }

    /// All that is known of the image of this name or digest.
    ///
    /// # Errors
    /// [`ImageError::NotStored`]; [`ImageError::DamagedStore`] if records cannot be read.
    pub fn inspect(&self, name: &str) -> Result<ImageDetails, ImageError> {
        let digest = self.find(name)?;
        self.details(&digest, &self.all_tags()?)
    }

    /// The digest that a name, or a digest itself, leads to.
    pub(super) fn find(&self, name: &str) -> Result<Digest, ImageError> {
        if let Ok(digest) = name.parse::<Digest>()
            && self.images().join(digest.hex()).is_dir()
        {
            return Ok(digest);
        }
        for candidate in [Self::canonical(name), name.to_owned()] {
            if let Some(tag) = self.tag(&candidate)? {
                return Ok(tag.digest);
            }
        }
        Err(ImageError::NotStored { name: name.to_owned() })
    }

    fn details(&self, digest: &Digest, tags: &[Tag]) -> Result<ImageDetails, ImageError> {
        let (_, config) = self.documents(digest)?;
        let mut layers = Vec::new();
        for diff_id in &config.rootfs.diff_ids {
            let record = self.layer_record(diff_id)?;
            layers.push(LayerDetails {
                diff_id: diff_id.clone(),
                bytes: record.bytes,
                entries: record.entries,
                left_out: record.left_out,
                left_out_names: record.left_out_names,
            });
        }
        let names = tags.iter().filter(|t| t.digest == *digest).map(|t| t.name.clone()).collect();
        let bytes = layers.iter().map(|l| l.bytes).sum();
        let summary =
            ImageSummary { names, digest: digest.to_string(), bytes, layers: layers.len() };
        Ok(ImageDetails { summary, config: config.image_config(), layers })
    }
}

/// A name that no one else has: `.tmp-` and 16 random digits.
pub(super) fn temporary_name() -> Result<String, ImageError> {
    let mut random = [0_u8; 8];
    rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())
        .map_err(write_failed(Path::new("/dev/urandom")))?;
    Ok(format!(".tmp-{:016x}", u64::from_ne_bytes(random)))
}

/// File names in a folder, without temporary ones.
pub(super) fn names(folder: &Path) -> Result<Vec<String>, ImageError> {
    let failed = |source| ImageError::OpenStore { path: folder.to_owned(), source };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        if let Some(name) = name.to_str()
            && !name.starts_with(".tmp-")
        {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

/// Replaces a record durably. The store must be locked.
pub(super) fn write_json(path: &Path, record: &impl Serialize) -> Result<(), ImageError> {
    let bytes = serde_json::to_vec(record).map_err(write_failed(path))?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let temporary = folder.join(temporary_name()?);
    write_synced(&temporary, &bytes)?;
    std::fs::rename(&temporary, path).map_err(write_failed(path))?;
    sync_folder(folder)
}

pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, ImageError> {
    let damaged = |reason: String| ImageError::DamagedStore { path: path.to_owned(), reason };
    let Some(bytes) = read_small(path).map_err(|e| damaged(e.to_string()))? else {
        return Ok(None);
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|e| damaged(e.to_string()))
}

fn read_small(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(MAX_DOCUMENT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_DOCUMENT {
        return Err(io::Error::other("it is too large"));
    }
    Ok(Some(bytes))
}

fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), ImageError> {
    let write = || {
        let mut file = File::create_new(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(write_failed(path))
}

fn sync_folder(path: &Path) -> Result<(), ImageError> {
    let folder = open_folder(path).map_err(write_failed(path))?;
    rustix::fs::fsync(folder).map_err(write_failed(path))
}
