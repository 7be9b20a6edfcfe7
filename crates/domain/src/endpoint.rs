//! Models, endpoint configurations and endpoints, as far as the engine goes by them.
//! Sources: service model (`CreateModel`, `CreateEndpointConfig`, `CreateEndpoint`), Developer
//! Guide, "Real-time inference".

use crate::serving::ModelData;
use crate::{Resources, Timestamp, VpcPlacement};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `EndpointStatus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EndpointStatus {
    /// Its first instances are being brought up.
    Creating,
    /// It goes over to another configuration, or other weights or counts.
    Updating,
    /// It answers.
    InService,
    /// It never came into service; it can only be deleted.
    Failed,
    /// Its instances are being stopped.
    Deleting,
}

impl EndpointStatus {
    /// As the API writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "Creating",
            Self::Updating => "Updating",
            Self::InService => "InService",
            Self::Failed => "Failed",
            Self::Deleting => "Deleting",
        }
    }
}

/// A container of a variant's instances.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Container {
    /// `ContainerHostname`; `primary` for `PrimaryContainer`, `container-N` for an unnamed one of
    /// several.
    pub name: String,
    /// `Image`, through the mirrors.
    pub image: String,
    /// `Image` as it was given.
    pub specified_image: String,
    /// `Environment`.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// `ModelDataUrl` or `ModelDataSource` of a container with one model.
    pub model: Option<ModelData>,
    /// `ModelDataUrl` of a `MultiModel` container: a prefix that ends in `/`.
    pub models: Option<String>,
    /// `MultiModelConfig.ModelCacheSetting`: whether models stay loaded.
    #[serde(default = "yes")]
    pub cached: bool,
}

fn yes() -> bool {
    true
}

/// `RoutingStrategy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Routing {
    /// To the instance that has the fewest requests.
    #[default]
    #[serde(rename = "LEAST_OUTSTANDING_REQUESTS")]
    LeastOutstanding,
    /// To any.
    #[serde(rename = "RANDOM")]
    Random,
}

/// A production variant, with the model that it serves as it was when the endpoint was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Variant {
    /// `VariantName`.
    pub name: String,
    /// `ModelName`.
    pub model: String,
    /// 1 to 15.
    pub containers: Vec<Container>,
    /// Whether a request goes to one of them (`Direct`), as against through all (`Serial`).
    #[serde(default)]
    pub direct: bool,
    /// `InstanceType`.
    pub instance_type: String,
    /// Limits on each container.
    pub resources: Resources,
    /// `InitialInstanceCount`.
    pub count: u32,
    /// `InitialVariantWeight`.
    pub weight: f64,
    /// `RoutingConfig.RoutingStrategy`.
    #[serde(default)]
    pub routing: Routing,
    /// `ModelDataDownloadTimeoutInSeconds`.
    pub download_seconds: u64,
    /// `ContainerStartupHealthCheckTimeoutInSeconds`.
    pub startup_seconds: u64,
    /// What the first lines of its logs say.
    #[serde(default)]
    pub notices: Vec<String>,
    /// Where its instances are in a VPC, if they are in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vpc: Option<VpcPlacement>,
    /// Whether its containers reach the internet: neither isolation nor a VPC was asked for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub internet: bool,
    /// `ExecutionRoleArn` of the model: as whom its containers act. One that is isolated is not given
    /// its role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
}

impl Variant {
    /// Whether its containers can reach nobody.
    #[must_use]
    pub fn is_isolated(&self) -> bool {
        !self.internet && self.vpc.as_ref().is_none_or(|placement| placement.isolated)
    }
}

/// `AsyncInferenceConfig`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Asynchronous {
    /// `OutputConfig.S3OutputPath`.
    pub output: Option<String>,
    /// `OutputConfig.S3FailurePath`.
    pub failure: Option<String>,
    /// `ClientConfig.MaxConcurrentInvocationsPerInstance`.
    pub concurrent: Option<u32>,
}

/// What an endpoint configuration comes to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Deployment {
    /// `EndpointConfigName`.
    pub config: String,
    /// `ProductionVariants`.
    pub variants: Vec<Variant>,
    /// `AsyncInferenceConfig`; such an endpoint takes no other requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asynchronous: Option<Asynchronous>,
}

