use super::*;
use crate::machine::Machine;
use belljar_domain::endpoint::{Deployment, Fleet, Routing};
use belljar_domain::serving::ModelForm;
use belljar_domain::{Resources, Timestamp};
use serde_json::json;

fn one_model() -> Value {
    json!({
        "ModelName": "Digits",
        "PrimaryContainer": {
            "Image": "ecr.example.com/digits:1",
            "ModelDataUrl": "s3://bucket/model.tar.gz",
            "Environment": {"A": "b"},
        },
        "ExecutionRoleArn": "arn:aws:iam::123456789012:role/x",
        "Tags": [{"Key": "k", "Value": "v"}],
    })
}

fn several(mode: &str, containers: &Value) -> Value {
    json!({
        "ModelName": "m", "Containers": containers, "InferenceExecutionConfig": {"Mode": mode},
    })
}

fn one_config() -> Value {
    json!({
        "EndpointConfigName": "c",
        "ProductionVariants": [{
            "VariantName": "AllTraffic", "ModelName": "Digits", "InstanceType": "ml.m5.large",
            "InitialInstanceCount": 2,
        }],
    })
}

/// A request with one member set, by a pointer.
fn with(mut request: Value, pointer: &str, value: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    request.pointer_mut(parent).unwrap()[name] = value;
    request
}

fn deployed(config: &Value, models: &Value) -> Result<Deployed, String> {
    let mirrors = ["ecr.example.com=other.example.com".parse().unwrap()];
    let place = Place {
        region: "eu-west-1",
        account: "123456789012",
        machine: Machine { cpu_millis: 2000, memory_bytes: Some(64 << 30) },
        mirrors: &mirrors,
    };
    let find = |name: &str| (models["ModelName"] == name).then(|| models.clone());
    deployment(config, find, &place).map_err(|e| e.to_string())
}

#[test]
fn a_configuration_comes_to_what_is_to_be_run() {
    let accepted = model(one_model()).unwrap();
    assert_eq!((accepted.name.as_str(), accepted.tags["k"].as_str()), ("Digits", "v"));
    assert_eq!(accepted.request["PrimaryContainer"]["Mode"], "SingleModel");
    assert_eq!(accepted.request["EnableNetworkIsolation"], false);
    assert!(accepted.request.get("Tags").is_none());
    let config = config(one_config()).unwrap().request;
    assert_eq!(config["ProductionVariants"][0]["InitialVariantWeight"], 1.0);
    let all = deployed(&config, &accepted.request).unwrap();
    assert!(all.too_large.is_empty());
    let variant = &all.deployment.variants[0];
    assert_eq!((variant.count, variant.weight, variant.direct), (2, 1.0, false));
    assert_eq!((variant.download_seconds, variant.startup_seconds), (900, 480));
    assert_eq!(variant.notices.len(), 1, "{:?}", variant.notices);
    let container = &variant.containers[0];
    assert_eq!((container.name.as_str(), container.cached), ("primary", true));
    assert_eq!(container.image, "other.example.com/digits:1");
    assert_eq!(container.specified_image, "ecr.example.com/digits:1");
    assert_eq!(container.model.as_ref().unwrap().form, ModelForm::Archive);
}

