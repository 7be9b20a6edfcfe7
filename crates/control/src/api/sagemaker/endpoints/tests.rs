use crate::api::testing::Tested;
use belljar_aws::{AwsError, Service as Aws};
use belljar_domain::Timestamp;
use belljar_domain::endpoint::{EndpointProgress, EndpointStatus, Health, Server};
use belljar_store::{StoreError, endpoints, servers};
use serde_json::{Value, json};

struct Scene(Tested);

const ARN: &str = "arn:aws:sagemaker:us-east-1:123456789012";

impl Scene {
    /// A service with a model, two configurations and an endpoint.
    async fn new() -> Self {
        let s = Self(Tested::new().await);
        let container = json!({"Image": "x", "ModelDataUrl": "s3://bucket/m.tar.gz"});
        s.ok("CreateModel", json!({"ModelName": "M", "PrimaryContainer": container})).await;
        for (name, count) in [("one", 1), ("two", 2)] {
            let variant = json!({
                "VariantName": "AllTraffic", "ModelName": "M", "InstanceType": "ml.m5.large",
                "InitialInstanceCount": count,
            });
            let config = json!({"EndpointConfigName": name, "ProductionVariants": [variant]});
            s.ok("CreateEndpointConfig", config).await;
        }
        s.ok("CreateEndpoint", json!({"EndpointName": "E", "EndpointConfigName": "one"})).await;
        s
    }

    async fn call(&self, name: &str, input: Value) -> Result<Value, AwsError> {
        self.0.call(Aws::SageMaker, name, input).await
    }

    async fn ok(&self, name: &str, input: Value) -> Value {
        self.call(name, input).await.unwrap()
    }

    async fn refused(&self, name: &str, input: Value) -> String {
        self.0.refused(Aws::SageMaker, name, input).await.1
    }

    async fn described(&self) -> Value {
        self.ok("DescribeEndpoint", json!({"EndpointName": "E"})).await
    }

    /// As the reconciler does.
    async fn progress(&self, change: impl FnOnce(&mut EndpointProgress) + Send + 'static) {
        let now = Timestamp::from_millis(1_795_439_800_000);
        let write = self.0.service.db().write(move |c| {
            endpoints::update(c, "E", now, |progress| {
                change(progress);
                true
            })
        });
        assert!(write.await.unwrap().is_some());
    }

    async fn in_service(&self) {
        self.progress(|p| {
            p.current = p.next.take().or(p.current.take());
            p.status = EndpointStatus::InService;
        })
        .await;
    }
}

#[tokio::test]
async fn an_endpoint_goes_from_creating_to_deleting() {
    let s = Scene::new().await;
    let e = s.described().await;
    assert_eq!(e["EndpointArn"], format!("{ARN}:endpoint/e"));
    assert_eq!(
        (&e["EndpointStatus"], &e["EndpointConfigName"]),
        (&json!("Creating"), &json!("one"))
    );
    let variant = &e["ProductionVariants"][0];
    assert_eq!(variant["DeployedImages"], json!([{"SpecifiedImage": "x"}]));
    assert_eq!(
        (&variant["CurrentInstanceCount"], &variant["DesiredInstanceCount"]),
        (&json!(0), &json!(1))
    );
    assert_eq!(variant["VariantStatus"][0]["Status"], "Creating");
    let update = json!({"EndpointName": "E", "EndpointConfigName": "two"});
    let busy = format!("Cannot update in-progress endpoint \"{ARN}:endpoint/e\".");
    assert_eq!(s.refused("UpdateEndpoint", update.clone()).await, busy);
    s.in_service().await;
    assert!(s.described().await["ProductionVariants"][0].get("VariantStatus").is_none());
    s.ok("UpdateEndpoint", update.clone()).await;
    assert_eq!(s.refused("UpdateEndpoint", update.clone()).await, busy);
    let e = s.described().await;
    assert_eq!(
        (&e["EndpointStatus"], &e["EndpointConfigName"]),
        (&json!("Updating"), &json!("one"))
    );
    let pending = &e["PendingDeploymentSummary"];
    assert_eq!(pending["EndpointConfigName"], "two");
    assert_eq!(pending["ProductionVariants"][0]["DesiredInstanceCount"], 2);
    assert_eq!(pending["ProductionVariants"][0]["InstanceType"], "ml.m5.large");
    s.in_service().await;
    assert_eq!(s.described().await["EndpointConfigName"], "two");
    s.progress(|p| p.status = EndpointStatus::Failed).await;
    assert!(s.refused("UpdateEndpoint", update).await.contains("only be deleted"));
    for _ in 0..2 {
        s.ok("DeleteEndpoint", json!({"EndpointName": "E"})).await;
    }
    assert_eq!(s.described().await["EndpointStatus"], "Deleting");
}

