//! Tags of objects and buckets.

use super::Backend;
use super::error::{custom, error, fault, invalid_argument};
use s3s::dto::{
    DeleteBucketTaggingInput, DeleteBucketTaggingOutput, DeleteObjectTaggingInput,
    DeleteObjectTaggingOutput, GetBucketTaggingInput, GetBucketTaggingOutput,
    GetObjectTaggingInput, GetObjectTaggingOutput, PutBucketTaggingInput, PutBucketTaggingOutput,
    PutObjectTaggingInput, PutObjectTaggingOutput, Tag,
};
use s3s::{S3ErrorCode, S3Result};

type Pairs = Vec<(String, String)>;

/// The most tags of an object, and of a bucket (S3's limits).
const MAX_OF_OBJECT: usize = 10;
const MAX_OF_BUCKET: usize = 50;
/// The longest key and value, in characters.
const MAX_KEY: usize = 128;
const MAX_VALUE: usize = 256;

/// Decodes percent signs and `+`; none if that is no UTF-8.
pub(super) fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                u8::try_from(digit()? << 4 | digit()?).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

/// Tags of the `x-amz-tagging` header.
pub(super) fn of_header(header: Option<&str>) -> S3Result<Pairs> {
    let invalid = || {
        invalid_argument(
            "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query \
             parameters without tag name duplicates.",
        )
    };
    let mut tags = Pairs::new();
    for pair in header.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        tags.push((decode(key).ok_or_else(invalid)?, decode(value).ok_or_else(invalid)?));
    }
    check(tags, MAX_OF_OBJECT)
}

fn of_set(set: Vec<Tag>, most: usize) -> S3Result<Pairs> {
    let pair = |tag: Tag| (tag.key.unwrap_or_default(), tag.value.unwrap_or_default());
    check(set.into_iter().map(pair).collect(), most)
}

fn check(tags: Pairs, most: usize) -> S3Result<Pairs> {
    if tags.len() > most {
        let message = format!("Object tags cannot be greater than {most}");
        return Err(custom(http::StatusCode::BAD_REQUEST, "BadRequest", message));
    }
    let invalid = |message| Err(error(S3ErrorCode::InvalidTag, message));
    for (at, (key, value)) in tags.iter().enumerate() {
        if key.is_empty() || key.chars().count() > MAX_KEY {
            return invalid("The TagKey you have provided is invalid");
        }
        if value.chars().count() > MAX_VALUE {
            return invalid("The TagValue you have provided is invalid");
        }
        if tags[..at].iter().any(|(other, _)| other == key) {
            return invalid("Cannot provide multiple Tags with the same key");
        }
    }
    Ok(tags)
}

fn set(tags: Pairs) -> Vec<Tag> {
    tags.into_iter().map(|(key, value)| Tag { key: Some(key), value: Some(value) }).collect()
}

impl Backend {
    pub(super) fn get_tags(
        &self,
        input: &GetObjectTaggingInput,
    ) -> S3Result<GetObjectTaggingOutput> {
        let info = self.objects.head(&input.bucket, &input.key).map_err(fault)?;
        Ok(GetObjectTaggingOutput { tag_set: set(info.meta.tags), version_id: None })
    }

    pub(super) async fn put_tags(
        &self,
        input: PutObjectTaggingInput,
    ) -> S3Result<PutObjectTaggingOutput> {
        let tags = of_set(input.tagging.tag_set, MAX_OF_OBJECT)?;
        self.objects.tag(input.bucket, input.key, tags).await.map_err(fault)?;
        Ok(PutObjectTaggingOutput::default())
    }

    pub(super) async fn delete_tags(
        &self,
        input: DeleteObjectTaggingInput,
    ) -> S3Result<DeleteObjectTaggingOutput> {
        self.objects.tag(input.bucket, input.key, Vec::new()).await.map_err(fault)?;
        Ok(DeleteObjectTaggingOutput::default())
    }

    pub(super) fn get_bucket_tags(
        &self,
        input: &GetBucketTaggingInput,
    ) -> S3Result<GetBucketTaggingOutput> {
        let tags = self.objects.bucket_tags(&input.bucket).map_err(fault)?;
        if tags.is_empty() {
            return Err(error(S3ErrorCode::NoSuchTagSet, "The TagSet does not exist"));
        }
        Ok(GetBucketTaggingOutput { tag_set: set(tags) })
    }

    pub(super) async fn put_bucket_tags(
        &self,
        input: PutBucketTaggingInput,
    ) -> S3Result<PutBucketTaggingOutput> {
        let tags = of_set(input.tagging.tag_set, MAX_OF_BUCKET)?;
        self.objects.tag_bucket(input.bucket, tags).await.map_err(fault)?;
        Ok(PutBucketTaggingOutput::default())
    }

    pub(super) async fn delete_bucket_tags(
        &self,
        input: DeleteBucketTaggingInput,
    ) -> S3Result<DeleteBucketTaggingOutput> {
        self.objects.tag_bucket(input.bucket, Vec::new()).await.map_err(fault)?;
        Ok(DeleteBucketTaggingOutput::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_of_tags() {
        let tags = of_header(Some("a=1&b+c=%C3%A4&d")).unwrap();
        let expected = [("a", "1"), ("b c", "ä"), ("d", "")];
        assert_eq!(tags, expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
        for wrong in ["a=%", "a=%zz", "a=%ff", "a=1&a=2", "=1"] {
            assert!(of_header(Some(wrong)).is_err(), "{wrong}");
        }
        assert!(of_header(Some("a&b&c&d&e&f&g&h&i&j&k")).is_err(), "eleven");
    }
}