#[test]
fn what_is_honoured_of_a_variant_arrives() {
    let mut config = one_config();
    config["EnableNetworkIsolation"] = json!(true);
    config["AsyncInferenceConfig"] = json!({
        "ClientConfig": {"MaxConcurrentInvocationsPerInstance": 4},
        "OutputConfig": {"S3OutputPath": "s3://bucket/out"},
    });
    let variant = &mut config["ProductionVariants"][0];
    variant["InstanceType"] = json!("ml.c5.2xlarge");
    variant["InitialVariantWeight"] = json!(0.5);
    variant["RoutingConfig"] = json!({"RoutingStrategy": "RANDOM"});
    variant["ModelDataDownloadTimeoutInSeconds"] = json!(60);
    variant["ContainerStartupHealthCheckTimeoutInSeconds"] = json!(61);
    variant["VolumeSizeInGB"] = json!(5);
    let config = super::config(config).unwrap().request;
    let all = deployed(&config, &one_model()).unwrap();
    assert_eq!(all.too_large.len(), 1);
    let variant = &all.deployment.variants[0];
    assert_eq!((variant.routing, variant.weight), (Routing::Random, 0.5));
    assert_eq!((variant.download_seconds, variant.startup_seconds), (60, 61));
    assert_eq!(variant.notices, all.too_large, "isolation was asked for");
    let asynchronous = all.deployment.asynchronous.unwrap();
    assert_eq!(asynchronous.output.as_deref(), Some("s3://bucket/out"));
    assert_eq!((asynchronous.failure, asynchronous.concurrent), (None, Some(4)));
    let gone = deployed(&config, &json!({"ModelName": "other"})).unwrap_err();
    let arn = "arn:aws:sagemaker:eu-west-1:123456789012:model/digits";
    assert_eq!(gone, format!("Could not find model \"{arn}\"."));
}

#[test]
fn containers_have_names() {
    let image = |name: Option<&str>| match name {
        Some(name) => json!({"Image": "x", "ContainerHostname": name}),
        None => json!({"Image": "x"}),
    };
    let names = |mode: &str, names: &[Option<&str>]| {
        let containers: Value = names.iter().map(|n| image(*n)).collect();
        let model = super::model(several(mode, &containers)).map_err(|e| e.to_string())?;
        let mut config = one_config();
        config["ProductionVariants"][0]["ModelName"] = json!("m");
        let deployed = deployed(&config, &model.request)?;
        let variant = deployed.deployment.variants.into_iter().next().unwrap();
        let names: Vec<String> = variant.containers.into_iter().map(|c| c.name).collect();
        Ok::<_, String>((variant.direct, names.join(" ")))
    };
    let both = [Some("a"), Some("b")];
    assert_eq!(names("Serial", &[None, None]).unwrap(), (false, "container-1 container-2".into()));
    assert_eq!(names("Direct", &both).unwrap(), (true, "a b".into()));
    assert_eq!(names("Serial", &[None]).unwrap().1, "container-1");
    for (mode, bad, word) in [
        ("Direct", &[None, None][..], "ContainerHostname"),
        ("Direct", &[Some("a")], "2 to 15"),
        ("Serial", &[Some("a"), None], "ContainerHostname"),
        ("Serial", &[Some("a"), Some("A")], "'A' is given twice"),
        ("Serial", &[], "required"),
    ] {
        let said = names(mode, bad).unwrap_err();
        assert!(said.contains(word), "{said}");
    }
}

#[test]
fn models_come_from_s3() {
    let form = |container: Value| {
        let mut container = container;
        container["Image"] = json!("x");
        let model = json!({"ModelName": "Digits", "PrimaryContainer": container});
        let model = super::model(model).map_err(|e| e.to_string())?.request;
        let variants = deployed(&one_config(), &model)?.deployment.variants;
        let container = variants[0].containers[0].clone();
        Ok::<_, String>((container.model.map(|m| m.form), container.models, container.cached))
    };
    let source = |uri: &str, data_type: &str, compression: &str| {
        json!({"ModelDataSource": {"S3DataSource": {
            "S3Uri": uri, "S3DataType": data_type, "CompressionType": compression,
        }}})
    };
    assert_eq!(form(json!({})).unwrap().0, None);
    let sourced = |uri, data_type, compression| form(source(uri, data_type, compression));
    let prefix = "s3://bucket/p/";
    assert_eq!(sourced(prefix, "S3Prefix", "None").unwrap().0, Some(ModelForm::Prefix));
    let object = "s3://bucket/k";
    assert_eq!(sourced(object, "S3Object", "Gzip").unwrap().0, Some(ModelForm::Archive));
    assert_eq!(sourced(object, "S3Object", "None").unwrap().0, Some(ModelForm::Object));
    let multi = json!({
        "Mode": "MultiModel", "ModelDataUrl": prefix,
        "MultiModelConfig": {"ModelCacheSetting": "Disabled"},
    });
    assert_eq!(form(multi.clone()).unwrap(), (None, Some(prefix.to_owned()), false));
    for (bad, word) in [
        (json!({"ModelDataUrl": "s3://bucket/model.tar"}), "key.tar.gz"),
        (json!({"ModelDataUrl": "https://bucket.example.com/m.tar.gz"}), "ModelDataUrl"),
        (source("s3://bucket/p", "S3Prefix", "None"), "s3://bucket/prefix/"),
        (source(prefix, "S3Prefix", "Gzip"), "CompressionType Gzip"),
        (source(prefix, "S3Object", "None"), "s3://bucket/key"),
        (source("s3://bucket", "S3Object", "None"), "s3://bucket/key"),
        (with(multi.clone(), "/ModelDataUrl", json!("s3://bucket/p")), "s3://bucket/prefix/"),
        (json!({"Mode": "MultiModel"}), "ModelDataUrl is required"),
        (json!({"MultiModelConfig": {}}), "MultiModelConfig"),
        (json!({"Environment": {"A": "\0"}}), "NUL"),
    ] {
        let said = form(bad.clone()).unwrap_err();
        assert!(said.contains(word), "{bad}: {said}");
    }
    let several = several("Serial", &json!([with(multi, "/Image", json!("x")), {"Image": "x"}]));
    assert!(model(several).unwrap_err().to_string().contains("MultiModel"));
}

