use super::answer;
use crate::api::testing::Tested;
use crate::serving::testing::*;
use crate::serving::{Instance, Limits, Routes};
use belljar_aws::{AwsError, Service as Aws};
use belljar_domain::endpoint::Asynchronous;
use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

async fn tested(limits: Limits, instances: Vec<Arc<Instance>>) -> Tested {
    let mut tested = Tested::new().await;
    tested.service.endpoints = table_within(limits, instances);
    tested
}

async fn on(fake: &Fake) -> Tested {
    within(KEPT, fake).await
}

async fn within(limits: Limits, fake: &Fake) -> Tested {
    tested(limits, vec![instance("i-1", vec![fake.container("primary")])]).await
}

async fn call(
    t: &Tested,
    operation: &str,
    mut input: Value,
    headers: &[(&str, &str)],
    body: &'static str,
) -> Result<Response<crate::service::Body>, AwsError> {
    input["EndpointName"] = json!("e");
    input["Body"] = json!("");
    let model = Aws::SageMakerRuntime.model().operation(operation).unwrap();
    belljar_aws::validate(model, &input).unwrap();
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(http::HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
    }
    answer(&t.service, operation, input, &map, Bytes::from_static(body.as_bytes())).await
}

/// An error, which must be one that the model has.
async fn refused(t: &Tested, input: Value) -> AwsError {
    let e = call(t, "InvokeEndpoint", input, &[], "x").await.unwrap_err();
    let response = belljar_aws::encode_error(Aws::SageMakerRuntime, &e, "id");
    assert_eq!(response.status().as_u16(), e.status);
    assert!(e.message.chars().count() <= 2048);
    e
}

#[tokio::test]
async fn what_reaches_the_container_and_what_comes_back() {
    let fake = Fake::new(|got, stream| {
        let head = "content-type: a/b\r\nx-amzn-sagemaker-custom-attributes: out\r\nserver: x\r\n";
        say(stream, 200, head, &got.body)
    });
    let t = on(&fake).await;
    let sent = [
        ("content-type", "text/csv"),
        ("accept", "application/json"),
        ("x-amzn-sagemaker-custom-attributes", "in"),
        ("x-amzn-sagemaker-inference-id", "id-1"),
        ("authorization", "AWS4-HMAC-SHA256 secret"),
        ("cookie", "a=b"),
        ("x-amz-security-token", "t"),
        ("host", "runtime.sagemaker"),
    ];
    let response = call(&t, "InvokeEndpoint", json!({}), &sent, "hello").await.unwrap();
    let told = |name: &str| response.headers().get(name).map(|v| v.to_str().unwrap().to_owned());
    assert_eq!(told("content-type").as_deref(), Some("a/b"));
    assert_eq!(told("x-amzn-invoked-production-variant").as_deref(), Some("v"));
    assert_eq!(told("x-amzn-sagemaker-custom-attributes").as_deref(), Some("out"));
    assert_eq!(response.headers().len(), 3);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "hello");
    let got = &fake.got()[0];
    let mut names: Vec<_> = got.headers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    let wanted = [
        "accept",
        "content-length",
        "content-type",
        "host",
        "x-amzn-sagemaker-custom-attributes",
        "x-amzn-sagemaker-inference-id",
    ];
    assert_eq!(names, wanted);
    assert_eq!(got.header("host"), Some("localhost:8080"));
}

