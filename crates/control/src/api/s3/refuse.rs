//! What a request asks for and does not get, by name. SEMANTICS.md has the lists.

use super::config::Config;
use super::error::{error, invalid_argument, not_served};
use http::{HeaderMap, Uri};
use s3s::{S3ErrorCode, S3Result};

/// Headers that ask for something Belljar has not, by how they begin, and what that is.
const REFUSED: &[(&str, &str)] = &[
    ("x-amz-server-side-encryption-customer-", "encryption with a customer's key (SSE-C)"),
    (
        "x-amz-copy-source-server-side-encryption-customer-",
        "encryption with a customer's key (SSE-C)",
    ),
    ("x-amz-object-lock-", "object lock"),
    ("x-amz-bucket-object-lock-enabled", "object lock"),
    ("x-amz-bypass-governance-retention", "object lock"),
    ("x-amz-website-redirect-location", "website redirects"),
    ("x-amz-write-offset-bytes", "appending to objects"),
    ("x-amz-mfa", "MFA delete"),
    ("x-amz-if-match-", "conditions of directory buckets (x-amz-if-match-…)"),
    ("x-amz-rename-source", "renaming"),
];

/// Canned ACLs that mean what a bucket without ACLs does.
const ACLS: &[&str] = &["private", "bucket-owner-full-control"];
/// Storage classes from which an object is read at once.
const CLASSES: &[&str] = &[
    "STANDARD",
    "REDUCED_REDUNDANCY",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER_IR",
];
const ENCRYPTIONS: &[&str] = &["AES256", "aws:kms", "aws:kms:dsse"];

/// The decoded value of a query parameter.
pub(super) fn query(uri: &Uri, name: &str) -> Option<String> {
    let pairs = uri.query()?.split('&');
    let mut values = pairs.filter_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key == name).then(|| super::tags::decode(value))
    });
    values.next().flatten()
}

/// Looks at headers and query of any operation.
pub(super) fn check(
    operation: &str,
    headers: &HeaderMap,
    uri: &Uri,
    config: &Config,
) -> S3Result<()> {
    let value = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    for name in headers.keys() {
        if let Some((_, what)) = REFUSED.iter().find(|(start, _)| name.as_str().starts_with(start))
        {
            return Err(not_served(what));
        }
        if name.as_str().starts_with("x-amz-grant-") {
            return Err(no_acls());
        }
    }
    if value("x-amz-acl").is_some_and(|acl| !ACLS.contains(&acl)) {
        return Err(no_acls());
    }
    if value("x-amz-storage-class").is_some_and(|class| !CLASSES.contains(&class)) {
        let message = "The storage class you specified is not valid";
        return Err(error(S3ErrorCode::InvalidStorageClass, message));
    }
    if value("x-amz-server-side-encryption").is_some_and(|sse| !ENCRYPTIONS.contains(&sse)) {
        return Err(invalid_argument("The encryption method specified is not supported"));
    }
    if value("x-amz-object-ownership").is_some_and(|owner| owner != "BucketOwnerEnforced") {
        return Err(not_served("object ownership other than BucketOwnerEnforced"));
    }
    for owner in ["x-amz-expected-bucket-owner", "x-amz-source-expected-bucket-owner"] {
        if value(owner).is_some_and(|owner| owner != config.account) {
            return Err(error(S3ErrorCode::AccessDenied, "Access Denied"));
        }
    }
    if query(uri, "versionId").is_some_and(|version| version != "null") {
        return Err(invalid_argument("Invalid version id specified"));
    }
    if operation == "PostObject" {
        return Err(not_served("uploads by HTML forms (POST Object)"));
    }
    Ok(())
}

fn no_acls() -> s3s::S3Error {
    error(S3ErrorCode::AccessControlListNotSupported, "The bucket does not allow ACLs")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(header: &str, value: &str, uri: &str) -> Option<String> {
        let config = Config {
            region: "us-east-1".into(),
            account: "000000000000".into(),
            hosts: Vec::new(),
        };
        let mut headers = HeaderMap::new();
        headers.insert(http::HeaderName::try_from(header).unwrap(), value.parse().unwrap());
        let result = check("PutObject", &headers, &uri.parse().unwrap(), &config);
        result.err().map(|e| e.code().as_str().to_owned())
    }

    #[test]
    fn what_is_not_served_is_refused_by_name() {
        for (header, value, code) in [
            ("x-amz-acl", "public-read", Some("AccessControlListNotSupported")),
            ("x-amz-acl", "private", None),
            ("x-amz-grant-read", "id=1", Some("AccessControlListNotSupported")),
            ("x-amz-server-side-encryption-customer-key", "k", Some("NotImplemented")),
            ("x-amz-server-side-encryption", "aws:kms", None),
            ("x-amz-server-side-encryption", "rot13", Some("InvalidArgument")),
            ("x-amz-object-lock-mode", "GOVERNANCE", Some("NotImplemented")),
            ("x-amz-storage-class", "GLACIER", Some("InvalidStorageClass")),
            ("x-amz-storage-class", "STANDARD_IA", None),
            ("x-amz-expected-bucket-owner", "111111111111", Some("AccessDenied")),
            ("x-amz-expected-bucket-owner", "000000000000", None),
            ("x-amz-meta-anything", "at all", None),
        ] {
            assert_eq!(answer(header, value, "/b/k").as_deref(), code, "{header}: {value}");
        }
        let version = answer("host", "h", "/b/k?versionId=abc");
        assert_eq!(version.as_deref(), Some("InvalidArgument"));
        assert_eq!(answer("host", "h", "/b/k?versionId=null"), None);
    }
}
