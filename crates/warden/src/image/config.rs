//! The documents of an image: index, manifest and configuration, OCI's and Docker's alike.
//!
//! Sources: OCI image specification 1.1 (`image-index.md`, `manifest.md`, `config.md`) and
//! Docker's "Image Manifest Version 2, Schema 2". Members that Belljar has no use for are skipped.

use super::digest::Digest;
use super::error::ImageError;
use super::limits::{MAX_DOCUMENT, MAX_INDEX_ENTRIES, MAX_LAYERS};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a container of this image runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageConfig {
    /// `Entrypoint`.
    pub entrypoint: Vec<String>,
    /// `Cmd`.
    pub cmd: Vec<String>,
    /// `Env`, each `NAME=value`.
    pub env: Vec<String>,
    /// `WorkingDir`; empty means `/`.
    pub working_dir: String,
    /// `User`, unresolved (see [`super::user_of`]); empty means root.
    pub user: String,
    /// `Labels`.
    pub labels: BTreeMap<String, String>,
    /// `architecture`, in Go's words (`amd64`, `arm64`).
    pub architecture: String,
}

/// A blob by digest, size and type.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    #[serde(default)]
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) platform: Option<Platform>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) annotations: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Platform {
    #[serde(default)]
    pub(crate) architecture: String,
    #[serde(default)]
    pub(crate) os: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) variant: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    pub(crate) schema_version: u32,
    #[serde(default)]
    pub(crate) media_type: String,
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<Descriptor>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Index {
    pub(crate) manifests: Vec<Descriptor>,
}

/// What a digest of "the image" leads to.
pub(crate) enum Document {
    Manifest(Manifest),
    Index(Index),
}

/// The whole configuration document.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct ConfigDocument {
    #[serde(default)]
    pub(crate) architecture: String,
    #[serde(default)]
    pub(crate) os: String,
    #[serde(default)]
    pub(crate) config: Option<Process>,
    #[serde(default)]
    pub(crate) rootfs: RootFs,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct RootFs {
    #[serde(rename = "type", default)]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) diff_ids: Vec<Digest>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Process {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) entrypoint: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cmd: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) env: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) working_dir: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) labels: Option<BTreeMap<String, String>>,
}

fn invalid(what: &str, reason: impl ToString) -> ImageError {
    ImageError::Document { what: what.to_owned(), reason: reason.to_string() }
}

/// Reads a manifest or an index: by shape, since media types are often missing.
pub(crate) fn read_document(what: &str, bytes: &[u8]) -> Result<Document, ImageError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Shape {
        #[serde(default)]
        schema_version: Option<u32>,
        #[serde(default)]
        manifests: Option<serde::de::IgnoredAny>,
        #[serde(default)]
        layers: Option<serde::de::IgnoredAny>,
    }
    check_size(what, bytes)?;
    let shape: Shape = serde_json::from_slice(bytes).map_err(|e| invalid(what, e))?;
    // A document that is both could be read as one thing here and as another elsewhere.
    match (shape.schema_version, shape.manifests, shape.layers) {
        (Some(1), ..) => Err(invalid(what, "Docker's schema 1 is obsolete and not read")),
        (_, Some(_), Some(_)) => Err(invalid(what, "it is both a manifest and an index")),
        (_, Some(_), None) => {
            let index: Index = serde_json::from_slice(bytes).map_err(|e| invalid(what, e))?;
            if index.manifests.len() > MAX_INDEX_ENTRIES {
                return Err(invalid(what, format!("more than {MAX_INDEX_ENTRIES} manifests")));
            }
            Ok(Document::Index(index))
        }
        (_, None, _) => {
            let manifest: Manifest = serde_json::from_slice(bytes).map_err(|e| invalid(what, e))?;
            if manifest.schema_version != 2 {
                return Err(invalid(what, "schemaVersion is not 2"));
            }
            if manifest.layers.len() > MAX_LAYERS {
                return Err(invalid(what, format!("more than {MAX_LAYERS} layers")));
            }
            Ok(Document::Manifest(manifest))
        }
    }
}

/// Reads a configuration and checks that it fits the manifest and this machine.
pub(crate) fn read_config(
    name: &str,
    bytes: &[u8],
    layers: usize,
) -> Result<ConfigDocument, ImageError> {
    let what = format!("the configuration of {name}");
    check_size(&what, bytes)?;
    let document: ConfigDocument = serde_json::from_slice(bytes).map_err(|e| invalid(&what, e))?;
    if document.rootfs.diff_ids.len() != layers || layers > MAX_LAYERS {
        let reason =
            format!("it lists {} layers, the manifest {layers}", document.rootfs.diff_ids.len());
        return Err(invalid(&what, reason));
    }
    let os = if document.os.is_empty() { "linux" } else { &document.os };
    let given = document.architecture.as_str();
    if os != "linux" || !(given.is_empty() || given == architecture()) {
        return Err(ImageError::Architecture {
            name: name.to_owned(),
            wanted: format!("linux/{}", architecture()),
            found: vec![format!("{os}/{given}")],
        });
    }
    Ok(document)
}

