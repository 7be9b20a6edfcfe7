//! Answers.

use crate::reader::{self, Wire};
use crate::{Case, model, run};
use belljar_aws::AwsError;
use bytes::Bytes;
use http::Response;
use serde_json::{Map, Value, json};

/// What cannot be run backwards, and why.
const SKIPPED: [(&str, &str); 3] = [
    ("rest-json HttpPrefixHeadersResponse", "an empty prefix takes in all headers of an answer"),
    (
        "rest-json RestJsonDeserializesDenseSetMapAndSkipsNull",
        "how a client reads what no server should send",
    ),
    ("rest-xml HttpPrefixHeadersAreNotPresent", "no header is sent for an empty map"),
];

#[test]
fn results_are_encoded_to_what_a_client_reads() {
    run(
        "output",
        &SKIPPED,
        |case| {
            if case.case["error"].is_null() { result(case) } else { error(case) }
        },
    );
}

fn result(case: &Case) -> Result<(), String> {
    let model = model::of(case);
    let at = &case.case["given"]["output"];
    let wanted = model::canonical(case, at, &case.case["result"], true);
    let proof = reader::read(case, at, &vector(case));
    if proof != wanted {
        return Err(format!("the reader itself got {proof}, wanted {wanted}"));
    }
    let operation = model.operation(model::name(case)).unwrap();
    let answer = wire(&belljar_aws::encode(operation, &wanted, "request-id"));
    let status = case.case["response"]["status_code"].as_u64().unwrap_or(200);
    let got = reader::read(case, at, &answer);
    if got != wanted || u64::from(answer.status) != status {
        return Err(format!(
            "got {} {got}, wanted {status} {wanted}: {}",
            answer.status, answer.body
        ));
    }
    Ok(())
}

fn error(case: &Case) -> Result<(), String> {
    let model = model::of(case);
    let (code, message) = (&case.case["errorCode"], &case.case["errorMessage"]);
    let code = code.as_str().unwrap_or_default().to_owned();
    // Where a vector does not say it, the message is what its answer has.
    let message =
        message.as_str().map_or_else(|| reader::error(case, &vector(case)).1, str::to_owned);
    if reader::error(case, &vector(case)) != (code.clone(), message.clone()) {
        return Err(format!("the reader itself got {:?}", reader::error(case, &vector(case))));
    }
    let status = case.case["response"]["status_code"].as_u64().unwrap_or_default();
    let mut error = AwsError::new(u16::try_from(status).unwrap(), code.clone(), message.clone());
    error.members = members(&case.case["error"]);
    let answer = wire(&belljar_aws::encode_error_by(&model, &error, "request-id"));
    let got = reader::error(case, &answer);
    if got != (code.clone(), message) || u64::from(answer.status) != status {
        return Err(format!("got {got:?}: {}", answer.body));
    }
    let shape = case.suite["shapes"]
        .as_object()
        .unwrap()
        .iter()
        .find(|(name, shape)| **name == code || shape["error"]["code"] == json!(code));
    let Some((name, _)) = shape else { return Ok(()) };
    let at = json!({ "shape": name });
    let got = reader::read(case, &at, &answer);
    let got = members(&got);
    if got == error.members { Ok(()) } else { Err(format!("members {got:?}: {}", answer.body)) }
}

/// The members of an error besides its message.
fn members(error: &Value) -> Map<String, Value> {
    let fields = error.as_object().cloned().unwrap_or_default();
    fields.into_iter().filter(|(name, _)| !name.eq_ignore_ascii_case("message")).collect()
}

fn vector(case: &Case) -> Wire {
    let response = &case.case["response"];
    let headers = response["headers"].as_object().into_iter().flatten();
    Wire {
        status: u16::try_from(response["status_code"].as_u64().unwrap_or(200)).unwrap(),
        headers: headers
            .map(|(name, value)| (name.to_ascii_lowercase(), value.as_str().unwrap().to_owned()))
            .collect(),
        body: response["body"].as_str().unwrap_or_default().to_owned(),
    }
}

fn wire(response: &Response<Bytes>) -> Wire {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    Wire {
        status: response.status().as_u16(),
        headers: response
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), text(value.as_bytes())))
            .collect(),
        body: text(response.body()),
    }
}
