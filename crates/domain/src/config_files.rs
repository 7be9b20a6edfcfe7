//! The files below `/opt/ml/input/config`, to the letter (Developer Guide, "How Amazon SageMaker
//! provides training information"; shapes checked against a real job's dump).

use crate::access::VPC_INTERFACE;
use crate::{Assignment, Cluster, HostName};
use serde_json::{Map, Value, json};

/// The only network interface of a sealed single instance.
pub const SEALED_INTERFACE: &str = "lo";

/// `(file name, content)` of every file that a training job finds there.
#[must_use]
pub fn config_files(a: &Assignment) -> Vec<(&'static str, String)> {
    let mut files = vec![
        ("hyperparameters.json", hyperparameters(a).to_string()),
        ("inputdataconfig.json", input_data_config(a).to_string()),
        ("resourceconfig.json", resource_config(a).to_string()),
    ];
    // Only when configured: libraries take its absence for "no checkpoints".
    if let Some(checkpoints) = &a.checkpoints {
        let text = json!({"S3Uri": checkpoints.uri, "LocalPath": checkpoints.local_path});
        files.push(("checkpointconfig.json", text.to_string()));
    }
    files
}

/// A flat object; every value is the string that was sent.
fn hyperparameters(a: &Assignment) -> Value {
    json!(a.hyperparameters)
}

/// Keyed by channel. `ContentType` only if it was given; the distribution's key is
/// `S3DistributionType`, not the request's `S3DataDistributionType`.
fn input_data_config(a: &Assignment) -> Value {
    let mut all = Map::new();
    for channel in &a.channels {
        let mut entry = Map::new();
        if let Some(content_type) = &channel.content_type {
            entry.insert("ContentType".to_owned(), json!(content_type));
        }
        entry.insert("TrainingInputMode".to_owned(), json!(channel.input_mode.as_str()));
        entry.insert("S3DistributionType".to_owned(), json!(channel.distribution()));
        entry.insert("RecordWrapperType".to_owned(), json!(channel.record_wrapper.as_str()));
        all.insert(channel.name.to_string(), Value::Object(entry));
    }
    Value::Object(all)
}

fn resource_config(a: &Assignment) -> Value {
    let (hosts, groups, interface) = match &a.cluster {
        None => {
            let hosts = vec![&a.host];
            let groups = vec![group(&a.group, &a.instance_type, &hosts)];
            let in_vpc = a.vpc.as_ref().is_some_and(|link| link.inside);
            (hosts, groups, if in_vpc { VPC_INTERFACE } else { SEALED_INTERFACE })
        }
        Some(cluster) => (cluster.hosts(), groups(cluster), cluster.interface()),
    };
    json!({
        "current_host": a.host,
        "current_instance_type": a.instance_type,
        "current_group_name": a.group,
        "hosts": hosts,
        "instance_groups": groups,
        "network_interface_name": interface,
        "topology": null,
    })
}

fn groups(cluster: &Cluster) -> Vec<Value> {
    let one = |name: &str| {
        let members: Vec<_> = cluster.instances.iter().filter(|i| i.group == name).collect();
        let kind = members.first().map_or("", |i| i.instance_type.as_str());
        group(name, kind, &members.iter().map(|i| &i.host).collect::<Vec<_>>())
    };
    cluster.groups().into_iter().map(one).collect()
}

