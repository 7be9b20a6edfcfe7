//! A service from its start to its end, over TCP and its unix socket, with requests that are
//! signed by hand.

#![expect(clippy::unwrap_used, reason = "a test ends at what goes wrong")]

use belljar_aws::sigv4::{Credentials, sign};
use belljar_control::local::Warden;
use belljar_control::machine::Machine;
use belljar_control::service::{self, Capacity, Config, Ready, ServiceError, root_key};
use belljar_domain::Timestamp;
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, SystemTime};
use time::OffsetDateTime;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap())
}

fn config(state: &Path) -> Config {
    Config {
        require_isolation: false,
        state: state.to_owned(),
        listen: "127.0.0.1:0".parse().unwrap(),
        region: "us-east-1".into(),
        account: "123456789012".into(),
        zones: vec!["us-east-1a".into()],
        capacity: Capacity::Strict,
        outside_s3: None,
        mirrors: Vec::new(),
        warden: Warden { program: "/nonexistent".into(), environment: Vec::new() },
        machine: Machine { cpu_millis: 1000, memory_bytes: Some(1 << 30) },
        check_answers: true,
        now,
    }
}

struct Running {
    ready: Ready,
    stop: oneshot::Sender<()>,
    end: JoinHandle<Result<(), ServiceError>>,
    credentials: Credentials,
}

async fn start(state: &Path) -> Running {
    let (stop, stopped) = oneshot::channel::<()>();
    let (ready, told) = oneshot::channel();
    let config = config(state);
    let end = tokio::spawn(service::run(
        config,
        async {
            let _ = stopped.await;
        },
        move |at| ready.send(at.clone()).unwrap(),
    ));
    let ready = told.await.unwrap();
    let key = root_key(state).unwrap();
    let credentials = Credentials {
        access_key: key.id.clone(),
        secret_key: key.secret().to_owned(),
        session_token: None,
    };
    Running { ready, stop, end, credentials }
}

impl Running {
    fn host(&self) -> &str {
        self.ready.address.endpoint.strip_prefix("http://").unwrap()
    }

    /// A signed request's bytes.
    fn request(&self, operation: &str, body: &str) -> Vec<u8> {
        let request = http::Request::builder()
            .method("POST")
            .uri("/")
            .header("host", self.host())
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", format!("SageMaker.{operation}"))
            .body(())
            .unwrap();
        let (mut parts, ()) = request.into_parts();
        let at = OffsetDateTime::now_utc();
        let scope = ("us-east-1", "sagemaker");
        sign(&mut parts, body.as_bytes(), &self.credentials, scope, at).unwrap();
        let mut text = "POST / HTTP/1.1\r\n".to_owned();
        for (name, value) in &parts.headers {
            text.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
        }
        text.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
        text.into_bytes()
    }

    async fn tcp(&self) -> TcpStream {
        TcpStream::connect(self.host()).await.unwrap()
    }

    async fn call(&self, operation: &str, input: Value) -> (u16, Value) {
        let mut stream = self.tcp().await;
        ask(&mut stream, &self.request(operation, &input.to_string())).await
    }
}

/// Sends a request and reads the answer: its status, and its body as JSON.
async fn ask(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), request: &[u8]) -> (u16, Value) {
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&answer).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|l| l.strip_prefix("content-length: "));
            if body.len() == length.map_or(0, |l| l.parse::<usize>().unwrap()) {
                assert!(head.contains("\r\nx-amzn-requestid: "), "{head}");
                let status = head[9..12].parse().unwrap();
                return (status, serde_json::from_str(body).unwrap_or(Value::Null));
            }
        }
        assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0, "cut off: {text}");
    }
}

fn job(name: &str, instance_type: &str) -> Value {
    json!({
        "TrainingJobName": name,
        "AlgorithmSpecification": {"TrainingImage": "x", "TrainingInputMode": "File"},
        "RoleArn": "arn:aws:iam::123456789012:role/BelljarExecutionRole",
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/out"},
        "ResourceConfig": {"InstanceType": instance_type, "InstanceCount": 1, "VolumeSizeInGB": 1},
    })
}

#[tokio::test]
async fn a_job_that_does_not_fit_fails_at_once_and_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(dir.path()).await;
    let arn = "arn:aws:sagemaker:us-east-1:123456789012:training-job/large";
    let (status, answer) = running.call("CreateTrainingJob", job("large", "ml.m5.24xlarge")).await;
    assert_eq!((status, answer), (200, json!({"TrainingJobArn": arn})));
    let Running { stop, end, .. } = running;
    stop.send(()).unwrap();
    end.await.unwrap().unwrap();
    let again = start(dir.path()).await;
    assert!(!again.ready.first_start);
    let (_, seen) = again.call("DescribeTrainingJob", json!({"TrainingJobName": "large"})).await;
    assert_eq!(seen["TrainingJobStatus"], "Failed", "{seen}");
    let reason = seen["FailureReason"].as_str().unwrap();
    assert!(reason.starts_with("CapacityError: ml.m5.24xlarge has 96 vCPUs"), "{reason}");
    let (status, _) = again.call("DeleteTrainingJob", json!({"TrainingJobName": "large"})).await;
    assert_eq!(status, 200);
    let (_, listed) = again.call("ListTrainingJobs", json!({})).await;
    assert_eq!(listed, json!({"TrainingJobSummaries": []}));
}

