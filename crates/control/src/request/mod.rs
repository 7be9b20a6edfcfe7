//! From what a user asks for to an [`Assignment`]: the only place of semantic checks.
//! Limits: [`belljar_domain::limits`], from SageMaker's own service model.

mod cluster;
pub mod endpoint;
mod error;
pub mod job;
mod members;
mod mirror;
mod place;
pub mod serve;
mod size;

pub use error::RequestError;
pub use mirror::{Mirror, NoMirror, mirrored};
pub use place::image_name;
use place::{is_in_s3, registry_name};
pub use size::MIN_MEMORY_BYTES;

use crate::machine::Machine;
use belljar_domain::cluster::ONE_GROUP;
use belljar_domain::data::{DEFAULT_CHECKPOINTS, check_channels};
use belljar_domain::size::parse_seconds;
use belljar_domain::{
    Assignment, Channel, ChannelName, Checkpoints, InputMode, JobName, MetricDefinition,
    OutputCompression, StopPolicy, Timestamp, arn, limits,
};
use cluster::Group;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The first line of the log of a container that is not isolated.
pub(crate) fn open_notice(isolated: bool, in_vpc: bool) -> Option<&'static str> {
    match (isolated, in_vpc) {
        (true, _) => None,
        (false, true) => Some(
            "EnableNetworkIsolation is off: this container is in the VPC, and can get its role's credentials",
        ),
        (false, false) => Some(
            "EnableNetworkIsolation is off; without VpcConfig Belljar seals a container all the same",
        ),
    }
}

/// A request as a user wrote it: nothing in it is checked.
#[derive(Debug, Clone, Default)]
pub struct TrainRequest {
    /// `TrainingJobName`; [`default_name`] if not given.
    pub job_name: Option<String>,
    /// The image, as containers-transports(5) writes it.
    pub image: String,
    /// `S3OutputPath`: a path, `file://` or `s3://`.
    pub output: String,
    /// Channel and URI.
    pub inputs: Vec<(String, String)>,
    /// Channels in Pipe mode; the others are in File mode.
    pub pipes: Vec<String>,
    /// `CheckpointConfig.S3Uri`: a path, `file://` or `s3://`.
    pub checkpoints: Option<String>,
    /// `OutputDataConfig.CompressionType`.
    pub output_compression: OutputCompression,
    /// `HyperParameters`.
    pub hyperparameters: Vec<(String, String)>,
    /// `Environment`.
    pub environment: Vec<(String, String)>,
    /// `ContainerEntrypoint`.
    pub entrypoint: Vec<String>,
    /// `ContainerArguments`.
    pub arguments: Vec<String>,
    /// `InstanceCount`; one if not given.
    pub instances: Option<u32>,
    /// `EnableInterContainerTrafficEncryption`.
    pub encrypted: bool,
    /// Channels of which each instance gets a part (`ShardedByS3Key`).
    pub shards: Vec<String>,
    /// `InstanceType`.
    pub instance_type: Option<String>,
    /// CPUs, as `2` or `0.5`.
    pub cpus: Option<String>,
    /// Memory, as `512M`.
    pub memory: Option<String>,
    /// `MaxRuntimeInSeconds`, as `24h`.
    pub max_runtime: Option<String>,
    /// `MetricDefinitions`: name and regular expression.
    pub metrics: Vec<(String, String)>,
}

/// What a request is judged against.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The machine that it would run on.
    pub machine: Machine,
    /// Relative paths start here.
    pub directory: PathBuf,
    /// The job's name if the request gives none.
    pub default_name: String,
}

/// A request that will be tried.
#[derive(Debug)]
pub struct Accepted {
    /// What the warden is told.
    pub assignment: Assignment,
    /// What the user should know: a sentence each.
    pub warnings: Vec<String>,
}

/// `belljar-20261123131500-7k2p`: base name and time, as the SageMaker SDK makes names, and four
/// characters so that two jobs of one second differ.
#[must_use]
pub fn default_name(now: Timestamp, random: u32) -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let digits: String = now.to_string().chars().filter(char::is_ascii_digit).take(14).collect();
    let tail: String =
        (0..4).map(|i| char::from(LETTERS[(random >> (i * 5)) as usize % LETTERS.len()])).collect();
    format!("belljar-{digits}-{tail}")
}

