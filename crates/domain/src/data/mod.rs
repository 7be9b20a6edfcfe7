//! How data gets in and out of a training job: channels, outputs, checkpoints.
//! Source: botocore `sagemaker/2017-07-24/service-2.json`, shapes `Channel`, `S3DataSource`,
//! `OutputDataConfig`, `CheckpointConfig`.

mod check;

pub use check::{ChannelError, check_channels};

use crate::ChannelName;
use crate::cluster::Shard;
use serde::{Deserialize, Serialize};

/// One channel of `InputDataConfig`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Channel {
    /// Folder below `/opt/ml/input/data`, or the beginning of its FIFOs' names.
    pub name: ChannelName,
    /// A path, `file://` or `s3://bucket/prefix`.
    pub uri: String,
    /// `ContentType`, shown to the container only if given.
    pub content_type: Option<String>,
    /// `InputMode`, or the `TrainingInputMode` of the job.
    #[serde(default)]
    pub input_mode: InputMode,
    /// `S3DataType`: what `uri` names.
    #[serde(default)]
    pub data_type: DataType,
    /// `AttributeNames` of an augmented manifest, in the order in which they are streamed.
    #[serde(default)]
    pub attribute_names: Vec<String>,
    /// `CompressionType`: undone on the way, in Pipe mode only.
    #[serde(default)]
    pub compression: Compression,
    /// `RecordWrapperType`, in Pipe mode only.
    #[serde(default)]
    pub record_wrapper: RecordWrapper,
    /// `ShuffleConfig.Seed`: the order is drawn anew for each epoch of Pipe mode.
    #[serde(default)]
    pub shuffle_seed: Option<u64>,
    /// `S3DataDistributionType`: whether each instance gets a part of the objects (`ShardedByS3Key`)
    /// or all of them (`FullyReplicated`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sharded: bool,
    /// `InstanceGroupNames`: the groups whose instances get it; empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Which part this instance gets; `None` for all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<Shard>,
}

impl Channel {
    /// All that begins with `uri`, as files.
    #[must_use]
    pub fn files(name: ChannelName, uri: impl Into<String>) -> Self {
        Self {
            name,
            uri: uri.into(),
            content_type: None,
            input_mode: InputMode::File,
            data_type: DataType::S3Prefix,
            attribute_names: Vec::new(),
            compression: Compression::None,
            record_wrapper: RecordWrapper::None,
            shuffle_seed: None,
            sharded: false,
            groups: Vec::new(),
            shard: None,
        }
    }

    /// Whether instances of this group get it.
    #[must_use]
    pub fn goes_to(&self, group: &str) -> bool {
        self.groups.is_empty() || self.groups.iter().any(|g| g == group)
    }

    /// `S3DistributionType`, as in `inputdataconfig.json`.
    #[must_use]
    pub fn distribution(&self) -> &'static str {
        if self.sharded { "ShardedByS3Key" } else { "FullyReplicated" }
    }
}

/// How the container gets a channel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum InputMode {
    /// Files that are there before it starts.
    #[default]
    File,
    /// A stream for each epoch, through FIFOs.
    Pipe,
}

impl InputMode {
    /// As in `TrainingInputMode`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::File => "File",
            Self::Pipe => "Pipe",
        }
    }
}

/// What the URI of a channel names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DataType {
    /// Every object whose key begins with it.
    #[default]
    S3Prefix,
    /// A JSON array: `{"prefix": ...}`, then what follows it in the name of each object.
    ManifestFile,
    /// JSON Lines; each line's attributes are data, or name it (`...-ref`). Pipe mode only.
    AugmentedManifestFile,
}

/// How the objects of a channel are compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Compression {
    /// They are given as they are.
    #[default]
    None,
    /// They are decompressed on the way into the FIFO.
    Gzip,
}

/// What stands around each object in a FIFO.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RecordWrapper {
    /// Nothing: objects follow each other without a seam.
    #[default]
    None,
    /// MXNet's `RecordIO` framing.
    RecordIO,
}

impl RecordWrapper {
    /// As in `RecordWrapperType`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::RecordIO => "RecordIO",
        }
    }
}

