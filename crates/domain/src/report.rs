//! What a warden saw and did: the only account of an instance that the rest of Belljar has.

use crate::attempt::Attempts;
use crate::metrics::MetricDatum;
use crate::status::Transitions;
use crate::{ChannelName, HostName, JobName, SecondaryStatus};
use serde::{Deserialize, Serialize};

/// How one instance ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Report {
    /// Of the Assignment.
    pub generation: u64,
    /// The job.
    pub job: JobName,
    /// The instance.
    pub host: HostName,
    /// How it ended.
    pub outcome: Outcome,
    /// How the container's first process ended; `None` if it never ran.
    pub exit: Option<Exit>,
    /// `SecondaryStatusTransitions`.
    pub transitions: Transitions,
    /// `FinalMetricDataList`.
    pub metrics: Vec<MetricDatum>,
    /// What was staged in.
    pub inputs: Vec<StagedChannel>,
    /// What was staged out.
    pub artifacts: Vec<Artifact>,
    /// What the container tried to reach.
    pub attempts: Attempts,
    /// Digest of the image's manifest, once resolved.
    pub image_digest: Option<String>,
    /// Where the signed evidence is, once written.
    pub evidence: Option<String>,
    /// SHA-256 of that file, lower-case hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence_sha256: Option<String>,
    /// How each instance ended, in a job that has several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub instances: Vec<Report>,
    /// Everything a person should know that is no failure, a sentence each.
    pub warnings: Vec<String>,
}

/// How an instance ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", tag = "status")]
pub enum Outcome {
    /// Exit 0 and all artifacts in place.
    Completed,
    /// Something failed.
    Failed {
        /// `FailureReason`, at most 1,024 characters.
        reason: String,
        /// What a person can do about it.
        hint: Option<String>,
        /// Whether this machine cannot do what was asked, as against the job failing.
        machine: bool,
    },
    /// Stopped on request; artifacts are in place.
    Stopped,
    /// Stopped at the maximum runtime; artifacts are in place.
    MaxRuntimeExceeded,
}

impl Outcome {
    /// The terminal secondary status of that outcome.
    #[must_use]
    pub fn status(&self) -> SecondaryStatus {
        match self {
            Self::Completed => SecondaryStatus::Completed,
            Self::Failed { .. } => SecondaryStatus::Failed,
            Self::Stopped => SecondaryStatus::Stopped,
            Self::MaxRuntimeExceeded => SecondaryStatus::MaxRuntimeExceeded,
        }
    }
}

/// How the container's first process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Exit {
    /// Its exit code, or 128 and the signal's number.
    pub code: i32,
    /// The signal that ended it, if one did.
    pub signal: Option<i32>,
    /// Whether the kernel's out-of-memory killer struck in its cgroup.
    pub out_of_memory: bool,
}

/// One channel as it was staged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct StagedChannel {
    /// The channel.
    pub channel: ChannelName,
    /// Where it came from.
    pub uri: String,
    /// Its files, sorted by path; none in Pipe mode.
    pub files: Vec<StagedFile>,
    /// What went through its FIFOs, in Pipe mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipe: Option<PipedChannel>,
}

/// What a container took from a channel in Pipe mode.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PipedChannel {
    /// How many epochs the container opened.
    pub opened: u64,
    /// The first of them, in order; a bounded number.
    pub epochs: Vec<PipedEpoch>,
}

/// One epoch of a channel in Pipe mode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PipedEpoch {
    /// From 0.
    pub epoch: u64,
    /// Bytes that were written into the FIFO.
    pub size: u64,
    /// SHA-256 of those bytes, lower-case hexadecimal.
    pub sha256: String,
    /// Whether that was all there was, as against the container closing the FIFO before.
    pub complete: bool,
}

/// One file that the container was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct StagedFile {
    /// Path below the channel's folder.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256 of the content, lower-case hexadecimal.
    pub sha256: String,
}

/// Checkpoints that were kept while a container ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct SyncedCheckpoints {
    /// Where they are kept.
    pub uri: String,
    /// What was brought in before the container started, sorted by path.
    pub restored: Vec<StagedFile>,
    /// What the container made or changed and was still there at its end, sorted by path.
    pub kept: Vec<StagedFile>,
}

/// One object that was staged out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Artifact {
    /// `model.tar.gz`, `output.tar.gz`.
    pub name: String,
    /// Where it is.
    pub uri: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256, lower-case hexadecimal.
    pub sha256: String,
}