impl TrainRequest {
    /// Checks the request against SageMaker's limits and the machine.
    ///
    /// # Errors
    /// The first thing that is wrong, by name.
    pub fn assignment(self, around: &Surroundings) -> Result<Accepted, RequestError> {
        let job: JobName = self.job_name.as_deref().unwrap_or(&around.default_name).parse()?;
        if self.image.trim().is_empty() {
            return Err(RequestError::Empty("the image"));
        }
        command("the entrypoint", "entrypoint arguments", &self.entrypoint)?;
        command("the arguments", "arguments", &self.arguments)?;
        let size = size::decide(
            self.instance_type.as_deref(),
            self.cpus.as_deref(),
            self.memory.as_deref(),
            around.machine,
        )?;
        let group = Group { name: ONE_GROUP.to_owned(), count: self.instances.unwrap_or(1), size };
        let instances = cluster::of(vec![group], self.encrypted, Some(around.machine))?;
        let mut channels = channels(self.inputs, around)?;
        for name in self.pipes {
            of_name(&mut channels, name, "--pipe")?.input_mode = InputMode::Pipe;
        }
        for name in self.shards {
            of_name(&mut channels, name, "--shard")?.sharded = true;
        }
        check_channels(&channels)?;
        let assignment = Assignment {
            generation: 1,
            job_arn: arn::training_job(arn::LOCAL_REGION, arn::LOCAL_ACCOUNT, &job),
            job,
            region: arn::LOCAL_REGION.to_owned(),
            host: instances.first.host,
            cluster: instances.cluster,
            instance_type: instances.first.instance_type,
            group: instances.first.group,
            image: image_name(&self.image, &around.directory),
            entrypoint: self.entrypoint,
            arguments: self.arguments,
            environment: environment(self.environment)?,
            hyperparameters: hyperparameters(self.hyperparameters)?,
            channels,
            output: place::output("the output", &self.output, &around.directory)?,
            output_compression: self.output_compression,
            checkpoints: checkpoints(self.checkpoints.as_deref(), around)?,
            notices: Vec::new(),
            replace_output: false,
            best_effort_limits: false,
            resources: instances.first.resources,
            stop: stop_policy(self.max_runtime.as_deref())?,
            metrics: metrics(&self.metrics)?,
            serving: None,
            vpc: None,
            begun: None,
            internet: false,
            role: None,
        };
        Ok(Accepted { assignment, warnings: instances.warnings })
    }
}

fn count(what: &'static str, count: usize, limit: usize) -> Result<(), RequestError> {
    if count > limit { Err(RequestError::TooMany { what, count, limit }) } else { Ok(()) }
}

fn text(what: impl Fn() -> String, value: &str, limit: usize) -> Result<(), RequestError> {
    if value.contains('\0') {
        return Err(RequestError::Nul(what()));
    }
    if value.len() > limit {
        return Err(RequestError::TooLong { what: what(), length: value.len(), limit });
    }
    Ok(())
}

/// Collects pairs, refusing a key that comes twice.
fn unique(
    what: &'static str,
    pairs: Vec<(String, String)>,
) -> Result<BTreeMap<String, String>, RequestError> {
    let mut map = BTreeMap::new();
    for (key, value) in pairs {
        if map.contains_key(&key) {
            return Err(RequestError::Duplicate { what, key });
        }
        map.insert(key, value);
    }
    Ok(map)
}

fn command(what: &'static str, many: &'static str, items: &[String]) -> Result<(), RequestError> {
    count(many, items.len(), limits::MAX_COMMAND)?;
    if items.first().is_some_and(String::is_empty) && what == "the entrypoint" {
        return Err(RequestError::Empty("the entrypoint's first argument"));
    }
    for (i, item) in items.iter().enumerate() {
        text(|| format!("number {} of {what}", i + 1), item, limits::MAX_COMMAND_ITEM)?;
    }
    Ok(())
}

