use super::*;

fn around() -> Surroundings {
    Surroundings {
        machine: Machine { cpu_millis: 4000, memory_bytes: Some(8 << 30) },
        directory: "/tmp".into(),
        default_name: default_name(Timestamp::from_millis(1_795_439_700_123), 7),
    }
}

fn request() -> TrainRequest {
    TrainRequest { image: "digits".into(), output: "out".into(), ..TrainRequest::default() }
}

fn refusal(change: impl FnOnce(&mut TrainRequest)) -> String {
    let mut r = request();
    change(&mut r);
    r.assignment(&around()).unwrap_err().to_string()
}

fn pairs(n: usize) -> Vec<(String, String)> {
    (0..n).map(|i| (format!("k{i}"), "v".to_owned())).collect()
}

#[test]
fn the_smallest_request_is_complete() {
    let a = request().assignment(&around()).unwrap();
    assert!(a.warnings.is_empty());
    let a = a.assignment;
    assert_eq!(a.job.as_str(), "belljar-20261123131500-haaa");
    assert_eq!(a.output, "/tmp/out");
    assert_eq!(a.host.as_str(), "algo-1");
    assert_eq!(a.stop.max_runtime_seconds, 86_400);
    let text = serde_json::to_string(&a).unwrap();
    assert_eq!(serde_json::from_str::<Assignment>(&text).unwrap(), a);
}

#[test]
fn every_limit_of_the_service_model_is_kept_and_named() {
    let twice = vec![("a".to_owned(), "1".to_owned()), ("a".to_owned(), "2".to_owned())];
    let one = |k: &str, v: String| vec![(k.to_owned(), v)];
    let cases = [
        (refusal(|r| r.job_name = Some("a_b".into())), "training job name"),
        (refusal(|r| r.image = " ".into()), "the image"),
        (refusal(|r| r.hyperparameters = pairs(101)), "101 hyperparameters"),
        (refusal(|r| r.hyperparameters = twice.clone()), "'a' is given twice"),
        (refusal(|r| r.hyperparameters = one("k", "v".repeat(2501))), "2501 bytes"),
        (refusal(|r| r.hyperparameters = one(&"k".repeat(257), String::new())), "257 bytes"),
        (refusal(|r| r.environment = pairs(101)), "101 environment variables"),
        (refusal(|r| r.environment = one("1A", String::new())), "'1A'"),
        (refusal(|r| r.environment = one("A-B", String::new())), "'A-B'"),
        (refusal(|r| r.environment = one("A", "v".repeat(513))), "513 bytes"),
        (refusal(|r| r.environment = twice.clone()), "environment variable 'a'"),
        (refusal(|r| r.inputs = pairs(21)), "21 channels"),
        (refusal(|r| r.inputs = one("..", ".".into())), "channel name"),
        (refusal(|r| r.inputs = one("x", "ftp://x/y".into())), "'ftp://x/y'"),
        (refusal(|r| r.entrypoint = vec!["x".into(); 101]), "101 entrypoint"),
        (refusal(|r| r.entrypoint = vec![String::new()]), "first argument"),
        (refusal(|r| r.arguments = vec!["x".repeat(257)]), "257 bytes"),
        (refusal(|r| r.arguments = vec!["a\0b".into()]), "NUL"),
        (refusal(|r| r.metrics = pairs(41)), "41 metrics"),
        (refusal(|r| r.metrics = one("loss", "loss=.*".into())), "no group"),
        (refusal(|r| r.max_runtime = Some("0s".into())), "0 s"),
        (refusal(|r| r.max_runtime = Some("29d".into())), "outside"),
        (refusal(|r| r.max_runtime = Some("soon".into())), "maximum runtime"),
    ];
    for (said, expected) in cases {
        assert!(said.contains(expected), "{said:?} does not name {expected:?}");
    }
}

#[test]
fn the_largest_request_passes() {
    let mut r = request();
    r.hyperparameters = pairs(100);
    r.environment = pairs(100);
    r.arguments = vec!["x".repeat(256); 100];
    r.inputs = (0..20).map(|i| (format!("c{i}"), ".".to_owned())).collect();
    r.metrics = (0..40).map(|i| (format!("m{i}"), "(.)".to_owned())).collect();
    r.max_runtime = Some("28d".into());
    assert!(r.assignment(&around()).is_ok());
}

#[test]
fn a_channel_twice_is_refused() {
    let said = refusal(|r| {
        r.inputs = vec![("a".into(), ".".into()), ("a".into(), ".".into())];
    });
    assert_eq!(said, "channel 'a' is given twice");
}
