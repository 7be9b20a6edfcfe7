//! The members of `CreateTrainingJob` that are honoured, as they stand in JSON. The input is valid
//! by the service model, and what is not honoured was refused before.

use belljar_domain::data::{Compression, DataType, InputMode, OutputCompression, RecordWrapper};
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Parts {
    pub(super) training_job_name: String,
    pub(super) algorithm_specification: Option<Algorithm>,
    #[serde(default)]
    pub(super) hyper_parameters: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) environment: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) input_data_config: Vec<ChannelPart>,
    pub(super) output_data_config: Output,
    pub(super) resource_config: Option<Resources>,
    pub(super) role_arn: String,
    #[serde(default)]
    pub(super) stopping_condition: Stopping,
    pub(super) checkpoint_config: Option<CheckpointPart>,
    pub(super) retry_strategy: Option<Retry>,
    #[serde(default)]
    pub(super) enable_network_isolation: bool,
    pub(super) vpc_config: Option<serde_json::Value>,
    #[serde(default)]
    pub(super) enable_inter_container_traffic_encryption: bool,
    #[serde(default)]
    pub(super) tags: Vec<TagPart>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Algorithm {
    pub(super) training_image: Option<String>,
    pub(super) training_input_mode: InputMode,
    #[serde(default)]
    pub(super) metric_definitions: Vec<Metric>,
    #[serde(default)]
    pub(super) container_entrypoint: Vec<String>,
    #[serde(default)]
    pub(super) container_arguments: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Metric {
    pub(super) name: String,
    pub(super) regex: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ChannelPart {
    pub(super) channel_name: String,
    pub(super) data_source: DataSource,
    pub(super) content_type: Option<String>,
    #[serde(default)]
    pub(super) compression_type: Compression,
    #[serde(default)]
    pub(super) record_wrapper_type: RecordWrapper,
    pub(super) input_mode: Option<InputMode>,
    pub(super) shuffle_config: Option<Shuffle>,
}

#[derive(Debug, Deserialize)]
pub(super) struct DataSource {
    #[serde(rename = "S3DataSource")]
    pub(super) s3: Option<S3DataSource>,
}

#[derive(Debug, Deserialize)]
pub(super) struct S3DataSource {
    #[serde(rename = "S3DataType")]
    pub(super) data_type: DataType,
    #[serde(rename = "S3Uri")]
    pub(super) uri: String,
    #[serde(rename = "AttributeNames", default)]
    pub(super) attribute_names: Vec<String>,
    #[serde(rename = "S3DataDistributionType", default)]
    pub(super) distribution: Distribution,
    #[serde(rename = "InstanceGroupNames", default)]
    pub(super) groups: Vec<String>,
}

/// `S3DataDistributionType`; the service model documents the default.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) enum Distribution {
    #[default]
    FullyReplicated,
    ShardedByS3Key,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Shuffle {
    pub(super) seed: i64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Output {
    #[serde(rename = "S3OutputPath")]
    pub(super) path: String,
    #[serde(default)]
    pub(super) compression_type: OutputCompression,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Resources {
    pub(super) instance_type: Option<String>,
    pub(super) instance_count: Option<u32>,
    #[serde(default)]
    pub(super) instance_groups: Vec<InstanceGroup>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct InstanceGroup {
    pub(super) instance_type: String,
    pub(super) instance_count: u32,
    pub(super) instance_group_name: String,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Stopping {
    #[serde(rename = "MaxRuntimeInSeconds")]
    pub(super) max_runtime: Option<u64>,
    #[serde(rename = "MaxPendingTimeInSeconds")]
    pub(super) max_pending: Option<u64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct CheckpointPart {
    #[serde(rename = "S3Uri")]
    pub(super) uri: String,
    #[serde(rename = "LocalPath")]
    pub(super) local_path: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Retry {
    pub(super) maximum_retry_attempts: u32,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TagPart {
    pub(super) key: String,
    pub(super) value: String,
}
