//! Changes, which are in sync as soon as they are answered.

use super::error;
use crate::service::{Caller, Service};
use belljar_aws::AwsError;
use belljar_domain::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

const PREFIX: &str = "/change/";
/// Digits and letters of an id: those of the time, of chance, and one that holds against typing.
const TIME: usize = 9;
const CHANCE: usize = 4;
const BASE: u64 = 36;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Get {
    id: String,
}

pub(super) async fn get(service: &Service, _: &Caller, input: Get) -> Result<Value, AwsError> {
    let id = input.id.strip_prefix(PREFIX).unwrap_or(&input.id);
    let at = submitted(id).filter(|at| *at <= service.now());
    let at = at.ok_or_else(|| {
        error("NoSuchChange", format!("Could not find resource with ID: {PREFIX}{id}"))
    })?;
    Ok(json!({"ChangeInfo": shown(id, at, None)}))
}

/// What answers say of a change that was just made.
///
/// Nothing is kept of it: there is nothing to say of one but when it was made, and that is in its
/// id.
pub(super) fn made(at: Timestamp, comment: Option<&str>) -> Value {
    let time = u64::try_from(at.millis()).unwrap_or_default();
    let chance = fastrand::u64(..BASE.pow(4));
    let body = written(time, TIME) + &written(chance, CHANCE);
    let id = format!("C{body}{}", written(sum(&body), 1));
    shown(&id, at, comment)
}

fn shown(id: &str, at: Timestamp, comment: Option<&str>) -> Value {
    let mut shown = json!({
        "Id": format!("{PREFIX}{id}"),
        "Status": "INSYNC",
        "SubmittedAt": at.millis() as f64 / 1000.0,
    });
    if let Some(comment) = comment {
        shown["Comment"] = comment.into();
    }
    shown
}

/// When the change of an id was made; `None` of what is no such id.
fn submitted(id: &str) -> Option<Timestamp> {
    let body = id.strip_prefix('C')?;
    if body.len() != TIME + CHANCE + 1 || !body.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return None;
    }
    let (body, check) = body.split_at(TIME + CHANCE);
    if written(sum(body), 1) != check {
        return None;
    }
    let millis = u64::from_str_radix(body.get(..TIME)?, 36).ok()?;
    Some(Timestamp::from_millis(i64::try_from(millis).ok()?))
}

fn sum(body: &str) -> u64 {
    body.bytes().fold(7, |sum, byte| (sum * 31 + u64::from(byte)) % BASE)
}

fn written(mut number: u64, digits: usize) -> String {
    let mut text = vec!['0'; digits];
    for digit in text.iter_mut().rev() {
        let value = u32::try_from(number % BASE).unwrap_or_default();
        *digit = char::from_digit(value, 36).unwrap_or('0').to_ascii_uppercase();
        number /= BASE;
    }
    text.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_says_when_it_was_made() {
        let at = Timestamp::from_millis(1_795_439_700_123);
        let made = made(at, Some("why"));
        assert_eq!((&made["Status"], &made["Comment"]), (&json!("INSYNC"), &json!("why")));
        let id = made["Id"].as_str().unwrap().strip_prefix(PREFIX).unwrap().to_owned();
        assert_eq!(submitted(&id), Some(at));
        let other = if id.as_bytes()[3] == b'A' { "B" } else { "A" };
        let mut typed = id.clone();
        typed.replace_range(3..4, other);
        for bad in [typed.as_str(), "C", "", "Z1", &id[..id.len() - 1], &id.to_lowercase()] {
            assert_eq!(submitted(bad), None, "{bad}");
        }
    }
}
