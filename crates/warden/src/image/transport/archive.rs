//! `docker-archive:`, what `docker save` writes: the form of old, and the one with an OCI layout
//! inside. Both have a `manifest.json`, which counts here.

use super::tar_index::TarIndex;
use super::{Description, LayerSource, Locator, read_document_bytes};
use crate::image::config::{Descriptor, Manifest, read_config};
use crate::image::digest::Digest;
use crate::image::error::ImageError;
use crate::image::limits::MAX_LAYERS;
use crate::image::reference::Pick;
use crate::image::registry_name::RegistryName;
use crate::image::unpack::Promise;
use serde::Deserialize;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

const KIND: &str = "what `docker save` writes";

pub(in crate::image) struct DockerArchive {
    name: String,
    index: TarIndex,
    entry: Entry,
}

/// One image of `manifest.json`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

impl DockerArchive {
    pub(super) fn open(path: &Path, pick: Pick, spool: &Path) -> Result<Self, ImageError> {
        let index = TarIndex::open(path, KIND, spool)?;
        Self::new(&path.display().to_string(), index, pick)
    }

    pub(super) fn from_file(name: &str, file: File, pick: Pick) -> Result<Self, ImageError> {
        let index = TarIndex::of_file(file).map_err(|e| ImageError::NotAnArchive {
            path: PathBuf::from(name),
            expected: KIND,
            reason: crate::failure::chain(&e),
        })?;
        Self::new(name, index, pick)
    }

    fn new(name: &str, index: TarIndex, pick: Pick) -> Result<Self, ImageError> {
        let Some(section) = index.member("manifest.json") else {
            return Err(ImageError::NotAnArchive {
                path: PathBuf::from(name),
                expected: KIND,
                reason: "it has no manifest.json".to_owned(),
            });
        };
        let what = format!("{name}/manifest.json");
        let bytes = read_document_bytes(&what, section, None)?;
        let entries: Vec<Entry> = serde_json::from_slice(&bytes)
            .map_err(|e| ImageError::Document { what, reason: e.to_string() })?;
        let tags = |e: &Entry| e.repo_tags.clone().unwrap_or_default();
        let found = match &pick {
            Pick::Only if entries.len() == 1 => entries.first(),
            Pick::Only => None,
            Pick::At(place) => entries.get(*place),
            Pick::Named(wanted) => {
                let full = RegistryName::parse(wanted)?;
                entries.iter().find(|e| {
                    tags(e).iter().any(|t| RegistryName::parse(t).is_ok_and(|t| t == full))
                })
            }
        };
        match found {
            Some(entry) => Ok(Self { name: format!("{name}{pick}"), entry: entry.clone(), index }),
            None => Err(ImageError::NotFound {
                source_name: name.to_owned(),
                name: match &pick {
                    Pick::Only => "(without a name)".to_owned(),
                    pick => pick.to_string().trim_start_matches(':').to_owned(),
                },
                found: entries.iter().flat_map(tags).collect(),
            }),
        }
    }

    pub(super) fn member(&self, name: &str) -> Result<Box<dyn Read + Send>, ImageError> {
        match self.index.member(name) {
            Some(section) => Ok(Box::new(section)),
            None => Err(self.missing(name)),
        }
    }

    fn missing(&self, name: &str) -> ImageError {
        ImageError::Document {
            what: self.name.clone(),
            reason: format!("manifest.json names {name:?}, which is not there"),
        }
    }

    /// There is no manifest with digests, so one is made from the configuration: the same image
    /// always gets the same.
    pub(super) fn describe(&self) -> Result<Description, ImageError> {
        let layers = &self.entry.layers;
        let what = format!("the configuration of {}", self.name);
        if layers.len() > MAX_LAYERS {
            let reason = format!("more than {MAX_LAYERS} layers");
            return Err(ImageError::Document { what: self.name.clone(), reason });
        }
        let expected = digest_of_name(&self.entry.config);
        let config =
            read_document_bytes(&what, self.member(&self.entry.config)?, expected.as_ref())?;
        let document = read_config(&self.name, &config, layers.len())?;
        let mut sources = Vec::new();
        let mut descriptors = Vec::new();
        for (name, diff_id) in layers.iter().zip(document.rootfs.diff_ids) {
            let section = self.index.member(name).ok_or_else(|| self.missing(name))?;
            let size = section.size();
            descriptors.push(descriptor(
                "application/vnd.oci.image.layer.v1.tar",
                diff_id.clone(),
                size,
            ));
            sources.push(LayerSource {
                promise: Promise { blob: None, diff_id: Some(diff_id.clone()) },
                diff_id,
                locator: Locator::Member(name.clone()),
                size: Some(size),
            });
        }
        let manifest = manifest_of(&config, descriptors)?;
        Ok(Description { manifest, config, layers: sources })
    }
}

/// A manifest for an image that has none.
pub(in crate::image) fn manifest_of(
    config: &[u8],
    layers: Vec<Descriptor>,
) -> Result<Vec<u8>, ImageError> {
    let manifest = Manifest {
        schema_version: 2,
        media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
        config: descriptor(
            "application/vnd.oci.image.config.v1+json",
            Digest::of(config),
            config.len() as u64,
        ),
        layers,
    };
    serde_json::to_vec(&manifest).map_err(|e| ImageError::Document {
        what: "the manifest".to_owned(),
        reason: e.to_string(),
    })
}

pub(in crate::image) fn descriptor(media_type: &str, digest: Digest, size: u64) -> Descriptor {
    Descriptor {
        media_type: media_type.to_owned(),
        digest,
        size,
        platform: None,
        annotations: None,
    }
}

/// Configurations are named by their digest, with or without `.json`.
fn digest_of_name(name: &str) -> Option<Digest> {
    let last = name.rsplit('/').next().unwrap_or(name);
    format!("sha256:{}", last.strip_suffix(".json").unwrap_or(last)).parse().ok()
}
