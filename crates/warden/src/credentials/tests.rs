//! Both addresses over a loopback, as clients ask them.

use super::held::tests::{Script, lasting};
use super::*;
use std::sync::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

struct Scene {
    served: Option<Served>,
    container: SocketAddr,
    metadata: SocketAddr,
}

async fn scene(script: Vec<Result<held::Session, String>>) -> Scene {
    let about = About {
        role_arn: "arn:aws:iam::123456789012:role/service-role/Train".into(),
        region: "us-east-1".into(),
        zone: Some("us-east-1a".into()),
        instance_type: Some("ml.m5.large".into()),
        address: Some([10, 0, 1, 10].into()),
        mac: Some("02:00:00:00:00:01".into()),
    };
    let answers = Answers::new(&about, Script(Mutex::new(script))).unwrap();
    let listen = || TcpListener::bind("127.0.0.1:0");
    let (container, metadata) = (listen().await.unwrap(), listen().await.unwrap());
    let (at, of) = (container.local_addr().unwrap(), metadata.local_addr().unwrap());
    Scene { served: Some(start(answers, container, metadata)), container: at, metadata: of }
}

/// The status and the whole of an answer; the connection is closed after it.
async fn ask(at: SocketAddr, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream.write_all(request.replace('\n', "\r\n").as_bytes()).await.unwrap();
    let mut all = String::new();
    stream.read_to_string(&mut all).await.unwrap();
    let status = all.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    (status, all)
}

async fn get(at: SocketAddr, path: &str, token: &str) -> (u16, String) {
    let head = format!("GET {path} HTTP/1.1\nHost: x\nX-aws-ec2-metadata-token: {token}\n\n");
    let (status, all) = ask(at, &head).await;
    (status, all.split_once("\r\n\r\n").unwrap().1.to_owned())
}

async fn token(scene: &Scene) -> String {
    let head = "PUT /latest/api/token HTTP/1.1\nHost: x\n\
                X-aws-ec2-metadata-token-ttl-seconds: 60\nContent-Length: 0\n\n";
    let (status, all) = ask(scene.metadata, head).await;
    assert_eq!(status, 200);
    assert!(all.contains("x-aws-ec2-metadata-token-ttl-seconds: 60"), "{all}");
    all.split_once("\r\n\r\n").unwrap().1.to_owned()
}

#[tokio::test]
async fn the_container_finds_its_keys_where_its_environment_says() {
    let scene = scene(vec![Ok(lasting("ASIA1", 3600))]).await;
    let environment = scene.served.as_ref().unwrap().environment();
    let [(name, uri)] = &environment[..] else { panic!("{environment:?}") };
    assert_eq!(name, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    let id = uri.strip_prefix("/v2/credentials/").unwrap();
    assert!(id.len() == 36 && id.as_bytes()[14] == b'4', "{id}");
    let (status, body) = get(scene.container, uri, "").await;
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(status, 200);
    assert_eq!(body["AccessKeyId"], "ASIA1");
    assert_eq!(body["RoleArn"], "arn:aws:iam::123456789012:role/service-role/Train");
    assert!(body["Expiration"].as_str().unwrap().ends_with("Z") && body["Token"] == "token");
    for path in ["/", "/v2/credentials/", &uri[..uri.len() - 1], "/v2/metadata"] {
        assert_eq!(get(scene.container, path, "").await.0, 404, "{path}");
    }
    let (status, _) = ask(scene.container, &format!("POST {uri} HTTP/1.1\nHost: x\n\n")).await;
    assert_eq!(status, 405);
}

#[tokio::test]
async fn metadata_are_for_those_who_have_a_token() {
    let scene = scene(vec![Ok(lasting("ASIA1", 3600))]).await;
    let at = scene.metadata;
    let keys = "/latest/meta-data/iam/security-credentials/Train";
    for path in ["/latest/meta-data/", keys, "/latest/nothing"] {
        assert_eq!(get(at, path, "").await.0, 401);
        assert_eq!(get(at, path, "AAAA").await.0, 401);
    }
    let token = token(&scene).await;
    let listing = get(at, "/latest/meta-data/", &token).await;
    let names = "iam/\ninstance-type\nlocal-ipv4\nmac\nplacement/";
    assert_eq!(listing, (200, names.to_owned()));
    let role = get(at, "/latest/meta-data/iam/security-credentials/", &token).await;
    assert_eq!(role, (200, "Train".to_owned()));
    let (status, body) = get(at, keys, &token).await;
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (status, &body["Code"], &body["Type"]),
        (200, &"Success".into(), &"AWS-HMAC".into())
    );
    for path in ["/", "/latest/nothing", "/latestmeta-data/mac", "/2021-01-03/meta-data/mac"] {
        assert_eq!(get(at, path, &token).await.0, 404, "{path}");
    }
    let put = |more: &str| format!("PUT /latest/api/token HTTP/1.1\nHost: x\n{more}\n");
    let ttl = "X-aws-ec2-metadata-token-ttl-seconds: 60\n";
    assert_eq!(ask(at, &put("")).await.0, 400);
    assert_eq!(ask(at, &put(&ttl.replace("60", "21601"))).await.0, 400);
    assert_eq!(ask(at, &put(&format!("{ttl}{ttl}"))).await.0, 400);
    assert_eq!(ask(at, &put(&format!("{ttl}X-Forwarded-For: 10.0.0.1\n"))).await.0, 403);
    assert_eq!(ask(at, "GET /latest/api/token HTTP/1.1\nHost: x\n\n").await.0, 405);
}

#[tokio::test]
async fn keys_that_cannot_be_had_are_an_error_that_says_why() {
    let scene = scene(vec![Err("the service refuses them".into())]).await;
    let uri = scene.served.as_ref().unwrap().environment()[0].1.clone();
    let (status, body) = get(scene.container, &uri, "").await;
    assert_eq!(status, 500);
    assert!(body.contains("cannot be had: the service refuses them"), "{body}");
}

#[tokio::test]
async fn heads_are_bounded_and_all_ends_with_the_value() {
    let mut scene = scene(Vec::new()).await;
    let long = format!("GET / HTTP/1.1\nHost: x\nX: {}\n\n", "x".repeat(MAX_HEAD));
    assert_eq!(ask(scene.container, &long).await.0, 431);
    // More than are talked with at once: those that say nothing are left, the others wait for them.
    let mut silent = TcpStream::connect(scene.container).await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    drop(scene.served.take());
    let mut rest = Vec::new();
    let _ =
        tokio::time::timeout(Duration::from_secs(20), silent.read_to_end(&mut rest)).await.unwrap();
    assert!(rest.is_empty());
    assert!(TcpStream::connect(scene.container).await.is_err());
}
