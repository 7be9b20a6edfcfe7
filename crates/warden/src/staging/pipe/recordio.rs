//! MXNet's `RecordIO` framing: magic, length, content, zeros up to a multiple of four.

use crate::staging::limits::RECORD_BYTES;
use bytes::Bytes;

const MAGIC: u32 = 0xced7_230a;

/// What stands before a record of `size` bytes; `None` if there is none for so many. The length's
/// upper three bits say that the record is whole: readers in the field know no other.
pub(super) fn header(size: u64) -> Option<Bytes> {
    let length = u32::try_from(size).ok().filter(|_| size < RECORD_BYTES)?;
    let mut bytes = Vec::with_capacity(8);
    bytes.extend_from_slice(&MAGIC.to_le_bytes());
    bytes.extend_from_slice(&length.to_le_bytes());
    Some(bytes.into())
}

/// What stands behind it.
pub(super) fn padding(size: u64) -> Bytes {
    const ZEROS: [u8; 3] = [0; 3];
    let wanted = usize::try_from(size.wrapping_neg() % 4).unwrap_or(0);
    Bytes::from_static(ZEROS.get(..wanted).unwrap_or(&[]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn framing_as_mxnet_reads_it() {
        assert_eq!(&header(5).unwrap()[..], [0x0a, 0x23, 0xd7, 0xce, 5, 0, 0, 0]);
        assert_eq!(&header((1 << 29) - 1).unwrap()[4..], [0xff, 0xff, 0xff, 0x1f]);
        assert_eq!(header(1 << 29), None);
        for (size, zeros) in [(0, 0), (1, 3), (2, 2), (3, 1), (4, 0), (5, 3)] {
            assert_eq!(padding(size).len(), zeros, "{size}");
        }
    }
}
