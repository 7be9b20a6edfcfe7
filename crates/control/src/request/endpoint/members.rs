//! What becomes of each member of the operations on models, endpoint configurations and endpoints.

use crate::request::members::Fate::{Honoured, Only, Refused, Within, WithoutEffect};
use crate::request::members::{Members, NO_HUB, NO_KMS};

const NO_PACKAGES: &str = "there are no model packages";
const NO_SCALING: &str = "a variant has the instances that it is given";
const HAS_INSTANCES: &str = "a variant has instances";
const OWN_MACHINES: &str = "instances are containers on machines that are there";
const AS_THEY_ARE: &str = "a model is what is in S3 when an instance starts";
const NO_METRICS: &str = "no metrics are published";
const ONE_STEP: &str = "traffic goes over to the new fleet in one step";

const CONTAINER: &Members = &[
    ("ContainerHostname", Honoured),
    ("Image", Honoured),
    ("ImageConfig.RepositoryAccessMode", Only(&["Platform"])),
    (
        "ImageConfig.RepositoryAuthConfig",
        Refused("a registry's credentials are the service's configuration"),
    ),
    ("Mode", Honoured),
    ("ModelDataUrl", Honoured),
    ("ModelDataSource.S3DataSource.S3Uri", Honoured),
    ("ModelDataSource.S3DataSource.S3DataType", Honoured),
    ("ModelDataSource.S3DataSource.CompressionType", Honoured),
    ("ModelDataSource.S3DataSource.ModelAccessConfig", Refused(NO_HUB)),
    ("ModelDataSource.S3DataSource.HubAccessConfig", Refused(NO_HUB)),
    ("ModelDataSource.S3DataSource.ManifestS3Uri", Refused(AS_THEY_ARE)),
    ("ModelDataSource.S3DataSource.ETag", Refused(AS_THEY_ARE)),
    ("ModelDataSource.S3DataSource.ManifestEtag", Refused(AS_THEY_ARE)),
    ("AdditionalModelDataSources", Refused("a container has one model, or one prefix of models")),
    ("Environment", Honoured),
    ("ModelPackageName", Refused(NO_PACKAGES)),
    ("InferenceSpecificationName", Refused(NO_PACKAGES)),
    ("MultiModelConfig", Honoured),
    ("ContainerMetricsConfig", Refused(NO_METRICS)),
];

/// `CreateModel`.
pub(super) const MODEL: &Members = &[
    ("ModelName", Honoured),
    ("PrimaryContainer", Within(CONTAINER)),
    ("Containers", Within(CONTAINER)),
    ("InferenceExecutionConfig", Honoured),
    ("ExecutionRoleArn", Honoured),
    ("Tags", Honoured),
    ("VpcConfig", Honoured),
    ("EnableNetworkIsolation", Honoured),
];

const VARIANT: &Members = &[
    ("VariantName", Honoured),
    ("ModelName", Honoured),
    ("InitialInstanceCount", Honoured),
    ("InstanceType", Honoured),
    ("InitialVariantWeight", Honoured),
    ("ModelDataDownloadTimeoutInSeconds", Honoured),
    ("ContainerStartupHealthCheckTimeoutInSeconds", Honoured),
    ("RoutingConfig.RoutingStrategy", Only(&["LEAST_OUTSTANDING_REQUESTS", "RANDOM"])),
    ("RoutingConfig.PrefixAwareRoutingConfig", Refused("requests are not looked into")),
    ("VolumeSizeInGB", WithoutEffect),
    ("InstancePools", Refused(OWN_MACHINES)),
    ("VariantInstanceProvisionTimeoutInSeconds", Refused(OWN_MACHINES)),
    ("AcceleratorType", Refused("Elastic Inference is no more")),
    ("AcceleratorPartitionLayouts", Refused("no device is passed into a container")),
    ("CoreDumpConfig", Refused("no memory of a sealed container is written down")),
    ("ServerlessConfig", Refused(HAS_INSTANCES)),
    ("EnableSSMAccess", Refused("nobody can reach a sealed container")),
    ("ManagedInstanceScaling.Status", Only(&["DISABLED"])),
    ("ManagedInstanceScaling.MinInstanceCount", Refused(NO_SCALING)),
    ("ManagedInstanceScaling.MaxInstanceCount", Refused(NO_SCALING)),
    ("ManagedInstanceScaling.ScaleInPolicy", Refused(NO_SCALING)),
    ("InferenceAmiVersion", Refused(OWN_MACHINES)),
    ("CapacityReservationConfig", Refused(OWN_MACHINES)),
];