#[tokio::test]
async fn errors_are_in_the_services_words() {
    let fake = Fake::new(|got, stream| match &*got.body {
        b"x" => say(stream, 500, "", &"ä".repeat(5000).into_bytes()),
        _ => say(stream, 400, "", b"bad \"input\""),
    });
    let t = on(&fake).await;
    let e = refused(&t, json!({})).await;
    assert_eq!((e.status, &*e.code), (424, "ModelError"));
    assert!(e.message.starts_with("Received server error (500) from primary with message \"ää"));
    assert!(e.message.ends_with("ä\". See https://us-east-1.console.aws.amazon.com/cloudwatch/home?region=us-east-1#logEventViewer:group=/aws/sagemaker/Endpoints/e in account 123456789012 for more information."));
    assert_eq!(e.members["OriginalStatusCode"], 500);
    assert_eq!(e.members["OriginalMessage"].as_str().unwrap().chars().count(), 2048);
    let group = "arn:aws:logs:us-east-1:123456789012:log-group:/aws/sagemaker/Endpoints/e";
    assert_eq!(e.members["LogStreamArn"], group);
    let e = call(&t, "InvokeEndpoint", json!({}), &[], "y").await.unwrap_err();
    assert!(e.message.starts_with(
        "Received client error (400) from primary with message \"bad \"input\"\". See"
    ));
    t.service.endpoints.set("e", None);
    let e = refused(&t, json!({})).await;
    assert_eq!((e.status, &*e.code), (400, "ValidationError"));
    assert_eq!(e.message, "Endpoint e of account 123456789012 not found.");
}

#[tokio::test]
async fn a_time_out_and_nobody_there_are_told_apart() {
    let fake = Fake::new(|_, _| {
        std::thread::sleep(LIMITS.answer);
        false
    });
    let t = within(SHORT, &fake).await;
    let e = refused(&t, json!({})).await;
    assert!(e.message.starts_with("Received server error (0) from primary with message \"Your invocation timed out while waiting for a response from container primary. Review the latency metrics for each container in Amazon CloudWatch, resolve the issue, and try again.\""), "{}", e.message);
    assert_eq!((e.status, e.members["OriginalStatusCode"].clone()), (424, json!(0)));
    let t = tested(SHORT, Vec::new()).await;
    let e = refused(&t, json!({})).await;
    assert_eq!((e.status, &*e.code), (503, "ServiceUnavailable"));
}

#[tokio::test]
async fn what_is_not_served_is_refused_by_name() {
    let fake = Fake::new(|_, stream| say(stream, 200, "", b""));
    let t = on(&fake).await;
    for (member, value) in [
        ("EnableExplanations", "x"),
        ("InferenceComponentName", "x"),
        ("SessionId", "NEW_SESSION"),
        ("PrefixAwareId", "x"),
    ] {
        let e = refused(&t, json!({member: value})).await;
        assert_eq!(e.message, format!("Belljar does not serve {member} of invocations."));
    }
    let e = refused(&t, json!({"TargetVariant": "w"})).await;
    assert_eq!((&*e.code, e.message.as_str()), ("ValidationError", "Endpoint e has no variant w."));
    let asynchronous = Some(Asynchronous { output: None, failure: None, concurrent: None });
    t.service.endpoints.set("e", Some(Routes { asynchronous, ..routes(Vec::new()) }));
    assert!(refused(&t, json!({})).await.message.contains("InvokeEndpointAsync"));
    assert!(fake.got().is_empty());
}

const STREAM: &str = "InvokeEndpointWithResponseStream";

/// The headers and payload of each message.
fn messages(mut bytes: &[u8]) -> Vec<(String, String)> {
    let number = |bytes: &[u8]| u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize;
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let (total, head) = (number(bytes), number(&bytes[4..]));
        let text = |range: &[u8]| String::from_utf8_lossy(range).into_owned();
        all.push((text(&bytes[12..12 + head]), text(&bytes[12 + head..total - 4])));
        bytes = &bytes[total..];
    }
    all
}

fn begin(stream: &mut TcpStream) {
    raw(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-type: text/x\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n",
    );
}