#[tokio::test]
async fn the_unix_socket_is_the_same_service() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(dir.path()).await;
    let mut stream = UnixStream::connect(dir.path().join("service/socket")).await.unwrap();
    // Two requests on one connection.
    for _ in 0..2 {
        let (status, answer) = ask(&mut stream, &running.request("ListTrainingJobs", "{}")).await;
        assert_eq!((status, answer), (200, json!({"TrainingJobSummaries": []})));
    }
}

/// Connections that say something and then nothing, as many as come about at once.
async fn silent<S: AsyncWrite + Unpin>(
    count: usize,
    first: &[u8],
    connect: impl AsyncFn() -> std::io::Result<S>,
) -> Vec<S> {
    let mut all = Vec::new();
    while all.len() < count {
        let connected = tokio::time::timeout(Duration::from_millis(200), connect()).await;
        let Ok(Ok(mut stream)) = connected else { break };
        // It may be closed already.
        let _ = stream.write_all(first).await;
        all.push(stream);
    }
    all
}

#[tokio::test]
async fn whoever_takes_all_connections_keeps_nobody_out() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(dir.path()).await;
    let unix = || UnixStream::connect(dir.path().join("service/socket"));
    let request = running.request("ListTrainingJobs", "{}");
    let limit = Duration::from_secs(5);
    // Over TCP, as any user of the machine can.
    let held = silent(800, b"", async || TcpStream::connect(running.host()).await).await;
    let mut stream = unix().await.unwrap();
    let answered = tokio::time::timeout(limit, ask(&mut stream, &request)).await;
    assert_eq!(answered.unwrap().0, 200);
    drop(held);
    // By an endpoint, or by none, as containers can.
    let held = silent(1100, &belljar_domain::proxy::LOCAL, async || unix().await).await;
    let mut stream = unix().await.unwrap();
    let answered = tokio::time::timeout(limit, ask(&mut stream, &request)).await;
    assert_eq!(answered.unwrap().0, 200);
    let mut stream = running.tcp().await;
    let answered = tokio::time::timeout(limit, ask(&mut stream, &request)).await;
    assert_eq!(answered.unwrap().0, 200);
    // Another container's warden, or a command's, is another process.
    let mut other = std::process::Command::new(std::env::current_exe().unwrap());
    other.args(["--ignored", "--exact", "another_process"]);
    other.env(OTHER_SOCKET, dir.path().join("service/socket"));
    other.env(OTHER_REQUEST, String::from_utf8(request).unwrap());
    let ended = tokio::task::spawn_blocking(move || other.output().unwrap()).await.unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stdout));
    drop(held);
}

const OTHER_SOCKET: &str = "BELLJAR_TEST_SOCKET";
const OTHER_REQUEST: &str = "BELLJAR_TEST_REQUEST";

#[test]
#[ignore = "it is started by another test"]
fn another_process() {
    use std::io::{Read, Write};
    let Ok(socket) = std::env::var(OTHER_SOCKET) else { return };
    let mut stream = std::os::unix::net::UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream.write_all(&belljar_domain::proxy::LOCAL).unwrap();
    stream.write_all(std::env::var(OTHER_REQUEST).unwrap().as_bytes()).unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
}

#[tokio::test]
async fn what_is_too_long_or_not_signed_is_refused_in_the_services_shape() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(dir.path()).await;
    let long = format!("{{\"NameContains\":\"{}\"}}", "x".repeat(2 << 20));
    let mut stream = running.tcp().await;
    let head = running.request("ListTrainingJobs", &long);
    // The head alone says how long it is: no body is waited for.
    let (status, answer) = ask(&mut stream, &head[..2048.min(head.len())]).await;
    assert_eq!((status, &answer["__type"]), (413, &json!("RequestEntityTooLarge")));
    let mut stream = running.tcp().await;
    let mut request = running.request("ListTrainingJobs", "{}");
    let length = request.len();
    request[length - 1] = b' ';
    let (status, answer) = ask(&mut stream, &request).await;
    assert_eq!((status, &answer["__type"]), (400, &json!("InvalidSignatureException")), "{answer}");
}

#[tokio::test]
async fn the_end_waits_for_nobody_who_is_silent() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(dir.path()).await;
    let mut idle = running.tcp().await;
    let (status, _) = ask(&mut idle, &running.request("ListTrainingJobs", "{}")).await;
    assert_eq!(status, 200);
    assert!(matches!(
        service::run(config(dir.path()), std::future::pending(), |_| ()).await,
        Err(ServiceError::Open(_))
    ));
    let Running { stop, end, .. } = running;
    stop.send(()).unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(30), end).await;
    ended.expect("an idle connection does not keep it").unwrap().unwrap();
    assert_eq!(idle.read(&mut [0]).await.unwrap(), 0);
    for gone in ["socket", "address.json"] {
        assert!(!dir.path().join("service").join(gone).exists(), "{gone} stays");
    }
    start(dir.path()).await;
}
