use super::*;

fn minimal() -> Value {
    json!({
        "TrainingJobName": "Job-1",
        "AlgorithmSpecification": {"TrainingImage": "digits", "TrainingInputMode": "File"},
        "RoleArn": "arn:aws:iam::123456789012:role/x",
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/out"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
    })
}

fn accept(request: Value) -> Result<AcceptedJob, String> {
    let mirrors = ["ecr.example.com=other.example.com".parse().unwrap()];
    let place = Place {
        region: "eu-west-1",
        account: "000000000000",
        machine: Machine { cpu_millis: 2000, memory_bytes: Some(64 << 30) },
        nodes: false,
        mirrors: &mirrors,
        best_effort_limits: true,
    };
    training_job(request, &place).map_err(|e| e.to_string())
}

/// The minimal request with one member set, by a pointer.
fn with(pointer: &str, value: Value) -> Value {
    let mut request = minimal();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    request.pointer_mut(parent).unwrap()[name] = value;
    request
}

fn channel(name: &str, uri: &str) -> Value {
    json!({
        "ChannelName": name,
        "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri}},
    })
}

#[test]
fn the_smallest_request_is_complete() {
    let job = accept(minimal()).unwrap();
    let a = &job.assignment;
    assert_eq!(a.job_arn, "arn:aws:sagemaker:eu-west-1:000000000000:training-job/job-1");
    assert_eq!((a.generation, a.instance_type.as_str()), (0, "ml.m5.large"));
    assert_eq!(a.notices, [open_notice(false, false).unwrap()]);
    assert!(job.too_large.is_empty());
    let shown = &job.definition.request;
    assert_eq!(shown["StoppingCondition"], json!({"MaxRuntimeInSeconds": 86_400}));
    assert_eq!(shown["EnableNetworkIsolation"], json!(false));
    assert_eq!(shown["ResourceConfig"], minimal()["ResourceConfig"]);
}

#[test]
fn all_that_is_honoured_arrives() {
    let mut request = minimal();
    request["EnableNetworkIsolation"] = json!(true);
    request["HyperParameters"] = json!({"a": "1"});
    request["Environment"] = json!({"A": "b"});
    request["Tags"] = json!([{"Key": "k", "Value": "v"}]);
    request["RetryStrategy"] = json!({"MaximumRetryAttempts": 3});
    request["CheckpointConfig"] = json!({"S3Uri": "s3://bucket/c"});
    request["StoppingCondition"] =
        json!({"MaxRuntimeInSeconds": 60, "MaxPendingTimeInSeconds": 7200});
    request["OutputDataConfig"]["CompressionType"] = json!("NONE");
    request["AlgorithmSpecification"] = json!({
        "TrainingImage": "ecr.example.com/x:1",
        "TrainingInputMode": "Pipe",
        "MetricDefinitions": [{"Name": "loss", "Regex": "loss=(.*?);"}],
        "ContainerEntrypoint": ["/e"],
        "ContainerArguments": ["a", "b"],
    });
    let mut piped = channel("p", "s3://bucket/p");
    piped["CompressionType"] = json!("Gzip");
    piped["RecordWrapperType"] = json!("RecordIO");
    piped["ShuffleConfig"] = json!({"Seed": 7});
    let mut files = channel("f", "s3://bucket/f");
    files["InputMode"] = json!("File");
    files["ContentType"] = json!("text/csv");
    request["InputDataConfig"] = json!([piped, files]);
    let job = accept(request).unwrap();
    let a = job.assignment;
    assert_eq!(a.image, "other.example.com/x:1");
    assert_eq!((a.entrypoint.len(), a.arguments.len(), a.metrics.len()), (1, 2, 1));
    assert_eq!(a.channels[0].input_mode, InputMode::Pipe);
    assert_eq!(a.channels[0].shuffle_seed, Some(7));
    assert_eq!(a.channels[1].input_mode, InputMode::File);
    assert_eq!(a.channels[1].content_type.as_deref(), Some("text/csv"));
    assert_eq!(a.stop.max_runtime_seconds, 60);
    assert_eq!(a.checkpoints.unwrap().local_path, "/opt/ml/checkpoints");
    assert!(a.notices.is_empty());
    assert_eq!((job.definition.retries, job.definition.max_pending_seconds), (3, Some(7200)));
    assert_eq!(job.tags["k"], "v");
    assert!(job.definition.request.get("Tags").is_none());
}

fn group(name: &str, count: u32) -> Value {
    json!({"InstanceGroupName": name, "InstanceType": "ml.m5.large", "InstanceCount": count})
}

fn for_group(name: &str) -> Value {
    let mut channel = channel("grouped", "s3://bucket/g");
    channel["DataSource"]["S3DataSource"]["InstanceGroupNames"] = json!([name]);
    channel
}

