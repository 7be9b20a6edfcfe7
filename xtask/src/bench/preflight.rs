//! How soon a job that its VPC would not let work is failed: CreateTrainingJob, and
//! DescribeTrainingJob with its reason.

use super::client::{Call, Endpoint};
use super::fixture;
use super::sample::Samples;
use super::server::Server;
use super::table::{Against, Row};
use super::{Bench, Measured};
use serde_json::{Value, json};
use std::time::Instant;

const RUNS: usize = 100;
/// What one may take, in milliseconds.
const LIMIT_MS: f64 = 20.0;

pub(super) fn measure(bench: &Bench) -> Measured {
    let server = Server::belljar(bench, &bench.state_with_noop("preflight")?)?;
    let endpoint = &server.endpoint;
    fixture::bucket(endpoint)?;
    let role = fixture::role(endpoint)?;
    let config = default_vpc(endpoint)?;
    let mut ours = Samples::default();
    for run in 0..RUNS {
        let name = format!("preflight-{run}");
        let mut job = fixture::training_job(&name, &role, &["exit", "0"]);
        job["VpcConfig"] = config.clone();
        let began = Instant::now();
        fixture::sagemaker(endpoint, "CreateTrainingJob", &job)?;
        let asked = json!({ "TrainingJobName": name });
        let described = fixture::sagemaker(endpoint, "DescribeTrainingJob", &asked)?;
        ours.push(began.elapsed().as_secs_f64() * 1000.0);
        // The default VPC leads to the internet, and an instance has no public address there.
        let reason = described["FailureReason"].as_str().unwrap_or_default();
        if !reason.contains("IGW_PUBLIC_IP_ASSOCIATION_FOR_EGRESS") {
            return Err(format!("the job {name} is {described}"));
        }
    }
    let against = Against::Limit(LIMIT_MS);
    Ok(vec![Row { what: "preflight: failed and told", unit: "ms", ours, against }])
}

/// A subnet and a group of the default VPC.
fn default_vpc(endpoint: &Endpoint) -> Result<Value, String> {
    let first = |action: &str, tag: &str, filter: &str| {
        let form = format!("Action={action}&Version=2016-11-15{filter}");
        let answer = endpoint.call(&Call::form("ec2", &form))?;
        let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
        let inside = answer.split_once(&open).and_then(|(_, rest)| rest.split_once(&close));
        inside.map(|(id, _)| id.to_owned()).ok_or(format!("{action} answers {answer}"))
    };
    let subnet = first("DescribeSubnets", "subnetId", "")?;
    let group = first("DescribeSecurityGroups", "groupId", "&GroupName.1=default")?;
    Ok(json!({ "Subnets": [subnet], "SecurityGroupIds": [group] }))
}
