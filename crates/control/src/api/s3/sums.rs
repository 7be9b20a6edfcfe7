//! Checksums and MD5 that clients send and ask for.

use super::error::{bad_digest, error, invalid_request};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use belljar_store::objects::{Algorithm, Meta, Received, base64};
use http::HeaderMap;
use s3s::dto::{ChecksumAlgorithm, ChecksumType};
use s3s::{S3ErrorCode, S3Result, TrailingHeaders};
use std::collections::BTreeMap;

/// The name in S3's members and, in lower case, headers.
pub(super) const fn name(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Crc32 => "CRC32",
        Algorithm::Crc32c => "CRC32C",
        Algorithm::Crc64Nvme => "CRC64NVME",
        Algorithm::Sha1 => "SHA1",
        Algorithm::Sha256 => "SHA256",
    }
}

const fn header(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Crc32 => "x-amz-checksum-crc32",
        Algorithm::Crc32c => "x-amz-checksum-crc32c",
        Algorithm::Crc64Nvme => "x-amz-checksum-crc64nvme",
        Algorithm::Sha1 => "x-amz-checksum-sha1",
        Algorithm::Sha256 => "x-amz-checksum-sha256",
    }
}

/// An algorithm by S3's name.
pub(super) fn parse(name_of: &str) -> S3Result<Algorithm> {
    let found = Algorithm::ALL.into_iter().find(|a| name(*a).eq_ignore_ascii_case(name_of));
    found.ok_or_else(|| {
        invalid_request(
            "Checksum algorithm provided is unsupported. Please try again with any of the valid \
             types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]",
        )
    })
}

pub(super) fn algorithm(wanted: Option<&ChecksumAlgorithm>) -> S3Result<Option<Algorithm>> {
    wanted.map(|wanted| parse(wanted.as_str())).transpose()
}

/// What a request says of its body.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// `x-amz-checksum-…` of headers: value in base64.
    sums: BTreeMap<Algorithm, String>,
    /// What comes as a trailer.
    trailer: Option<Algorithm>,
    /// `Content-MD5`, decoded.
    md5: Option<Vec<u8>>,
    /// `x-amz-sdk-checksum-algorithm`.
    named: Option<Algorithm>,
}

impl Claims {
    /// Reads the headers of a request.
    pub(super) fn of(headers: &HeaderMap) -> S3Result<Self> {
        let mut claims = Self::default();
        for algorithm in Algorithm::ALL {
            if let Some(value) = headers.get(header(algorithm)) {
                let value = value.to_str().unwrap_or_default().to_owned();
                check_form(algorithm, &value)?;
                claims.sums.insert(algorithm, value);
            }
        }
        if claims.sums.len() > 1 {
            return Err(invalid_request(
                "Expecting a single x-amz-checksum- header. Multiple checksum Types are not \
                 allowed.",
            ));
        }
        if let Some(trailer) = headers.get("x-amz-trailer") {
            let trailer = trailer.to_str().unwrap_or_default().trim();
            let found =
                Algorithm::ALL.into_iter().find(|a| header(*a).eq_ignore_ascii_case(trailer));
            claims.trailer = Some(found.ok_or_else(|| {
                invalid_request("The value specified in the x-amz-trailer header is not supported")
            })?);
        }
        if let Some(named) = headers.get("x-amz-sdk-checksum-algorithm") {
            claims.named = Some(parse(named.to_str().unwrap_or_default())?);
        }
        if let Some(md5) = headers.get("content-md5") {
            let md5 = BASE64_STANDARD.decode(md5.as_bytes()).unwrap_or_default();
            if md5.len() != 16 {
                let message = "The Content-MD5 you specified was invalid.";
                return Err(error(S3ErrorCode::InvalidDigest, message));
            }
            claims.md5 = Some(md5);
        }
        Ok(claims)
    }

    /// The checksum that is kept with what comes: the one that was sent or named, else S3's own.
    pub(super) fn kept(&self) -> Algorithm {
        let sent = self.sums.keys().next().copied();
        sent.or(self.trailer).or(self.named).unwrap_or(Algorithm::Crc64Nvme)
    }

