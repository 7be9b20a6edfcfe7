//! What goes wrong, in S3's codes and words.

use belljar_store::objects::{Algorithm, ObjectError};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use s3s::{S3Error, S3ErrorCode};

/// Marks an error as our own fault on its way through the S3 layer: it is taken off again in
/// [`super::answer`]. What that layer itself calls internal is a request it could not read.
pub(super) const OURS: HeaderName = HeaderName::from_static("x-belljar-internal");

pub(super) fn error(code: S3ErrorCode, message: impl Into<String>) -> S3Error {
    S3Error::with_message(code, message.into())
}

/// An error whose code s3s has no name for, or no status.
pub(super) fn custom(status: StatusCode, code: &str, message: impl Into<String>) -> S3Error {
    let mut error = error(S3ErrorCode::Custom(code.into()), message);
    error.set_status_code(status);
    error
}

/// Something that S3 has and Belljar has not.
pub(super) fn not_served(what: &str) -> S3Error {
    error(S3ErrorCode::NotImplemented, format!("Belljar does not serve {what}."))
}

pub(super) fn invalid_argument(message: impl Into<String>) -> S3Error {
    error(S3ErrorCode::InvalidArgument, message)
}

pub(super) fn invalid_request(message: impl Into<String>) -> S3Error {
    error(S3ErrorCode::InvalidRequest, message)
}

pub(super) fn precondition(condition: &str) -> S3Error {
    error(
        S3ErrorCode::PreconditionFailed,
        format!("At least one of the pre-conditions you specified did not hold ({condition})"),
    )
}

pub(super) fn internal(source: &dyn std::error::Error) -> S3Error {
    tracing::error!(error = %crate::chain(source), "an S3 request failed");
    let mut error =
        error(S3ErrorCode::InternalError, "We encountered an internal error. Please try again.");
    let mut headers = HeaderMap::new();
    headers.insert(OURS, HeaderValue::from_static("1"));
    error.set_headers(headers);
    error
}

/// A checksum that does not match what was received.
pub(super) fn bad_digest(algorithm: Algorithm) -> S3Error {
    let name = super::sums::name(algorithm);
    error(
        S3ErrorCode::BadDigest,
        format!("The {name} you specified did not match the calculated checksum."),
    )
}

/// What the store says, as S3 says it.
pub(super) fn fault(source: ObjectError) -> S3Error {
    match source {
        ObjectError::NoSuchBucket => {
            error(S3ErrorCode::NoSuchBucket, "The specified bucket does not exist")
        }
        ObjectError::BucketExists => error(
            S3ErrorCode::BucketAlreadyOwnedByYou,
            "Your previous request to create the named bucket succeeded and you already own it.",
        ),
        ObjectError::BucketNotEmpty => {
            error(S3ErrorCode::BucketNotEmpty, "The bucket you tried to delete is not empty")
        }
        ObjectError::NoSuchKey => {
            error(S3ErrorCode::NoSuchKey, "The specified key does not exist.")
        }
        ObjectError::NoSuchUpload => error(
            S3ErrorCode::NoSuchUpload,
            "The specified upload does not exist. The upload ID may be invalid, or the upload may \
             have been aborted or completed.",
        ),
        ObjectError::InvalidPart(number) => error(
            S3ErrorCode::InvalidPart,
            format!(
                "One or more of the specified parts could not be found. The part may not have \
                 been uploaded, or the specified entity tag may not match the part's entity tag \
                 (part {number})."
            ),
        ),
        ObjectError::PartTooSmall(number) => error(
            S3ErrorCode::EntityTooSmall,
            format!(
                "Your proposed upload is smaller than the minimum allowed size (part {number})"
            ),
        ),
        ObjectError::Precondition(condition) => precondition(condition),
        ObjectError::Checksum(algorithm) => bad_digest(algorithm),
        ObjectError::Size(size) => invalid_request(format!(
            "The provided 'x-amz-mp-object-size' header value does not match what was computed: \
             {size}"
        )),
        ObjectError::Blob(_) | ObjectError::Store(_) => internal(&source),
    }
}
