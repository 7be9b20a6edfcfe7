//! Between S3's headers and what is kept of an object.

use super::error::{error, invalid_argument};
use super::{sums, tags};
use belljar_store::objects::{MAX_KEY, Meta};
use s3s::dto::{
    CopyObjectInput, CreateMultipartUploadInput, ETag, Metadata, PutObjectInput,
    ServerSideEncryption, StorageClass, Timestamp, TimestampFormat,
};
use s3s::{S3ErrorCode, S3Result};
use std::collections::BTreeMap;

/// The most bytes of user metadata, names and values (S3's limit).
const MAX_METADATA: usize = 2 << 10;

/// S3's form of an `ETag`.
pub(super) fn etag(value: &str) -> ETag {
    ETag::Strong(value.to_owned())
}

/// Refuses keys that nothing could name: s3s has checked the length of those in paths.
pub(super) fn check_key(key: &str) -> S3Result<()> {
    if key.len() > MAX_KEY {
        return Err(error(S3ErrorCode::KeyTooLongError, "Your key is too long"));
    }
    if key.contains('\0') {
        return Err(invalid_argument("A key with a NUL character is not served"));
    }
    Ok(())
}

fn user(metadata: Option<Metadata>) -> S3Result<BTreeMap<String, String>> {
    let user: BTreeMap<String, String> = metadata.unwrap_or_default().into_iter().collect();
    if user.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > MAX_METADATA {
        return Err(error(
            S3ErrorCode::MetadataTooLarge,
            "Your metadata headers exceed the maximum allowed metadata size",
        ));
    }
    Ok(user)
}

/// `aws-chunked` is how it came, not what it is.
fn encoding(header: Option<String>) -> Option<String> {
    let header = header?;
    let kept: Vec<&str> = header
        .split(',')
        .map(str::trim)
        .filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("aws-chunked"))
        .collect();
    (!kept.is_empty()).then(|| kept.join(", "))
}

fn http_date(time: Option<Timestamp>) -> Option<String> {
    let mut text = Vec::new();
    time?.format(TimestampFormat::HttpDate, &mut text).ok()?;
    String::from_utf8(text).ok()
}

/// `STANDARD` is what an object without a class has.
fn class(class: Option<StorageClass>) -> Option<String> {
    class.map(|class| class.as_str().to_owned()).filter(|class| class != StorageClass::STANDARD)
}

/// The members that every way to make an object has.
macro_rules! meta {
    ($input:ident) => {
        Meta {
            content_type: $input.content_type.take(),
            cache_control: $input.cache_control.take(),
            content_disposition: $input.content_disposition.take(),
            content_encoding: encoding($input.content_encoding.take()),
            content_language: $input.content_language.take(),
            expires: http_date($input.expires.take()),
            user: user($input.metadata.take())?,
            tags: tags::of_header($input.tagging.as_deref())?,
            sse: $input.server_side_encryption.take().map(|sse| sse.as_str().to_owned()),
            kms_key: $input.ssekms_key_id.take(),
            bucket_key: $input.bucket_key_enabled.take(),
            class: class($input.storage_class.take()),
            ..Meta::default()
        }
    };
}

pub(super) fn of_put(input: &mut PutObjectInput) -> S3Result<Meta> {
    Ok(meta!(input))
}

pub(super) fn of_copy(input: &mut CopyObjectInput) -> S3Result<Meta> {
    Ok(meta!(input))
}

pub(super) fn of_upload(input: &mut CreateMultipartUploadInput) -> S3Result<Meta> {
    Ok(meta!(input))
}

/// Echoes of encryption: S3 encrypts with its own key unless told otherwise, and says so.
pub(super) fn sse(meta: &Meta) -> Option<ServerSideEncryption> {
    let sse = meta.sse.clone().unwrap_or_else(|| ServerSideEncryption::AES256.to_owned());
    Some(sse.into())
}