#[test]
fn what_is_not_served_is_refused_by_name() {
    let vpc = json!({"Subnets": ["x"], "SecurityGroupIds": ["sg-1"]});
    for (request, word) in [
        (with(one_model(), "/VpcConfig", vpc), "'x' is not the id of a subnet"),
        (with(one_model(), "/PrimaryContainer/ModelPackageName", json!("p")), "ModelPackageName"),
        (with(one_model(), "/PrimaryContainer/Image", json!("oci:/etc")), "'oci:/etc'"),
        (
            with(
                one_model(),
                "/PrimaryContainer/ImageConfig",
                json!({"RepositoryAccessMode": "Vpc"}),
            ),
            "RepositoryAccessMode Vpc of CreateModel",
        ),
        (with(one_model(), "/Containers", json!([{"Image": "x"}])), "together with Containers"),
        (json!({"ModelName": "m", "PrimaryContainer": {}}), "Image is required"),
    ] {
        let said = model(request).unwrap_err().to_string();
        assert!(said.contains(word), "{said}");
    }
    let variant = |name: &str, value: Value| {
        with(one_config(), &format!("/ProductionVariants/0/{name}"), value)
    };
    let mut twice = one_config();
    let same = twice["ProductionVariants"][0].clone();
    twice["ProductionVariants"].as_array_mut().unwrap().push(same);
    for (request, word) in [
        (variant("ServerlessConfig", json!({"MaxConcurrency": 5})), "ServerlessConfig"),
        (variant("ManagedInstanceScaling", json!({"Status": "ENABLED"})), "Status ENABLED"),
        (variant("ModelName", json!(null)), "ProductionVariants.ModelName is required"),
        (variant("InitialVariantWeight", json!(0.0)), "weight above 0"),
        (twice, "'AllTraffic' is given twice"),
        (with(one_config(), "/DataCaptureConfig", json!({"EnableCapture": true})), "EnableCapture"),
        (with(one_config(), "/DataCaptureConfig", json!({"CaptureOptions": []})), "EnableCapture"),
        (with(one_config(), "/KmsKeyId", json!("k")), "KmsKeyId"),
        (
            with(
                one_config(),
                "/AsyncInferenceConfig",
                json!({"OutputConfig": {"S3OutputPath": "https://x/y"}}),
            ),
            "S3OutputPath: 'https://x/y'",
        ),
    ] {
        let said = config(request).unwrap_err().to_string();
        assert!(said.contains(word), "{said}");
    }
    let off = json!({"EnableCapture": false, "InitialSamplingPercentage": 5});
    config(with(one_config(), "/DataCaptureConfig", off)).unwrap();
    config(variant("ManagedInstanceScaling", json!({"Status": "DISABLED"}))).unwrap();
    assert!(deployed(&variant("InstanceType", json!("ml.x.large")), &one_model()).is_err());
}

