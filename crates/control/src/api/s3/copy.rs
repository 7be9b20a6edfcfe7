//! Objects and parts made of objects.

use super::Backend;
use super::body::receive;
use super::conditions::{Conditions, time};
use super::describe::{self, etag};
use super::error::{error, fault, invalid_argument, invalid_request, not_served};
use super::sums::{self, Members};
use belljar_store::objects::{Algorithm, Condition, Found, Info, MAX_PUT, Meta, ObjectError};
use s3s::dto::{
    CopyObjectInput, CopyObjectOutput, CopyObjectResult, CopyPartResult, CopySource,
    MetadataDirective, Range, StreamingBlob, TaggingDirective, UploadPartCopyInput,
    UploadPartCopyOutput,
};
use s3s::{S3Error, S3ErrorCode, S3Result};

/// Bucket and key.
fn source(source: CopySource) -> S3Result<(String, String)> {
    match source {
        CopySource::Bucket { bucket, key, version_id } => match version_id.as_deref() {
            None | Some("null") => Ok((bucket.into(), key.into())),
            Some(_) => Err(invalid_argument("Invalid version id specified")),
        },
        _ => Err(not_served("copies from access points")),
    }
}

/// What a copy changes.
struct Change {
    conditions: Conditions,
    /// Instead of the source's headers and user metadata.
    meta: Option<Meta>,
    /// Instead of the source's tags.
    tags: Option<Vec<(String, String)>>,
    sse: Meta,
    to_itself: bool,
    algorithm: Option<Algorithm>,
}

/// A copy that cannot share the source's bytes as they are.
enum Refused {
    /// It lacks this checksum: the bytes must be read.
    Lacks(Algorithm),
    Error(S3Error),
}

impl From<ObjectError> for Refused {
    fn from(source: ObjectError) -> Self {
        Self::Error(fault(source))
    }
}

impl Change {
    fn of(input: &mut CopyObjectInput, to_itself: bool) -> S3Result<Self> {
        let directive = input.metadata_directive.as_ref().map(MetadataDirective::as_str);
        let replace = directive == Some(MetadataDirective::REPLACE);
        let tagging = input.tagging_directive.as_ref().map(TaggingDirective::as_str);
        let retag = tagging == Some(TaggingDirective::REPLACE);
        let new = describe::of_copy(input)?;
        let (tags, mut sse) = (new.tags.clone(), new.clone());
        sse.tags = Vec::new();
        Ok(Self {
            conditions: Conditions {
                matches: input.copy_source_if_match.take(),
                none_match: input.copy_source_if_none_match.take(),
                modified: input.copy_source_if_modified_since.take(),
                unmodified: input.copy_source_if_unmodified_since.take(),
            },
            meta: replace.then_some(new),
            tags: retag.then_some(tags),
            sse,
            to_itself,
            algorithm: sums::algorithm(input.checksum_algorithm.as_ref())?,
        })
    }

    /// The metadata of the copy.
    fn apply(&self, info: &Info) -> Result<Meta, S3Error> {
        self.conditions.check(info).map_err(|unmet| unmet.of_copy())?;
        let (old, new) = (&info.meta, &self.sse);
        let changes = self.meta.is_some()
            || self.tags.is_some()
            || new.class.is_some()
            || new.sse.is_some()
            || new.kms_key.is_some();
        if self.to_itself && !changes {
            return Err(invalid_request(
                "This copy request is illegal because it is trying to copy an object to itself \
                 without changing the object's metadata, storage class, website redirect \
                 location or encryption attributes.",
            ));
        }
        let base = self.meta.as_ref().unwrap_or(old);
        Ok(Meta {
            tags: self.tags.as_ref().unwrap_or(&old.tags).clone(),
            sse: new.sse.clone(),
            kms_key: new.kms_key.clone(),
            bucket_key: new.bucket_key,
            class: new.class.clone(),
            sums: old.sums.clone(),
            composite: old.composite,
            algorithm: old.algorithm,
            parts: old.parts,
            upload: None,
            ..base.clone()
        })
    }

    fn shared(&self, info: &Info) -> Result<Meta, Refused> {
        match self.algorithm {
            Some(wanted) if info.meta.composite || !info.meta.sums.contains_key(&wanted) => {
                Err(Refused::Lacks(wanted))
            }
            _ => self.apply(info).map_err(Refused::Error),
        }
    }
}

