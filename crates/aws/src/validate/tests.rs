use super::*;
use crate::Service;
use serde_json::json;

fn job() -> Value {
    json!({
        "TrainingJobName": "a-job",
        "RoleArn": "arn:aws:iam::123456789012:role/r",
        "AlgorithmSpecification": { "TrainingImage": "i", "TrainingInputMode": "File" },
        "OutputDataConfig": { "S3OutputPath": "s3://b/o" },
        "ResourceConfig": {
            "InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10 },
        "StoppingCondition": { "MaxRuntimeInSeconds": 60 },
        "HyperParameters": { "epochs": "3" },
        "InputDataConfig": [{ "ChannelName": "train", "DataSource": { "S3DataSource": {
            "S3DataType": "S3Prefix", "S3Uri": "s3://b/t" } } }],
    })
}

fn refusal(change: impl FnOnce(&mut Value)) -> String {
    let operation = Service::SageMaker.model().operation("CreateTrainingJob").unwrap();
    let mut job = job();
    change(&mut job);
    validate(operation, &job).map_or_else(|error| error.message, |()| String::new())
}

#[test]
fn a_good_request_passes() {
    assert_eq!(refusal(|_| {}), "");
}

#[test]
fn what_is_missing_is_null() {
    let message = refusal(|job| {
        job.as_object_mut().unwrap().remove("RoleArn");
        job["OutputDataConfig"] = json!({});
    });
    assert_eq!(
        message,
        "2 validation errors detected: Value null at 'outputDataConfig.s3OutputPath' failed to \
         satisfy constraint: Member must not be null; Value null at 'roleArn' failed to satisfy \
         constraint: Member must not be null"
    );
}

#[test]
fn patterns_lengths_and_numbers_are_worded_as_aws_does() {
    assert_eq!(
        refusal(|job| job["TrainingJobName"] = json!("a_b")),
        "1 validation error detected: Value 'a_b' at 'trainingJobName' failed to satisfy \
         constraint: Member must satisfy regular expression pattern: \
         [a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}"
    );
    assert_eq!(
        refusal(|job| job["StoppingCondition"]["MaxRuntimeInSeconds"] = json!(0)),
        "1 validation error detected: Value '0' at 'stoppingCondition.maxRuntimeInSeconds' failed \
         to satisfy constraint: Member must have value greater than or equal to 1"
    );
    assert_eq!(
        refusal(|job| job["VpcConfig"] = json!({ "SecurityGroupIds": [], "Subnets": ["subnet-1"] })),
        "1 validation error detected: Value '[]' at 'vpcConfig.securityGroupIds' failed to satisfy \
         constraint: Member must have length greater than or equal to 1"
    );
}

#[test]
fn values_of_enumerations_are_listed() {
    let message = refusal(|job| {
        job["InputDataConfig"][0]["InputMode"] = json!("Sideways");
    });
    assert_eq!(
        message,
        "1 validation error detected: Value 'Sideways' at 'inputDataConfig.1.member.inputMode' \
         failed to satisfy constraint: Member must satisfy enum value set: [Pipe, File, FastFile]"
    );
}

#[test]
fn maps_and_lists_of_scalars_are_shown_as_a_whole() {
    let message = refusal(|job| job["HyperParameters"]["epochs"] = json!("x".repeat(2501)));
    let rule = "failed to satisfy constraint: Map value must satisfy constraint: [Member must have \
                length less than or equal to 2500, Member must have length greater than or equal \
                to 0, Member must satisfy regular expression pattern: .*]";
    assert!(message.starts_with("1 validation error detected: Value '{epochs=xxx"), "{message}");
    assert!(message.ends_with(&format!("' at 'hyperParameters' {rule}")), "{message}");
    let message = refusal(|job| {
        job["AlgorithmSpecification"]["ContainerEntrypoint"] = json!(["x".repeat(300)]);
    });
    assert!(message.contains("Member must satisfy constraint: [Member must have length"));
}

#[test]
fn messages_have_an_end() {
    let message = refusal(|job| {
        let channel = json!({ "ChannelName": "a b".repeat(400) });
        job["InputDataConfig"] = Value::Array(vec![channel; 20]);
    });
    assert!(message.starts_with("20+ validation errors detected: "), "{message}");
    assert!(message.len() < 2 * limits::SHOWN * limits::VIOLATIONS, "{}", message.len());
    let message = refusal(|job| job["TrainingJobName"] = json!("line\nline \u{1b}[2J"));
    assert!(!message.contains(['\n', '\u{1b}']), "{message}");
}

#[test]
fn answers_must_be_of_the_model() {
    let operation = Service::SageMaker.model().operation("CreateTrainingJob").unwrap();
    let arn = "arn:aws:sagemaker:us-east-1:123456789012:training-job/a";
    assert_eq!(check_output(operation, &json!({ "TrainingJobArn": arn })), Ok(()));
    for wrong in [
        json!({}),
        json!({ "TrainingJobArn": 1 }),
        json!({ "TrainingJobArn": arn, "More": 1 }),
        json!({ "TrainingJobArn": "arn:no" }),
        json!([]),
    ] {
        check_output(operation, &wrong).unwrap_err();
    }
    let stop = Service::SageMaker.model().operation("StopTrainingJob").unwrap();
    assert_eq!(check_output(stop, &json!({})), Ok(()));
    check_output(stop, &json!({ "A": 1 })).unwrap_err();
}

#[test]
fn the_code_is_the_services() {
    let code = |service: Service, name: &str, input: Value| {
        let operation = service.model().operation(name).unwrap();
        validate(operation, &input).unwrap_err().code
    };
    assert_eq!(code(Service::SageMaker, "StopTrainingJob", json!({})), "ValidationException");
    assert_eq!(code(Service::Logs, "CreateLogGroup", json!({})), "InvalidParameterException");
    assert_eq!(code(Service::Iam, "GetRole", json!({})), "ValidationError");
}
