//! What measurements of the service need to be there: a bucket, a role, training jobs.

use super::client::{Call, Endpoint};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// The bucket of every measurement.
pub(crate) const BUCKET: &str = "bench";
/// No job of a measurement takes this long.
const PATIENCE: Duration = Duration::from_secs(120);

/// Makes the bucket.
pub(crate) fn bucket(endpoint: &Endpoint) -> Result<(), String> {
    endpoint.call(&Call::s3("PUT", &format!("/{BUCKET}"), Vec::new())).map(drop)
}

/// Makes a role that SageMaker may assume, and answers its ARN.
pub(crate) fn role(endpoint: &Endpoint) -> Result<String, String> {
    let form = "Action=CreateRole&Version=2010-05-08&RoleName=bench&AssumeRolePolicyDocument=\
                %7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%7B%22Effect%22%3A\
                %22Allow%22%2C%22Principal%22%3A%7B%22Service%22%3A%22sagemaker.amazonaws.com\
                %22%7D%2C%22Action%22%3A%22sts%3AAssumeRole%22%7D%5D%7D";
    let answer = endpoint.call(&Call::form("iam", form))?;
    let arn = answer.split_once("<Arn>").and_then(|(_, rest)| rest.split_once("</Arn>"));
    arn.map(|(arn, _)| arn.to_owned()).ok_or(format!("CreateRole answers {answer}"))
}

/// The input of CreateTrainingJob for a job that runs the probe of the image `noop`.
pub(crate) fn training_job(name: &str, role: &str, arguments: &[&str]) -> Value {
    json!({
        "TrainingJobName": name,
        "AlgorithmSpecification": {
            "TrainingImage": "noop",
            "TrainingInputMode": "File",
            "ContainerArguments": arguments,
        },
        "RoleArn": role,
        "HyperParameters": { "epochs": "10", "learning-rate": "0.1" },
        "OutputDataConfig": { "S3OutputPath": format!("s3://{BUCKET}/output") },
        "ResourceConfig":
            { "InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1 },
        "StoppingCondition": { "MaxRuntimeInSeconds": 600 },
        "EnableNetworkIsolation": true,
    })
}

/// Asks SageMaker.
pub(crate) fn sagemaker(
    endpoint: &Endpoint,
    operation: &str,
    input: &Value,
) -> Result<Value, String> {
    endpoint.json("sagemaker", &format!("SageMaker.{operation}"), input)
}

/// Waits until a job is completed, and answers its description. Another end is an error.
pub(crate) fn completed(endpoint: &Endpoint, name: &str) -> Result<Value, String> {
    let start = Instant::now();
    loop {
        let job = sagemaker(endpoint, "DescribeTrainingJob", &json!({ "TrainingJobName": name }))?;
        match job["TrainingJobStatus"].as_str() {
            Some("Completed") => return Ok(job),
            Some("InProgress") if start.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(10));
            }
            _ => return Err(format!("the job {name} is {job}")),
        }
    }
}

/// `s5cmd`, which comes with `make venv`, as a client of this server.
pub(crate) fn s5cmd(endpoint: &Endpoint) -> Result<Command, String> {
    let program = PathBuf::from(".venv/bin/s5cmd");
    if !program.is_file() {
        return Err(format!("there is no {}: run 'make venv'", program.display()));
    }
    let mut command = Command::new(program);
    command
        .args(["--endpoint-url", &format!("http://{}", endpoint.address), "--log", "error"])
        .env("AWS_ACCESS_KEY_ID", &endpoint.access_key)
        .env("AWS_SECRET_ACCESS_KEY", &endpoint.secret)
        .env("AWS_REGION", &endpoint.region);
    Ok(command)
}
