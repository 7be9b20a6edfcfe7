//! `CreateTrainingJob`, from its JSON (valid by the service model) to an [`Assignment`] and the
//! record that Describe shows. The checks of both ways of asking for a job are shared.

mod error;
mod members;
mod parts;

pub use error::JobRequestError;

use super::cluster::{self, Group};
use super::members::check;
use super::{
    Mirror, RequestError, command, environment, hyperparameters, is_in_s3, metrics, open_notice,
    registry_name, size, unique,
};
use crate::machine::Machine;
use belljar_domain::cluster::ONE_GROUP;
use belljar_domain::data::{Checkpoints, DEFAULT_CHECKPOINTS, check_channels};
use belljar_domain::training_job::Definition;
use belljar_domain::{
    Assignment, Channel, ChannelName, InputMode, JobName, StopPolicy, VpcConfig, VpcPlacement, arn,
    limits,
};
use parts::{Algorithm, ChannelPart, Distribution, InstanceGroup, Parts, Resources, Stopping};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Where a job is asked for.
#[derive(Debug, Clone)]
pub struct Place<'a> {
    /// The service's region.
    pub region: &'a str,
    /// The service's account.
    pub account: &'a str,
    /// The machine that it would run on.
    pub machine: Machine,
    /// Whether other machines share a job with several instances.
    pub nodes: bool,
    /// Registries that are served by others.
    pub mirrors: &'a [Mirror],
    /// Whether a job gets what there is, where its instance type cannot be had.
    pub best_effort_limits: bool,
}

/// A job that is accepted.
#[derive(Debug)]
pub struct AcceptedJob {
    /// What every attempt begins from; its generation is 0.
    pub assignment: Assignment,
    /// What Describe shows, and what the engine goes by.
    pub definition: Definition,
    /// `RoleArn`: it must be there.
    pub role: String,
    /// `Tags`.
    pub tags: BTreeMap<String, String>,
    /// In what the instance type is larger than the machine: a sentence each.
    pub too_large: Vec<String>,
}

/// Checks a request and completes it.
///
/// # Errors
/// The first thing that is wrong or not served, by name.
pub fn training_job(request: Value, place: &Place<'_>) -> Result<AcceptedJob, JobRequestError> {
    check(members::MEMBERS, &request)?;
    let parts = Parts::deserialize_from(&request)?;
    let job: JobName = parts.training_job_name.parse().map_err(RequestError::from)?;
    let algorithm =
        parts.algorithm_specification.ok_or(JobRequestError::Missing("AlgorithmSpecification"))?;
    let groups = groups(parts.resource_config, place.machine)?;
    let encrypted = parts.enable_inter_container_traffic_encryption;
    let isolated = parts.enable_network_isolation;
    // What reaches others than its peers runs here, whatever other machines there are.
    let here = !place.nodes || !isolated;
    let instances = cluster::of(groups, encrypted, here.then_some(place.machine))?;
    let channels = channels(parts.input_data_config, algorithm.training_input_mode)?;
    cluster::check_groups(&channels, &instances)?;
    let vpc = parts.vpc_config.as_ref().map(VpcConfig::parse).transpose()?;
    let vpc = vpc.map(|config| VpcPlacement { config, isolated });
    let isolation = open_notice(isolated, vpc.is_some()).map(str::to_owned);
    let retries = parts.retry_strategy.map_or(0, |r| r.maximum_retry_attempts);
    let max_pending_seconds = parts.stopping_condition.max_pending;
    let pairs = |map: BTreeMap<String, String>| map.into_iter().collect::<Vec<_>>();
    let tags = parts.tags.into_iter().map(|t| (t.key, t.value)).collect();
    let assignment = Assignment {
        generation: 0,
        // Both are those of an attempt, or of the real service.
        serving: None,
        vpc: None,
        begun: None,
        internet: false,
        role: (!isolated).then(|| parts.role_arn.clone()),
        replace_output: true,
        best_effort_limits: place.best_effort_limits,
        job_arn: arn::training_job(place.region, place.account, &job),
        job,
        region: place.region.to_owned(),
        host: instances.first.host,
        cluster: instances.cluster,
        instance_type: instances.first.instance_type,
        group: instances.first.group,
        image: image(&algorithm, place)?,
        environment: environment(pairs(parts.environment))?,
        hyperparameters: hyperparameters(pairs(parts.hyper_parameters))?,
        channels,
        output: s3("OutputDataConfig.S3OutputPath", parts.output_data_config.path)?,
        output_compression: parts.output_data_config.compression_type,
        checkpoints: checkpoints(parts.checkpoint_config)?,
        notices: instances.warnings.iter().cloned().chain(isolation).collect(),
        resources: instances.first.resources,
        stop: stop(&parts.stopping_condition)?,
        metrics: metrics(&metric_pairs(&algorithm))?,
        entrypoint: words(
            "the entrypoint",
            "entrypoint arguments",
            algorithm.container_entrypoint,
        )?,
        arguments: words("the arguments", "arguments", algorithm.container_arguments)?,
    };
    let request = shown(request, &assignment.stop);
    let definition = Definition { request, retries, max_pending_seconds, vpc };
    let tags = unique("tag", tags)?;
    Ok(AcceptedJob {
        assignment,
        definition,
        role: parts.role_arn,
        tags,
        too_large: instances.warnings,
    })
}

impl Parts {
    fn deserialize_from(request: &Value) -> Result<Self, JobRequestError> {
        Ok(serde::Deserialize::deserialize(request)?)
    }
}