#[tokio::test]
async fn shares_change_while_it_answers() {
    let s = Scene::new().await;
    let desired = |count: u32| {
        let one = json!({"VariantName": "AllTraffic", "DesiredInstanceCount": count});
        json!({"EndpointName": "E", "DesiredWeightsAndCapacities": [one]})
    };
    let operation = "UpdateEndpointWeightsAndCapacities";
    assert!(s.refused(operation, desired(2)).await.contains("in-progress"));
    s.in_service().await;
    assert!(s.refused(operation, desired(0)).await.contains("asynchronous"));
    s.ok(operation, desired(2)).await;
    let e = s.described().await;
    assert_eq!(e["EndpointStatus"], "Updating");
    assert_eq!(e["ProductionVariants"][0]["DesiredInstanceCount"], 2);
    assert_eq!(e["ProductionVariants"][0]["VariantStatus"][0]["Status"], "Updating");
}

#[tokio::test]
async fn instances_that_answer_are_counted() {
    let s = Scene::new().await;
    let begun = Timestamp::from_millis(5);
    let server = |id: &str| Server {
        id: id.into(),
        endpoint: "E".into(),
        fleet: 1,
        variant: "AllTraffic".into(),
        zone: "z".into(),
        containers: 1,
        tries: 0,
        begun,
        stopping: None,
        role: None,
        isolated: true,
    };
    let container: belljar_domain::Assignment = serde_json::from_value(json!({
        "generation": 1, "job": "i-1-1", "jobArn": "a", "region": "r", "host": "algo-1",
        "instanceType": "x", "image": "x", "output": "/x",
        "resources": {"cpuMillis": null, "memoryBytes": null, "processes": 1},
        "stop": {"maxRuntimeSeconds": 1, "graceSeconds": 1},
    }))
    .unwrap();
    let three = ["i-1", "i-2", "i-3"].map(server);
    let write = s.0.service.db().write(move |c| {
        let health = Health { healthy: true, why: String::new(), at: begun };
        for server in &three {
            servers::record(c, server, std::slice::from_ref(&container))?;
            servers::set_health(c, &server.id, 1, &health)?;
        }
        servers::set_stopping(c, "i-2", begun)?;
        servers::set_health(c, "i-3", 1, &Health { healthy: false, ..health })?;
        Ok::<_, StoreError>(())
    });
    write.await.unwrap();
    assert_eq!(s.described().await["ProductionVariants"][0]["CurrentInstanceCount"], 1);
}

#[tokio::test]
async fn what_is_not_there_is_named_by_its_arn() {
    let s = Scene::new().await;
    for (operation, input, text) in [
        ("DescribeModel", json!({"ModelName": "X"}), "Could not find model \"{}:model/x\""),
        ("DeleteModel", json!({"ModelName": "m"}), "Could not find model \"{}:model/m\""),
        (
            "DeleteEndpointConfig",
            json!({"EndpointConfigName": "X"}),
            "Could not find endpoint configuration \"{}:endpoint-config/x\"",
        ),
        (
            "DeleteEndpoint",
            json!({"EndpointName": "e"}),
            "Could not find endpoint \"{}:endpoint/e\"",
        ),
        (
            "CreateEndpoint",
            json!({"EndpointName": "F", "EndpointConfigName": "X"}),
            "Could not find endpoint configuration \"{}:endpoint-config/x\"",
        ),
        (
            "CreateEndpoint",
            json!({"EndpointName": "e", "EndpointConfigName": "one"}),
            "Cannot create already existing endpoint \"{}:endpoint/e\"",
        ),
        (
            "CreateModel",
            json!({"ModelName": "m", "PrimaryContainer": {"Image": "x"}}),
            "Cannot create already existing model \"{}:model/m\"",
        ),
    ] {
        let said = s.refused(operation, input).await;
        assert_eq!(said, format!("{}.", text.replace("{}", ARN)));
    }
    // A model may go; what was deployed of it stays, and no more is.
    s.ok("DeleteModel", json!({"ModelName": "M"})).await;
    assert_eq!(s.described().await["ProductionVariants"][0]["VariantName"], "AllTraffic");
    let create = json!({"EndpointName": "F", "EndpointConfigName": "one"});
    let said = s.refused("CreateEndpoint", create).await;
    assert_eq!(said, format!("Could not find model \"{ARN}:model/m\"."));
}
