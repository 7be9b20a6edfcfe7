//! What stands in front of s3s.

use super::chunked::Chunked;
use super::error::{error, invalid_request, not_served};
use super::{answer, refuse, rest};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use s3s::service::S3Service;
use s3s::{Body, S3Error, S3ErrorCode, S3Result};
use std::fmt;

/// The longest that a presigned URL is good for, in seconds (S3's limit).
const MAX_EXPIRES: u64 = 7 * 24 * 60 * 60;

/// The S3 service.
#[derive(Clone)]
pub struct S3 {
    inner: S3Service,
}

impl fmt::Debug for S3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3").finish_non_exhaustive()
    }
}

impl S3 {
    pub(super) const fn new(inner: S3Service) -> Self {
        Self { inner }
    }

    /// Answers one request: `Body::from(hyper::body::Incoming)` makes its body. Bodies stream in
    /// and out; errors are answers.
    pub async fn call(&self, request: Request<Body>) -> Response<Body> {
        let id = request_id();
        let (parts, body) = request.into_parts();
        let method = parts.method.clone();
        let (body, rest) = rest::keep(body);
        let given = match check(&parts) {
            Err(refused) => refused.to_http_response().map_err(drop),
            Ok(()) => {
                let body = reframe(&parts.headers, body);
                self.inner.call(Request::from_parts(parts, body)).await.map_err(drop)
            }
        };
        let given = given.unwrap_or_else(|()| {
            let mut empty = Response::new(Body::empty());
            *empty.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            empty
        });
        let mut answer = answer::complete(given, &id, &method);
        if !rest.read().await {
            answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        answer
    }
}

fn request_id() -> String {
    let mut bytes = [0; 8];
    // Without randomness an id is only less telling.
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    format!("{:016X}", u64::from_be_bytes(bytes))
}

fn reframe(headers: &HeaderMap, body: Body) -> Body {
    let payload = text(headers, "x-amz-content-sha256");
    if payload.starts_with("STREAMING-") {
        let signed = !payload.starts_with("STREAMING-UNSIGNED-");
        return Body::http_body(Chunked::new(body, signed));
    }
    body
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn check(parts: &Parts) -> S3Result<()> {
    let form = text(&parts.headers, "content-type").trim_start().to_ascii_lowercase();
    if parts.method == Method::POST && form.starts_with("multipart/form-data") {
        return Err(not_served("uploads by HTML forms (POST Object)"));
    }
    let mut values = parts.headers.get_all(header::AUTHORIZATION).iter();
    let authorization = values.next().map(|value| value.to_str().unwrap_or_default());
    if values.next().is_some() {
        return Err(invalid_request("Only one auth mechanism allowed; only one Authorization"));
    }
    let query = |name| refuse::query(&parts.uri, name);
    let presigned = query("X-Amz-Signature").is_some() || query("X-Amz-Algorithm").is_some();
    match authorization {
        Some(_) if presigned => Err(invalid_request(
            "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature \
             query string parameter or the Authorization header should be specified",
        )),
        Some(authorization) => check_header(authorization, &parts.headers),
        None if presigned => check_presigned(parts),
        // Presigned URLs of the old kind are what boto3 makes for us-east-1 if it is not told
        // otherwise; s3s checks them, with every x-amz- header.
        None => Ok(()),
    }
}

fn old_signature() -> S3Error {
    invalid_request(
        "The authorization mechanism you have provided is not supported. Please use \
         AWS4-HMAC-SHA256.",
    )
}

fn check_header(authorization: &str, headers: &HeaderMap) -> S3Result<()> {
    let malformed = |message| error(S3ErrorCode::AuthorizationHeaderMalformed, message);
    let Some(rest) = authorization.strip_prefix("AWS4-HMAC-SHA256") else {
        return Err(old_signature());
    };
    let field = |name: &str| {
        rest.split(',').find_map(|field| field.trim().strip_prefix(name)?.strip_prefix('='))
    };
    let missing = "The authorization header is malformed; it needs Credential, SignedHeaders and \
                   Signature.";
    let credential = field("Credential").ok_or_else(|| malformed(missing))?;
    let signed = field("SignedHeaders").ok_or_else(|| malformed(missing))?;
    field("Signature").ok_or_else(|| malformed(missing))?;
    if !credential.ends_with("/s3/aws4_request") {
        return Err(malformed(
            "The authorization header is malformed; the credential must end in \
             /REGION/s3/aws4_request.",
        ));
    }
    check_signed(signed, headers)
}

fn check_presigned(parts: &Parts) -> S3Result<()> {
    let query = |name| refuse::query(&parts.uri, name);
    let wrong =
        |message: &'static str| error(S3ErrorCode::AuthorizationQueryParametersError, message);
    let expires = query("X-Amz-Expires").and_then(|seconds| seconds.parse::<u64>().ok());
    match expires {
        None => return Err(wrong("X-Amz-Expires should be a number")),
        Some(seconds) if seconds > MAX_EXPIRES => {
            return Err(wrong(
                "X-Amz-Expires must be less than a week (in seconds); that is, the given \
                 X-Amz-Expires must be less than 604800 seconds",
            ));
        }
        Some(_) => {}
    }
    let credential = query("X-Amz-Credential").unwrap_or_default();
    if !credential.ends_with("/s3/aws4_request") {
        return Err(wrong(
            "Error parsing the X-Amz-Credential parameter; it must end in /REGION/s3/aws4_request",
        ));
    }
    let signed = query("X-Amz-SignedHeaders").ok_or_else(|| {
        wrong("Query-string authentication version 4 requires the X-Amz-SignedHeaders parameter")
    })?;
    check_signed(&signed, &parts.headers)
}

/// The host, and all that changes what S3 does, must be signed; s3s takes what is signed, and
/// obeys what is not. The payload's hash is signed in any case.
fn check_signed(signed: &str, headers: &HeaderMap) -> S3Result<()> {
    let is_signed = |name: &str| signed.split(';').any(|one| one.eq_ignore_ascii_case(name));
    let must = |name: &&header::HeaderName| {
        let name = name.as_str();
        name == "host" || (name.starts_with("x-amz-") && name != "x-amz-content-sha256")
    };
    match headers.keys().filter(must).find(|name| !is_signed(name.as_str())) {
        Some(name) => Err(error(
            S3ErrorCode::AccessDenied,
            format!("There were headers present in the request which were not signed: {name}"),
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(uri: &str, headers: &[(&str, &str)]) -> Option<String> {
        let mut request = Request::builder().uri(uri).header("host", "h");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        check(&parts).err().map(|e| e.code().as_str().to_owned())
    }

    fn authorization(signed: &str, service: &str) -> String {
        format!(
            "AWS4-HMAC-SHA256 Credential=AKID/20261125/us-east-1/{service}/aws4_request, \
             SignedHeaders={signed}, Signature=00"
        )
    }

    #[test]
    fn what_changes_a_request_must_be_signed() {
        let of = |signed: &str| authorization(signed, "s3");
        let all = of("host;x-amz-acl;x-amz-date");
        let base = [("x-amz-date", "d"), ("x-amz-content-sha256", "s")];
        let with = |authorization: &str, extra: &[(&str, &str)]| {
            answer("/", &[&base, extra, &[("authorization", authorization)]].concat())
        };
        assert_eq!(with(&all, &[]), None);
        assert_eq!(with(&all, &[("x-amz-acl", "private")]), None);
        assert_eq!(with(&all, &[("x-amz-meta-a", "b")]).as_deref(), Some("AccessDenied"));
        assert_eq!(with(&of("x-amz-date"), &[]).as_deref(), Some("AccessDenied"));
        let malformed = Some("AuthorizationHeaderMalformed");
        assert_eq!(with(&authorization("host;x-amz-date", "sts"), &[]).as_deref(), malformed);
        assert_eq!(with("AWS4-HMAC-SHA256 nonsense", &[]).as_deref(), malformed);
        assert_eq!(with("AWS AKID:sig", &[]).as_deref(), Some("InvalidRequest"));
        assert_eq!(
            with(&all, &[("authorization", "Basic x")]).as_deref(),
            Some("InvalidRequest"),
            "twice"
        );
    }

    #[test]
    fn presigned_urls() {
        let url = |expires: &str, signed: &str| {
            format!(
                "/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=A%2F20261125%2Fr%2Fs3%2Faws4_request\
                 &X-Amz-Date=20261125T000000Z&X-Amz-Expires={expires}&X-Amz-SignedHeaders={signed}\
                 &X-Amz-Signature=00"
            )
        };
        assert_eq!(answer(&url("604800", "host"), &[]), None);
        let wrong = Some("AuthorizationQueryParametersError");
        assert_eq!(answer(&url("604801", "host"), &[]).as_deref(), wrong);
        assert_eq!(answer(&url("-1", "host"), &[]).as_deref(), wrong);
        assert_eq!(answer(&url("60", ""), &[]).as_deref(), Some("AccessDenied"));
        let unsigned = answer(&url("60", "host"), &[("x-amz-tagging", "a=b")]);
        assert_eq!(unsigned.as_deref(), Some("AccessDenied"));
    }
}
