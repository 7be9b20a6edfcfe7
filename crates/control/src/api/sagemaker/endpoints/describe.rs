//! `DescribeEndpoint`: what was asked for, and how far it is.

use super::super::failed;
use super::super::time::seconds;
use super::healthy::healthy_counts;
use super::{Name, find};
use crate::service::{Caller, Service};
use belljar_aws::AwsError;
use belljar_domain::Timestamp;
use belljar_domain::endpoint::{Asynchronous, Endpoint, EndpointStatus, Fleet, Routing, Variant};
use serde_json::{Map, Value, json};

pub(in super::super) async fn describe(
    service: &Service,
    _: &Caller,
    input: Name,
) -> Result<Value, AwsError> {
    description(service, &find(service, &input.endpoint_name)?)
}

fn description(service: &Service, endpoint: &Endpoint) -> Result<Value, AwsError> {
    let progress = &endpoint.progress;
    let mut all = Map::new();
    let mut set = |name: &str, value: Value| all.insert(name.to_owned(), value);
    set("EndpointName", json!(endpoint.name));
    set("EndpointArn", json!(endpoint.arn));
    set("EndpointStatus", json!(progress.status.as_str()));
    set("CreationTime", json!(seconds(endpoint.created)));
    set("LastModifiedTime", json!(seconds(endpoint.modified)));
    if let Some(reason) = &progress.failure_reason {
        set("FailureReason", json!(reason));
    }
    if let Some(fleet) = progress.shown() {
        set("EndpointConfigName", json!(fleet.deployment.config));
        let doing = doing(progress.status, progress.next.is_some());
        set("ProductionVariants", summaries(service, endpoint, fleet, doing)?);
        if let Some(asynchronous) = &fleet.deployment.asynchronous {
            set("AsyncInferenceConfig", asynchronous_config(asynchronous));
        }
        if let Some(config) = &fleet.deployment_config {
            set("LastDeploymentConfig", config.clone());
        }
    }
    if let (Some(_), Some(next)) = (&progress.current, &progress.next) {
        let mut variants = summaries(service, endpoint, next, Some("Creating"))?;
        for (variant, summary) in
            next.deployment.variants.iter().zip(variants.as_array_mut().into_iter().flatten())
        {
            summary["InstanceType"] = json!(variant.instance_type);
        }
        set(
            "PendingDeploymentSummary",
            json!({
                "EndpointConfigName": next.deployment.config,
                "ProductionVariants": variants,
                "StartTime": seconds(next.since),
            }),
        );
    }
    Ok(Value::Object(all))
}

/// What is done to the variants that are shown.
fn doing(status: EndpointStatus, next: bool) -> Option<&'static str> {
    match status {
        EndpointStatus::Creating => Some("Creating"),
        // The next fleet's are on their way, and these stay as they are.
        EndpointStatus::Updating => (!next).then_some("Updating"),
        EndpointStatus::Deleting => Some("Deleting"),
        EndpointStatus::InService | EndpointStatus::Failed => None,
    }
}

fn summaries(
    service: &Service,
    endpoint: &Endpoint,
    fleet: &Fleet,
    doing: Option<&str>,
) -> Result<Value, AwsError> {
    let healthy = healthy_counts(service, &endpoint.name, fleet.number).map_err(|e| failed(&e))?;
    let summary = |variant: &Variant| {
        let share = fleet.shares.get(&variant.name);
        let (count, weight) =
            share.map_or((variant.count, variant.weight), |s| (s.count, s.weight));
        let mut summary = json!({
            "VariantName": variant.name,
            "DeployedImages": variant.containers.iter().map(image).collect::<Value>(),
            "CurrentWeight": weight,
            "DesiredWeight": weight,
            "CurrentInstanceCount": healthy.get(&variant.name).copied().unwrap_or(0),
            "DesiredInstanceCount": count,
            "RoutingConfig": {"RoutingStrategy": routing(variant.routing)},
        });
        if let Some(doing) = doing {
            let since = since(endpoint, fleet, doing);
            summary["VariantStatus"] = json!([{"Status": doing, "StartTime": seconds(since)}]);
        }
        summary
    };
    Ok(fleet.deployment.variants.iter().map(summary).collect())
}

fn since(endpoint: &Endpoint, fleet: &Fleet, doing: &str) -> Timestamp {
    if doing == "Creating" { fleet.since } else { endpoint.modified }
}

fn image(container: &belljar_domain::endpoint::Container) -> Value {
    json!({"SpecifiedImage": container.specified_image})
}

fn routing(routing: Routing) -> &'static str {
    match routing {
        Routing::LeastOutstanding => "LEAST_OUTSTANDING_REQUESTS",
        Routing::Random => "RANDOM",
    }
}

fn asynchronous_config(asynchronous: &Asynchronous) -> Value {
    let mut config = json!({"OutputConfig": {}});
    if let Some(output) = &asynchronous.output {
        config["OutputConfig"]["S3OutputPath"] = json!(output);
    }
    if let Some(failure) = &asynchronous.failure {
        config["OutputConfig"]["S3FailurePath"] = json!(failure);
    }
    if let Some(concurrent) = asynchronous.concurrent {
        config["ClientConfig"] = json!({"MaxConcurrentInvocationsPerInstance": concurrent});
    }
    config
}