#[tokio::test]
async fn a_stream_is_passed_on_as_it_comes() {
    let go = Arc::new(AtomicBool::new(false));
    let going = go.clone();
    let fake = Fake::new(move |got, stream| {
        assert_eq!(got.header("accept"), Some("text/x"));
        begin(stream);
        while !going.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(5));
        }
        raw(stream, "3\r\ntwo\r\n0\r\n\r\n");
        true
    });
    let t = on(&fake).await;
    for _ in 0..2 {
        go.store(false, Ordering::SeqCst);
        let accept = [("x-amzn-sagemaker-accept", "text/x"), ("accept", "none/of-it")];
        let response = call(&t, STREAM, json!({}), &accept, "x").await.unwrap();
        assert_eq!(response.headers()["content-type"], "application/vnd.amazon.eventstream");
        assert_eq!(response.headers()["x-amzn-sagemaker-content-type"], "text/x");
        assert_eq!(response.headers()["x-amzn-invoked-production-variant"], "v");
        let mut body = response.into_body();
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        let part = &messages(&first)[0];
        assert!(part.0.contains("PayloadPart") && part.1 == "one", "{part:?}");
        go.store(true, Ordering::SeqCst);
        let rest = body.collect().await.unwrap().to_bytes();
        assert_eq!(messages(&rest)[0].1, "two");
    }
    assert_eq!(fake.connections.load(Ordering::SeqCst), 1, "the connection is used again");
}

#[tokio::test]
async fn a_stream_that_ends_early_says_why() {
    for (pause, limits, code) in
        [(0, LIMITS, "StreamBroken"), (30_000, SHORT, "ModelInvocationTimeExceeded")]
    {
        let fake = Fake::new(move |_, stream| {
            begin(stream);
            std::thread::sleep(Duration::from_millis(pause));
            false
        });
        let t = within(limits, &fake).await;
        let response = call(&t, STREAM, json!({}), &[], "x").await.unwrap();
        let all = messages(&response.into_body().collect().await.unwrap().to_bytes());
        let (head, body) = all.last().unwrap();
        assert!(head.contains("ModelStreamError") && head.contains("exception"), "{head}");
        let told: Value = serde_json::from_str(body).unwrap();
        assert_eq!(told["ErrorCode"], code);
        let instance = t.service.endpoints.get("e").unwrap().variants[0].instances[0].clone();
        assert_eq!(instance.outstanding(), 0);
    }
}

#[tokio::test]
async fn a_stream_that_does_not_begin_is_an_error_as_any() {
    let fake = Fake::new(|_, stream| say(stream, 503, "", b"busy"));
    let t = on(&fake).await;
    let e = call(&t, STREAM, json!({}), &[], "x").await.unwrap_err();
    assert_eq!((e.status, &*e.code), (424, "ModelError"));
}

#[tokio::test]
async fn a_client_that_goes_takes_the_containers_connection_along() {
    let ended = Arc::new(AtomicBool::new(false));
    let told = ended.clone();
    let fake = Fake::new(move |_, stream| {
        use std::io::Write;
        begin(stream);
        while stream.write_all(b"3\r\ntwo\r\n").is_ok() {
            std::thread::sleep(Duration::from_millis(5));
        }
        told.store(true, Ordering::SeqCst);
        false
    });
    let t = on(&fake).await;
    let response = call(&t, STREAM, json!({}), &[], "x").await.unwrap();
    let instance = t.service.endpoints.get("e").unwrap().variants[0].instances[0].clone();
    assert_eq!(instance.outstanding(), 1);
    drop(response);
    assert_eq!(instance.outstanding(), 0);
    for _ in 0..5000 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        if ended.load(Ordering::SeqCst) {
            return;
        }
    }
    panic!("the container goes on");
}

#[tokio::test]
async fn what_all_answers_hold_has_a_limit_and_is_given_back() {
    let fake = Fake::new(|_, stream| say(stream, 200, "", &vec![7; 1 << 20]));
    let t = within(Limits { wait: SHORT.wait, ..LIMITS }, &fake).await;
    let all = t.service.endpoints.answers.available_permits();
    let response = call(&t, "InvokeEndpoint", json!({}), &[], "x").await.unwrap();
    assert!(t.service.endpoints.answers.available_permits() <= all - (1 << 20) + (64 << 10));
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes().len(), 1 << 20);
    assert_eq!(t.service.endpoints.answers.available_permits(), all);
    let answers = &t.service.endpoints.answers;
    let _held = answers.clone().try_acquire_many_owned(u32::try_from(all).unwrap()).unwrap();
    let e = refused(&t, json!({})).await;
    assert_eq!((e.status, &*e.code), (503, "ServiceUnavailable"));
}
