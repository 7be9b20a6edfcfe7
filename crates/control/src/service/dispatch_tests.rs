//! Requests over a socket, signed as clients sign them.

use super::*;
use crate::api::testing::Tested;
use crate::serving::Table;
use crate::serving::testing::{Fake, Got, instance, routes, say, variant};
use belljar_aws::sigv4::{Credentials, sign};
use belljar_domain::proxy::Proxied;
use belljar_vpc::id::EndpointId;
use belljar_vpc::network::{Endpoint, EndpointKind};
use http::StatusCode;
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

/// A service, and a client's connection to it.
struct Scene {
    tested: Arc<Tested>,
    client: SendRequest<Full<Bytes>>,
    credentials: Credentials,
}

impl Scene {
    async fn new(fake: &Fake) -> Self {
        let mut tested = Tested::new().await;
        // The times of earnest: a machine that is busy takes long for the largest payload.
        tested.service.endpoints = Table::default();
        let here = instance("i-1", vec![fake.container("primary")]);
        tested.service.endpoints.set("e", Some(routes(vec![variant("v", 1.0, vec![here])])));
        let id = tested.caller.access_key_id.clone();
        let key = tested.service.db().read(|c| identity::find_key(c, &id)).unwrap().unwrap();
        let secret_key = key.secret.expose().to_owned();
        let credentials = Credentials { access_key: id, secret_key, session_token: None };
        let tested = Arc::new(tested);
        let client = connect(tested.clone()).await;
        Self { tested, client, credentials }
    }

    fn request(&self, operation: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
        let (uri, body) = (format!("/endpoints/e/{operation}"), body.into());
        let request = Request::post(uri).header("host", "localhost").header("x-y", "z").body(());
        let (mut parts, ()) = request.unwrap().into_parts();
        let now = datetime(self.tested.service.now());
        sign(&mut parts, &body, &self.credentials, ("us-east-1", "sagemaker"), now).unwrap();
        Request::from_parts(parts, Full::new(body))
    }

    async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> (StatusCode, http::HeaderMap, Bytes) {
        if self.client.ready().await.is_err() {
            self.client = connect(self.tested.clone()).await;
        }
        let (parts, body) = self.client.send_request(request).await.unwrap().into_parts();
        (parts.status, parts.headers, body.collect().await.unwrap().to_bytes())
    }
}

async fn connect(tested: Arc<Tested>) -> SendRequest<Full<Bytes>> {
    connect_by(tested, None).await
}

/// By a VPC endpoint, or by none.
async fn connect_by(tested: Arc<Tested>, proxied: Option<Proxied>) -> SendRequest<Full<Bytes>> {
    let way = Arc::new(Way { secure: false, proxied });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (far, _) = listener.accept().await.unwrap();
    near.set_nodelay(true).unwrap();
    far.set_nodelay(true).unwrap();
    let answer = service_fn(move |request| {
        let (tested, way) = (tested.clone(), way.clone());
        async move { Ok::<_, Infallible>(answer(&tested.service, request, &way).await) }
    });
    let server = hyper::server::conn::http1::Builder::new();
    tokio::spawn(server.serve_connection(TokioIo::new(far), answer));
    let (client, driver) = http1::handshake(TokioIo::new(near)).await.unwrap();
    tokio::spawn(driver);
    client
}

fn echo(got: &Got, stream: &mut TcpStream) -> bool {
    say(stream, 200, "content-type: a/b\r\n", &got.body)
}

#[tokio::test]
async fn a_payload_of_any_size_goes_through_as_it_is() {
    let fake = Fake::new(echo);
    let mut scene = Scene::new(&fake).await;
    let most = crate::serving::MAX_BODY;
    for size in [0, 1, 1 << 10, 1 << 20, most] {
        let body: Vec<u8> = (0..size).map(|n| u8::try_from(n % 251).unwrap()).collect();
        let request = scene.request("invocations", body.clone());
        let (status, headers, answer) = scene.send(request).await;
        assert_eq!((status, answer.len()), (StatusCode::OK, size));
        assert!(answer == body && headers["content-type"] == "a/b");
        assert!(headers.contains_key("x-amzn-requestid"));
    }
    let (status, ..) = {
        let request = scene.request("invocations", vec![0; most + 1]);
        scene.send(request).await
    };
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(fake.got().len(), 5);
    let endpoints = &scene.tested.service.endpoints;
    for budget in [&endpoints.requests, &endpoints.answers] {
        assert_eq!(budget.available_permits(), crate::serving::MAX_BODIES);
    }
}

#[tokio::test]
async fn nothing_reaches_a_container_that_is_not_signed() {
    let fake = Fake::new(echo);
    let mut scene = Scene::new(&fake).await;
    let other = scene.request("invocations", "hello").map(|_| Full::from("hellp"));
    let (status, _, body) = scene.send(other).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "{body:?}");
    let mut bare = scene.request("invocations", "hello");
    bare.headers_mut().remove("authorization");
    bare.headers_mut().insert("host", "runtime.sagemaker.us-east-1.amazonaws.com".parse().unwrap());
    assert_eq!(scene.send(bare).await.0, StatusCode::FORBIDDEN);
    let good = scene.request("invocations", "hello");
    assert_eq!(scene.send(good).await.0, StatusCode::OK);
    let id = scene.credentials.access_key.clone();
    scene.tested.service.db().write(move |c| identity::revoke_key(c, &id)).await.unwrap();
    let revoked = scene.request("invocations", "hello");
    assert_eq!(scene.send(revoked).await.0, StatusCode::FORBIDDEN);
    assert_eq!(fake.got().len(), 1);
}