#[test]
fn several_instances_are_numbered_and_get_their_channels() {
    let mut request = with("/EnableInterContainerTrafficEncryption", json!(true));
    request["ResourceConfig"] =
        json!({"InstanceGroups": [group("a", 1), group("b", 2)], "VolumeSizeInGB": 1});
    let mut sharded = channel("sharded", "s3://bucket/s");
    sharded["DataSource"]["S3DataSource"]["S3DataDistributionType"] = json!("ShardedByS3Key");
    request["InputDataConfig"] = json!([sharded, for_group("b")]);
    let job = accept(request.clone()).unwrap().assignment;
    assert!(job.cluster.as_ref().unwrap().encrypted);
    assert_eq!((job.host.as_str(), job.group.as_str()), ("algo-1", "a"));
    let last = job.of_instance(&"algo-3".parse().unwrap()).unwrap();
    assert_eq!((last.group.as_str(), last.channels.len()), ("b", 2));
    assert_eq!(last.channels[0].shard.map(|s| (s.index, s.count)), Some((2, 3)));
    assert_eq!(job.of_instance(&job.host).unwrap().channels.len(), 1);

    request["ResourceConfig"] = json!({"InstanceGroups": [group("b", 1)], "VolumeSizeInGB": 1});
    let alone = accept(request).unwrap().assignment;
    assert!(alone.cluster.is_none(), "one instance has no peers");
    assert_eq!(alone.group, "b");
}

#[test]
fn a_type_that_is_too_large_is_told_first() {
    let job = accept(with("/ResourceConfig/InstanceType", json!("ml.c5.2xlarge"))).unwrap();
    assert!(job.assignment.notices[0].starts_with("ml.c5.2xlarge has 8 vCPUs"));
    assert_eq!(job.too_large.len(), 1);
    assert_eq!(job.assignment.resources.cpu_millis, Some(2000));
}

#[test]
fn a_client_cannot_make_the_service_read_files() {
    for image in [
        "oci:/etc",
        "oci-archive:/x",
        "docker-archive:/x.tar",
        "docker-daemon:x",
        "dir:/x",
        "/x",
        "./x",
        "../x",
        "docker://oci:/x",
        "file:///x",
        "a b",
        "x\n",
        "https://x/y",
        "~/x",
    ] {
        let said = accept(with("/AlgorithmSpecification/TrainingImage", json!(image))).unwrap_err();
        assert!(said.contains("TrainingImage"), "{image}: {said}");
    }
    for image in ["x", "x:1", "docker://r.example.com:5000/a/b@sha256:00", "localhost:5000/x"] {
        assert!(
            accept(with("/AlgorithmSpecification/TrainingImage", json!(image))).is_ok(),
            "{image}"
        );
    }
    for uri in ["/etc", "file:///etc", "etc", "https://b.s3.amazonaws.com/x", "s3://", "s3:///x"] {
        for said in [
            accept(with("/OutputDataConfig/S3OutputPath", json!(uri))),
            accept(with("/CheckpointConfig", json!({"S3Uri": uri}))),
            accept(with("/InputDataConfig", json!([channel("train", uri)]))),
        ] {
            assert!(said.unwrap_err().contains("give s3://bucket/prefix"), "{uri}");
        }
    }
}

#[test]
fn what_is_wrong_is_named() {
    let mut twice = minimal();
    twice["InputDataConfig"] =
        json!([channel("a", "s3://bucket/a"), channel("a", "s3://bucket/a")]);
    let mut zipped = channel("a", "s3://bucket/a");
    zipped["CompressionType"] = json!("Gzip");
    let mut none = minimal();
    none["AlgorithmSpecification"] = json!({"TrainingInputMode": "File"});
    for (request, expected) in [
        (twice, "channel 'a' is given twice"),
        (with("/InputDataConfig", json!([zipped])), "Pipe mode only"),
        (none, "AlgorithmSpecification.TrainingImage is required."),
        (with("/ResourceConfig", json!(null)), "ResourceConfig is required."),
        (with("/ResourceConfig/InstanceCount", json!(21)), "1 to 20 instances"),
        (with("/ResourceConfig/InstanceCount", json!(0)), "1 to 20 instances"),
        (
            with("/ResourceConfig/InstanceGroups", json!([group("a", 1)])),
            "InstanceGroups cannot be given together with InstanceType.",
        ),
        (
            with("/ResourceConfig", json!({"InstanceGroups": [group("a", 1), group("a", 1)]})),
            "'a' is given twice",
        ),
        (with("/InputDataConfig", json!([for_group("b")])), "instance group 'b'"),
        (
            with("/VpcConfig", json!({"Subnets": ["a"], "SecurityGroupIds": ["b"]})),
            "InvalidSubnetID.Malformed",
        ),
        (with("/ResourceConfig/InstanceType", json!("ml.zz.large")), "'ml.zz.large'"),
        (with("/StoppingCondition", json!({"MaxRuntimeInSeconds": 3_000_000})), "maximum runtime"),
        (
            with("/CheckpointConfig", json!({"S3Uri": "s3://bucket/x", "LocalPath": "/proc"})),
            "/proc",
        ),
        (with("/HyperParameters", json!({"a": "\u{0}"})), "NUL"),
        (with("/Tags", json!([{"Key": "a", "Value": ""}, {"Key": "a", "Value": ""}])), "tag 'a'"),
    ] {
        let said = accept(request).unwrap_err();
        assert!(said.contains(expected), "{said:?} does not say {expected:?}");
    }
}