/// `CreateEndpointConfig`.
pub(super) const CONFIG: &Members = &[
    ("EndpointConfigName", Honoured),
    ("ProductionVariants", Within(VARIANT)),
    ("ShadowProductionVariants", Refused("a request goes to one variant")),
    ("Tags", Honoured),
    ("ExecutionRoleArn", Honoured),
    ("KmsKeyId", Refused(NO_KMS)),
    ("AsyncInferenceConfig.ClientConfig", Honoured),
    ("AsyncInferenceConfig.OutputConfig.S3OutputPath", Honoured),
    ("AsyncInferenceConfig.OutputConfig.S3FailurePath", Honoured),
    ("AsyncInferenceConfig.OutputConfig.KmsKeyId", Refused(NO_KMS)),
    (
        "AsyncInferenceConfig.OutputConfig.NotificationConfig",
        Refused("there is no SNS: look for the object at OutputLocation"),
    ),
    // Of a capture that is not enabled: another is refused by a check of its own.
    ("DataCaptureConfig", WithoutEffect),
    ("ExplainerConfig", Refused("nothing is explained")),
    ("VpcConfig", Refused("it is for inference components; give it to CreateModel")),
    ("EnableNetworkIsolation", Honoured),
    ("MetricsConfig", Refused(NO_METRICS)),
    ("CrossRegionTrafficConfig", Refused("there is one region")),
];

const DEPLOYMENT: &Members = &[
    ("BlueGreenUpdatePolicy.TrafficRoutingConfiguration.Type", Only(&["ALL_AT_ONCE"])),
    // There are no steps to wait between.
    ("BlueGreenUpdatePolicy.TrafficRoutingConfiguration.WaitIntervalInSeconds", WithoutEffect),
    ("BlueGreenUpdatePolicy.TrafficRoutingConfiguration.CanarySize", Refused(ONE_STEP)),
    ("BlueGreenUpdatePolicy.TrafficRoutingConfiguration.LinearStepSize", Refused(ONE_STEP)),
    ("BlueGreenUpdatePolicy.TerminationWaitInSeconds", Honoured),
    (
        "BlueGreenUpdatePolicy.MaximumExecutionTimeoutInSeconds",
        Refused("a fleet is given up by its variants' own timeouts"),
    ),
    ("RollingUpdatePolicy", Refused(ONE_STEP)),
    ("AutoRollbackConfiguration", Refused("there are no alarms of CloudWatch")),
];

/// `CreateEndpoint`.
pub(super) const CREATE: &Members = &[
    ("EndpointName", Honoured),
    ("EndpointConfigName", Honoured),
    ("DeploymentConfig", Within(DEPLOYMENT)),
    ("Tags", Honoured),
];

/// `UpdateEndpoint`.
pub(super) const UPDATE: &Members = &[
    ("EndpointName", Honoured),
    ("EndpointConfigName", Honoured),
    ("RetainAllVariantProperties", Honoured),
    ("ExcludeRetainedVariantProperties", Honoured),
    ("DeploymentConfig", Within(DEPLOYMENT)),
    ("RetainDeploymentConfig", Honoured),
];

/// `UpdateEndpointWeightsAndCapacities`.
pub(super) const SHARES: &Members = &[
    ("EndpointName", Honoured),
    ("DesiredWeightsAndCapacities.VariantName", Honoured),
    ("DesiredWeightsAndCapacities.DesiredWeight", Honoured),
    ("DesiredWeightsAndCapacities.DesiredInstanceCount", Honoured),
    ("DesiredWeightsAndCapacities.ServerlessUpdateConfig", Refused(HAS_INSTANCES)),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::members::testing::hold_against_the_model;

    #[test]
    fn every_member_of_the_model_has_a_fate_and_nothing_else_has() {
        hold_against_the_model(MODEL, "CreateModelInput");
        hold_against_the_model(CONFIG, "CreateEndpointConfigInput");
        hold_against_the_model(CREATE, "CreateEndpointInput");
        hold_against_the_model(UPDATE, "UpdateEndpointInput");
        hold_against_the_model(SHARES, "UpdateEndpointWeightsAndCapacitiesInput");
    }
}
