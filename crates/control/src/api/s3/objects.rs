//! Objects: put, read, deleted.

use super::body::{Outgoing, receive};
use super::conditions::{self, Conditions};
use super::describe::{self, shown};
use super::error::{custom, error, fault, invalid_argument, invalid_request};
use super::sums::{Claims, Members};
use super::{Backend, conditions::time};
use belljar_store::objects::{Body, Condition, Info, MAX_PUT, ObjectError};
use http::StatusCode;
use s3s::dto::{
    Checksum, ChecksumMode, DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput,
    DeleteObjectsOutput, DeletedObject, GetObjectAttributesInput, GetObjectAttributesOutput,
    GetObjectAttributesParts, GetObjectInput, GetObjectOutput, HeadObjectInput, HeadObjectOutput,
    ObjectAttributes, ObjectIdentifier, ObjectPart, PutObjectInput, PutObjectOutput, Range,
    StreamingBlob,
};
use s3s::{S3ErrorCode, S3Request, S3Response, S3Result};
use std::ops;

/// The most keys of one batch of deletions (S3's limit).
const MAX_DELETED: usize = 1000;

/// The bytes that a read asked for, and how many parts the object has if it asked for a part.
struct Span {
    range: ops::Range<u64>,
    partial: bool,
    parts: Option<i32>,
}

fn span(
    info: &Info,
    body: Option<&Body>,
    range: Option<Range>,
    part: Option<i32>,
) -> S3Result<Span> {
    let whole = 0..info.size;
    match (range, part) {
        (Some(_), Some(_)) => {
            Err(invalid_request("Cannot specify both Range header and partNumber query parameter"))
        }
        (None, None) => Ok(Span { range: whole, partial: false, parts: None }),
        (Some(range), None) => {
            let range = range.check(info.size).map_err(|_| {
                let message = "The requested range is not satisfiable";
                error(S3ErrorCode::InvalidRange, message)
            })?;
            Ok(Span { range, partial: true, parts: None })
        }
        (None, Some(part)) => {
            let number = u32::try_from(part).ok().filter(|number| *number > 0);
            let number = number.ok_or_else(|| {
                invalid_argument("Part number must be an integer between 1 and 10000, inclusive")
            })?;
            let range = match info.meta.parts {
                Some(_) => body.and_then(|body| body.part(number)),
                None => (number == 1).then_some(whole),
            };
            let range = range.ok_or_else(|| {
                let message = "The requested partnumber is not satisfiable";
                custom(StatusCode::RANGE_NOT_SATISFIABLE, "InvalidPartNumber", message)
            })?;
            let parts = info.meta.parts.and_then(|parts| parts.try_into().ok());
            Ok(Span { range, partial: true, parts })
        }
    }
}

impl Span {
    fn length(&self) -> Option<i64> {
        i64::try_from(self.range.end - self.range.start).ok()
    }

    /// `Content-Range`; an empty object has none.
    fn header(&self, size: u64) -> Option<String> {
        let last = self.range.end.checked_sub(1)?;
        self.partial.then(|| format!("bytes {}-{last}/{size}", self.range.start))
    }
}

fn wants_sums(mode: Option<&ChecksumMode>) -> bool {
    mode.is_some_and(|mode| mode.as_str() == ChecksumMode::ENABLED)
}

impl Backend {
    pub(super) async fn put_object(
        &self,
        request: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        let mut input = request.input;
        describe::check_key(&input.key)?;
        let condition =
            conditions::of_write(input.if_match.as_ref(), input.if_none_match.as_ref())?;
        let claims = Claims::of(&request.headers)?;
        let kept = claims.kept();
        let meta = describe::of_put(&mut input)?;
        self.objects.bucket_exists(&input.bucket).map_err(fault)?;
        let incoming = self.objects.receive(&claims.computed(kept));
        let mut received = receive(incoming, input.body, input.content_length, MAX_PUT).await?;
        claims.check(&received, request.trailing_headers.as_ref())?;
        received.sums.retain(|algorithm, _| *algorithm == kept);
        let put = self.objects.put(input.bucket, input.key, received, meta, condition);
        let info = put.await.map_err(fault)?;
        let sums = Members::of_object(&info.meta);
        Ok(S3Response::new(PutObjectOutput {
            e_tag: Some(describe::etag(&info.etag)),
            checksum_crc32: sums.crc32,
            checksum_crc32c: sums.crc32c,
            checksum_crc64nvme: sums.crc64nvme,
            checksum_sha1: sums.sha1,
            checksum_sha256: sums.sha256,
            checksum_type: super::sums::kind(&info.meta),
            server_side_encryption: describe::sse(&info.meta),
            ssekms_key_id: info.meta.kms_key,
            bucket_key_enabled: info.meta.bucket_key,
            ..PutObjectOutput::default()
        }))
    }

