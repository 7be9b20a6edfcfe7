//! One JSON text for one value: keys sorted by their UTF-8 bytes, no space, no number but whole
//! ones. So that equal statements are equal bytes, and any other spelling is seen.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Why a text is not canonical.
#[derive(Debug, thiserror::Error)]
pub enum CanonicalError {
    /// Not JSON, or not of the form that was expected.
    #[error("it is not the JSON that was expected")]
    Json(#[from] serde_json::Error),
    /// JSON, spelt otherwise than Belljar spells it.
    #[error("it is not spelt as Belljar spells it")]
    Spelling,
    /// A number with a fraction.
    #[error("it holds a number that is not whole")]
    Fraction,
}

/// The canonical text of a value.
///
/// # Errors
/// If the value is no JSON, or holds a number that is not whole.
pub fn write<T: Serialize>(value: &T) -> Result<Vec<u8>, CanonicalError> {
    let mut out = Vec::new();
    append(&serde_json::to_value(value)?, &mut out)?;
    Ok(out)
}

/// Reads a value whose canonical text is exactly `bytes`: anything else, such as a key twice, an
/// unknown key, or a space, is refused.
///
/// # Errors
/// If it is not.
pub fn read<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<T, CanonicalError> {
    let value: T = serde_json::from_slice(bytes)?;
    if write(&value)? == bytes { Ok(value) } else { Err(CanonicalError::Spelling) }
}

/// The depth is bounded by the types that are written, and by `serde_json`'s limit of 128 levels
/// in what is read.
fn append(value: &Value, out: &mut Vec<u8>) -> Result<(), CanonicalError> {
    match value {
        Value::Number(n) if n.is_f64() => return Err(CanonicalError::Fraction),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            serde_json::to_writer(out, value)?;
        }
        Value::Array(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                append(item, out)?;
            }
            out.push(b']');
        }
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            out.push(b'{');
            for (i, (key, item)) in entries.into_iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                serde_json::to_writer(&mut *out, key)?;
                out.push(b':');
                append(item, out)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::BTreeMap;

    #[test]
    fn one_text_for_one_value() {
        let text = write(&json!({"b": [1, -2, null], "a": {"z": "ä\n", "y": true}})).unwrap();
        assert_eq!(
            String::from_utf8(text).unwrap(),
            r#"{"a":{"y":true,"z":"ä\n"},"b":[1,-2,null]}"#
        );
        assert!(matches!(write(&json!([1.5])), Err(CanonicalError::Fraction)));
    }

    #[test]
    fn every_other_spelling_is_refused() {
        type Map = BTreeMap<String, u64>;
        assert!(read::<Map>(br#"{"a":1,"b":2}"#).is_ok());
        for bad in [
            r#"{"b":2,"a":1}"#,
            r#"{"a":1,"a":1}"#,
            r#"{"a": 1}"#,
            r#"{"\u0061":1}"#,
            "{\"a\":1}\n",
            r#"{"a":1.0}"#,
            r#"{"a":1"#,
        ] {
            assert!(read::<Map>(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
