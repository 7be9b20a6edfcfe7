//! What becomes of each member of `CreateTrainingJob`.

use crate::request::members::Fate::{Honoured, Only, Refused, WithoutEffect};
use crate::request::members::{Members, NO_HUB, NO_KMS};

const ALONE: &str = "instances are not kept between jobs, reserved or placed";
const OWN_IMAGE: &str = "a job brings its algorithm in TrainingImage";

pub(super) const MEMBERS: &Members = &[
    ("TrainingJobName", Honoured),
    ("HyperParameters", Honoured),
    ("Environment", Honoured),
    ("RoleArn", Honoured),
    ("Tags", Honoured),
    ("AlgorithmSpecification.TrainingImage", Honoured),
    ("AlgorithmSpecification.TrainingInputMode", Only(&["File", "Pipe"])),
    ("AlgorithmSpecification.MetricDefinitions", Honoured),
    ("AlgorithmSpecification.ContainerEntrypoint", Honoured),
    ("AlgorithmSpecification.ContainerArguments", Honoured),
    ("AlgorithmSpecification.AlgorithmName", Refused(OWN_IMAGE)),
    (
        "AlgorithmSpecification.EnableSageMakerMetricsTimeSeries",
        Refused("the last value of each metric is kept, and no series"),
    ),
    (
        "AlgorithmSpecification.TrainingImageConfig.TrainingRepositoryAccessMode",
        Only(&["Platform"]),
    ),
    (
        "AlgorithmSpecification.TrainingImageConfig.TrainingRepositoryAuthConfig",
        Refused("a registry's credentials are the service's configuration"),
    ),
    ("InputDataConfig.ChannelName", Honoured),
    ("InputDataConfig.ContentType", Honoured),
    ("InputDataConfig.CompressionType", Honoured),
    ("InputDataConfig.RecordWrapperType", Honoured),
    ("InputDataConfig.ShuffleConfig", Honoured),
    ("InputDataConfig.InputMode", Only(&["File", "Pipe"])),
    ("InputDataConfig.DataSource.S3DataSource.S3Uri", Honoured),
    (
        "InputDataConfig.DataSource.S3DataSource.S3DataType",
        Only(&["S3Prefix", "ManifestFile", "AugmentedManifestFile"]),
    ),
    ("InputDataConfig.DataSource.S3DataSource.S3DataDistributionType", Honoured),
    ("InputDataConfig.DataSource.S3DataSource.AttributeNames", Honoured),
    ("InputDataConfig.DataSource.S3DataSource.InstanceGroupNames", Honoured),
    ("InputDataConfig.DataSource.S3DataSource.ModelAccessConfig", Refused(NO_HUB)),
    ("InputDataConfig.DataSource.S3DataSource.HubAccessConfig", Refused(NO_HUB)),
    (
        "InputDataConfig.DataSource.FileSystemDataSource",
        Refused("data come from S3, and not from EFS or FSx"),
    ),
    ("InputDataConfig.DataSource.DatasetSource", Refused(NO_HUB)),
    ("OutputDataConfig.S3OutputPath", Honoured),
    ("OutputDataConfig.CompressionType", Honoured),
    ("OutputDataConfig.KmsKeyId", Refused(NO_KMS)),
    ("ResourceConfig.InstanceType", Honoured),
    ("ResourceConfig.InstanceCount", Honoured),
    ("ResourceConfig.VolumeSizeInGB", WithoutEffect),
    ("ResourceConfig.VolumeKmsKeyId", Refused(NO_KMS)),
    ("ResourceConfig.KeepAlivePeriodInSeconds", Refused(ALONE)),
    ("ResourceConfig.InstanceGroups", Honoured),
    ("ResourceConfig.TrainingPlanArn", Refused(ALONE)),
    ("ResourceConfig.InstancePlacementConfig", Refused(ALONE)),
    ("ResourceConfig.InstancePreferences", Refused(ALONE)),
    ("ResourceConfig.SelectedInstanceType", Refused(ALONE)),
    ("ResourceConfig.SelectedInstanceCount", Refused(ALONE)),
    ("StoppingCondition.MaxRuntimeInSeconds", Honoured),
    ("StoppingCondition.MaxPendingTimeInSeconds", Honoured),
    ("StoppingCondition.MaxWaitTimeInSeconds", Refused("it is for spot instances")),
    ("CheckpointConfig", Honoured),
    ("RetryStrategy", Honoured),
    ("EnableNetworkIsolation", Honoured),
    ("EnableInterContainerTrafficEncryption", Honoured),
    ("EnableManagedSpotTraining", Refused("there are no spot instances")),
    ("VpcConfig", Honoured),
    // The SDKs always send these two.
    ("DebugHookConfig", WithoutEffect),
    ("ProfilerConfig", WithoutEffect),
    ("DebugRuleConfigurations", Refused("nothing is debugged")),
    ("ProfilerRuleConfigurations", Refused("nothing is profiled")),
    (
        "TensorBoardOutputConfig",
        Refused("write to a channel of your own, or to /opt/ml/output/data"),
    ),
    ("ExperimentConfig", Refused("there are no experiments")),
    ("RemoteDebugConfig", Refused("nobody can reach a sealed container")),
    ("InfraCheckConfig", Refused("there are no health checks of instances")),
    ("SessionChainingConfig", Refused("a sealed job has no session")),
    ("ServerlessJobConfig", Refused(OWN_IMAGE)),
    ("MlflowConfig", Refused("a sealed job cannot reach MLflow")),
    ("ModelPackageConfig", Refused("there are no model packages")),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::members::{check, testing};

    #[test]
    fn every_member_of_the_model_has_a_fate_and_nothing_else_has() {
        testing::hold_against_the_model(MEMBERS, "CreateTrainingJobRequest");
    }

    #[test]
    fn what_asks_for_nothing_passes() {
        use serde_json::json;
        for good in [
            json!({"EnableManagedSpotTraining": false, "DebugRuleConfigurations": []}),
            json!({"RemoteDebugConfig": {"EnableRemoteDebug": false}}),
            json!({"ResourceConfig": {"InstanceCount": 1, "KeepAlivePeriodInSeconds": 0}}),
            json!({"OutputDataConfig": {"KmsKeyId": ""}, "DebugHookConfig": {"S3OutputPath": "x"}}),
        ] {
            assert_eq!(check(MEMBERS, &good), Ok(()), "{good}");
        }
        for (bad, what) in [
            (
                json!({"ResourceConfig": {"SelectedInstanceCount": 2}}),
                "ResourceConfig.SelectedInstanceCount",
            ),
            (
                json!({"InputDataConfig": [{}, {"InputMode": "FastFile"}]}),
                "InputDataConfig.InputMode FastFile",
            ),
            (json!({"New": {"Member": 1}}), "New.Member"),
        ] {
            assert_eq!(check(MEMBERS, &bad).unwrap_err().what, what);
        }
    }
}
