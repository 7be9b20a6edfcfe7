//! `SigV4`: whether a request was sent, unchanged and recently, by the holder of a secret key.
//!
//! The body's hash is always computed, never taken from a header, so a signature covers the body. A
//! request with anything out of place is refused; there is no anonymous one.

mod authorization;
mod canonical;
mod refusal;
mod sign;
#[cfg(test)]
mod tests;

pub use canonical::string_to_sign;
pub use sign::{Credentials, sign, signing_key};

use crate::error::AwsError;
use crate::limits;
use crate::service::Service;
use authorization::{Authorization, Via};
use http::request::Parts;
use refusal::Refusal;
use ring::{digest, hmac};
use std::fmt;
use time::{Duration, OffsetDateTime, PrimitiveDateTime};

/// The secret half of an access key, as whoever keeps keys knows it.
#[derive(Clone)]
pub struct Secret {
    /// The secret access key.
    pub key: String,
    /// The session token that must come along, for temporary keys.
    pub session_token: Option<String>,
    /// When the key ends.
    pub expires: Option<OffsetDateTime>,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").field("expires", &self.expires).finish_non_exhaustive()
    }
}

/// What a signature must be for.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The service that the request was routed to. It also decides how refusals are worded.
    pub service: Service,
    /// The region that this endpoint serves.
    pub region: &'a str,
    /// The time now.
    pub now: OffsetDateTime,
}

/// A signature that was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The access key's identifier.
    pub access_key: String,
    /// The region of the scope.
    pub region: String,
    /// The service of the scope.
    pub service: String,
    /// Whether the signature was in the query string.
    pub presigned: bool,
}

/// Verifies a request's signature against the secret that `secret_of` knows for the access key.
///
/// # Errors
/// In the words and with the codes of `AWS`, by the protocol of the service: a missing, incomplete or
/// wrong signature, an unknown key, a wrong session token, a time too far away, a scope of another
/// date, region or service.
pub fn verify(
    expected: Expected<'_>,
    parts: &Parts,
    body: &[u8],
    secret_of: impl FnOnce(&str) -> Option<Secret>,
) -> Result<Signed, AwsError> {
    check(expected, parts, body, secret_of).map_err(|refusal| refusal.error(expected.service))
}

fn check(
    expected: Expected<'_>,
    parts: &Parts,
    body: &[u8],
    secret_of: impl FnOnce(&str) -> Option<Secret>,
) -> Result<Signed, Refusal> {
    let auth = Authorization::of(parts)?;
    check_scope(expected, &auth)?;
    check_time(expected, &auth)?;
    auth.check_signed_headers(parts)?;
    let secret = secret_of(&auth.access_key).ok_or(Refusal::UnknownKey)?;
    check_token(&secret, auth.token.as_deref())?;
    let hash = hex(digest::digest(&digest::SHA256, body).as_ref());
    if let Some(claimed) = parts.headers.get("x-amz-content-sha256")
        && claimed.as_bytes() != hash.as_bytes()
    {
        return Err(Refusal::OtherBody);
    }
    let request = canonical::request(parts, &auth.signed_headers, &hash, auth.via == Via::Query)
        .ok_or(Refusal::DoesNotMatch)?;
    let to_sign = canonical::string_to_sign(&auth.date, &auth.scope(), &request);
    let key = signing_key(&secret.key, &auth.day, &auth.region, &auth.service);
    // In constant time.
    hmac::verify(&key, to_sign.as_bytes(), &auth.signature).map_err(|_| Refusal::DoesNotMatch)?;
    if secret.expires.is_some_and(|end| end <= expected.now) {
        return Err(Refusal::ExpiredKey);
    }
    Ok(Signed {
        access_key: auth.access_key,
        region: auth.region,
        service: auth.service,
        presigned: auth.via == Via::Query,
    })
}