    /// All that are to be computed, if `kept` is kept.
    pub(super) fn computed(&self, kept: Algorithm) -> Vec<Algorithm> {
        let mut all: Vec<Algorithm> = self.sums.keys().copied().chain(self.trailer).collect();
        all.push(kept);
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Holds what was received against what was said of it.
    pub(super) fn check(
        &self,
        received: &Received,
        trailers: Option<&TrailingHeaders>,
    ) -> S3Result<()> {
        if self.md5.as_ref().is_some_and(|md5| md5[..] != received.md5) {
            let message = "The Content-MD5 you specified did not match what we received.";
            return Err(error(S3ErrorCode::BadDigest, message));
        }
        let equal = |algorithm: Algorithm, value: &str| {
            received.sums.get(&algorithm).is_some_and(|sum| base64(sum) == value)
        };
        for (algorithm, value) in &self.sums {
            if !equal(*algorithm, value) {
                return Err(bad_digest(*algorithm));
            }
        }
        if let Some(algorithm) = self.trailer {
            let sent = trailers.and_then(|trailers| {
                let text = |headers: &HeaderMap| {
                    Some(headers.get(header(algorithm))?.to_str().ok()?.trim().to_owned())
                };
                trailers.read(text).flatten()
            });
            let Some(sent) = sent else {
                let message = "The request contained trailing data that was not well-formed or \
                               did not conform to our published schema.";
                return Err(super::error::custom(
                    http::StatusCode::BAD_REQUEST,
                    "MalformedTrailerError",
                    message,
                ));
            };
            check_form(algorithm, &sent)?;
            if !equal(algorithm, &sent) {
                return Err(bad_digest(algorithm));
            }
        }
        Ok(())
    }
}

/// Whether a checksum is base64 of the right length. `-N` after it is for composite ones.
pub(super) fn check_form(algorithm: Algorithm, value: &str) -> S3Result<()> {
    let bytes = BASE64_STANDARD.decode(value);
    if bytes.is_ok_and(|bytes| bytes.len() == algorithm.width()) {
        return Ok(());
    }
    let header = header(algorithm);
    Err(invalid_request(format!("Value for {header} header is invalid.")))
}

/// The five members that many of S3's structures have.
#[derive(Debug, Default)]
pub(super) struct Members {
    pub(super) crc32: Option<String>,
    pub(super) crc32c: Option<String>,
    pub(super) crc64nvme: Option<String>,
    pub(super) sha1: Option<String>,
    pub(super) sha256: Option<String>,
}

impl Members {
    pub(super) fn of(sums: &BTreeMap<Algorithm, String>) -> Self {
        let get = |algorithm| sums.get(&algorithm).cloned();
        Self {
            crc32: get(Algorithm::Crc32),
            crc32c: get(Algorithm::Crc32c),
            crc64nvme: get(Algorithm::Crc64Nvme),
            sha1: get(Algorithm::Sha1),
            sha256: get(Algorithm::Sha256),
        }
    }

    /// Those of an object, as S3 shows them.
    pub(super) fn of_object(meta: &Meta) -> Self {
        match (meta.composite, meta.parts) {
            (true, Some(parts)) => {
                let shown = |(a, sum): (&Algorithm, &String)| (*a, format!("{sum}-{parts}"));
                Self::of(&meta.sums.iter().map(shown).collect())
            }
            _ => Self::of(&meta.sums),
        }
    }

    pub(super) fn of_received(received: &Received, kept: Algorithm) -> Self {
        let sum = received.sums.get(&kept).map(|sum| (kept, base64(sum)));
        Self::of(&sum.into_iter().collect())
    }

    /// As a map.
    pub(super) fn map(self) -> BTreeMap<Algorithm, String> {
        let all = [
            (Algorithm::Crc32, self.crc32),
            (Algorithm::Crc32c, self.crc32c),
            (Algorithm::Crc64Nvme, self.crc64nvme),
            (Algorithm::Sha1, self.sha1),
            (Algorithm::Sha256, self.sha256),
        ];
        all.into_iter().filter_map(|(algorithm, sum)| Some((algorithm, sum?))).collect()
    }
}

/// `FULL_OBJECT` or `COMPOSITE`, of an object that has a checksum.
pub(super) fn kind(meta: &Meta) -> Option<ChecksumType> {
    let kind = if meta.composite { ChecksumType::COMPOSITE } else { ChecksumType::FULL_OBJECT };
    (!meta.sums.is_empty()).then(|| ChecksumType::from_static(kind))
}
