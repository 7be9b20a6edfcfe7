//! `oci:` and `oci-archive:`, the OCI image layout in a folder or a tar.
//!
//! OCI image specification, `image-layout.md`.

use super::tar_index::{TarIndex, open_regular};
use super::{Description, description, read_document_bytes, through_index};
use crate::image::config::{Descriptor, Document, choose, read_document};
use crate::image::digest::Digest;
use crate::image::error::ImageError;
use crate::image::limits::MAX_INDEX_ENTRIES;
use crate::image::reference::Pick;
use std::io::Read;
use std::path::{Path, PathBuf};

const KIND: &str = "an OCI image layout";
/// The annotations that name an image; containerd writes the second.
const NAMES: [&str; 2] = ["org.opencontainers.image.ref.name", "io.containerd.image.name"];

pub(in crate::image) struct Layout {
    path: PathBuf,
    place: Place,
    pick: Pick,
}

enum Place {
    Folder,
    Archive(TarIndex),
}

impl Layout {
    pub(super) fn folder(path: &Path, pick: Pick) -> Result<Self, ImageError> {
        let layout = Self { path: path.to_owned(), place: Place::Folder, pick };
        layout.check()
    }

    pub(super) fn archive(path: &Path, pick: Pick, spool: &Path) -> Result<Self, ImageError> {
        let index = TarIndex::open(path, KIND, spool)?;
        let layout = Self { path: path.to_owned(), place: Place::Archive(index), pick };
        layout.check()
    }

    fn check(self) -> Result<Self, ImageError> {
        match std::fs::metadata(&self.path) {
            Ok(_) => {}
            Err(source) => return Err(ImageError::ReadSource { path: self.path, source }),
        }
        match self.open("index.json") {
            Ok(_) => Ok(self),
            Err(ImageError::ReadSource { .. }) => Err(ImageError::NotAnArchive {
                path: self.path,
                expected: KIND,
                reason: "it has no index.json".to_owned(),
            }),
            Err(error) => Err(error),
        }
    }

    fn open(&self, name: &str) -> Result<Box<dyn Read + Send>, ImageError> {
        match &self.place {
            Place::Folder => Ok(Box::new(open_regular(&self.path.join(name))?)),
            Place::Archive(index) => match index.member(name) {
                Some(section) => Ok(Box::new(section)),
                None => Err(ImageError::ReadSource {
                    path: self.path.join(name),
                    source: std::io::ErrorKind::NotFound.into(),
                }),
            },
        }
    }

    pub(super) fn blob(&self, digest: &Digest) -> Result<Box<dyn Read + Send>, ImageError> {
        self.open(&format!("blobs/sha256/{}", digest.hex()))
    }

    fn document(&self, what: &str, digest: &Digest) -> Result<Vec<u8>, ImageError> {
        read_document_bytes(what, self.blob(digest)?, Some(digest))
    }

    pub(super) fn describe(&self) -> Result<Description, ImageError> {
        let name = format!("{}{}", self.path.display(), self.pick);
        let mut digest = self.picked(&name)?.digest;
        let mut manifest = self.document(&format!("the manifest of {name}"), &digest)?;
        // containerd and BuildKit put an index of platforms below the layout's own.
        if let Some((inner, _)) = through_index(&name, &manifest)? {
            digest = inner;
            manifest = self.document(&format!("the manifest of {name}"), &digest)?;
        }
        let parsed = super::manifest_only(&name, &manifest)?;
        let what = format!("the configuration of {name}");
        let config = self.document(&what, &parsed.config.digest)?;
        description(&name, manifest, config)
    }

    /// The entry of `index.json` that the reference means.
    fn picked(&self, name: &str) -> Result<Descriptor, ImageError> {
        let what = format!("{}/index.json", self.path.display());
        let bytes = read_document_bytes(&what, self.open("index.json")?, None)?;
        let index = match read_document(&what, &bytes)? {
            Document::Index(index) => index,
            Document::Manifest(_) => {
                let reason = "it is no index".to_owned();
                return Err(ImageError::Document { what, reason });
            }
        };
        let entries = &index.manifests;
        let found = match &self.pick {
            Pick::At(place) => entries.get(*place).cloned(),
            Pick::Named(wanted) => {
                entries.iter().find(|d| names_of(d).any(|n| n == wanted)).cloned()
            }
            Pick::Only => match entries.as_slice() {
                [only] => Some(only.clone()),
                // Several platforms of one image, or several images?
                _ if !entries.is_empty() && same_name(entries) => {
                    return choose(name, &index).cloned();
                }
                _ => None,
            },
        };
        found.ok_or_else(|| {
            let tags = entries.iter().take(MAX_INDEX_ENTRIES).filter_map(|d| names_of(d).next());
            ImageError::NotFound {
                source_name: self.path.display().to_string(),
                name: match &self.pick {
                    Pick::Only => "(without a tag)".to_owned(),
                    pick => pick.to_string().trim_start_matches(':').to_owned(),
                },
                found: tags.map(ToOwned::to_owned).collect(),
            }
        })
    }
}

fn names_of(descriptor: &Descriptor) -> impl Iterator<Item = &String> {
    NAMES.iter().filter_map(|key| descriptor.annotations.as_ref()?.get(*key))
}

fn same_name(entries: &[Descriptor]) -> bool {
    let first = names_of(&entries[0]).next();
    entries.iter().all(|d| d.platform.is_some() && names_of(d).next() == first)
}