#[tokio::test]
async fn who_has_no_key_gets_no_room() {
    let fake = Fake::new(echo);
    let mut scene = Scene::new(&fake).await;
    let budget = scene.tested.service.endpoints.requests.clone();
    let _all = budget.try_acquire_many_owned(u32::try_from(crate::serving::MAX_BODIES).unwrap());
    scene.credentials.access_key = "AKIAIOSFODNN7EXAMPLE".into();
    let request = scene.request("invocations", vec![0; 100 << 10]);
    let (status, _, body) = scene.send(request).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(String::from_utf8_lossy(&body).contains("security token"), "{body:?}");
}

#[tokio::test]
async fn a_stream_is_named_and_chunked() {
    let fake = Fake::new(echo);
    let mut scene = Scene::new(&fake).await;
    let request = scene.request("invocations-response-stream", "hello");
    let (status, headers, body) = scene.send(request).await;
    assert_eq!(
        (status, &headers["x-amzn-sagemaker-content-type"]),
        (StatusCode::OK, &"a/b".parse().unwrap())
    );
    assert!(headers.contains_key("x-amzn-requestid") && !headers.contains_key("content-length"));
    assert!(body.windows(5).any(|part| part == b"hello"));
}

#[tokio::test]
async fn what_is_no_invocation_is_told_so() {
    let fake = Fake::new(echo);
    let mut scene = Scene::new(&fake).await;
    for (operation, wanted) in [("async-invocations", 400), ("other", 404)] {
        let request = scene.request(operation, "");
        assert_eq!(scene.send(request).await.0.as_u16(), wanted, "{operation}");
    }
    assert!(fake.got().is_empty());
}

#[tokio::test]
async fn large_payloads_wait_until_there_is_room() {
    let fake = Fake::new(echo);
    let mut scene = Scene::new(&fake).await;
    let budget = scene.tested.service.endpoints.requests.clone();
    let all = u32::try_from(budget.available_permits()).unwrap();
    let held = budget.try_acquire_many_owned(all).unwrap();
    let small = scene.request("invocations", "hello");
    assert_eq!(scene.send(small).await.0, StatusCode::OK);
    let large = scene.request("invocations", vec![0; 1 << 20]);
    let sent = scene.send(large);
    tokio::pin!(sent);
    let waited = tokio::time::timeout(Duration::from_millis(100), &mut sent).await;
    assert!(waited.is_err());
    drop(held);
    assert_eq!(sent.await.0, StatusCode::OK);
}

/// A VPC endpoint of this service, with this policy.
async fn endpoint(tested: &Tested, service: &str, policy: Option<&str>) -> Proxied {
    let id: EndpointId = "vpce-1".parse().unwrap();
    let (at, service) = (id.clone(), format!("com.amazonaws.us-east-1.{service}"));
    let policy = policy.map(str::to_owned);
    let made = tested.service.network.edit(move |draft| {
        let vpc = draft.vpcs.keys().next().cloned().unwrap();
        let kind = EndpointKind::Gateway { route_tables: [].into() };
        draft.endpoints.insert(at, Arc::new(Endpoint { vpc, service, kind, policy }));
        Ok(())
    });
    made.await.unwrap();
    let (source, destination) = (([10, 0, 1, 10], 4711).into(), ([52, 216, 0, 1], 443).into());
    Proxied { source, destination, endpoint: id }
}

#[tokio::test]
async fn an_endpoint_answers_for_its_own_service_and_as_its_policy_allows() {
    let only_e = r#"{"Statement": [{"Effect": "Allow", "Principal": "*",
        "Action": "sagemaker:InvokeEndpoint", "Resource": "arn:aws:sagemaker:*:*:endpoint/e"}]}"#;
    let only_f = only_e.replace("endpoint/e", "endpoint/f");
    let from = r#"{"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "*",
        "Resource": "*", "Condition": {"IpAddress": {"aws:VpcSourceIp": "10.0.1.0/24"}}}]}"#;
    let fake = Fake::new(echo);
    let scene = Scene::new(&fake).await;
    for (service, policy, status, says) in [
        ("sagemaker.runtime", None, 200, ""),
        ("sagemaker.runtime", Some(only_e), 200, ""),
        ("sagemaker.runtime", Some(from), 200, ""),
        (
            "sagemaker.runtime",
            Some(&*only_f),
            400,
            "no VPC endpoint policy allows the sagemaker:InvokeEndpoint action",
        ),
        ("sagemaker.api", None, 403, "does not serve sagemaker-runtime"),
        ("s3", None, 403, "does not serve sagemaker-runtime"),
    ] {
        let proxied = endpoint(&scene.tested, service, policy).await;
        let mut client = connect_by(scene.tested.clone(), Some(proxied)).await;
        let answer = client.send_request(scene.request("invocations", "x")).await.unwrap();
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body = String::from_utf8_lossy(&body);
        assert!(parts.status == status && body.contains(says), "{service}: {parts:?} {body}");
    }
    // One that is deleted leads nowhere.
    let mut proxied = endpoint(&scene.tested, "sagemaker.runtime", None).await;
    proxied.endpoint = "vpce-2".parse().unwrap();
    let mut client = connect_by(scene.tested.clone(), Some(proxied)).await;
    let answer = client.send_request(scene.request("invocations", "x")).await.unwrap();
    assert_eq!(answer.status(), 403);
}