/// `OutputDataConfig.CompressionType`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum OutputCompression {
    /// `output/model.tar.gz` and `output/output.tar.gz`.
    #[default]
    Gzip,
    /// Every file as an object of its own, below `output/model/` and `output/data/`.
    None,
}

/// `CheckpointConfig`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Checkpoints {
    /// `S3Uri`: where they are copied from at the start, and kept while the container runs.
    pub uri: String,
    /// `LocalPath`: an absolute path in the container.
    #[serde(default = "default_checkpoints")]
    pub local_path: String,
}

/// `LocalPath` when none is given.
pub const DEFAULT_CHECKPOINTS: &str = "/opt/ml/checkpoints";

fn default_checkpoints() -> String {
    DEFAULT_CHECKPOINTS.to_owned()
}

/// Why a `LocalPath` of checkpoints is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LocalPathError {
    /// Relative, or with an empty, `.` or `..` segment.
    #[error("'{0}' is no plain absolute path")]
    NotPlain(String),
    /// The platform's or the kernel's own.
    #[error("'{path}' is reserved: it lies in '{reserved}', or around it")]
    Reserved {
        /// As it was given.
        path: String,
        /// Which folder it would hide or disturb.
        reserved: &'static str,
    },
}

/// Folders of a container in which, and around which, nothing can be mounted for checkpoints.
/// (`/opt/ml/checkpoints` and what is below it is allowed.)
const RESERVED: [&str; 14] = [
    "/opt/ml/input",
    "/opt/ml/model",
    "/opt/ml/output",
    "/opt/ml/code",
    "/dev",
    "/proc",
    "/sys",
    "/etc",
    "/bin",
    "/sbin",
    "/boot",
    "/lib64",
    "/lib",
    "/usr",
];

impl Checkpoints {
    /// Below `/opt/ml/checkpoints`, or where nothing else of the container's is.
    ///
    /// # Errors
    /// If `local_path` is no such place.
    pub fn check_local_path(&self) -> Result<(), LocalPathError> {
        let given = || self.local_path.clone();
        let folded = self.local_path.trim_end_matches('/');
        let plain = |s: &str| !s.is_empty() && s != "." && s != ".." && !s.contains('\0');
        let Some(below) = folded.strip_prefix('/').filter(|b| b.split('/').all(plain)) else {
            return Err(LocalPathError::NotPlain(given()));
        };
        let path = format!("/{below}");
        let inside = |a: &str, b: &str| a == b || a.starts_with(&format!("{b}/"));
        match RESERVED.into_iter().find(|r| inside(&path, r) || inside(r, &path)) {
            Some(reserved) => Err(LocalPathError::Reserved { path: given(), reserved }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str) -> Result<(), LocalPathError> {
        Checkpoints { uri: "s3://b/c".into(), local_path: path.into() }.check_local_path()
    }

    #[test]
    fn places_for_checkpoints() {
        for good in ["/opt/ml/checkpoints", "/opt/ml/checkpoints/a/", "/checkpoints", "/tmp/c"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in ["", "/", "ckpt", "/a/../b", "/a//b", "/a/./b", "//a"] {
            assert!(matches!(check(bad), Err(LocalPathError::NotPlain(_))), "{bad}");
        }
        for bad in ["/opt", "/opt/ml", "/opt/ml/model", "/opt/ml/input/data/x", "/proc/1", "/usr"] {
            assert!(matches!(check(bad), Err(LocalPathError::Reserved { .. })), "{bad}");
        }
    }

    #[test]
    fn names_are_those_of_the_service() {
        let json = |v: serde_json::Value| v.to_string();
        assert_eq!(json(serde_json::json!(InputMode::Pipe)), "\"Pipe\"");
        assert_eq!(
            json(serde_json::json!(DataType::AugmentedManifestFile)),
            "\"AugmentedManifestFile\""
        );
        assert_eq!(json(serde_json::json!(RecordWrapper::RecordIO)), "\"RecordIO\"");
        assert_eq!(json(serde_json::json!(OutputCompression::None)), "\"NONE\"");
        assert_eq!(json(serde_json::json!(Compression::Gzip)), "\"Gzip\"");
    }
}
