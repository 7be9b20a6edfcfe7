//! What is kept beside an object's bytes.

use super::sums::{Algorithm, Sums};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Standard headers, user metadata, tags and checksums of an object. In the database as JSON;
/// members may be added (with a default), never renamed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Meta {
    /// `Content-Type`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// `Cache-Control`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<String>,
    /// `Content-Disposition`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_disposition: Option<String>,
    /// `Content-Encoding`, without `aws-chunked`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<String>,
    /// `Content-Language`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_language: Option<String>,
    /// `Expires`, as it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// `x-amz-meta-…`, names in lower case.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub user: BTreeMap<String, String>,
    /// Tags, in the order in which they came.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<(String, String)>,
    /// `x-amz-server-side-encryption`, echoed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sse: Option<String>,
    /// `x-amz-server-side-encryption-aws-kms-key-id`, echoed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kms_key: Option<String>,
    /// `x-amz-server-side-encryption-bucket-key-enabled`, echoed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bucket_key: Option<bool>,
    /// `x-amz-storage-class`, echoed; none is `STANDARD`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// Checksums in base64, as S3 shows them (a composite one without its `-N`).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub sums: BTreeMap<Algorithm, String>,
    /// Whether the checksums are of the parts' checksums.
    #[serde(skip_serializing_if = "is_false")]
    pub composite: bool,
    /// Of an upload in parts: its id, which makes a repeated completion succeed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upload: Option<String>,
    /// Of an upload in parts: the checksum that each part gets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<Algorithm>,
    /// How many parts the object was uploaded in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parts: Option<u32>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// Base64 as in S3's headers.
#[must_use]
pub fn base64(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
}

pub(super) fn texts(sums: &Sums) -> BTreeMap<Algorithm, String> {
    sums.iter().map(|(algorithm, sum)| (*algorithm, base64(sum))).collect()
}

/// What [`texts`] gave; a text that is no base64 is none.
pub(super) fn bytes(texts: &BTreeMap<Algorithm, String>) -> Sums {
    let decode = |(algorithm, text): (&Algorithm, &String)| {
        Some((*algorithm, BASE64_STANDARD.decode(text).ok()?))
    };
    texts.iter().filter_map(decode).collect()
}

/// What an object shows of itself, without its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// Bytes.
    pub size: u64,
    /// Without quotes.
    pub etag: String,
    /// Seconds since the Unix epoch.
    pub modified: i64,
    /// The rest.
    pub meta: Meta,
}

/// One part of an upload or of an object that was uploaded in parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// 1 to 10 000.
    pub number: u32,
    /// Bytes.
    pub size: u64,
    /// Without quotes.
    pub etag: String,
    /// Seconds since the Unix epoch.
    pub modified: i64,
    /// Checksums in base64.
    pub sums: BTreeMap<Algorithm, String>,
}
