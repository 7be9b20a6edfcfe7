//! As much of a client as these tests need: signed requests, one a connection.

use belljar_aws::sigv4::{Credentials, sign};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use time::OffsetDateTime;

const REGION: &str = "us-east-1";
/// Longer than any answer takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// One who calls a service.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    host: String,
    credentials: Credentials,
}

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Client {
    /// From what `belljar env` prints.
    pub(crate) fn of_env(text: &str) -> Self {
        let value = |name: &str| {
            let line = text.lines().find_map(|l| l.strip_prefix(&format!("export {name}=")));
            let line = line.unwrap_or_else(|| panic!("no {name} in: {text}"));
            line.trim_matches(['\'', '"']).to_owned()
        };
        let host = value("AWS_ENDPOINT_URL").replace("http://", "");
        let credentials = Credentials {
            access_key: value("AWS_ACCESS_KEY_ID"),
            secret_key: value("AWS_SECRET_ACCESS_KEY"),
            session_token: None,
        };
        Self { host, credentials }
    }

    /// An operation of SageMaker.
    pub(crate) fn sagemaker(&self, operation: &str, input: &Value) -> io::Result<Answer> {
        self.json("sagemaker", &format!("SageMaker.{operation}"), input)
    }

    /// The same, which must succeed.
    pub(crate) fn ask(&self, operation: &str, input: &Value) -> Value {
        self.sagemaker(operation, input).unwrap().value()
    }

    /// An invocation of an endpoint.
    pub(crate) fn invoke(&self, endpoint: &str, body: &str) -> io::Result<Answer> {
        let path = format!("/endpoints/{endpoint}/invocations");
        self.send("POST", &path, "sagemaker", &[], body.as_bytes())
    }

    /// Every message of a job's log streams, stream by stream.
    pub(crate) fn logs(&self, job: &str) -> Vec<Vec<String>> {
        self.streams("/aws/sagemaker/TrainingJobs", &format!("{job}/"))
    }

    /// Every message of the streams of a group that begin so.
    pub(crate) fn streams(&self, group: &str, prefix: &str) -> Vec<Vec<String>> {
        let logs = |operation: &str, input: Value| {
            self.json("logs", &format!("Logs_20140328.{operation}"), &input).unwrap()
        };
        let prefix = json!({"logGroupName": group, "logStreamNamePrefix": prefix});
        let found = logs("DescribeLogStreams", prefix);
        if found.status != 200 {
            // There is no group before the first line.
            return Vec::new();
        }
        let found = found.value();
        let names = found["logStreams"].as_array().unwrap().iter();
        names
            .map(|stream| {
                let mut input = json!({"logGroupName": group, "startFromHead": true,
                    "logStreamName": stream["logStreamName"]});
                let mut all = Vec::new();
                loop {
                    let page = logs("GetLogEvents", input.clone()).value();
                    let events = page["events"].as_array().unwrap();
                    all.extend(events.iter().map(|e| e["message"].as_str().unwrap().to_owned()));
                    if input["nextToken"] == page["nextForwardToken"] {
                        return all;
                    }
                    input["nextToken"] = page["nextForwardToken"].clone();
                }
            })
            .collect()
    }

    fn json(&self, service: &str, target: &str, input: &Value) -> io::Result<Answer> {
        let body = input.to_string();
        let headers = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target)];
        self.send("POST", "/", service, &headers, body.as_bytes())
    }

    /// A request to S3.
    pub(crate) fn s3(&self, method: &str, path: &str) -> Answer {
        self.s3_with(method, path, b"")
    }

    /// The same with a body.
    pub(crate) fn s3_with(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        let hash: String = Sha256::digest(body).iter().map(|b| format!("{b:02x}")).collect();
        self.send(method, path, "s3", &[("x-amz-content-sha256", &hash)], body).unwrap()
    }

    fn send(
        &self,
        method: &str,
        path: &str,
        service: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Answer> {
        let mut request = http::Request::builder().method(method).uri(path);
        request = request.header("host", &self.host);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        let now = OffsetDateTime::now_utc();
        sign(&mut parts, body, &self.credentials, (REGION, service), now).unwrap();
        let mut text = format!("{method} {path} HTTP/1.1\r\n");
        for (name, value) in &parts.headers {
            text.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
        }
        text.push_str(&format!("connection: close\r\ncontent-length: {}\r\n\r\n", body.len()));
        let mut stream = TcpStream::connect(&self.host)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(&[text.as_bytes(), body].concat())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Answer::of(&answer)
    }
}

impl Answer {
    fn of(bytes: &[u8]) -> io::Result<Self> {
        let cut = || io::Error::new(io::ErrorKind::UnexpectedEof, "the answer is cut off");
        let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").ok_or_else(cut)?;
        let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
        let status = head.get(9..12).and_then(|s| s.parse().ok()).ok_or_else(cut)?;
        let rest = &bytes[end + 4..];
        let body = if head.contains("transfer-encoding: chunked") {
            dechunk(rest).ok_or_else(cut)?
        } else {
            rest.to_vec()
        };
        Ok(Self { status, body })
    }

    /// Its JSON, if it is a success.
    pub(crate) fn value(&self) -> Value {
        assert_eq!(self.status, 200, "{}", String::from_utf8_lossy(&self.body));
        serde_json::from_slice(&self.body).unwrap()
    }
}

fn dechunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = rest.windows(2).position(|w| w == b"\r\n")?;
        let size = std::str::from_utf8(&rest[..line]).ok()?.split(';').next()?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        let begin = line + 2;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(begin..begin + size)?);
        rest = rest.get(begin + size + 2..)?;
    }
}
