//! Signing, for tests and for whoever calls a service.

use super::{canonical, format_date, hex};
use http::header::{AUTHORIZATION, HeaderValue, InvalidHeaderValue};
use http::request::Parts;
use ring::{digest, hmac};
use std::fmt;
use time::OffsetDateTime;

/// Both halves of an access key.
#[derive(Clone)]
pub struct Credentials {
    /// The identifier.
    pub access_key: String,
    /// The secret.
    pub secret_key: String,
    /// The session token of a temporary key.
    pub session_token: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

/// The key that signatures of a day, region and service are made with.
#[must_use]
pub fn signing_key(secret: &str, day: &str, region: &str, service: &str) -> hmac::Key {
    let first = hmac::Key::new(hmac::HMAC_SHA256, format!("AWS4{secret}").as_bytes());
    [day, region, service, "aws4_request"].iter().fold(first, |key, part| {
        hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref())
    })
}

/// Signs a request in its header. The request must have a host; all its headers are signed.
///
/// # Errors
/// If the key's texts cannot stand in a header.
pub fn sign(
    parts: &mut Parts,
    body: &[u8],
    credentials: &Credentials,
    (region, service): (&str, &str),
    now: OffsetDateTime,
) -> Result<(), InvalidHeaderValue> {
    let date = format_date(now);
    let day = date.get(..8).unwrap_or_default().to_owned();
    parts.headers.insert("x-amz-date", HeaderValue::from_str(&date)?);
    if let Some(token) = &credentials.session_token {
        parts.headers.insert("x-amz-security-token", HeaderValue::from_str(token)?);
    }
    let mut names: Vec<String> = parts.headers.keys().map(ToString::to_string).collect();
    names.push("host".to_owned());
    names.sort();
    names.dedup();
    let hash = hex(digest::digest(&digest::SHA256, body).as_ref());
    let request = canonical::request(parts, &names, &hash, false).unwrap_or_default();
    let scope = format!("{day}/{region}/{service}/aws4_request");
    let to_sign = canonical::string_to_sign(&date, &scope, &request);
    let key = signing_key(&credentials.secret_key, &day, region, service);
    let signature = hex(hmac::sign(&key, to_sign.as_bytes()).as_ref());
    let header = format!(
        "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={}, Signature={signature}",
        credentials.access_key,
        names.join(";")
    );
    parts.headers.insert(AUTHORIZATION, HeaderValue::from_str(&header)?);
    Ok(())
}