    pub(super) fn get_object(
        &self,
        input: GetObjectInput,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        let found = self.objects.get(&input.bucket, &input.key).map_err(fault)?;
        let info = found.info;
        let conditions = Conditions {
            matches: input.if_match,
            none_match: input.if_none_match,
            modified: input.if_modified_since,
            unmodified: input.if_unmodified_since,
        };
        conditions.check(&info).map_err(|unmet| unmet.of_read(&info))?;
        let span = span(&info, Some(&found.body), input.range, input.part_number)?;
        let sums = wants_sums(input.checksum_mode.as_ref()) && !span.partial;
        let mut output = shown!(GetObjectOutput, &info, sums);
        output.content_length = span.length();
        output.content_range = span.header(info.size);
        output.parts_count = span.parts;
        output.tag_count = i32::try_from(info.meta.tags.len()).ok().filter(|count| *count > 0);
        output.body = Some(match found.body {
            // Whole and small: no stream to drive.
            Body::Inline(bytes) if !span.partial => StreamingBlob::from(s3s::Body::from(bytes)),
            body => StreamingBlob::new(Outgoing(body.chunks(span.range))),
        });
        Ok(S3Response::new(output))
    }

    pub(super) fn head_object(
        &self,
        input: HeadObjectInput,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let (info, body) = if input.part_number.is_some() {
            let found = self.objects.get(&input.bucket, &input.key).map_err(fault)?;
            (found.info, Some(found.body))
        } else {
            (self.objects.head(&input.bucket, &input.key).map_err(fault)?, None)
        };
        let conditions = Conditions {
            matches: input.if_match,
            none_match: input.if_none_match,
            modified: input.if_modified_since,
            unmodified: input.if_unmodified_since,
        };
        conditions.check(&info).map_err(|unmet| unmet.of_read(&info))?;
        let span = span(&info, body.as_ref(), input.range, input.part_number)?;
        let sums = wants_sums(input.checksum_mode.as_ref()) && !span.partial;
        let mut output = shown!(HeadObjectOutput, &info, sums);
        output.content_length = span.length();
        output.content_range = span.header(info.size);
        output.parts_count = span.parts;
        let mut response = S3Response::new(output);
        if span.partial {
            response.status = Some(StatusCode::PARTIAL_CONTENT);
        }
        Ok(response)
    }

    pub(super) async fn delete_object(
        &self,
        input: DeleteObjectInput,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        let condition = conditions::of_write(input.if_match.as_ref(), None)?;
        self.objects.delete(input.bucket, input.key, condition).await.map_err(fault)?;
        Ok(S3Response::with_status(DeleteObjectOutput::default(), StatusCode::NO_CONTENT))
    }

    pub(super) async fn delete_objects(
        &self,
        input: DeleteObjectsInput,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let quiet = input.delete.quiet.unwrap_or(false);
        let objects = input.delete.objects;
        if objects.is_empty() || objects.len() > MAX_DELETED {
            let message = "The XML you provided was not well-formed or did not validate against \
                           our published schema";
            return Err(error(S3ErrorCode::MalformedXML, message));
        }
        let mut names = Vec::with_capacity(objects.len());
        let mut keys = Vec::with_capacity(objects.len());
        for object in objects {
            let condition = condition_of(&object)?;
            names.push(object.key.clone());
            keys.push((object.key, condition));
        }
        let done = self.objects.delete_all(input.bucket, keys).await.map_err(fault)?;
        let (mut deleted, mut errors) = (Vec::new(), Vec::new());
        for (key, done) in names.into_iter().zip(done) {
            match done {
                Ok(()) if quiet => {}
                Ok(()) => deleted.push(DeletedObject { key: Some(key), ..Default::default() }),
                Err(source) => errors.push(line(key, source)),
            }
        }
        let output = DeleteObjectsOutput {
            deleted: (!deleted.is_empty()).then_some(deleted),
            errors: (!errors.is_empty()).then_some(errors),
            request_charged: None,
        };
        Ok(S3Response::new(output))
    }