fn check_size(what: &str, bytes: &[u8]) -> Result<(), ImageError> {
    if bytes.len() as u64 > MAX_DOCUMENT {
        return Err(invalid(what, format!("it is larger than {MAX_DOCUMENT} bytes")));
    }
    Ok(())
}

impl ConfigDocument {
    pub(crate) fn image_config(&self) -> ImageConfig {
        let empty = Process::default();
        let process = self.config.as_ref().unwrap_or(&empty);
        ImageConfig {
            entrypoint: process.entrypoint.clone().unwrap_or_default(),
            cmd: process.cmd.clone().unwrap_or_default(),
            env: process.env.clone().unwrap_or_default(),
            working_dir: process.working_dir.clone().unwrap_or_default(),
            user: process.user.clone().unwrap_or_default(),
            labels: process.labels.clone().unwrap_or_default(),
            architecture: self.architecture.clone(),
        }
    }
}

/// The manifest for this machine.
pub(crate) fn choose<'a>(name: &str, index: &'a Index) -> Result<&'a Descriptor, ImageError> {
    let fits = |d: &&Descriptor| match &d.platform {
        Some(p) => p.os == "linux" && p.architecture == architecture(),
        None => false,
    };
    if let Some(found) = index.manifests.iter().find(fits) {
        return Ok(found);
    }
    // A single entry without a platform: its configuration tells the architecture.
    if let [only] = index.manifests.as_slice()
        && only.platform.is_none()
    {
        return Ok(only);
    }
    let mut found: Vec<String> = index.manifests.iter().filter_map(platform_text).collect();
    found.sort();
    found.dedup();
    if found.is_empty() {
        found.push("none with a known platform".to_owned());
    }
    let wanted = format!("linux/{}", architecture());
    Err(ImageError::Architecture { name: name.to_owned(), wanted, found })
}

fn platform_text(descriptor: &Descriptor) -> Option<String> {
    let platform = descriptor.platform.as_ref()?;
    // Attestations, which BuildKit adds to every index.
    if platform.os == "unknown" {
        return None;
    }
    let variant = platform.variant.as_ref().map(|v| format!("/{v}")).unwrap_or_default();
    Some(format!("{}/{}{variant}", platform.os, platform.architecture))
}

/// This machine's processor, in Go's words.
#[must_use]
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "powerpc64" => "ppc64le",
        "x86" => "386",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(platforms: &[(&str, &str)]) -> Index {
        let manifests = platforms
            .iter()
            .map(|(os, arch)| Descriptor {
                media_type: String::new(),
                digest: Digest::of(arch.as_bytes()),
                size: 1,
                platform: Some(Platform {
                    architecture: (*arch).to_owned(),
                    os: (*os).to_owned(),
                    variant: None,
                }),
                annotations: None,
            })
            .collect();
        Index { manifests }
    }

    #[test]
    fn the_index_gives_this_machine_or_names_what_is_there() {
        let good = index(&[("linux", "riscv9"), ("linux", architecture()), ("unknown", "unknown")]);
        let chosen = choose("x", &good).unwrap();
        assert_eq!(chosen.digest, Digest::of(architecture().as_bytes()));
        let text =
            choose("x", &index(&[("linux", "riscv9"), ("windows", "amd64"), ("unknown", "u")]))
                .unwrap_err()
                .to_string();
        assert!(text.ends_with("it has linux/riscv9, windows/amd64"), "{text}");
    }

    #[test]
    fn nulls_of_dockers_configurations_are_read() {
        let text = format!(
            r#"{{"architecture":"{}","os":"linux","config":{{"Entrypoint":null,"Cmd":["sh"],"Labels":null}},"rootfs":{{"type":"layers","diff_ids":[]}}}}"#,
            architecture()
        );
        let config = read_config("x", text.as_bytes(), 0).unwrap().image_config();
        assert_eq!((config.entrypoint, config.cmd), (vec![], vec!["sh".to_owned()]));
        assert!(read_config("x", text.as_bytes(), 1).is_err());
    }

    #[test]
    fn a_document_of_two_kinds_is_refused() {
        let text = br#"{"schemaVersion":2,"manifests":[],"layers":[]}"#;
        assert!(read_document("x", text).is_err());
    }
}
