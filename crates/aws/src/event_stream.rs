//! Messages of `application/vnd.amazon.eventstream`, which some answers are a stream of. Source:
//! Smithy specification, "Amazon Event Stream Specification".
//!
//! A message is its length and its headers' (4 bytes each, big-endian), a `CRC32` of both, headers,
//! payload, and a `CRC32` of all before.

use bytes::{BufMut, Bytes, BytesMut};
use crc_fast::{CrcAlgorithm, checksum};

/// The content type of such an answer.
pub const CONTENT_TYPE: &str = "application/vnd.amazon.eventstream";
/// Bytes of the payload of one message.
pub const MAX_PAYLOAD: usize = 8 << 20;

/// A header's value that is a text.
const TEXT: u8 = 7;
/// Lengths, their checksum, and the message's.
const FRAME: usize = 16;

/// An event with a payload of bytes.
#[must_use]
pub fn event(kind: &str, payload: &[u8]) -> Bytes {
    let headers = [
        (":event-type", kind),
        (":content-type", "application/octet-stream"),
        (":message-type", "event"),
    ];
    message(&headers, payload)
}

/// An exception of the model, with its members as `JSON`: the stream's end.
#[must_use]
pub fn exception(kind: &str, members: &serde_json::Value) -> Bytes {
    let headers = [
        (":exception-type", kind),
        (":content-type", "application/json"),
        (":message-type", "exception"),
    ];
    message(&headers, members.to_string().as_bytes())
}

/// A message with headers that are texts. Names have at most 255 bytes, values 65,535, and a payload
/// [`MAX_PAYLOAD`]; what is longer is cut.
#[must_use]
pub fn message(headers: &[(&str, &str)], payload: &[u8]) -> Bytes {
    let mut head = BytesMut::with_capacity(128);
    for (name, value) in headers {
        let (name, name_length) = cut(name.as_bytes(), u8::MAX.into());
        let (value, value_length) = cut(value.as_bytes(), u16::MAX.into());
        head.put_u8(u8::try_from(name_length).unwrap_or(u8::MAX));
        head.put_slice(name);
        head.put_u8(TEXT);
        head.put_u16(u16::try_from(value_length).unwrap_or(u16::MAX));
        head.put_slice(value);
    }
    let (payload, length) = cut(payload, MAX_PAYLOAD);
    let total = FRAME + head.len() + length;
    let mut message = BytesMut::with_capacity(total);
    message.put_u32(u32::try_from(total).unwrap_or(u32::MAX));
    message.put_u32(u32::try_from(head.len()).unwrap_or(u32::MAX));
    message.put_u32(crc(&message));
    message.put_slice(&head);
    message.put_slice(payload);
    message.put_u32(crc(&message));
    message.freeze()
}

fn cut(bytes: &[u8], max: usize) -> (&[u8], usize) {
    let kept = bytes.get(..max).unwrap_or(bytes);
    (kept, kept.len())
}

fn crc(bytes: &[u8]) -> u32 {
    u32::try_from(checksum(CrcAlgorithm::Crc32IsoHdlc, bytes)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sigv4::hex;

    /// The specification's vectors.
    #[test]
    fn messages_are_those_of_the_specification() {
        assert_eq!(hex(&message(&[], b"")), "000000100000000005c248eb7d98c8ff");
        assert_eq!(
            hex(&message(&[], b"{'foo':'bar'}")),
            "0000001d00000000fd528c5a7b27666f6f273a27626172277dc3653936"
        );
    }

    #[test]
    fn a_part_has_its_headers_and_its_bytes() {
        let made = event("PayloadPart", b"abc");
        let text = String::from_utf8_lossy(&made).into_owned();
        for part in [":event-type", "PayloadPart", ":message-type", "abc"] {
            assert!(text.contains(part), "{part}");
        }
        let length = u32::from_be_bytes(made[..4].try_into().unwrap());
        assert_eq!(length as usize, made.len());
        assert_eq!(
            u32::from_be_bytes(made[made.len() - 4..].try_into().unwrap()),
            crc(&made[..made.len() - 4])
        );
    }
}