impl Backend {
    pub(super) async fn copy_object(
        &self,
        mut input: CopyObjectInput,
    ) -> S3Result<CopyObjectOutput> {
        describe::check_key(&input.key)?;
        let from = source(input.copy_source.clone())?;
        let to = (input.bucket.clone(), input.key.clone());
        let change = std::sync::Arc::new(Change::of(&mut input, from == to)?);
        self.objects.bucket_exists(&to.0).map_err(fault)?;
        let sharing = std::sync::Arc::clone(&change);
        let share = self
            .objects
            .copy(from.clone(), to.clone(), Condition::None, move |info| sharing.shared(info));
        let info = match share.await {
            Ok(info) => info,
            Err(Refused::Error(error)) => return Err(error),
            Err(Refused::Lacks(algorithm)) => self.rewrite(&from, to, &change, algorithm).await?,
        };
        let sums = Members::of_object(&info.meta);
        Ok(CopyObjectOutput {
            copy_object_result: Some(CopyObjectResult {
                checksum_crc32: sums.crc32,
                checksum_crc32c: sums.crc32c,
                checksum_crc64nvme: sums.crc64nvme,
                checksum_sha1: sums.sha1,
                checksum_sha256: sums.sha256,
                checksum_type: sums::kind(&info.meta),
                e_tag: Some(etag(&info.etag)),
                last_modified: Some(time(info.modified)),
            }),
            server_side_encryption: describe::sse(&info.meta),
            ssekms_key_id: info.meta.kms_key.clone(),
            bucket_key_enabled: info.meta.bucket_key,
            ..Default::default()
        })
    }

    /// Copies the bytes, for a checksum that the source has not.
    async fn rewrite(
        &self,
        from: &(String, String),
        to: (String, String),
        change: &Change,
        algorithm: Algorithm,
    ) -> S3Result<Info> {
        let Found { info, body } = self.objects.get(&from.0, &from.1).map_err(fault)?;
        let mut meta = change.apply(&info)?;
        (meta.composite, meta.parts, meta.algorithm) = (false, None, None);
        let bytes = StreamingBlob::new(super::body::Outgoing(body.chunks(0..info.size)));
        let incoming = self.objects.receive(&[algorithm]);
        let received = receive(incoming, Some(bytes), None, u64::MAX).await?;
        self.objects.put(to.0, to.1, received, meta, Condition::None).await.map_err(fault)
    }

    pub(super) async fn copy_part(
        &self,
        input: UploadPartCopyInput,
    ) -> S3Result<UploadPartCopyOutput> {
        let number = super::multipart::number(input.part_number)?;
        let from = source(input.copy_source)?;
        let meta = self.objects.upload(&input.bucket, &input.key, &input.upload_id);
        let meta = meta.map_err(fault)?;
        let Found { info, body } = self.objects.get(&from.0, &from.1).map_err(fault)?;
        let conditions = Conditions {
            matches: input.copy_source_if_match,
            none_match: input.copy_source_if_none_match,
            modified: input.copy_source_if_modified_since,
            unmodified: input.copy_source_if_unmodified_since,
        };
        conditions.check(&info).map_err(|unmet| unmet.of_copy())?;
        let range = match input.copy_source_range.as_deref() {
            None => 0..info.size,
            Some(range) => part_range(range, info.size)?,
        };
        let kept = meta.algorithm.unwrap_or(Algorithm::Crc64Nvme);
        let bytes = StreamingBlob::new(super::body::Outgoing(body.chunks(range)));
        let incoming = self.objects.receive_part(&[kept]);
        let received = receive(incoming, Some(bytes), None, MAX_PUT).await?;
        let sums = Members::of_received(&received, kept);
        let value = received.etag();
        let upload = (input.bucket, input.key, input.upload_id);
        self.objects.put_part(upload, number, received).await.map_err(fault)?;
        let now = std::time::SystemTime::now().into();
        Ok(UploadPartCopyOutput {
            copy_part_result: Some(CopyPartResult {
                checksum_crc32: sums.crc32,
                checksum_crc32c: sums.crc32c,
                checksum_crc64nvme: sums.crc64nvme,
                checksum_sha1: sums.sha1,
                checksum_sha256: sums.sha256,
                e_tag: Some(etag(&value)),
                last_modified: Some(now),
            }),
            server_side_encryption: describe::sse(&meta),
            ..Default::default()
        })
    }
}

/// `bytes=FIRST-LAST`, both within the source: unlike a read's range, it is not cut.
fn part_range(text: &str, size: u64) -> S3Result<std::ops::Range<u64>> {
    match Range::parse(text) {
        Ok(Range::Int { first, last: Some(last) }) if last < size => Ok(first..last + 1),
        Ok(Range::Int { last: Some(_), .. }) => Err(error(
            S3ErrorCode::InvalidArgument,
            format!("Range specified is not valid for source object of size: {size}"),
        )),
        _ => Err(invalid_argument(
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first \
             and last are the zero-based offsets of the first and last bytes to copy",
        )),
    }
}
