//! Uploads in parts.

use super::Backend;
use super::body::receive;
use super::conditions::{self, time};
use super::describe::{self, etag};
use super::error::{error, fault, invalid_argument};
use super::sums::{self, Claims, Members};
use belljar_store::objects::{Algorithm, Completion, MAX_PARTS, MAX_PUT};
use s3s::dto::{
    ChecksumType, CompleteMultipartUploadInput, CompleteMultipartUploadOutput, CompletedPart,
    CreateMultipartUploadInput, CreateMultipartUploadOutput, Initiator, ListPartsInput,
    ListPartsOutput, Owner, Part, UploadPartInput, UploadPartOutput,
};
use s3s::{S3ErrorCode, S3Request, S3Result};
use std::collections::BTreeMap;

/// The number of a part.
pub(super) fn number(number: i32) -> S3Result<u32> {
    u32::try_from(number).ok().filter(|number| (1..=MAX_PARTS).contains(number)).ok_or_else(|| {
        invalid_argument("Part number must be an integer between 1 and 10000, inclusive")
    })
}

fn kind(composite: bool) -> ChecksumType {
    let kind = if composite { ChecksumType::COMPOSITE } else { ChecksumType::FULL_OBJECT };
    ChecksumType::from_static(kind)
}

/// The value of a checksum without the `-N` of composite ones.
fn bare(sum: &str) -> String {
    sum.split_once('-').map_or(sum, |(bare, _)| bare).to_owned()
}

/// Number, `ETag` and checksums.
type PartListed = (u32, String, BTreeMap<Algorithm, String>);

/// Parts as a client lists them.
fn listed(parts: Vec<CompletedPart>) -> S3Result<Vec<PartListed>> {
    let malformed = || {
        let message = "The XML you provided was not well-formed or did not validate against our \
                       published schema";
        error(S3ErrorCode::MalformedXML, message)
    };
    let mut all: Vec<PartListed> = Vec::with_capacity(parts.len());
    for part in parts {
        let number = number(part.part_number.ok_or_else(malformed)?)?;
        let etag = part.e_tag.ok_or_else(malformed)?.into_value();
        if all.last().is_some_and(|(last, ..)| *last >= number) {
            return Err(error(
                S3ErrorCode::InvalidPartOrder,
                "The list of parts was not in ascending order. Parts must be ordered by part \
                 number.",
            ));
        }
        let sums = Members {
            crc32: part.checksum_crc32,
            crc32c: part.checksum_crc32c,
            crc64nvme: part.checksum_crc64nvme,
            sha1: part.checksum_sha1,
            sha256: part.checksum_sha256,
        };
        all.push((number, etag, sums.map()));
    }
    if all.is_empty() { Err(malformed()) } else { Ok(all) }
}

