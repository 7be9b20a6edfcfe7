//! What one warden must make true. Complete and immutable: executing it makes no choices, so a
//! second try with the same Assignment does the same.

use crate::{
    Channel, Checkpoints, Cluster, HostName, JobName, OutputCompression, Serving, Timestamp,
    VpcLink, limits,
};
use regex::Regex;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One container instance of a training job, as its warden is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Assignment {
    /// Tries are numbered; a report of an older generation is refused.
    pub generation: u64,
    /// The job.
    pub job: JobName,
    /// `TrainingJobArn`.
    pub job_arn: String,
    /// `AWS_REGION` in the container.
    pub region: String,
    /// This instance; in what the service keeps of a job with several, the first.
    pub host: HostName,
    /// All instances; `None` if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<Cluster>,
    /// Shown to the container as `current_instance_type`.
    pub instance_type: String,
    /// `InstanceGroupName` of this instance, or [`ONE_GROUP`](crate::cluster::ONE_GROUP).
    #[serde(default = "one_group")]
    pub group: String,
    /// The image, as containers-transports(5) writes it, or a name of the image store.
    pub image: String,
    /// `ContainerEntrypoint`; empty if not given.
    #[serde(default)]
    pub entrypoint: Vec<String>,
    /// `ContainerArguments`; empty if not given.
    #[serde(default)]
    pub arguments: Vec<String>,
    /// `Environment`.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// `HyperParameters`: strings, as they were sent.
    #[serde(default)]
    pub hyperparameters: BTreeMap<String, String>,
    /// `InputDataConfig`.
    #[serde(default)]
    pub channels: Vec<Channel>,
    /// `S3OutputPath`: a path, `file://` or `s3://`; the job's name is appended.
    pub output: String,
    /// `OutputDataConfig.CompressionType`.
    #[serde(default)]
    pub output_compression: OutputCompression,
    /// `CheckpointConfig`; `None` if checkpoints are not kept.
    #[serde(default)]
    pub checkpoints: Option<Checkpoints>,
    /// What the requester should know before anything else, a sentence each: the first lines of
    /// the job's log.
    #[serde(default)]
    pub notices: Vec<String>,
    /// Whether what stands there already is written over, as SageMaker does it: an earlier try's
    /// artifacts, or a deleted job's. Otherwise it is refused.
    #[serde(default)]
    pub replace_output: bool,
    /// Limits on the container.
    pub resources: Resources,
    /// Whether a limit that this user cannot set is left out, which the log then says: an instance
    /// type says what to run like, not what is owned. Otherwise the job fails.
    #[serde(default)]
    pub best_effort_limits: bool,
    /// When and how it is stopped.
    pub stop: StopPolicy,
    /// `MetricDefinitions`.
    #[serde(default)]
    pub metrics: Vec<MetricDefinition>,
    /// What makes it a container that serves a model, as against one of a training job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serving: Option<Box<Serving>>,
    /// This instance's interface in a VPC (`VpcConfig`); of a job with several, of the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vpc: Option<Box<VpcLink>>,
    /// Whether the container reaches the internet through the host: SageMaker's default, where
    /// neither isolation nor a VPC was asked for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub internet: bool,
    /// `RoleArn` of a container that is not isolated: it gets this role's credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// When the service began this attempt; names its log stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun: Option<Timestamp>,
}

fn one_group() -> String {
    crate::cluster::ONE_GROUP.to_owned()
}

/// Limits on a container; `None` means the machine's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Resources {
    /// Thousandths of a CPU.
    pub cpu_millis: Option<u64>,
    /// Bytes of memory, the page cache that it dirties and its tmpfs files included.
    pub memory_bytes: Option<u64>,
    /// Processes and threads. Always limited.
    pub processes: u32,
}

/// `StoppingCondition`, and the grace of `docker stop -t 120`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct StopPolicy {
    /// `MaxRuntimeInSeconds`.
    pub max_runtime_seconds: u64,
    /// Seconds between TERM and KILL.
    pub grace_seconds: u64,
}

