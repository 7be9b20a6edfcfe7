use super::*;
use http::Request;
use std::sync::LazyLock;

static NOW: LazyLock<OffsetDateTime> = LazyLock::new(|| parse_date("20260102T030405Z").unwrap());
const BODY: &[u8] = b"{\"a\":1}";

fn now() -> OffsetDateTime {
    *NOW
}

fn credentials() -> Credentials {
    Credentials {
        access_key: "AKIDEXAMPLE".to_owned(),
        secret_key: "not-a-secret".to_owned(),
        session_token: None,
    }
}

fn secret() -> Secret {
    Secret { key: credentials().secret_key, session_token: None, expires: None }
}

fn signed(scope: (&str, &str)) -> Parts {
    let request = Request::post("http://127.0.0.1:4747/")
        .header("host", "127.0.0.1:4747")
        .header("x-amz-target", "SageMaker.ListTrainingJobs");
    let (mut parts, ()) = request.body(()).unwrap().into_parts();
    sign(&mut parts, BODY, &credentials(), scope, now()).unwrap();
    parts
}

fn try_at(parts: &Parts, body: &[u8], secret: Option<Secret>, now: OffsetDateTime) -> String {
    let expected = Expected { service: Service::SageMaker, region: "us-east-1", now };
    match verify(expected, parts, body, |key| secret.filter(|_| key == "AKIDEXAMPLE")) {
        Ok(signed) => signed.access_key,
        Err(error) => format!("{} {error}", error.status),
    }
}

fn tried(parts: &Parts) -> String {
    try_at(parts, BODY, Some(secret()), now())
}

const MISMATCH: &str = "400 InvalidSignatureException: The request signature we calculated does not \
                        match the signature you provided. Check your AWS Secret Access Key and \
                        signing method. Consult the service documentation for details.";

#[test]
fn a_good_signature_passes() {
    assert_eq!(tried(&signed(("us-east-1", "sagemaker"))), "AKIDEXAMPLE");
}

#[test]
fn whatever_is_changed_does_not_match() {
    let good = signed(("us-east-1", "sagemaker"));
    assert_eq!(try_at(&good, b"{\"a\":2}", Some(secret()), now()), MISMATCH);
    let other = Secret { key: "another".to_owned(), ..secret() };
    assert_eq!(try_at(&good, BODY, Some(other), now()), MISMATCH);
    let mut parts = good.clone();
    parts.headers.insert("x-amz-target", "SageMaker.DeleteTrainingJob".parse().unwrap());
    assert_eq!(tried(&parts), MISMATCH);
    let mut parts = good.clone();
    parts.uri = "/?a=b".parse().unwrap();
    assert_eq!(tried(&parts), MISMATCH);
    let mut parts = good;
    parts.method = http::Method::PUT;
    assert_eq!(tried(&parts), MISMATCH);
}

#[test]
fn the_time_must_be_near() {
    let good = signed(("us-east-1", "sagemaker"));
    let at = |minutes| try_at(&good, BODY, Some(secret()), now() + Duration::minutes(minutes));
    assert_eq!(at(15), "AKIDEXAMPLE");
    assert_eq!(at(-15), "AKIDEXAMPLE");
    assert_eq!(
        at(16),
        "400 InvalidSignatureException: Signature expired: 20260102T030405Z is now earlier than \
         20260102T030505Z (20260102T032005Z - 15 min.)"
    );
    assert_eq!(
        at(-16),
        "400 InvalidSignatureException: Signature not yet current: 20260102T030405Z is still later \
         than 20260102T030305Z (20260102T024805Z + 15 min.)"
    );
}

#[test]
fn the_scope_must_be_right() {
    let message = tried(&signed(("eu-west-1", "sagemaker")));
    assert!(message.contains("scoped to a valid region, not 'eu-west-1'"), "{message}");
    let message = tried(&signed(("us-east-1", "logs")));
    assert!(message.contains("scoped to correct service: 'sagemaker'"), "{message}");
}

#[test]
fn keys_and_tokens_must_be_known() {
    let good = signed(("us-east-1", "sagemaker"));
    let invalid = "400 UnrecognizedClientException: The security token included in the request is \
                   invalid.";
    assert_eq!(try_at(&good, BODY, None, now()), invalid);
    let wants = Secret { session_token: Some("token".to_owned()), ..secret() };
    assert_eq!(try_at(&good, BODY, Some(wants.clone()), now()), invalid);
    let request = Request::post("/").header("host", "h");
    let (mut parts, ()) = request.body(()).unwrap().into_parts();
    let with = Credentials { session_token: Some("token".to_owned()), ..credentials() };
    sign(&mut parts, BODY, &with, ("us-east-1", "sagemaker"), now()).unwrap();
    assert_eq!(try_at(&parts, BODY, Some(secret()), now()), invalid);
    assert_eq!(try_at(&parts, BODY, Some(wants.clone()), now()), "AKIDEXAMPLE");
    let ended = Secret { expires: Some(now()), ..wants };
    assert!(try_at(&parts, BODY, Some(ended), now()).contains("ExpiredTokenException"));
}