fn environment(pairs: Vec<(String, String)>) -> Result<BTreeMap<String, String>, RequestError> {
    count("environment variables", pairs.len(), limits::MAX_ENVIRONMENT)?;
    for (key, value) in &pairs {
        let letter = |b: u8| b.is_ascii_alphabetic() || b == b'_';
        let valid = key.bytes().next().is_some_and(letter)
            && key.bytes().all(|b| letter(b) || b.is_ascii_digit());
        if !valid {
            return Err(RequestError::EnvironmentName(key.clone()));
        }
        text(|| "the name of an environment variable".into(), key, limits::MAX_ENVIRONMENT_ITEM)?;
        text(|| format!("environment variable '{key}'"), value, limits::MAX_ENVIRONMENT_ITEM)?;
    }
    unique("environment variable", pairs)
}

fn hyperparameters(pairs: Vec<(String, String)>) -> Result<BTreeMap<String, String>, RequestError> {
    count("hyperparameters", pairs.len(), limits::MAX_HYPERPARAMETERS)?;
    for (key, value) in &pairs {
        if key.is_empty() {
            return Err(RequestError::Empty("a hyperparameter's name"));
        }
        text(|| "a hyperparameter's name".into(), key, limits::MAX_HYPERPARAMETER_KEY)?;
        text(|| format!("hyperparameter '{key}'"), value, limits::MAX_HYPERPARAMETER_VALUE)?;
    }
    unique("hyperparameter", pairs)
}

fn channels(
    inputs: Vec<(String, String)>,
    around: &Surroundings,
) -> Result<Vec<Channel>, RequestError> {
    count("channels", inputs.len(), limits::MAX_CHANNELS)?;
    let mut channels: Vec<Channel> = Vec::with_capacity(inputs.len());
    for (key, uri) in inputs {
        let name: ChannelName = key.parse()?;
        if channels.iter().any(|c| c.name == name) {
            return Err(RequestError::Duplicate { what: "channel", key });
        }
        let uri = place::input(&name, &uri, &around.directory)?;
        channels.push(Channel::files(name, uri));
    }
    Ok(channels)
}

fn of_name<'a>(
    channels: &'a mut [Channel],
    name: String,
    option: &'static str,
) -> Result<&'a mut Channel, RequestError> {
    let found = channels.iter_mut().find(|c| c.name.as_str() == name);
    found.ok_or(RequestError::NoChannel { name, option })
}

fn checkpoints(
    uri: Option<&str>,
    around: &Surroundings,
) -> Result<Option<Checkpoints>, RequestError> {
    let Some(uri) = uri else { return Ok(None) };
    let uri = place::output("checkpoints", uri, &around.directory)?;
    Ok(Some(Checkpoints { uri, local_path: DEFAULT_CHECKPOINTS.to_owned() }))
}

fn stop_policy(max_runtime: Option<&str>) -> Result<StopPolicy, RequestError> {
    let mut stop = StopPolicy::default();
    if let Some(given) = max_runtime {
        let seconds = parse_seconds(given)
            .map_err(|source| RequestError::Quantity { what: "the maximum runtime", source })?;
        if !(1..=limits::MAX_MAX_RUNTIME_SECONDS).contains(&seconds) {
            return Err(RequestError::MaxRuntime(seconds));
        }
        stop.max_runtime_seconds = seconds;
    }
    Ok(stop)
}

fn metrics(pairs: &[(String, String)]) -> Result<Vec<MetricDefinition>, RequestError> {
    count("metrics", pairs.len(), limits::MAX_METRICS)?;
    let mut metrics: Vec<MetricDefinition> = Vec::with_capacity(pairs.len());
    for (name, regex) in pairs {
        if metrics.iter().any(|m| m.name() == name) {
            return Err(RequestError::Duplicate { what: "metric", key: name.clone() });
        }
        metrics.push(MetricDefinition::new(name, regex)?);
    }
    Ok(metrics)
}

#[cfg(test)]
mod tests;