impl Default for StopPolicy {
    fn default() -> Self {
        Self {
            max_runtime_seconds: limits::DEFAULT_MAX_RUNTIME_SECONDS,
            grace_seconds: limits::STOP_GRACE_SECONDS,
        }
    }
}

/// One `MetricDefinition`; its regex is known to compile and to have a group.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "RawMetric", into = "RawMetric")]
pub struct MetricDefinition {
    name: String,
    regex: Regex,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMetric {
    name: String,
    regex: String,
}

/// Why a metric definition is refused.
#[derive(Debug, thiserror::Error)]
pub enum MetricError {
    /// Outside 1 to 255 bytes.
    #[error("a metric's name must have 1 to {} bytes", limits::MAX_METRIC_NAME)]
    Name,
    /// Outside 1 to 500 bytes.
    #[error("the regular expression of metric '{0}' must have 1 to 500 bytes")]
    Length(String),
    /// Not a regular expression, or one with look-around or back-references.
    #[error("the regular expression of metric '{name}' is not valid: {reason}")]
    Regex {
        /// The metric.
        name: String,
        /// The library's words, on one line.
        reason: String,
    },
    /// There must be a group to capture the value.
    #[error(
        "the regular expression of metric '{0}' has no group: put the value in parentheses, as in 'loss=([0-9.]+)'"
    )]
    NoGroup(String),
}

impl MetricDefinition {
    /// Checks and compiles a definition.
    ///
    /// # Errors
    /// If the name or regex breaks a limit, or the regex does not compile or has no group.
    pub fn new(name: &str, regex: &str) -> Result<Self, MetricError> {
        if name.is_empty() || name.len() > limits::MAX_METRIC_NAME {
            return Err(MetricError::Name);
        }
        if regex.is_empty() || regex.len() > limits::MAX_METRIC_REGEX {
            return Err(MetricError::Length(name.to_owned()));
        }
        let compiled = Regex::new(regex)
            .map_err(|e| MetricError::Regex { name: name.to_owned(), reason: reason(&e) })?;
        if compiled.captures_len() < 2 {
            return Err(MetricError::NoGroup(name.to_owned()));
        }
        Ok(Self { name: name.to_owned(), regex: compiled })
    }

    /// The metric's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The compiled expression; group 1 is the value.
    #[must_use]
    pub fn regex(&self) -> &Regex {
        &self.regex
    }
}

/// The last line of the library's words; those before it draw the place.
fn reason(error: &regex::Error) -> String {
    let words = error.to_string();
    let last = words.lines().last().unwrap_or_default().trim();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

impl PartialEq for MetricDefinition {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.regex.as_str() == other.regex.as_str()
    }
}

impl TryFrom<RawMetric> for MetricDefinition {
    type Error = MetricError;
    fn try_from(raw: RawMetric) -> Result<Self, MetricError> {
        Self::new(&raw.name, &raw.regex)
    }
}

impl From<MetricDefinition> for RawMetric {
    fn from(m: MetricDefinition) -> Self {
        Self { name: m.name, regex: m.regex.as_str().to_owned() }
    }
}

impl Assignment {
    /// The container's host name.
    #[must_use]
    pub fn host_name(&self) -> &str {
        let serving = self.serving.as_deref().and_then(Serving::host_name);
        serving.unwrap_or(self.host.as_str())
    }

    /// `ModelArtifacts.S3ModelArtifacts`: where the model will be, an object or, uncompressed, the
    /// prefix of all its files.
    #[must_use]
    pub fn model_artifacts(&self) -> String {
        let base = self.output.trim_end_matches('/');
        let name = match self.output_compression {
            OutputCompression::Gzip => "model.tar.gz",
            OutputCompression::None => "model/",
        };
        format!("{base}/{}/output/{name}", self.job)
    }
}
