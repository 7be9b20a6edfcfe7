//! Values of records in presentation format.

use super::name;
use belljar_vpc::network::RecordType;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Octets of one string of a `TXT` record (RFC 1035, 3.3).
const MAX_STRING: usize = 255;

/// What a value says, to tell whether two say the same; its error is a sentence of
/// `InvalidChangeBatch`.
pub(super) fn meaning(kind: RecordType, value: &str) -> Result<String, String> {
    let fatal = |problem: &str| {
        format!("Invalid Resource Record: 'FATAL problem: {problem} encountered with '{value}''")
    };
    match kind {
        RecordType::A => {
            let address = value.parse::<Ipv4Addr>();
            let wrong = "ARRDATAIllegalIPv4Address (Value is not a valid IPv4 address)";
            address.map(|a| a.to_string()).map_err(|_| fatal(wrong))
        }
        RecordType::Aaaa => {
            let address = value.parse::<Ipv6Addr>();
            let wrong = "AAAARRDATAIllegalIPv6Address (Value is not a valid IPv6 address)";
            address.map(|a| a.to_string()).map_err(|_| fatal(wrong))
        }
        RecordType::Cname | RecordType::Ns => {
            name::normal(value).map_err(|e| format!("Invalid Resource Record: '{e}'"))
        }
        RecordType::Txt => strings(value).map_err(fatal),
        RecordType::Soa => Ok(value.to_owned()),
    }
}

/// The strings of a `TXT` record, each in quotes, one after the other.
fn strings(value: &str) -> Result<String, &'static str> {
    const UNQUOTED: &str = "InvalidCharacterString (Value should be enclosed in quotation marks)";
    let mut meant = Vec::new();
    let mut rest = value.trim_matches([' ', '\t']);
    while !rest.is_empty() {
        let inside = rest.strip_prefix('"').ok_or(UNQUOTED)?;
        let (string, behind) = string(inside)?;
        if string.len() > MAX_STRING {
            return Err("CharacterStringTooLong (Value is too long)");
        }
        meant.push(string);
        rest = behind.trim_start_matches([' ', '\t']);
    }
    if meant.is_empty() {
        return Err(UNQUOTED);
    }
    Ok(format!("{meant:?}"))
}

/// One string up to its closing quote, and what stands behind that.
fn string(inside: &str) -> Result<(Vec<u8>, &str), &'static str> {
    const OPEN: &str = "InvalidCharacterString (Value should be enclosed in quotation marks)";
    const ESCAPE: &str = "InvalidCharacterString (Value contains invalid escape sequence)";
    let octets = inside.as_bytes();
    let (mut found, mut at) = (Vec::new(), 0);
    loop {
        match octets.get(at).ok_or(OPEN)? {
            b'"' => return Ok((found, inside.get(at + 1..).ok_or(OPEN)?)),
            b'\\' => match octets.get(at + 1).ok_or(OPEN)? {
                escaped @ (b'"' | b'\\') => {
                    found.push(*escaped);
                    at += 2;
                }
                _ => {
                    let digits = octets.get(at + 1..at + 4).and_then(name::octal);
                    found.push(digits.ok_or(ESCAPE)?);
                    at += 4;
                }
            },
            octet => {
                found.push(*octet);
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_addresses() {
        assert_eq!(meaning(RecordType::A, "10.0.0.1").unwrap(), "10.0.0.1");
        assert_eq!(meaning(RecordType::Aaaa, "2001:DB8:0:0::1").unwrap(), "2001:db8::1");
        assert_eq!(
            meaning(RecordType::A, "10.0.0").unwrap_err(),
            "Invalid Resource Record: 'FATAL problem: ARRDATAIllegalIPv4Address (Value is not a \
             valid IPv4 address) encountered with '10.0.0''"
        );
        for bad in ["010.0.0.1", "10.0.0.1 ", "::1", ""] {
            assert!(meaning(RecordType::A, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn text_is_quoted() {
        let same = |one: &str, other: &str| {
            meaning(RecordType::Txt, one).unwrap() == meaning(RecordType::Txt, other).unwrap()
        };
        assert!(same(r#""a b""#, r#""a\040b""#));
        assert!(!same(r#""ab""#, r#""a" "b""#));
        assert!(same(r#""a""b""#, r#""a"  "b""#));
        let long = format!("\"{}\"", "x".repeat(256));
        for bad in ["", "a", "\"a", r#""\"#, r#""\9""#, r#""a" b"#, "\"\\\u{e9}\"", &long] {
            assert!(meaning(RecordType::Txt, bad).is_err(), "{bad}");
        }
        meaning(RecordType::Txt, &format!("\"{}\" \"\"", "x".repeat(255))).unwrap();
    }
}