/// What Describe shows again: the request without what it shows elsewhere or not at all, with the
/// defaults that it always shows.
fn shown(mut request: Value, stop: &StopPolicy) -> Value {
    if let Value::Object(members) = &mut request {
        for hidden in ["Tags", "SessionChainingConfig"] {
            members.remove(hidden);
        }
        for flag in [
            "EnableNetworkIsolation",
            "EnableInterContainerTrafficEncryption",
            "EnableManagedSpotTraining",
        ] {
            members.entry(flag).or_insert(json!(false));
        }
        let stopping = members.entry("StoppingCondition").or_insert(json!({}));
        if stopping["MaxRuntimeInSeconds"].is_null() {
            stopping["MaxRuntimeInSeconds"] = json!(stop.max_runtime_seconds);
        }
    }
    request
}

/// The groups of instances; one if they are not given as such.
fn groups(given: Option<Resources>, machine: Machine) -> Result<Vec<Group>, JobRequestError> {
    let given = given.ok_or(JobRequestError::Missing("ResourceConfig"))?;
    let Resources { instance_type, instance_count, instance_groups } = given;
    let given = match (instance_type, instance_count) {
        (Some(_), _) if !instance_groups.is_empty() => {
            return Err(JobRequestError::Groups("InstanceType"));
        }
        (_, Some(1..)) if !instance_groups.is_empty() => {
            return Err(JobRequestError::Groups("InstanceCount"));
        }
        _ if !instance_groups.is_empty() => instance_groups,
        (_, None) => return Err(JobRequestError::Missing("ResourceConfig.InstanceCount")),
        (None, _) => return Err(JobRequestError::Missing("ResourceConfig.InstanceType")),
        (Some(instance_type), Some(instance_count)) => {
            let instance_group_name = ONE_GROUP.to_owned();
            vec![InstanceGroup { instance_type, instance_count, instance_group_name }]
        }
    };
    let sized = given.into_iter().map(|g| {
        let size = size::of_type(&g.instance_type, machine)?;
        Ok(Group { name: g.instance_group_name, count: g.instance_count, size })
    });
    sized.collect()
}

fn image(algorithm: &Algorithm, place: &Place<'_>) -> Result<String, JobRequestError> {
    let given = algorithm.training_image.as_deref().filter(|i| !i.is_empty());
    let given = given.ok_or(JobRequestError::Missing("AlgorithmSpecification.TrainingImage"))?;
    registry_name(given, place.mirrors).ok_or_else(|| JobRequestError::Image(given.to_owned()))
}

fn words(
    what: &'static str,
    many: &'static str,
    given: Vec<String>,
) -> Result<Vec<String>, JobRequestError> {
    command(what, many, &given)?;
    Ok(given)
}

fn metric_pairs(algorithm: &Algorithm) -> Vec<(String, String)> {
    algorithm.metric_definitions.iter().map(|m| (m.name.clone(), m.regex.clone())).collect()
}

fn s3(what: &str, uri: String) -> Result<String, JobRequestError> {
    if is_in_s3(&uri) {
        return Ok(uri);
    }
    Err(JobRequestError::Uri { what: what.to_owned(), uri })
}

fn channels(given: Vec<ChannelPart>, mode: InputMode) -> Result<Vec<Channel>, JobRequestError> {
    let mut channels: Vec<Channel> = Vec::with_capacity(given.len());
    for part in given {
        let name: ChannelName = part.channel_name.parse().map_err(RequestError::from)?;
        if channels.iter().any(|c| c.name == name) {
            let key = name.to_string();
            return Err(RequestError::Duplicate { what: "channel", key }.into());
        }
        let source = part
            .data_source
            .s3
            .ok_or(JobRequestError::Missing("InputDataConfig.DataSource.S3DataSource"))?;
        channels.push(Channel {
            uri: s3(&format!("channel '{name}'"), source.uri)?,
            name,
            content_type: part.content_type,
            input_mode: part.input_mode.unwrap_or(mode),
            data_type: source.data_type,
            attribute_names: source.attribute_names,
            compression: part.compression_type,
            record_wrapper: part.record_wrapper_type,
            shuffle_seed: part.shuffle_config.map(|s| s.seed.cast_unsigned()),
            sharded: source.distribution == Distribution::ShardedByS3Key,
            groups: source.groups,
            shard: None,
        });
    }
    super::count("channels", channels.len(), limits::MAX_CHANNELS)?;
    check_channels(&channels)?;
    Ok(channels)
}

fn checkpoints(
    given: Option<parts::CheckpointPart>,
) -> Result<Option<Checkpoints>, JobRequestError> {
    let Some(given) = given else { return Ok(None) };
    let checkpoints = Checkpoints {
        uri: s3("CheckpointConfig.S3Uri", given.uri)?,
        local_path: given
            .local_path
            .filter(|p| !p.is_empty())
            .unwrap_or_else(|| DEFAULT_CHECKPOINTS.to_owned()),
    };
    checkpoints.check_local_path()?;
    Ok(Some(checkpoints))
}

fn stop(given: &Stopping) -> Result<StopPolicy, JobRequestError> {
    let mut stop = StopPolicy::default();
    if let Some(seconds) = given.max_runtime {
        if !(1..=limits::MAX_MAX_RUNTIME_SECONDS).contains(&seconds) {
            return Err(RequestError::MaxRuntime(seconds).into());
        }
        stop.max_runtime_seconds = seconds;
    }
    Ok(stop)
}

#[cfg(test)]
mod tests;