fn fleet(number: u64, weight: f64) -> Fleet {
    let deployed = deployed(&one_config(), &one_model()).unwrap().deployment;
    let mut variant = deployed.variants[0].clone();
    variant.weight = weight;
    variant.resources = Resources { cpu_millis: None, memory_bytes: None, processes: 1 };
    let deployment = Deployment { variants: vec![variant], ..deployed };
    Fleet::new(number, deployment, Timestamp::from_millis(1))
}

#[test]
fn a_fleet_keeps_of_the_one_before_what_was_asked_for() {
    let base = json!({"EndpointName": "e", "EndpointConfigName": "c"});
    let rollout = |kind: &str| {
        json!({"BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": {"Type": kind, "WaitIntervalInSeconds": 0},
            "TerminationWaitInSeconds": 7,
        }})
    };
    let mut current = fleet(1, 0.5);
    let created = create(&with(base.clone(), "/DeploymentConfig", rollout("ALL_AT_ONCE"))).unwrap();
    created.rollout.apply(&mut current);
    assert_eq!(current.termination_wait_seconds, 7);
    current.shares.get_mut("AllTraffic").unwrap().count = 9;
    let updated = |request: Value| {
        let mut next = fleet(2, 1.0);
        update(&request).unwrap().apply(&current, &mut next);
        let share = next.shares["AllTraffic"];
        (share.count, share.weight, next.termination_wait_seconds)
    };
    assert_eq!(updated(base.clone()), (2, 1.0, 0));
    let mut retain = with(base.clone(), "/RetainAllVariantProperties", json!(true));
    assert_eq!(updated(retain.clone()), (9, 0.5, 0));
    let excluded = json!([{"VariantPropertyType": "DesiredWeight"}]);
    retain["ExcludeRetainedVariantProperties"] = excluded.clone();
    retain["RetainDeploymentConfig"] = json!(true);
    assert_eq!(updated(retain), (9, 1.0, 7));
    for (bad, word) in [
        (with(base.clone(), "/ExcludeRetainedVariantProperties", excluded), "RetainAll"),
        (with(base.clone(), "/DeploymentConfig", rollout("CANARY")), "Type CANARY"),
        (
            with(base, "/DeploymentConfig", json!({"AutoRollbackConfiguration": {"Alarms": [1]}})),
            "AutoRollbackConfiguration",
        ),
    ] {
        let said = update(&bad).unwrap_err().to_string();
        assert!(said.contains(word), "{said}");
    }
}

#[test]
fn shares_change_of_variants_that_there_are() {
    let changed = |desired: Value| {
        let request = json!({"EndpointName": "e", "DesiredWeightsAndCapacities": desired});
        let mut fleet = fleet(1, 1.0);
        shares(&request).and_then(|s| s.apply(&mut fleet)).map_err(|e| e.to_string())?;
        Ok::<_, String>((fleet.shares["AllTraffic"].count, fleet.shares["AllTraffic"].weight))
    };
    let one = |name: &str, weight: f64, count: u32| json!({"VariantName": name, "DesiredWeight": weight, "DesiredInstanceCount": count});
    assert_eq!(changed(json!([one("AllTraffic", 3.0, 4)])), Ok((4, 3.0)));
    assert_eq!(changed(json!([{"VariantName": "AllTraffic"}])), Ok((2, 1.0)));
    for (bad, word) in [
        (json!([one("x", 1.0, 1)]), "no variant 'x'"),
        (json!([one("AllTraffic", 0.0, 1)]), "above 0"),
        (json!([one("AllTraffic", 1.0, 0)]), "asynchronous"),
        (json!([one("AllTraffic", 1.0, 1), one("AllTraffic", 1.0, 1)]), "twice"),
    ] {
        let said = changed(bad).unwrap_err();
        assert!(said.contains(word), "{said}");
    }
}
