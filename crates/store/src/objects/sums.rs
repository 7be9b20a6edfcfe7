//! Checksums of S3: computed while bytes pass, combined over parts.

use crc_fast::{CrcAlgorithm, Digest as Crc};
use md5::Md5;
use serde::{Deserialize, Serialize};
use sha2::Digest as _;
use std::collections::BTreeMap;

/// A checksum that S3 knows, by its name there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Algorithm {
    /// CRC-32/ISO-HDLC.
    Crc32,
    /// CRC-32/ISCSI.
    Crc32c,
    /// CRC-64/NVME: what S3 computes if nothing is asked for.
    Crc64Nvme,
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Crc32, Self::Crc32c, Self::Crc64Nvme, Self::Sha1, Self::Sha256];

    /// Whether the checksum of a whole can be told from those of its parts.
    #[must_use]
    pub const fn combines(self) -> bool {
        self.crc().is_some()
    }

    /// The length of its value in bytes.
    #[must_use]
    pub const fn width(self) -> usize {
        match self {
            Self::Crc32 | Self::Crc32c => 4,
            Self::Crc64Nvme => 8,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }

    const fn crc(self) -> Option<CrcAlgorithm> {
        match self {
            Self::Crc32 => Some(CrcAlgorithm::Crc32IsoHdlc),
            Self::Crc32c => Some(CrcAlgorithm::Crc32Iscsi),
            Self::Crc64Nvme => Some(CrcAlgorithm::Crc64Nvme),
            Self::Sha1 | Self::Sha256 => None,
        }
    }
}

/// Checksums of one piece of data, as bytes.
pub type Sums = BTreeMap<Algorithm, Vec<u8>>;

enum State {
    Crc(Crc),
    Sha1(sha1::Sha1),
    Sha256(sha2::Sha256),
}

/// Computes MD5 (S3's `ETag`) and the chosen checksums in one pass.
pub(super) struct Hasher {
    md5: Md5,
    sums: Vec<(Algorithm, State)>,
}

impl Hasher {
    pub(super) fn new(algorithms: &[Algorithm]) -> Self {
        let begin = |&algorithm: &Algorithm| {
            let state = match (algorithm, algorithm.crc()) {
                (_, Some(crc)) => State::Crc(Crc::new(crc)),
                (Algorithm::Sha1, None) => State::Sha1(sha1::Sha1::new()),
                (_, None) => State::Sha256(sha2::Sha256::new()),
            };
            (algorithm, state)
        };
        Self { md5: Md5::new(), sums: algorithms.iter().map(begin).collect() }
    }

    pub(super) fn update(&mut self, data: &[u8]) {
        self.md5.update(data);
        for (_, state) in &mut self.sums {
            match state {
                State::Crc(crc) => crc.update(data),
                State::Sha1(sha) => sha.update(data),
                State::Sha256(sha) => sha.update(data),
            }
        }
    }

    /// The MD5 and the checksums.
    pub(super) fn finish(self) -> ([u8; 16], Sums) {
        let end = |(algorithm, state): (Algorithm, State)| {
            let value = match state {
                State::Crc(crc) => crc_bytes(algorithm, crc.finalize()),
                State::Sha1(sha) => sha.finalize().to_vec(),
                State::Sha256(sha) => sha.finalize().to_vec(),
            };
            (algorithm, value)
        };
        (self.md5.finalize().into(), self.sums.into_iter().map(end).collect())
    }
}

fn crc_bytes(algorithm: Algorithm, value: u64) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    bytes[bytes.len() - algorithm.width()..].to_vec()
}

fn crc_value(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// The checksum of all bytes of parts, from each part's own and its size; none if it is not a
/// CRC or a part has no value.
pub(super) fn full<'a>(
    algorithm: Algorithm,
    parts: impl Iterator<Item = (&'a Sums, u64)>,
) -> Option<Vec<u8>> {
    let crc = algorithm.crc()?;
    let mut whole = Crc::new(crc).finalize();
    for (sums, size) in parts {
        whole = crc_fast::checksum_combine(crc, whole, crc_value(sums.get(&algorithm)?), size);
    }
    Some(crc_bytes(algorithm, whole))
}

/// The checksum of the parts' checksums (S3's `COMPOSITE`).
pub(super) fn composite<'a>(
    algorithm: Algorithm,
    parts: impl Iterator<Item = &'a Sums>,
) -> Option<Vec<u8>> {
    let mut hasher = Hasher::new(&[algorithm]);
    for sums in parts {
        hasher.update(sums.get(&algorithm)?);
    }
    hasher.finish().1.remove(&algorithm)
}

/// The `ETag` of an object made of parts, without quotes.
pub(super) fn etag_of_parts<'a>(etags: impl Iterator<Item = &'a str>) -> String {
    let mut md5 = Md5::new();
    let mut count = 0;
    for etag in etags {
        md5.update(unhex(etag));
        count += 1;
    }
    format!("{}-{count}", hex(&md5.finalize()))
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |four: u8| char::from(DIGITS[usize::from(four & 15)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

/// The bytes of what [`hex`] gave; what is no digit counts as none.
pub(super) fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16)?.try_into().ok()).collect();
    digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(data: &[u8]) -> Sums {
        let mut hasher = Hasher::new(&Algorithm::ALL);
        hasher.update(data);
        hasher.finish().1
    }

    #[test]
    fn known_values() {
        // The check values of the CRC catalogue, and the digests of its text by other programs.
        let sums = all(b"123456789");
        assert_eq!(hex(&sums[&Algorithm::Crc32]), "cbf43926");
        assert_eq!(hex(&sums[&Algorithm::Crc32c]), "e3069283");
        assert_eq!(hex(&sums[&Algorithm::Crc64Nvme]), "ae8b14860a799888");
        assert_eq!(hex(&sums[&Algorithm::Sha1]), "f7c3bc1d808e04732adf679965ccc34ca7ae3441");
        assert!(hex(&sums[&Algorithm::Sha256]).starts_with("15e2b0d3c33891eb"));
        assert_eq!(hex(&Hasher::new(&[]).finish().0), "d41d8cd98f00b204e9800998ecf8427e");
    }

    #[test]
    fn parts_combine_to_the_whole() {
        let (a, b, c) = (b"hello ".as_slice(), b"".as_slice(), b"world, once more".as_slice());
        let parts = [(all(a), a.len() as u64), (all(b), 0), (all(c), c.len() as u64)];
        let whole = all(&[a, b, c].concat());
        for algorithm in Algorithm::ALL {
            let combined = full(algorithm, parts.iter().map(|(sums, size)| (sums, *size)));
            assert_eq!(combined.is_some(), algorithm.combines());
            if let Some(combined) = combined {
                assert_eq!(combined, whole[&algorithm], "{algorithm:?}");
            }
        }
        assert_eq!(full(Algorithm::Crc32, [(&Sums::new(), 3)].into_iter()), None);
    }

    #[test]
    fn digits_go_and_come_back() {
        assert_eq!(hex(&[0, 10, 255]), "000aff");
        assert_eq!(unhex("000aff"), [0, 10, 255]);
    }
}
