//! What becomes of each member of `CreateTrainingJob`. A test walks the service model: every
//! member that a client can send is in this table, so none is silently ignored.

use serde_json::Value;

/// What becomes of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It does what the service model says.
    Honoured,
    /// These values do; others are refused.
    Only(&'static [&'static str]),
    /// Taken and shown again by Describe, and nothing more: see SEMANTICS.md.
    WithoutEffect,
    /// Refused with these words, unless it asks for nothing (false, 0, or empty).
    Refused(&'static str),
}

use Fate::{Honoured, Only, Refused, WithoutEffect};

const NO_KMS: &str = "it has no keys of KMS, and would not encrypt";
const NO_HUB: &str = "there is no hub of models or data sets";
const ALONE: &str = "instances are not kept between jobs, reserved or placed";
const OWN_IMAGE: &str = "a job brings its algorithm in TrainingImage";

/// Members by their path; lists are passed through. An entry speaks for all members below it.
pub(super) const MEMBERS: &[(&str, Fate)] = &[
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
    // Isolation is always on.
    ("EnableNetworkIsolation", WithoutEffect),
    ("EnableInterContainerTrafficEncryption", Honoured),
    ("EnableManagedSpotTraining", Refused("there are no spot instances")),
    ("VpcConfig", Refused("a job is sealed off every network")),
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

/// The entry that speaks for a member.
pub(super) fn fate(path: &str) -> Option<Fate> {
    let speaks = |entry: &str| {
        path.strip_prefix(entry).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    MEMBERS.iter().find(|(entry, _)| speaks(entry)).map(|(_, fate)| *fate)
}

/// A member that is not served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NotServed {
    /// `ResourceConfig.InstanceCount`, or with a value: `InputMode FastFile`.
    pub(super) what: String,
    /// Why, or what is served.
    pub(super) why: String,
}

/// Looks for a member that is not served.
pub(super) fn check(request: &Value) -> Result<(), NotServed> {
    walk("", request)
}

fn walk(path: &str, value: &Value) -> Result<(), NotServed> {
    match fate(path) {
        Some(Honoured | WithoutEffect) => Ok(()),
        Some(Only(values)) => {
            let text = match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            if values.contains(&text.as_str()) {
                return Ok(());
            }
            let why = format!("it serves {}", values.join(", "));
            Err(NotServed { what: format!("{path} {text}"), why })
        }
        Some(Refused(_)) if asks_for_nothing(value) => Ok(()),
        Some(Refused(why)) => Err(NotServed { what: path.to_owned(), why: why.to_owned() }),
        None => match value {
            Value::Object(members) => members.iter().try_for_each(|(name, member)| {
                let dot = if path.is_empty() { "" } else { "." };
                walk(&format!("{path}{dot}{name}"), member)
            }),
            Value::Array(items) => items.iter().try_for_each(|item| walk(path, item)),
            nothing if asks_for_nothing(nothing) => Ok(()),
            _ => Err(NotServed { what: path.to_owned(), why: "it does not know it".to_owned() }),
        },
    }
}

fn asks_for_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(n) => n.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.values().all(asks_for_nothing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Every member that holds no further ones, as the model has them.
    fn leaves() -> BTreeSet<String> {
        let text = include_str!("../../../../aws/models/sagemaker.json");
        let model: Value = serde_json::from_str(text).unwrap();
        let mut found = BTreeSet::new();
        collect(&model["shapes"], "CreateTrainingJobRequest", "", &mut found);
        found
    }

    fn collect(shapes: &Value, name: &str, path: &str, found: &mut BTreeSet<String>) {
        let shape = &shapes[name];
        match shape["type"].as_str().unwrap() {
            "structure" => {
                for (member, of) in shape["members"].as_object().unwrap() {
                    let dot = if path.is_empty() { "" } else { "." };
                    collect(
                        shapes,
                        of["shape"].as_str().unwrap(),
                        &format!("{path}{dot}{member}"),
                        found,
                    );
                }
            }
            "list" => collect(shapes, shape["member"]["shape"].as_str().unwrap(), path, found),
            _ => {
                found.insert(path.to_owned());
            }
        }
    }

    #[test]
    fn every_member_of_the_model_has_a_fate_and_nothing_else_has() {
        let leaves = leaves();
        assert!(leaves.len() > 90, "{} members", leaves.len());
        for leaf in &leaves {
            assert!(fate(leaf).is_some(), "{leaf} is neither honoured nor refused");
        }
        for (entry, _) in MEMBERS {
            let below = |leaf: &String| *leaf == *entry || leaf.starts_with(&format!("{entry}."));
            assert!(leaves.iter().any(below), "the model has no {entry}");
        }
    }

    #[test]
    fn what_is_refused_is_written_down() {
        let written = include_str!("../../../../../SEMANTICS.md");
        for (entry, fate) in MEMBERS {
            let name = entry.rsplit('.').next().unwrap();
            if !matches!(fate, Honoured) {
                assert!(written.contains(name), "SEMANTICS.md says nothing of {entry}");
            }
        }
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
            assert_eq!(check(&good), Ok(()), "{good}");
        }
        for (bad, what) in [
            (
                json!({"ResourceConfig": {"SelectedInstanceCount": 2}}),
                "ResourceConfig.SelectedInstanceCount",
            ),
            (json!({"VpcConfig": {"Subnets": ["s"]}}), "VpcConfig"),
            (
                json!({"InputDataConfig": [{}, {"InputMode": "FastFile"}]}),
                "InputDataConfig.InputMode FastFile",
            ),
            (json!({"New": {"Member": 1}}), "New.Member"),
        ] {
            assert_eq!(check(&bad).unwrap_err().what, what);
        }
    }
}
