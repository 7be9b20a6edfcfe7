//! What golden copies hold of endpoints.

use crate::async_requests::{self, AsyncRequest};
use crate::records::{self, Kind, Record};
use crate::{endpoints, servers};
use belljar_domain::Timestamp;
use belljar_domain::endpoint::{Endpoint, EndpointProgress, Health};
use rusqlite::Connection;
use serde_json::{Value, from_value, json};
use std::collections::BTreeMap;

const ENDPOINT: &str = "Digits";
const SERVER: &str = "i-0123456789abcdef0";
const RESOURCES: &str = r#"{"cpuMillis":2000,"memoryBytes":8589934592,"processes":4096}"#;

fn resources() -> Value {
    serde_json::from_str(RESOURCES).unwrap()
}

fn progress() -> EndpointProgress {
    from_value(json!({
        "status": "InService",
        "current": {
            "number": 3,
            "deployment": {
                "config": "digits",
                "variants": [{
                    "name": "AllTraffic", "model": "digits", "instanceType": "ml.m5.large",
                    "containers": [{
                        "name": "primary", "image": "digits", "specifiedImage": "digits",
                        "environment": {"A": "b"},
                        "model": {"uri": "s3://bucket/model.tar.gz", "form": "archive"},
                        "models": null,
                    }],
                    "resources": resources(), "count": 1, "weight": 0.5,
                    "downloadSeconds": 900, "startupSeconds": 480,
                }],
                "asynchronous": {"output": "s3://bucket/out", "failure": null, "concurrent": 4},
            },
            "shares": {"AllTraffic": {"count": 2, "weight": 0.5}},
            "since": Timestamp::from_millis(1_795_439_700_123),
        },
        "next": null,
    }))
    .unwrap()
}

fn assignment() -> Value {
    json!({
        "generation": 1, "job": format!("{SERVER}-1"), "jobArn": "arn", "region": "us-east-1",
        "host": "algo-1", "instanceType": "ml.m5.large", "image": "digits", "output": "/evidence",
        "resources": resources(), "stop": {"maxRuntimeSeconds": 60, "graceSeconds": 30},
        "serving": {
            "endpoint": ENDPOINT, "variant": "AllTraffic", "container": "primary",
            "bindToPort": null, "models": null, "downloadSeconds": 900, "startupSeconds": 480,
            "model": {"uri": "s3://bucket/model.tar.gz", "form": "archive"},
        },
    })
}

/// An endpoint with one server and one request.
pub(super) fn fill(c: &Connection, now: Timestamp) {
    let tags: BTreeMap<_, _> = [("k".to_owned(), "v".to_owned())].into();
    let arn = |kind: &str| format!("arn:aws:sagemaker:us-east-1:123456789012:{kind}/digits");
    for (kind, of) in [(Kind::Model, "model"), (Kind::EndpointConfig, "endpoint-config")] {
        let request = json!({"Tested": of});
        let record = Record { name: "digits".into(), arn: arn(of), created: now, request };
        records::create(c, kind, &record, &tags).unwrap();
    }
    let (name, arn) = (ENDPOINT.to_owned(), arn("endpoint"));
    let endpoint = Endpoint { name, arn, created: now, modified: now, progress: progress() };
    endpoints::create(c, &endpoint, &tags).unwrap();
    let server = json!({
        "id": SERVER, "endpoint": ENDPOINT, "fleet": 3, "variant": "AllTraffic",
        "zone": "us-east-1a", "containers": 1, "tries": 0, "begun": now,
    });
    let container = from_value(assignment()).unwrap();
    servers::record(c, &from_value(server).unwrap(), &[container]).unwrap();
    let health = Health { healthy: true, why: String::new(), at: now };
    servers::set_health(c, SERVER, 1, &health).unwrap();
    let request = json!({
        "id": "00ff", "endpoint": ENDPOINT, "input": "s3://bucket/in",
        "output": "s3://bucket/out/00ff.out", "failure": null,
        "headers": {"contentType": "text/csv", "accept": null, "customAttributes": null},
        "inferenceId": "x", "created": now, "expires": now, "timeoutSeconds": 900,
    });
    async_requests::enqueue(c, &from_value(request).unwrap()).unwrap();
}

/// Reads what [`fill`] wrote.
pub(super) fn check(c: &Connection) {
    for (kind, of) in [(Kind::Model, "model"), (Kind::EndpointConfig, "endpoint-config")] {
        let record = records::get(c, kind, "digits").unwrap().unwrap();
        assert_eq!(record.request, json!({"Tested": of}));
    }
    assert_eq!(endpoints::get(c, ENDPOINT).unwrap().unwrap().progress, progress());
    let servers = servers::of_endpoint(c, ENDPOINT).unwrap();
    let containers = servers::containers(c, &servers[0].id).unwrap();
    assert_eq!(containers[0].assignment, from_value(assignment()).unwrap());
    assert!(containers[0].health.as_ref().unwrap().healthy);
    assert_eq!(async_requests::count(c, ENDPOINT).unwrap().queued, 1);
    let text = "SELECT request FROM async_request";
    let text: String = c.query_row(text, [], |row| row.get(0)).unwrap();
    assert_eq!(serde_json::from_str::<AsyncRequest>(&text).unwrap().timeout_seconds, 900);
}
