//! Tokens: where a list or a reading goes on. To a client they are opaque; in here they are
//! places, so that none of them is ever remembered.

use super::invalid;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use belljar_aws::AwsError;
use belljar_store::logs::{Direction, Key, Place};
use serde::Serialize;
use serde::de::DeserializeOwned;

fn wrong() -> AwsError {
    invalid("The specified nextToken is invalid.")
}

/// A token of a list.
pub(super) fn seal<T: Serialize>(place: &T) -> Option<String> {
    serde_json::to_vec(place).ok().map(|json| BASE64_URL_SAFE_NO_PAD.encode(json))
}

/// The place that a token names.
pub(super) fn open<T: DeserializeOwned>(token: Option<&str>) -> Result<Option<T>, AwsError> {
    let Some(token) = token else { return Ok(None) };
    let json = BASE64_URL_SAFE_NO_PAD.decode(token).map_err(|_| wrong())?;
    serde_json::from_slice(&json).map(Some).map_err(|_| wrong())
}

/// What `PutLogEvents` once wanted, and still gives: 56 digits.
pub(super) fn sequence(next: i64) -> String {
    format!("{next:056}")
}

/// The id of an event, in the form of `CloudWatch`'s: 56 digits.
pub(super) fn event_id(place: Place) -> String {
    format!("{:017}{:019}{:020}", place.at, place.stream, place.seq)
}

/// `f/…/s`: forward from here.
pub(super) fn forward(key: Key) -> String {
    format!("f/{:017}{:039}/s", key.at, key.seq)
}

/// `b/…/s`: backward from here.
pub(super) fn backward(key: Key) -> String {
    format!("b/{:017}{:039}/s", key.at, key.seq)
}

/// Where a token of `GetLogEvents` leads.
pub(super) fn direction(token: &str) -> Result<Direction, AwsError> {
    let parse = || {
        let (way, rest) = token.split_once('/')?;
        let digits = rest.strip_suffix("/s")?;
        if digits.len() != 56 || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let (at, seq) = digits.split_at(17);
        let key = Some(Key { at: at.parse().ok()?, seq: seq.parse().ok()? });
        match way {
            "f" => Some(Direction::Forward(key)),
            "b" => Some(Direction::Backward(key)),
            _ => None,
        }
    };
    parse().ok_or_else(wrong)
}