#[test]
fn what_is_missing_is_named() {
    let good = signed(("us-east-1", "sagemaker"));
    let mut parts = good.clone();
    parts.headers.remove("authorization");
    assert_eq!(
        tried(&parts),
        "400 MissingAuthenticationTokenException: Missing Authentication Token"
    );
    let mut parts = good.clone();
    parts.headers.append("x-amz-content-sha256", "UNSIGNED-PAYLOAD".parse().unwrap());
    let message = tried(&parts);
    assert!(message.contains("'x-amz-content-sha256' must be a 'SignedHeader'"), "{message}");
    let mut parts = good.clone();
    parts.headers.remove("x-amz-date");
    assert!(tried(&parts).contains("requires existence of either a 'X-Amz-Date'"));
    let header = good.headers["authorization"].to_str().unwrap().to_owned();
    for (from, to, what) in [
        ("Credential=", "Cred=", "requires 'Credential' parameter"),
        ("Signature=", "Sig=", "requires 'Signature' parameter"),
        ("SignedHeaders=", "Heads=", "requires 'SignedHeaders' parameter"),
        ("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256", "Unsupported AWS 'algorithm'"),
        ("/aws4_request", "", "exactly 5 slash-delimited elements"),
        ("host;", "", "'Host' or ':authority' must be a 'SignedHeader'"),
        ("host;x-amz-date", "x-amz-date;host", "must be sorted names"),
        ("/20260102/", "/20260103/", "Date in Credential scope does not match"),
    ] {
        let mut parts = good.clone();
        let changed = header.replacen(from, to, 1);
        assert_ne!(changed, header);
        parts.headers.insert("authorization", changed.parse().unwrap());
        let message = tried(&parts);
        assert!(message.contains(what), "{what}: {message}");
    }
}

#[test]
fn each_family_has_codes_of_its_own() {
    let (parts, ()) = Request::get("/").body(()).unwrap().into_parts();
    let code = |service| {
        let expected = Expected { service, region: "us-east-1", now: now() };
        let error = verify(expected, &parts, b"", |_| None).unwrap_err();
        (error.status, error.code.into_owned())
    };
    let of = |status, code: &str| (status, code.to_owned());
    assert_eq!(code(Service::Sts), of(403, "MissingAuthenticationToken"));
    assert_eq!(code(Service::Logs), of(400, "MissingAuthenticationTokenException"));
    assert_eq!(code(Service::SageMakerRuntime), of(403, "MissingAuthenticationTokenException"));
    assert_eq!(code(Service::S3), of(403, "AccessDenied"));
}

#[test]
fn secrets_are_not_shown() {
    assert!(!format!("{:?} {:?}", secret(), credentials()).contains("not-a-secret"));
}

// Both signatures below were made by botocore.
#[test]
fn botocores_header_passes() {
    let authorization = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260102/us-east-1/sagemaker/\
        aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-target, \
        Signature=93a1747a2f5cbeb05bdcdd932cfd02e6607774237b7b5b7fb6e4432c40a3fc59";
    let request = Request::post("/")
        .header("host", "127.0.0.1:4747")
        .header("x-amz-target", "SageMaker.ListTrainingJobs")
        .header("content-type", "application/x-amz-json-1.1")
        .header("user-agent", "x")
        .header("x-amz-date", "20260102T030405Z")
        .header("authorization", authorization);
    let (parts, ()) = request.body(()).unwrap().into_parts();
    assert_eq!(tried(&parts), "AKIDEXAMPLE");
}

#[test]
fn botocores_presigned_url_passes_while_it_is_valid() {
    let url = "/?Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Algorithm=AWS4-HMAC-SHA256\
        &X-Amz-Credential=AKIDEXAMPLE%2F20260102%2Fus-east-1%2Fsts%2Faws4_request\
        &X-Amz-Date=20260102T030405Z&X-Amz-Expires=3600&X-Amz-SignedHeaders=host\
        &X-Amz-Security-Token=to%2Fken%2B%3D\
        &X-Amz-Signature=8d045ad5e02c58cdb785b4ddae91a8b534704549da7f60e2f9784149afda4afe";
    let presigned = |url: &str, body: &[u8], minutes| {
        let request = Request::get(url).header("host", "127.0.0.1:4747");
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let now = now() + Duration::minutes(minutes);
        let expected = Expected { service: Service::Sts, region: "eu-west-1", now };
        let secret = Secret { session_token: Some("to/ken+=".to_owned()), ..secret() };
        verify(expected, &parts, body, |_| Some(secret))
            .map_or_else(|e| e.message, |s| s.access_key)
    };
    assert_eq!(presigned(url, b"", 60), "AKIDEXAMPLE");
    let late = "Signature expired: 20260102T030405Z is now earlier than 20260102T030505Z \
                (20260102T040505Z - 60 min.)";
    assert_eq!(presigned(url, b"", 61), late);
    let mismatch = "The request signature we calculated does not match";
    assert!(presigned(url, b"body", 0).starts_with(mismatch));
    for (from, to, message) in [
        ("GetCallerIdentity", "GetSessionToken", mismatch),
        ("Expires=3600", "Expires=7200", mismatch),
        ("Expires=3600", "Expires=999999999", "X-Amz-Expires must be a number"),
        ("Expires=3600", "Expires=3600&X-Amz-Date=20260102T030405Z", "AWS query-string parameters"),
        ("&X-Amz-Security-Token=to%2Fken%2B%3D", "", "The security token included"),
        ("&X-Amz-SignedHeaders=host", "", "AWS query-string parameters must include"),
    ] {
        let given = presigned(&url.replacen(from, to, 1), b"", 0);
        assert!(given.starts_with(message), "{to}: {given}");
    }
}
