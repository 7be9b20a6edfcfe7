//! Every limit that SageMaker's service model puts on a training job, in one place.
//! Source: botocore `sagemaker/2017-07-24/service-2.json`, shape named beside each.

/// Entries in `HyperParameters`.
pub const MAX_HYPERPARAMETERS: usize = 100;
/// Bytes in a `HyperParameterKey`.
pub const MAX_HYPERPARAMETER_KEY: usize = 256;
/// Bytes in a `HyperParameterValue`.
pub const MAX_HYPERPARAMETER_VALUE: usize = 2500;
/// Entries in `TrainingEnvironmentMap`.
pub const MAX_ENVIRONMENT: usize = 100;
/// Bytes in a `TrainingEnvironmentKey` and in a `TrainingEnvironmentValue`.
pub const MAX_ENVIRONMENT_ITEM: usize = 512;
/// Channels in `InputDataConfig`.
pub const MAX_CHANNELS: usize = 20;
/// Entries in `AttributeNames`.
pub const MAX_ATTRIBUTE_NAMES: usize = 16;
/// Bytes in one of them.
pub const MAX_ATTRIBUTE_NAME: usize = 256;
/// Entries in `MetricDefinitionList`.
pub const MAX_METRICS: usize = 40;
/// Bytes in a `MetricName`.
pub const MAX_METRIC_NAME: usize = 255;
/// Bytes in a `MetricRegex`.
pub const MAX_METRIC_REGEX: usize = 500;
/// Entries in `TrainingContainerEntrypoint` and in `TrainingContainerArguments`.
pub const MAX_COMMAND: usize = 100;
/// Bytes in one entry of either.
pub const MAX_COMMAND_ITEM: usize = 256;
/// Characters of `FailureReason`, and of `/opt/ml/output/failure` that are read into it.
pub const MAX_FAILURE_REASON: usize = 1024;
/// `MaxRuntimeInSeconds` when none is given: one day.
pub const DEFAULT_MAX_RUNTIME_SECONDS: u64 = 86_400;
/// The largest `MaxRuntimeInSeconds`: 28 days.
pub const MAX_MAX_RUNTIME_SECONDS: u64 = 28 * 86_400;
/// Seconds between TERM and KILL when a training job is stopped (Developer Guide,
/// "How Amazon SageMaker runs your training image").
pub const STOP_GRACE_SECONDS: u64 = 120;
