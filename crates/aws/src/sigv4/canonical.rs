//! The texts that are signed.

use super::hex;
use crate::form;
use http::request::Parts;
use ring::digest;

/// The canonical request. `None` if the request cannot be brought to that form: a header that is
/// signed and missing, a query string that is not percent-encoded.
pub(super) fn request(
    parts: &Parts,
    signed_headers: &[String],
    body_hash: &str,
    presigned: bool,
) -> Option<String> {
    let mut text = String::with_capacity(512);
    text.push_str(parts.method.as_str());
    text.push('\n');
    path(parts.uri.path(), &mut text);
    text.push('\n');
    query(parts.uri.query().unwrap_or_default(), presigned, &mut text)?;
    text.push('\n');
    for name in signed_headers {
        text.push_str(name);
        text.push(':');
        header(parts, name, &mut text)?;
        text.push('\n');
    }
    text.push('\n');
    text.push_str(&signed_headers.join(";"));
    text.push('\n');
    text.push_str(body_hash);
    Some(text)
}

/// The text that is signed: `date` is `YYYYMMDDTHHMMSSZ`, `scope` is `date/region/service/aws4_request`.
#[must_use]
pub fn string_to_sign(date: &str, scope: &str, request: &str) -> String {
    let hash = digest::digest(&digest::SHA256, request.as_bytes());
    format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex(hash.as_ref()))
}

/// The path without `.`, `..` and doubled slashes, encoded once more than on the wire: so do all
/// services but S3.
fn path(path: &str, out: &mut String) {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            other => kept.push(other),
        }
    }
    out.push('/');
    form::encode(kept.join("/").as_bytes(), b"/", out);
    if !kept.is_empty() && (path.ends_with('/') || path.ends_with("/.") || path.ends_with("/..")) {
        out.push('/');
    }
}

/// All parameters but the signature, encoded anew and sorted.
fn query(query: &str, presigned: bool, out: &mut String) -> Option<()> {
    let mut pairs = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let mut encoded = (String::new(), String::new());
        form::encode(&form::decode_bytes(name.as_bytes(), false)?, b"", &mut encoded.0);
        form::encode(&form::decode_bytes(value.as_bytes(), false)?, b"", &mut encoded.1);
        if !(presigned && encoded.0 == "X-Amz-Signature") {
            pairs.push(encoded);
        }
    }
    pairs.sort();
    for (index, (name, value)) in pairs.iter().enumerate() {
        if index > 0 {
            out.push('&');
        }
        out.push_str(name);
        out.push('=');
        out.push_str(value);
    }
    Some(())
}

/// A header's values, trimmed, with single spaces, joined by commas.
fn header(parts: &Parts, name: &str, out: &mut String) -> Option<()> {
    let mut values = parts.headers.get_all(name).iter().peekable();
    if values.peek().is_none() {
        if name == "host" || name == ":authority" {
            out.push_str(parts.uri.authority()?.as_str());
            return Some(());
        }
        return None;
    }
    for (index, value) in values.enumerate() {
        if index > 0 {
            out.push(',');
        }
        let text = std::str::from_utf8(value.as_bytes()).ok()?;
        let words: Vec<&str> = text.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
        out.push_str(&words.join(" "));
    }
    Some(())
}