impl Backend {
    pub(super) async fn create_upload(
        &self,
        mut input: CreateMultipartUploadInput,
    ) -> S3Result<CreateMultipartUploadOutput> {
        describe::check_key(&input.key)?;
        let mut meta = describe::of_upload(&mut input)?;
        let asked = input.checksum_algorithm.as_ref();
        describe::set_checksum(&mut meta, asked, input.checksum_type.as_ref())?;
        let kind = asked.is_some().then(|| kind(meta.composite));
        let created =
            self.objects.create_upload(input.bucket.clone(), input.key.clone(), meta.clone());
        let id = created.await.map_err(fault)?;
        Ok(CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            checksum_algorithm: input.checksum_algorithm,
            checksum_type: kind,
            key: Some(input.key),
            server_side_encryption: describe::sse(&meta),
            ssekms_key_id: meta.kms_key,
            bucket_key_enabled: meta.bucket_key,
            upload_id: Some(id),
            ..Default::default()
        })
    }

    pub(super) async fn upload_part(
        &self,
        request: S3Request<UploadPartInput>,
    ) -> S3Result<UploadPartOutput> {
        let input = request.input;
        let number = number(input.part_number)?;
        let claims = Claims::of(&request.headers)?;
        let meta = self.objects.upload(&input.bucket, &input.key, &input.upload_id);
        let meta = meta.map_err(fault)?;
        let kept = meta.algorithm.unwrap_or_else(|| claims.kept());
        let incoming = self.objects.receive_part(&claims.computed(kept));
        let mut received = receive(incoming, input.body, input.content_length, MAX_PUT).await?;
        claims.check(&received, request.trailing_headers.as_ref())?;
        let sums = Members::of_received(&received, claims.kept());
        received.sums.retain(|algorithm, _| *algorithm == kept);
        let value = received.etag();
        let upload = (input.bucket, input.key, input.upload_id);
        self.objects.put_part(upload, number, received).await.map_err(fault)?;
        Ok(UploadPartOutput {
            checksum_crc32: sums.crc32,
            checksum_crc32c: sums.crc32c,
            checksum_crc64nvme: sums.crc64nvme,
            checksum_sha1: sums.sha1,
            checksum_sha256: sums.sha256,
            e_tag: Some(etag(&value)),
            server_side_encryption: describe::sse(&meta),
            ssekms_key_id: meta.kms_key,
            bucket_key_enabled: meta.bucket_key,
            ..Default::default()
        })
    }

    pub(super) async fn complete_upload(
        &self,
        input: CompleteMultipartUploadInput,
    ) -> S3Result<CompleteMultipartUploadOutput> {
        let parts = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
        let announced = Members {
            crc32: input.checksum_crc32,
            crc32c: input.checksum_crc32c,
            crc64nvme: input.checksum_crc64nvme,
            sha1: input.checksum_sha1,
            sha256: input.checksum_sha256,
        };
        let sum =
            announced.map().into_iter().next().map(|(algorithm, sum)| (algorithm, bare(&sum)));
        if let Some((algorithm, sum)) = &sum {
            sums::check_form(*algorithm, sum)?;
        }
        let size = input.mpu_object_size.map(|size| u64::try_from(size).unwrap_or(u64::MAX));
        let completion = Completion {
            parts: listed(parts)?,
            sum,
            size,
            condition: conditions::of_write(input.if_match.as_ref(), input.if_none_match.as_ref())?,
        };
        if let Some(wanted) = &input.checksum_type {
            let meta = self.objects.upload(&input.bucket, &input.key, &input.upload_id);
            if meta.is_ok_and(|meta| kind(meta.composite) != *wanted) {
                return Err(super::error::invalid_request(
                    "The upload was created using another checksum type than the complete request \
                     names.",
                ));
            }
        }
        let upload = (input.bucket.clone(), input.key.clone(), input.upload_id);
        let info = self.objects.complete_upload(upload, completion).await.map_err(fault)?;
        let sums = Members::of_object(&info.meta);
        Ok(CompleteMultipartUploadOutput {
            location: Some(format!("/{}/{}", input.bucket, input.key)),
            bucket: Some(input.bucket),
            key: Some(input.key),
            checksum_crc32: sums.crc32,
            checksum_crc32c: sums.crc32c,
            checksum_crc64nvme: sums.crc64nvme,
            checksum_sha1: sums.sha1,
            checksum_sha256: sums.sha256,
            checksum_type: sums::kind(&info.meta),
            e_tag: Some(etag(&info.etag)),
            server_side_encryption: describe::sse(&info.meta),
            ssekms_key_id: info.meta.kms_key,
            bucket_key_enabled: info.meta.bucket_key,
            ..Default::default()
        })
    }

    pub(super) fn list_parts(&self, input: ListPartsInput) -> S3Result<ListPartsOutput> {
        let found = self.objects.parts(&input.bucket, &input.key, &input.upload_id);
        let (meta, mut parts) = found.map_err(fault)?;
        let most = usize::try_from(input.max_parts.unwrap_or(1000)).map(|most| most.min(1000));
        let most = most.map_err(|_| invalid_argument("Argument max-parts must not be negative"))?;
        let after = input.part_number_marker.unwrap_or(0);
        parts.retain(|part| i64::from(part.number) > i64::from(after));
        let more = parts.len() > most;
        parts.truncate(most);
        let last = parts.last().and_then(|part| i32::try_from(part.number).ok());
        let shown = |part: belljar_store::objects::Part| {
            let sums = Members::of(&part.sums);
            Part {
                checksum_crc32: sums.crc32,
                checksum_crc32c: sums.crc32c,
                checksum_crc64nvme: sums.crc64nvme,
                checksum_sha1: sums.sha1,
                checksum_sha256: sums.sha256,
                e_tag: Some(etag(&part.etag)),
                last_modified: Some(time(part.modified)),
                part_number: i32::try_from(part.number).ok(),
                size: i64::try_from(part.size).ok(),
            }
        };
        let id = Some(self.config.owner());
        Ok(ListPartsOutput {
            bucket: Some(input.bucket),
            checksum_algorithm: meta.algorithm.map(|a| sums::name(a).to_owned().into()),
            checksum_type: Some(kind(meta.composite)),
            initiator: Some(Initiator { display_name: None, id: id.clone() }),
            is_truncated: Some(more),
            key: Some(input.key),
            max_parts: i32::try_from(most).ok(),
            next_part_number_marker: last,
            owner: Some(Owner { display_name: None, id }),
            part_number_marker: Some(after),
            parts: Some(parts.into_iter().map(shown).collect()),
            storage_class: Some(meta.class.unwrap_or_else(|| "STANDARD".to_owned()).into()),
            upload_id: Some(input.upload_id),
            ..Default::default()
        })
    }
}
