//! Sessions of the service's own STS, by its socket, for a warden's own key.

use super::About;
use super::held::{Session, Source};
use crate::failure::chain;
use crate::journal::now;
use crate::words;
use crate::xml::{element, plain};
use async_trait::async_trait;
use belljar_domain::Timestamp;
use belljar_domain::spool::{KEY_VARIABLE, S3_SOCKET_VARIABLE, SECRET_VARIABLE, SOCKET_VARIABLE};
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, StatusCode};
use hyper_util::rt::TokioIo;
use object_store::aws::{AwsAuthorizer, AwsCredential};
use object_store::client::HttpRequest;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// The service, as seen through its socket. It knows by the signature what is asked of it.
const HOST_NAME: &str = "localhost";
/// What a session of an execution role is called.
const SESSION: &str = "SageMaker";
/// Seconds that it lasts: as long as one of a chain of roles may.
const SECONDS: u32 = 3600;
/// How long the service may take. Whoever asks for keys waits for it.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of an answer.
const MAX_ANSWER: usize = 64 << 10;

/// The way to the service.
pub(super) struct Sts {
    socket: PathBuf,
    key: AwsCredential,
    region: String,
    role_arn: String,
}

impl Sts {
    /// By a warden's environment; `None` if it says nothing of a service. What is said for STS alone
    /// goes before what is said for S3, which may be another's.
    pub(super) fn from_lookup(
        about: &About,
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Option<Self> {
        let get = |name: &str| lookup(name).filter(|v| !v.is_empty());
        let of = |socket, id, secret| Some((get(socket)?, get(id)?, get(secret)?));
        let (socket, key_id, secret_key) = of(SOCKET_VARIABLE, KEY_VARIABLE, SECRET_VARIABLE)
            .or_else(|| of(S3_SOCKET_VARIABLE, "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))?;
        Some(Self {
            socket: socket.into(),
            key: AwsCredential { key_id, secret_key, token: None },
            region: about.region.clone(),
            role_arn: about.role_arn.clone(),
        })
    }

    /// What is sent: `AssumeRole`, signed.
    fn request(&self) -> io::Result<HttpRequest> {
        let role = encoded(&self.role_arn);
        let form = format!(
            "Action=AssumeRole&Version=2011-06-15&RoleArn={role}&RoleSessionName={SESSION}\
             &DurationSeconds={SECONDS}"
        );
        let mut request = HttpRequest::new(form.into());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = format!("http://{HOST_NAME}/").parse().map_err(io::Error::other)?;
        let form = HeaderValue::from_static("application/x-www-form-urlencoded; charset=utf-8");
        request.headers_mut().insert(CONTENT_TYPE, form);
        let authorizer = AwsAuthorizer::new(&self.key, "sts", &self.region);
        authorizer.try_authorize(&mut request, None).map_err(io::Error::other)?;
        request.headers_mut().insert(HOST, HeaderValue::from_static(HOST_NAME));
        *request.uri_mut() = "/".parse().map_err(io::Error::other)?;
        Ok(request)
    }

    async fn ask(&self) -> io::Result<(StatusCode, Bytes)> {
        let stream = words::connect(&self.socket).await?;
        let (mut sender, driver) =
            http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        let talk = async move {
            let answer = sender.send_request(self.request()?).await.map_err(io::Error::other)?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(io::Error::other)?;
            Ok((head.status, body.to_bytes()))
        };
        // How the connection ends, `talk` is told.
        let (said, _) = tokio::join!(talk, driver);
        said
    }
}

#[async_trait]
impl Source for Sts {
    async fn begin(&self) -> Result<Session, String> {
        let asked = tokio::time::timeout(PATIENCE, self.ask()).await;
        let late = |_| io::Error::from(io::ErrorKind::TimedOut);
        let (status, body) = asked
            .map_err(late)
            .and_then(|said| said)
            .map_err(|e| format!("the service does not answer ({})", chain(&e)))?;
        let xml = String::from_utf8_lossy(&body);
        if status != StatusCode::OK {
            let said = element(&xml, "Message").map_or_else(|| status.to_string(), plain);
            return Err(format!("the service refuses them ({said})"));
        }
        session(&xml).ok_or_else(|| "the service's answer cannot be read".to_owned())
    }
}

fn session(xml: &str) -> Option<Session> {
    let text = |name| element(xml, name).map(plain);
    Some(Session {
        key_id: text("AccessKeyId")?,
        secret: text("SecretAccessKey")?,
        token: text("SessionToken")?,
        begun: now(),
        ends: serde_json::from_value::<Timestamp>(text("Expiration")?.into()).ok()?,
    })
}

/// As forms have it: all but what is never anything else.
fn encoded(text: &str) -> String {
    let one = |byte: u8| match byte {
        b if b.is_ascii_alphanumeric() || b"-._~".contains(&b) => char::from(b).to_string(),
        b => format!("%{b:02X}"),
    };
    text.bytes().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about() -> About {
        About::new("arn:aws:iam::1:role/a/r".into(), "us-east-1".into())
    }

    #[test]
    fn the_service_is_the_one_of_the_environment() {
        let sts = |pairs: &[(&str, &str)]| {
            let find = |n: &str| pairs.iter().find(|(k, _)| *k == n).map(|(_, v)| (*v).to_owned());
            Sts::from_lookup(&about(), find).map(|s| (s.socket, s.key.key_id))
        };
        let s3 = [
            (S3_SOCKET_VARIABLE, "/s3"),
            ("AWS_ACCESS_KEY_ID", "AKIA1"),
            ("AWS_SECRET_ACCESS_KEY", "x"),
        ];
        assert_eq!(sts(&s3), Some(("/s3".into(), "AKIA1".into())));
        // An S3 elsewhere has keys of its own, which are nothing to the service.
        assert_eq!(sts(&s3[1..]), None);
        let own = [(SOCKET_VARIABLE, "/own"), (KEY_VARIABLE, "AKIA2"), (SECRET_VARIABLE, "y")];
        let both: Vec<_> = s3[1..].iter().chain(&own).copied().collect();
        assert_eq!(sts(&both), Some(("/own".into(), "AKIA2".into())));
        assert_eq!(sts(&[]), None);
    }

    #[test]
    fn answers_are_read() {
        let xml = "<AssumeRoleResponse><AssumeRoleResult><Credentials>\
            <AccessKeyId>ASIA</AccessKeyId><SecretAccessKey>a/b+c</SecretAccessKey>\
            <SessionToken>t</SessionToken><Expiration>2026-11-23T13:15:00Z</Expiration>\
            </Credentials></AssumeRoleResult></AssumeRoleResponse>";
        let read = session(xml).unwrap();
        assert_eq!((&*read.key_id, &*read.secret, &*read.token), ("ASIA", "a/b+c", "t"));
        assert_eq!(read.ends.millis(), 1_795_439_700_000);
        assert!(session(&xml.replace("Expiration", "Other")).is_none());
        assert_eq!(encoded("arn:aws:iam::1:role/a+b"), "arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fa%2Bb");
    }
}
