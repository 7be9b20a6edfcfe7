//! The members that are honoured, as they stand in JSON. The input is valid by the service model,
//! and what is not honoured was refused before.

use belljar_domain::endpoint::Routing;
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ModelParts {
    pub(super) model_name: String,
    pub(super) primary_container: Option<ContainerPart>,
    #[serde(default)]
    pub(super) containers: Vec<ContainerPart>,
    pub(super) inference_execution_config: Option<Execution>,
    pub(super) execution_role_arn: Option<String>,
    #[serde(default)]
    pub(super) enable_network_isolation: bool,
    pub(super) vpc_config: Option<serde_json::Value>,
    #[serde(default)]
    pub(super) tags: Vec<TagPart>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ContainerPart {
    pub(super) container_hostname: Option<String>,
    pub(super) image: Option<String>,
    #[serde(default)]
    pub(super) mode: Mode,
    pub(super) model_data_url: Option<String>,
    pub(super) model_data_source: Option<DataSource>,
    #[serde(default)]
    pub(super) environment: BTreeMap<String, String>,
    pub(super) multi_model_config: Option<MultiModel>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) enum Mode {
    #[default]
    SingleModel,
    MultiModel,
}

#[derive(Debug, Deserialize)]
pub(super) struct DataSource {
    #[serde(rename = "S3DataSource")]
    pub(super) s3: Option<S3Model>,
}

#[derive(Debug, Deserialize)]
pub(super) struct S3Model {
    #[serde(rename = "S3Uri")]
    pub(super) uri: String,
    #[serde(rename = "S3DataType")]
    pub(super) data_type: S3ModelType,
    #[serde(rename = "CompressionType")]
    pub(super) compression: ModelCompression,
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) enum S3ModelType {
    S3Prefix,
    S3Object,
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) enum ModelCompression {
    None,
    Gzip,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct MultiModel {
    #[serde(default)]
    pub(super) model_cache_setting: Cache,
}

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) enum Cache {
    #[default]
    Enabled,
    Disabled,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Execution {
    pub(super) mode: ExecutionMode,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) enum ExecutionMode {
    Serial,
    Direct,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ConfigParts {
    pub(super) endpoint_config_name: String,
    pub(super) production_variants: Vec<VariantPart>,
    pub(super) async_inference_config: Option<AsyncPart>,
    pub(super) data_capture_config: Option<Capture>,
    pub(super) execution_role_arn: Option<String>,
    #[serde(default)]
    pub(super) enable_network_isolation: bool,
    #[serde(default)]
    pub(super) tags: Vec<TagPart>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct VariantPart {
    pub(super) variant_name: String,
    pub(super) model_name: Option<String>,
    pub(super) initial_instance_count: Option<u32>,
    pub(super) instance_type: Option<String>,
    pub(super) initial_variant_weight: Option<f64>,
    #[serde(rename = "ModelDataDownloadTimeoutInSeconds")]
    pub(super) download_seconds: Option<u64>,
    #[serde(rename = "ContainerStartupHealthCheckTimeoutInSeconds")]
    pub(super) startup_seconds: Option<u64>,
    pub(super) routing_config: Option<RoutingPart>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RoutingPart {
    pub(super) routing_strategy: Routing,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Capture {
    pub(super) enable_capture: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct AsyncPart {
    pub(super) client_config: Option<AsyncClient>,
    pub(super) output_config: AsyncOutput,
}

#[derive(Debug, Deserialize)]
pub(super) struct AsyncClient {
    #[serde(rename = "MaxConcurrentInvocationsPerInstance")]
    pub(super) concurrent: Option<u32>,
}

#[derive(Debug, Deserialize)]
pub(super) struct AsyncOutput {
    #[serde(rename = "S3OutputPath")]
    pub(super) output: Option<String>,
    #[serde(rename = "S3FailurePath")]
    pub(super) failure: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CreateParts {
    pub(super) endpoint_name: String,
    pub(super) endpoint_config_name: String,
    #[serde(default)]
    pub(super) tags: Vec<TagPart>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct UpdateParts {
    pub(super) endpoint_name: String,
    pub(super) endpoint_config_name: String,
    #[serde(default)]
    pub(super) retain_all_variant_properties: bool,
    #[serde(default)]
    pub(super) exclude_retained_variant_properties: Vec<Excluded>,
    #[serde(default)]
    pub(super) retain_deployment_config: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Excluded {
    pub(super) variant_property_type: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SharesParts {
    pub(super) endpoint_name: String,
    pub(super) desired_weights_and_capacities: Vec<Desired>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Desired {
    pub(super) variant_name: String,
    pub(super) desired_weight: Option<f64>,
    pub(super) desired_instance_count: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TagPart {
    pub(super) key: String,
    pub(super) value: String,
}