/// A variant's share of a fleet, which `UpdateEndpointWeightsAndCapacities` changes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Share {
    /// `DesiredInstanceCount`.
    pub count: u32,
    /// `DesiredWeight`.
    pub weight: f64,
}

/// The instances of one deployment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Fleet {
    /// From 1, in the order in which an endpoint had them.
    pub number: u64,
    /// What it runs.
    pub deployment: Deployment,
    /// By variant.
    pub shares: BTreeMap<String, Share>,
    /// When it was asked for.
    pub since: Timestamp,
    /// `TerminationWaitInSeconds`: how long the fleet before it stays after it has taken over.
    #[serde(default)]
    pub termination_wait_seconds: u64,
    /// `DeploymentConfig`, as it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment_config: Option<serde_json::Value>,
}

impl Fleet {
    /// A deployment's, with the counts and weights that it says.
    #[must_use]
    pub fn new(number: u64, deployment: Deployment, since: Timestamp) -> Self {
        let share = |v: &Variant| (v.name.clone(), Share { count: v.count, weight: v.weight });
        let shares = deployment.variants.iter().map(share).collect();
        Self {
            number,
            deployment,
            shares,
            since,
            termination_wait_seconds: 0,
            deployment_config: None,
        }
    }
}

/// How far an endpoint is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct EndpointProgress {
    /// `EndpointStatus`.
    pub status: EndpointStatus,
    /// `FailureReason`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_reason: Option<String>,
    /// The fleet that answers; `None` until the first is healthy.
    pub current: Option<Fleet>,
    /// The fleet that is to take over.
    pub next: Option<Fleet>,
    /// When `current` took over: older fleets leave `termination_wait_seconds` later.
    #[serde(default)]
    pub took_over: Option<Timestamp>,
}

impl EndpointProgress {
    /// A new endpoint's.
    #[must_use]
    pub fn creating(deployment: Deployment, now: Timestamp) -> Self {
        Self {
            status: EndpointStatus::Creating,
            failure_reason: None,
            current: None,
            next: Some(Fleet::new(1, deployment, now)),
            took_over: None,
        }
    }

    /// The number that the next fleet gets.
    #[must_use]
    pub fn next_number(&self) -> u64 {
        let numbers = [&self.current, &self.next].into_iter().flatten().map(|f| f.number);
        numbers.max().unwrap_or(0) + 1
    }

    /// The fleet that Describe shows: the one that answers, else the one that is to.
    #[must_use]
    pub fn shown(&self) -> Option<&Fleet> {
        self.current.as_ref().or(self.next.as_ref())
    }
}

/// An endpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct Endpoint {
    /// `EndpointName`.
    pub name: String,
    /// `EndpointArn`.
    pub arn: String,
    /// `CreationTime`.
    pub created: Timestamp,
    /// `LastModifiedTime`.
    pub modified: Timestamp,
    /// How far it is.
    pub progress: EndpointProgress,
}

/// An instance of an endpoint, as it was begun. Its containers have folders of their own
/// (`endpoints/<id>-<n>`, from 1), and wardens of their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Server {
    /// `i-` and 17 hexadecimal digits.
    pub id: String,
    /// The endpoint's name.
    pub endpoint: String,
    /// The fleet's number.
    pub fleet: u64,
    /// The variant's name.
    pub variant: String,
    /// The zone that it is in.
    pub zone: String,
    /// How many containers it has.
    pub containers: u32,
    /// How many instances it comes after that died, one in another's place.
    pub tries: u32,
    /// When it was begun.
    pub begun: Timestamp,
    /// When it was told to stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopping: Option<Timestamp>,
    /// [`Variant::role`], which outlives the variant here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// [`Variant::is_isolated`].
    #[serde(default = "yes")]
    pub isolated: bool,
}

/// What a container last said of its health.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Health {
    /// Whether it may be given requests.
    pub healthy: bool,
    /// Why not; empty if it may.
    pub why: String,
    /// Since when.
    pub at: Timestamp,
}
