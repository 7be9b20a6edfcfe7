//! Percent-encoding, query strings and forms.

use crate::limits;

/// The pairs of a query string or form, decoded. `None` if a text is not UTF-8, a percent sign has
/// no two digits behind it, or there are too many.
pub(crate) fn pairs(text: &[u8], plus_is_space: bool) -> Option<Vec<(String, String)>> {
    let mut found = Vec::new();
    for pair in text.split(|b| *b == b'&').filter(|pair| !pair.is_empty()) {
        if found.len() == limits::PARAMETERS {
            return None;
        }
        let mut halves = pair.splitn(2, |b| *b == b'=');
        let name = decode(halves.next().unwrap_or_default(), plus_is_space)?;
        let value = decode(halves.next().unwrap_or_default(), plus_is_space)?;
        found.push((name, value));
    }
    Some(found)
}

/// A percent-encoded text, decoded.
pub(crate) fn decode(text: &[u8], plus_is_space: bool) -> Option<String> {
    String::from_utf8(decode_bytes(text, plus_is_space)?).ok()
}

pub(crate) fn decode_bytes(text: &[u8], plus_is_space: bool) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => out.push(hex(*bytes.next()?)? << 4 | hex(*bytes.next()?)?),
            b'+' if plus_is_space => out.push(b' '),
            other => out.push(*other),
        }
    }
    Some(out)
}

fn hex(digit: u8) -> Option<u8> {
    (digit as char).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// Percent-encodes all but the unreserved characters of RFC 3986 and those of `keep`.
pub(crate) fn encode(text: &[u8], keep: &[u8], out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) || keep.contains(byte) {
            out.push(*byte as char);
        } else {
            out.push('%');
            out.push(DIGITS[usize::from(byte >> 4)] as char);
            out.push(DIGITS[usize::from(byte & 15)] as char);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_read() {
        let read = |text: &str| pairs(text.as_bytes(), true);
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(
            read("a=b+c&&d&e=%C3%A9=").unwrap(),
            [pair("a", "b c"), pair("d", ""), pair("e", "é=")]
        );
        for wrong in ["a=%", "a=%4", "a=%zz", "%ff=1"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let mut out = String::new();
        encode("a b/é~%+".as_bytes(), b"/", &mut out);
        assert_eq!(out, "a%20b/%C3%A9~%25%2B");
        assert_eq!(decode(out.as_bytes(), false).unwrap(), "a b/é~%+");
    }
}