fn check_scope(expected: Expected<'_>, auth: &Authorization) -> Result<(), Refusal> {
    let service = expected.service.signing_name();
    let global = expected.service.is_global() && auth.region == "us-east-1";
    if auth.region != expected.region && !global {
        return Err(Refusal::OtherRegion { given: auth.region.clone() });
    }
    if auth.service != service {
        return Err(Refusal::OtherService { wanted: service });
    }
    if auth.date.get(..8) != Some(auth.day.as_str()) {
        return Err(Refusal::OtherDay { scope: auth.day.clone(), date: auth.date.clone() });
    }
    Ok(())
}

fn check_time(expected: Expected<'_>, auth: &Authorization) -> Result<(), Refusal> {
    let at = parse_date(&auth.date).ok_or_else(|| Refusal::BadDate(auth.date.clone()))?;
    let skew = Duration::seconds(limits::SKEW);
    let minutes = limits::SKEW / 60;
    if at > expected.now + skew {
        return Err(Refusal::NotYet { at, now: expected.now, limit: expected.now + skew, minutes });
    }
    let (limit, minutes) = match auth.expires {
        Some(seconds) => (expected.now - Duration::seconds(seconds), seconds / 60),
        None => (expected.now - skew, minutes),
    };
    if at < limit {
        return Err(Refusal::Late { at, now: expected.now, limit, minutes });
    }
    Ok(())
}

/// Compares in constant time, by the tags of both under a key of this process's choosing.
fn check_token(secret: &Secret, given: Option<&str>) -> Result<(), Refusal> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.key.as_bytes());
    match (&secret.session_token, given) {
        (None, None) => Ok(()),
        (Some(token), Some(given)) => {
            let tag = hmac::sign(&key, token.as_bytes());
            hmac::verify(&key, given.as_bytes(), tag.as_ref()).map_err(|_| Refusal::BadToken)
        }
        _ => Err(Refusal::BadToken),
    }
}

/// The access key that a request says it is signed with, not verified.
#[must_use]
pub fn claimed_key(parts: &Parts) -> Option<String> {
    let credential = authorization::credential(parts)?;
    credential.split_once('/').map(|(key, _)| key.to_owned())
}

/// The service that a request's signature is scoped to, not verified. Also for the asymmetric
/// variant, whose scope has no region.
pub(crate) fn scope_service(parts: &Parts) -> Option<String> {
    let credential = authorization::credential(parts)?;
    let mut from_end = credential.rsplit('/');
    from_end.next()?;
    from_end.next().filter(|service| !service.is_empty()).map(str::to_owned)
}

/// `20260102T030405Z`.
fn parse_date(text: &str) -> Option<OffsetDateTime> {
    let digits = |range: std::ops::Range<usize>| -> Option<u16> {
        let part = text.get(range)?;
        part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok())?
    };
    if text.len() != 16 || text.get(8..9)? != "T" || text.get(15..)? != "Z" {
        return None;
    }
    let small = |range| u8::try_from(digits(range)?).ok();
    let month = time::Month::try_from(small(4..6)?).ok()?;
    let date = time::Date::from_calendar_date(digits(0..4)?.into(), month, small(6..8)?).ok()?;
    let time = time::Time::from_hms(small(9..11)?, small(11..13)?, small(13..15)?).ok()?;
    Some(PrimitiveDateTime::new(date, time).assume_utc())
}

pub(crate) fn format_date(at: OffsetDateTime) -> String {
    let at = at.to_offset(time::UtcOffset::UTC);
    let (month, day) = (u8::from(at.month()), at.day());
    let (hour, minute, second) = (at.hour(), at.minute(), at.second());
    format!("{:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z", at.year())
}

/// The canonical request over the named headers, in this order. `None` if the request cannot be
/// brought to that form: a named header is missing, the query string is not percent-encoded.
#[must_use]
pub fn canonical_request(parts: &Parts, headers: &[String], body_hash: &str) -> Option<String> {
    canonical::request(parts, headers, body_hash, false)
}

/// Bytes as lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble & 15)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}