    pub(super) fn attributes(
        &self,
        input: &GetObjectAttributesInput,
    ) -> S3Result<S3Response<GetObjectAttributesOutput>> {
        let (info, parts) =
            self.objects.head_with_parts(&input.bucket, &input.key).map_err(fault)?;
        // Several names may share one header.
        let names = || input.object_attributes.iter().flat_map(|line| line.as_str().split(','));
        let wants = |name: &str| names().any(|wanted| wanted.trim() == name);
        let mut output = GetObjectAttributesOutput {
            last_modified: Some(time(info.modified)),
            ..Default::default()
        };
        if wants(ObjectAttributes::ETAG) {
            output.e_tag = Some(describe::etag(&info.etag));
        }
        if wants(ObjectAttributes::OBJECT_SIZE) {
            output.object_size = i64::try_from(info.size).ok();
        }
        if wants(ObjectAttributes::STORAGE_CLASS) {
            let class = info.meta.class.clone().unwrap_or_else(|| "STANDARD".to_owned());
            output.storage_class = Some(class.into());
        }
        if wants(ObjectAttributes::CHECKSUM) {
            let sums = Members::of_object(&info.meta);
            output.checksum = Some(Checksum {
                checksum_crc32: sums.crc32,
                checksum_crc32c: sums.crc32c,
                checksum_crc64nvme: sums.crc64nvme,
                checksum_sha1: sums.sha1,
                checksum_sha256: sums.sha256,
                checksum_type: super::sums::kind(&info.meta),
            });
        }
        if wants(ObjectAttributes::OBJECT_PARTS) && !parts.is_empty() {
            let most = usize::try_from(input.max_parts.unwrap_or(1000)).unwrap_or(0).min(1000);
            let after = u32::try_from(input.part_number_marker.unwrap_or(0)).unwrap_or(0);
            output.object_parts = Some(page(&parts, after, most, info.meta.composite));
        }
        Ok(S3Response::new(output))
    }
}

/// A page of an object's parts; parts themselves are shown if they have checksums of their own.
fn page(
    parts: &[belljar_store::objects::Part],
    after: u32,
    most: usize,
    composite: bool,
) -> GetObjectAttributesParts {
    let rest: Vec<_> = parts.iter().filter(|part| part.number > after).collect();
    let shown = &rest[..most.min(rest.len())];
    let number = |number: u32| i32::try_from(number).ok();
    let part = |part: &&belljar_store::objects::Part| {
        let sums = Members::of(&part.sums);
        ObjectPart {
            checksum_crc32: sums.crc32,
            checksum_crc32c: sums.crc32c,
            checksum_crc64nvme: sums.crc64nvme,
            checksum_sha1: sums.sha1,
            checksum_sha256: sums.sha256,
            part_number: number(part.number),
            size: i64::try_from(part.size).ok(),
        }
    };
    GetObjectAttributesParts {
        is_truncated: Some(shown.len() < rest.len()),
        max_parts: i32::try_from(most).ok(),
        next_part_number_marker: shown.last().and_then(|part| number(part.number)),
        part_number_marker: number(after),
        parts: composite.then(|| shown.iter().map(part).collect()),
        total_parts_count: i32::try_from(parts.len()).ok(),
    }
}

fn condition_of(object: &ObjectIdentifier) -> S3Result<Condition> {
    if object.last_modified_time.is_some() || object.size.is_some() {
        return Err(super::error::not_served("conditions of directory buckets"));
    }
    if object.version_id.as_ref().is_some_and(|version| version != "null") {
        return Err(invalid_argument("Invalid version id specified"));
    }
    Ok(match &object.e_tag {
        Some(etag) => Condition::Matches(etag.value().to_owned()),
        None => Condition::None,
    })
}

fn line(key: String, source: ObjectError) -> s3s::dto::Error {
    let error = fault(source);
    s3s::dto::Error {
        code: Some(error.code().as_str().to_owned()),
        key: Some(key),
        message: error.message().map(str::to_owned),
        version_id: None,
    }
}
