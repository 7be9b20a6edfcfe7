//! What the policy of a VPC endpoint says about requests that came by one. Source: S3 User Guide,
//! "Required permissions for Amazon S3 API operations".

use super::error::error;
use crate::execution::Principal;
use crate::service::via::{Via, Wanted};
use s3s::dto::CopySource;
use s3s::path::S3Path;
use s3s::{S3ErrorCode, S3Result};

/// The action that an operation needs.
fn action(operation: &str) -> &str {
    match operation {
        "HeadObject" => "GetObject",
        "CopyObject"
        | "CreateMultipartUpload"
        | "UploadPart"
        | "UploadPartCopy"
        | "CompleteMultipartUpload" => "PutObject",
        "DeleteObjects" => "DeleteObject",
        "HeadBucket" | "ListObjects" | "ListObjectsV2" => "ListBucket",
        "ListBuckets" => "ListAllMyBuckets",
        "ListMultipartUploads" => "ListBucketMultipartUploads",
        "ListParts" => "ListMultipartUploadParts",
        "PutBucketTagging" | "DeleteBucketTagging" => "PutBucketTagging",
        other => other,
    }
}

fn resource(path: &S3Path) -> String {
    match path {
        S3Path::Root => "arn:aws:s3:::*".to_owned(),
        S3Path::Bucket { bucket } => format!("arn:aws:s3:::{bucket}"),
        S3Path::Object { bucket, key } => format!("arn:aws:s3:::{bucket}/{key}"),
    }
}

/// Whether the endpoint's policy allows an operation. What `DeleteObjects` names is in its body:
/// [`allows_deletion`].
pub(super) fn allows(
    via: &Via,
    principal: &Principal,
    operation: &str,
    path: &S3Path,
    copy_source: Option<&str>,
) -> S3Result<()> {
    if operation == "DeleteObjects" {
        return Ok(());
    }
    allows_one(via, principal, action(operation), &resource(path))?;
    // What is no source is refused by whoever reads it.
    match copy_source.map(CopySource::parse) {
        Some(Ok(CopySource::Bucket { bucket, key, .. })) => {
            allows_one(via, principal, "GetObject", &format!("arn:aws:s3:::{bucket}/{key}"))
        }
        _ => Ok(()),
    }
}

/// Whether the endpoint's policy allows every one of these keys to be deleted.
pub(super) fn allows_deletion<'a>(
    via: &Via,
    principal: &Principal,
    bucket: &str,
    keys: impl Iterator<Item = &'a str>,
) -> S3Result<()> {
    for key in keys {
        allows_one(via, principal, "DeleteObject", &format!("arn:aws:s3:::{bucket}/{key}"))?;
    }
    Ok(())
}

fn allows_one(via: &Via, principal: &Principal, action: &str, resource: &str) -> S3Result<()> {
    let action = format!("s3:{action}");
    let wanted = Wanted { principal, action: &action, resource };
    via.allows(wanted).map_err(|text| error(S3ErrorCode::AccessDenied, text))
}