/// What the object shows of itself in an output of GET or HEAD. Checksums only with `$sums`.
macro_rules! shown {
    ($output:ident, $info:expr, $sums:expr) => {{
        let info: &belljar_store::objects::Info = $info;
        let meta = &info.meta;
        let members = match $sums {
            true => super::sums::Members::of_object(meta),
            false => super::sums::Members::default(),
        };
        let expires = meta.expires.as_deref().and_then(|text| {
            s3s::dto::Timestamp::parse(s3s::dto::TimestampFormat::HttpDate, text).ok()
        });
        $output {
            accept_ranges: Some("bytes".to_owned()),
            bucket_key_enabled: meta.bucket_key,
            cache_control: meta.cache_control.clone(),
            checksum_crc32: members.crc32,
            checksum_crc32c: members.crc32c,
            checksum_crc64nvme: members.crc64nvme,
            checksum_sha1: members.sha1,
            checksum_sha256: members.sha256,
            checksum_type: if $sums { super::sums::kind(meta) } else { None },
            content_disposition: meta.content_disposition.clone(),
            content_encoding: meta.content_encoding.clone(),
            content_language: meta.content_language.clone(),
            content_type: Some(super::describe::content_type(meta)),
            e_tag: Some(super::describe::etag(&info.etag)),
            expires,
            last_modified: Some(super::conditions::time(info.modified)),
            metadata: Some(meta.user.clone().into_iter().collect()),
            server_side_encryption: super::describe::sse(meta),
            ssekms_key_id: meta.kms_key.clone(),
            storage_class: meta.class.clone().map(Into::into),
            ..Default::default()
        }
    }};
}
pub(super) use shown;

pub(super) fn content_type(meta: &Meta) -> String {
    meta.content_type.clone().unwrap_or_else(|| "binary/octet-stream".to_owned())
}

/// Checks that the parts' algorithm and the whole's kind go together, and notes them.
pub(super) fn set_checksum(
    meta: &mut Meta,
    algorithm: Option<&s3s::dto::ChecksumAlgorithm>,
    kind: Option<&s3s::dto::ChecksumType>,
) -> S3Result<()> {
    use belljar_store::objects::Algorithm;
    let chosen = sums::algorithm(algorithm)?;
    let algorithm = chosen.unwrap_or(Algorithm::Crc64Nvme);
    let composite = match kind.map(s3s::dto::ChecksumType::as_str) {
        None => algorithm != Algorithm::Crc64Nvme,
        Some("COMPOSITE") => true,
        Some("FULL_OBJECT") => false,
        Some(_) => {
            return Err(super::error::invalid_request(
                "Value for x-amz-checksum-type header is invalid.",
            ));
        }
    };
    let possible = if composite { algorithm != Algorithm::Crc64Nvme } else { algorithm.combines() };
    if !possible {
        let (kind, name) =
            (if composite { "COMPOSITE" } else { "FULL_OBJECT" }, sums::name(algorithm));
        return Err(super::error::invalid_request(format!(
            "The {kind} checksum type cannot be used with the {} checksum algorithm.",
            name.to_ascii_lowercase()
        )));
    }
    meta.algorithm = Some(algorithm);
    meta.composite = composite;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_it_came_is_not_what_it_is() {
        let kept = |text: &str| encoding(Some(text.to_owned()));
        assert_eq!(kept("aws-chunked"), None);
        assert_eq!(kept("gzip,aws-chunked").as_deref(), Some("gzip"));
        assert_eq!(kept("AWS-Chunked, gzip, br").as_deref(), Some("gzip, br"));
        assert_eq!(kept(""), None);
    }

    #[test]
    fn keys_are_text_without_nul() {
        assert!(check_key("../a//b").is_ok());
        assert!(check_key(&"ä".repeat(512)).is_ok());
        assert!(check_key(&"ä".repeat(513)).is_err());
        assert!(check_key("a\0b").is_err());
    }
}
