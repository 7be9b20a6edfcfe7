//! From a value in the model's member names to an answer, whatever the protocol.

mod error;
mod json;
mod rest;
mod xml;

pub use error::{encode_error, encode_error_by};

use crate::model::{Definition, Kind, Operation, Protocol, Ref, TimestampFormat};
use crate::scalar;
use crate::xml::Element;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use serde_json::{Map, Value};

/// An answer in the making.
#[derive(Debug, Default)]
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// The answer of an operation that went well, from the same form as [`crate::decode`] gives. Members
/// that the model does not have stay inside; [`crate::check_output`] finds them in tests.
#[must_use]
pub fn encode(operation: &Operation, output: &Value, request_id: &str) -> Response<Bytes> {
    let about = &operation.definition.about;
    let mut answer = Answer { status: operation.http.status, ..Answer::default() };
    match about.protocol {
        Protocol::Json => {
            answer.header(
                CONTENT_TYPE.as_str(),
                format!("application/x-amz-json-{}", about.json_version),
            );
            if let Some(at) = &operation.output {
                let value = json::to_json(&operation.definition, at, output);
                answer.body = value.to_string().into_bytes();
            }
        }
        Protocol::Query | Protocol::Ec2 => {
            answer.header(CONTENT_TYPE.as_str(), "text/xml");
            answer.body = xml::document(&wrapped(operation, output, request_id));
        }
        Protocol::RestJson | Protocol::RestXml => rest::answer(operation, output, &mut answer),
    }
    answer.finish(about.protocol, request_id)
}

/// The result of a form's operation, in its wrappers.
fn wrapped(operation: &Operation, output: &Value, request_id: &str) -> Element {
    let definition = &operation.definition;
    let mut root = Element::new(&format!("{}Response", operation.name));
    if let Some(namespace) = &definition.about.namespace {
        root.attributes.push(("xmlns".to_owned(), namespace.clone()));
    }
    let ec2 = definition.about.protocol == Protocol::Ec2;
    if ec2 {
        root.children.push(Element::with_text("requestId", request_id));
    }
    if let Some(at) = &operation.output {
        let wrapper = at.result_wrapper.clone();
        let name = wrapper.unwrap_or_else(|| format!("{}Result", operation.name));
        let result = xml::to_element(definition, at, &name, output);
        if ec2 { root.children.extend(result.children) } else { root.children.push(result) }
    }
    if !ec2 {
        let mut metadata = Element::new("ResponseMetadata");
        metadata.children.push(Element::with_text("RequestId", request_id));
        root.children.push(metadata);
    }
    root
}

impl Answer {
    fn header(&mut self, name: &str, value: impl Into<String>) {
        self.headers.push((name.to_owned(), value.into()));
    }

    fn finish(mut self, protocol: Protocol, request_id: &str) -> Response<Bytes> {
        let name =
            if protocol == Protocol::RestXml { "x-amz-request-id" } else { "x-amzn-requestid" };
        self.header(name, request_id);
        let mut response = Response::new(Bytes::from(self.body));
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        for (name, value) in self.headers {
            let name = HeaderName::from_bytes(name.as_bytes());
            let value = HeaderValue::from_bytes(value.as_bytes());
            // What cannot stand in a header (a line's end, say) is left out rather than bent.
            if let (Ok(name), Ok(value)) = (name, value) {
                response.headers_mut().append(name, value);
            }
        }
        response
    }
}

/// The fields of an object; of anything else, none.
fn fields(value: &Value) -> &Map<String, Value> {
    static NONE: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
    value.as_object().unwrap_or(&NONE)
}

/// A scalar as text.
fn text(definition: &Definition, at: &Ref, value: &Value, times: TimestampFormat) -> String {
    let is_time = matches!(definition.shape(at.shape).kind, Kind::Timestamp);
    match value {
        Value::Number(number) if is_time => {
            let format = at.timestamp.unwrap_or(times);
            let seconds = number.as_f64().unwrap_or_default();
            scalar::format_time(seconds, format).unwrap_or_else(|| number.to_string())
        }
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}
