//! The files below `/opt/ml/input/config`, to the letter (Developer Guide, "How Amazon SageMaker
//! provides training information"; shapes checked against a real job's dump).

use crate::Assignment;
use serde_json::{Map, Value, json};

/// The only network interface of a sealed single instance.
pub const SEALED_INTERFACE: &str = "lo";

/// `(file name, content)` of every file that a File-mode training job finds there.
#[must_use]
pub fn config_files(a: &Assignment) -> [(&'static str, String); 3] {
    [
        ("hyperparameters.json", hyperparameters(a).to_string()),
        ("inputdataconfig.json", input_data_config(a).to_string()),
        ("resourceconfig.json", resource_config(a).to_string()),
    ]
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
        entry.insert("TrainingInputMode".to_owned(), json!("File"));
        entry.insert("S3DistributionType".to_owned(), json!("FullyReplicated"));
        entry.insert("RecordWrapperType".to_owned(), json!("None"));
        all.insert(channel.name.to_string(), Value::Object(entry));
    }
    Value::Object(all)
}

fn resource_config(a: &Assignment) -> Value {
    const GROUP: &str = "homogeneousCluster";
    let hosts = [&a.host];
    json!({
        "current_host": a.host,
        "current_instance_type": a.instance_type,
        "current_group_name": GROUP,
        "hosts": hosts,
        "instance_groups": [{
            "instance_group_name": GROUP,
            "instance_type": a.instance_type,
            "hosts": hosts,
        }],
        "network_interface_name": SEALED_INTERFACE,
        "topology": null,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Channel, Resources, StopPolicy};
    use std::collections::BTreeMap;

    fn assignment() -> Assignment {
        let channel = |name: &str, content_type: Option<&str>| Channel {
            name: name.parse().unwrap(),
            uri: "/data".into(),
            content_type: content_type.map(str::to_owned),
        };
        Assignment {
            generation: 1,
            job: "j".parse().unwrap(),
            job_arn: "arn".into(),
            region: "us-east-1".into(),
            host: "algo-1".parse().unwrap(),
            instance_type: "ml.c5.xlarge".into(),
            image: "x".into(),
            entrypoint: vec![],
            arguments: vec![],
            environment: BTreeMap::new(),
            hyperparameters: [("epochs".to_owned(), "3".to_owned())].into(),
            channels: vec![channel("train", Some("text/csv")), channel("code", None)],
            output: "/out".into(),
            resources: Resources { cpu_millis: None, memory_bytes: None, processes: 1 },
            stop: StopPolicy::default(),
            metrics: vec![],
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
}
