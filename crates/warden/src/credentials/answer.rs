//! Requests and answers at both addresses.

use super::held::{Held, Source};
use super::metadata::{Found, Tree, keys, seconds};
use super::tokens::Tokens;
use super::{About, CredentialsError};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Response, StatusCode};
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Value, json};
use std::fmt::Write;

/// Before the container's own part of the path (ECS Developer Guide, "Task IAM role").
const CREDENTIALS: &str = "/v2/credentials/";
/// The version of the metadata that there is.
const LATEST: &str = "/latest";
const TOKEN: &str = "/api/token";
const TOKEN_HEADER: &str = "x-aws-ec2-metadata-token";
const TTL_HEADER: &str = "x-aws-ec2-metadata-token-ttl-seconds";

/// Which of the two addresses was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Container,
    Metadata,
}

/// All that is known.
pub(super) struct Answers {
    uri: String,
    role_arn: String,
    held: Held,
    tree: Tree,
    tokens: Tokens,
}

type Answer = Response<Full<Bytes>>;

impl Answers {
    pub(super) fn new(about: &About, source: impl Source) -> Result<Self, CredentialsError> {
        let none = || CredentialsError::Role(about.role_arn.clone());
        let (account, role) = parts_of(&about.role_arn).ok_or_else(none)?;
        let id = random_uuid().ok_or(CredentialsError::NoRandomness)?;
        Ok(Self {
            uri: format!("{CREDENTIALS}{id}"),
            role_arn: about.role_arn.clone(),
            held: Held::new(source),
            tree: Tree::new(about, account, role),
            tokens: Tokens::new().ok_or(CredentialsError::NoRandomness)?,
        })
    }

    /// The path of the container's credentials.
    pub(super) fn uri(&self) -> &str {
        &self.uri
    }

    pub(super) async fn answer(&self, place: Place, head: &Parts) -> Answer {
        match place {
            Place::Container => self.container(head).await,
            Place::Metadata => self.metadata(head).await,
        }
    }

    async fn container(&self, head: &Parts) -> Answer {
        if !same(head.uri.path(), &self.uri) {
            return text(StatusCode::NOT_FOUND, "there is nothing here");
        }
        if head.method != Method::GET {
            return not_allowed("GET");
        }
        match self.held.get().await {
            Ok(session) => json_of(&json!({
                "RoleArn": self.role_arn,
                "AccessKeyId": session.key_id,
                "SecretAccessKey": session.secret,
                "Token": session.token,
                "Expiration": seconds(session.ends),
            })),
            Err(why) => none(&why),
        }
    }

    async fn metadata(&self, head: &Parts) -> Answer {
        let Some(path) = head.uri.path().strip_prefix(LATEST) else {
            return text(StatusCode::NOT_FOUND, "there is nothing here but /latest");
        };
        if path == TOKEN {
            return self.token(head);
        }
        let token = word(&head.headers, TOKEN_HEADER);
        if !token.is_some_and(|token| self.tokens.is_valid(token)) {
            let why = "a token is needed, of PUT /latest/api/token (IMDSv2)";
            return text(StatusCode::UNAUTHORIZED, why);
        }
        if head.method != Method::GET {
            return not_allowed("GET");
        }
        // `/latestmeta-data` is none of it.
        let found = (path.is_empty() || path.starts_with('/')).then(|| self.tree.find(path));
        match found.flatten() {
            Some(Found::Text(found)) => text(StatusCode::OK, &found),
            Some(Found::Json(found)) => said(StatusCode::OK, "application/json", found.to_owned()),
            Some(Found::Keys) => match self.held.get().await {
                Ok(session) => json_of(&keys(&session)),
                Err(why) => none(&why),
            },
            None => text(StatusCode::NOT_FOUND, "there is nothing here"),
        }
    }

    fn token(&self, head: &Parts) -> Answer {
        if head.method != Method::PUT {
            return not_allowed("PUT");
        }
        // Whoever passes requests on for others is not to get a token for them.
        if head.headers.contains_key("x-forwarded-for") {
            return text(StatusCode::FORBIDDEN, "a token is not given to a proxy");
        }
        let seconds = word(&head.headers, TTL_HEADER).unwrap_or_default();
        let Some(token) = self.tokens.issue(seconds) else {
            let why = "X-aws-ec2-metadata-token-ttl-seconds must be 1 to 21600";
            return text(StatusCode::BAD_REQUEST, why);
        };
        let mut answer = text(StatusCode::OK, &token);
        if let Ok(seconds) = HeaderValue::from_str(seconds.trim()) {
            answer.headers_mut().insert(TTL_HEADER, seconds);
        }
        answer
    }
}

/// The account and the name of `arn:aws:iam::ACCOUNT:role/PATH/NAME`.
fn parts_of(arn: &str) -> Option<(&str, &str)> {
    let (account, rest) = arn.strip_prefix("arn:")?.split_once(":iam::")?.1.split_once(':')?;
    let name = rest.strip_prefix("role/")?.rsplit('/').next()?;
    (!name.is_empty()).then_some((account, name))
}

/// A random UUID (RFC 9562, version 4); `None` if there are no random numbers.
fn random_uuid() -> Option<String> {
    let mut bytes = [0_u8; 16];
    SystemRandom::new().fill(&mut bytes).ok()?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut id = String::with_capacity(36);
    for (i, byte) in bytes.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            id.push('-');
        }
        // Writing to a string does not fail.
        let _ = write!(id, "{byte:02x}");
    }
    Some(id)
}

/// Compared by digest, so that the time that it takes says nothing of what is secret.
fn same(a: &str, b: &str) -> bool {
    let of = |text: &str| digest(&SHA256, text.as_bytes());
    of(a).as_ref() == of(b).as_ref()
}

/// A header that is there once.
fn word<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut all = headers.get_all(name).iter();
    let (first, next) = (all.next()?, all.next());
    next.is_none().then(|| first.to_str().ok()).flatten()
}

fn said(status: StatusCode, kind: &'static str, body: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

fn text(status: StatusCode, body: &str) -> Answer {
    said(status, "text/plain", body.to_owned())
}

fn json_of(value: &Value) -> Answer {
    said(StatusCode::OK, "application/json", value.to_string())
}

fn not_allowed(what: &'static str) -> Answer {
    let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "the method is not allowed");
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(what));
    answer
}

/// Keys that cannot be had: SDKs ask again.
fn none(why: &str) -> Answer {
    let message = format!("the role's credentials cannot be had: {why}");
    let body = json!({"code": "CredentialsNotAvailable", "message": message}).to_string();
    said(StatusCode::INTERNAL_SERVER_ERROR, "application/json", body)
}