fn group(name: &str, instance_type: &str, hosts: &[&HostName]) -> Value {
    json!({"instance_group_name": name, "instance_type": instance_type, "hosts": hosts})
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::cluster::ONE_GROUP;
    use crate::{
        Channel, Checkpoints, InputMode, OutputCompression, RecordWrapper, Resources, StopPolicy,
    };
    use std::collections::BTreeMap;

    pub(crate) fn assignment() -> Assignment {
        let channel = |name: &str, content_type: Option<&str>| Channel {
            content_type: content_type.map(str::to_owned),
            ..Channel::files(name.parse().unwrap(), "/data")
        };
        Assignment {
            cluster: None,
            generation: 1,
            job: "j".parse().unwrap(),
            job_arn: "arn".into(),
            region: "us-east-1".into(),
            host: "algo-1".parse().unwrap(),
            instance_type: "ml.c5.xlarge".into(),
            group: ONE_GROUP.into(),
            image: "x".into(),
            entrypoint: vec![],
            arguments: vec![],
            environment: BTreeMap::new(),
            hyperparameters: [("epochs".to_owned(), "3".to_owned())].into(),
            channels: vec![channel("train", Some("text/csv")), channel("code", None)],
            output: "/out".into(),
            output_compression: OutputCompression::Gzip,
            checkpoints: None,
            notices: vec![],
            replace_output: false,
            best_effort_limits: false,
            resources: Resources { cpu_millis: None, memory_bytes: None, processes: 1 },
            stop: StopPolicy::default(),
            metrics: vec![],
            serving: None,
            vpc: None,
            begun: None,
            internet: false,
            role: None,
        }
    }

    fn file(a: &Assignment, name: &str) -> Value {
        let files = config_files(a);
        let (_, text) = files.iter().find(|(n, _)| *n == name).unwrap();
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn as_a_real_job_has_them() {
        let a = assignment();
        assert_eq!(file(&a, "hyperparameters.json"), json!({"epochs": "3"}));
        let common = json!({"TrainingInputMode":"File","S3DistributionType":"FullyReplicated","RecordWrapperType":"None"});
        let input = file(&a, "inputdataconfig.json");
        assert_eq!(input["code"], common);
        assert_eq!(input["train"]["ContentType"], "text/csv");
        assert_eq!(
            file(&a, "resourceconfig.json"),
            json!({"current_host":"algo-1","current_instance_type":"ml.c5.xlarge",
                "current_group_name":"homogeneousCluster","hosts":["algo-1"],
                "instance_groups":[{"instance_group_name":"homogeneousCluster",
                "instance_type":"ml.c5.xlarge","hosts":["algo-1"]}],
                "network_interface_name":"lo","topology":null})
        );
    }

    #[test]
    fn without_hyperparameters_there_is_an_empty_object() {
        let mut a = assignment();
        a.hyperparameters.clear();
        assert_eq!(config_files(&a)[0].1, "{}");
    }

    #[test]
    fn pipes_and_checkpoints_as_they_were_asked_for() {
        let mut a = assignment();
        assert!(config_files(&a).iter().all(|(name, _)| *name != "checkpointconfig.json"));
        a.channels[1].input_mode = InputMode::Pipe;
        a.channels[1].record_wrapper = RecordWrapper::RecordIO;
        let local_path = "/opt/ml/checkpoints".to_owned();
        a.checkpoints = Some(Checkpoints { uri: "s3://b/c".into(), local_path });
        assert_eq!(
            file(&a, "inputdataconfig.json")["code"],
            json!({"TrainingInputMode":"Pipe","S3DistributionType":"FullyReplicated","RecordWrapperType":"RecordIO"})
        );
        assert_eq!(
            file(&a, "checkpointconfig.json"),
            json!({"S3Uri":"s3://b/c","LocalPath":"/opt/ml/checkpoints"})
        );
    }

    #[test]
    fn an_assignment_of_the_first_release_is_still_one() {
        let text = r#"{"generation":1,"job":"j","jobArn":"arn","region":"us-east-1","host":"algo-1",
            "instanceType":"local","image":"x","channels":[{"name":"train","uri":"/data",
            "contentType":null}],"output":"/out","resources":{"cpuMillis":null,"memoryBytes":null,
            "processes":1},"stop":{"maxRuntimeSeconds":1,"graceSeconds":1}}"#;
        let a: Assignment = serde_json::from_str(text).unwrap();
        assert_eq!(a.channels, [Channel::files("train".parse().unwrap(), "/data")]);
        assert_eq!((a.checkpoints, a.notices.len()), (None, 0));
        assert_eq!(a.output_compression, OutputCompression::Gzip);
    }
}
