//! Requests.

use crate::{Case, model, run};
use http::Request;
use serde_json::Value;

/// What cannot be run backwards, and why.
const SKIPPED: [(&str, &str); 27] = [
    ("SDKAppliedContentEncoding_awsJson1_0", COMPRESSED),
    ("SDKAppliedContentEncoding_awsJson1_1", COMPRESSED),
    ("SDKAppliedContentEncoding_awsQuery", COMPRESSED),
    ("SDKAppliedContentEncoding_ec2Query", COMPRESSED),
    ("SDKAppliedContentEncoding_restJson1", COMPRESSED),
    ("SDKAppliedContentEncoding_restXml", COMPRESSED),
    ("SDKAppendsGzipAndIgnoresHttpProvidedEncoding_awsJson1_0", COMPRESSED),
    ("SDKAppendsGzipAndIgnoresHttpProvidedEncoding_awsJson1_1", COMPRESSED),
    ("SDKAppendsGzipAndIgnoresHttpProvidedEncoding_awsQuery", COMPRESSED),
    ("SDKAppendsGzipAndIgnoresHttpProvidedEncoding_ec2Query", COMPRESSED),
    ("SDKAppendedGzipAfterProvidedEncoding_restJson1", COMPRESSED),
    ("SDKAppendedGzipAfterProvidedEncoding_restXml", COMPRESSED),
    ("AwsJson10EndpointTrait", NO_TARGET),
    ("AwsJson10EndpointTraitWithHostLabel", NO_TARGET),
    ("AwsJson10HostWithPath", NO_TARGET),
    ("RestJsonHostWithPath", PREFIX),
    ("QueryProtocolIdempotencyTokenAutoFill", TOKEN),
    ("Ec2ProtocolIdempotencyTokenAutoFill", TOKEN),
    ("RestJsonQueryIdempotencyTokenAutoFill", TOKEN),
    ("rest-xml QueryIdempotencyTokenAutoFill", TOKEN),
    ("QueryEmptyQueryMaps", NOTHING),
    ("Ec2EmptyQueryLists", NOTHING),
    ("RestJsonHttpPrefixHeadersAreNotPresent", NOTHING),
    ("rest-xml HttpPrefixHeadersAreNotPresent", NOTHING),
    ("RestJsonOmitsEmptyListQueryValues", NOTHING),
    ("RestJsonHttpWithEmptyStructurePayload", EMPTY),
    ("RestJsonHttpWithHeadersButNoPayload", EMPTY),
];

const COMPRESSED: &str = "the vector has no body: the client compresses it";
const NO_TARGET: &str = "the vector has no target header";
const PREFIX: &str = "the client puts the path of its endpoint in front";
const TOKEN: &str = "the client makes up a token that was not asked for";
const NOTHING: &str = "what is empty is not sent";
const EMPTY: &str = "a structure that is not there is sent as an empty one";

#[test]
fn requests_are_decoded_to_what_was_asked_for() {
    run("input", &SKIPPED, decoded);
}

fn decoded(case: &Case) -> Result<(), String> {
    let model = model::of(case);
    let wire = &case.case["serialized"];
    let uri = wire["uri"].as_str().filter(|uri| !uri.is_empty()).unwrap_or("/");
    let mut request = Request::builder().method(wire["method"].as_str().unwrap_or("POST")).uri(uri);
    for (name, value) in wire["headers"].as_object().into_iter().flatten() {
        request = request.header(name, value.as_str().unwrap_or_default().as_bytes());
    }
    let (parts, ()) = request.body(()).map_err(|e| e.to_string())?.into_parts();
    let body = wire["body"].as_str().unwrap_or_default();
    let (operation, input) = belljar_aws::decode_by(&model, &parts, body.as_bytes())
        .map_err(|error| format!("{error} of {wire}"))?;
    if operation.name() != model::name(case) {
        return Err(format!("decoded as {}", operation.name()));
    }
    let at = &case.case["given"]["input"];
    let mut wanted = model::canonical(case, at, &case.case["params"], true);
    drop_named(case, at, &mut wanted);
    let got = model::canonical(case, at, &input, false);
    if got == wanted { Ok(()) } else { Err(differs(&got, &wanted, wire)) }
}

fn differs(got: &Value, wanted: &Value, wire: &Value) -> String {
    format!("got {got}, wanted {wanted}, of {wire}")
}

/// Takes out of a map of all parameters those that are members of their own: decoding gives each to one
/// member, and a client may send either.
fn drop_named(case: &Case, at: &Value, wanted: &mut Value) {
    let members = &case.suite["shapes"][at["shape"].as_str().unwrap_or_default()]["members"];
    let query = || {
        let all = members.as_object().into_iter().flatten();
        all.filter(|(_, member)| member["location"] == "querystring")
    };
    let is_map = |member: &Value| {
        case.suite["shapes"][member["shape"].as_str().unwrap_or_default()]["type"] == "map"
    };
    for (map, _) in query().filter(|(_, member)| is_map(member)) {
        let Some(Value::Object(left)) = wanted.get_mut(map) else { continue };
        for (_, member) in query().filter(|(_, member)| !is_map(member)) {
            left.remove(member["locationName"].as_str().unwrap_or_default());
        }
        if left.is_empty() {
            wanted.as_object_mut().unwrap().remove(map);
        }
    }
}
