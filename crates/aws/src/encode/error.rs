//! Errors as answers, in each protocol's shape.

use super::{Answer, json, xml};
use crate::error::{AwsError, Fault};
use crate::model::{Definition, ErrorShape, Location, Member, Model, Protocol};
use crate::route::ErrorForm;
use crate::service::Service;
use crate::xml::Element;
use bytes::Bytes;
use http::Response;
use serde_json::{Map, Value};

/// The answer for an error, in the form that clients of the service read.
#[must_use]
pub fn encode_error(
    form: impl Into<ErrorForm>,
    error: &AwsError,
    request_id: &str,
) -> Response<Bytes> {
    match form.into() {
        ErrorForm::Of(Service::S3) => s3(error, request_id),
        ErrorForm::Of(service) => encode_error_by(service.model(), error, request_id),
        ErrorForm::Json => encode_error_by(Service::SageMaker.model(), error, request_id),
        ErrorForm::Query => encode_error_by(Service::Sts.model(), error, request_id),
    }
}

/// As [`encode_error`], for any model.
#[must_use]
pub fn encode_error_by(model: &Model, error: &AwsError, request_id: &str) -> Response<Bytes> {
    let protocol = model.protocol();
    let mut answer = Answer { status: error.status, ..Answer::default() };
    match protocol {
        Protocol::Json => {
            let about = model.about();
            answer.header("content-type", format!("application/x-amz-json-{}", about.json_version));
            let mut body = members(model, error);
            body.insert("__type".to_owned(), Value::from(error.code.as_ref()));
            answer.body = Value::Object(body).to_string().into_bytes();
        }
        Protocol::RestJson => {
            answer.header("content-type", "application/json");
            answer.header("x-amzn-errortype", error.code.as_ref());
            headers(model, error, &mut answer);
            answer.body = Value::Object(members(model, error)).to_string().into_bytes();
        }
        Protocol::Query | Protocol::RestXml => {
            answer.header("content-type", "text/xml");
            headers(model, error, &mut answer);
            let mut root = Element::new("ErrorResponse");
            if let Some(namespace) = &model.about().namespace {
                root.attributes.push(("xmlns".to_owned(), namespace.clone()));
            }
            root.children.push(error_element(model, error, true));
            root.children.push(Element::with_text("RequestId", request_id));
            answer.body = xml::document(&root);
        }
        Protocol::Ec2 => {
            answer.header("content-type", "text/xml");
            let mut root = Element::new("Response");
            let mut errors = Element::new("Errors");
            errors.children.push(error_element(model, error, false));
            root.children.push(errors);
            root.children.push(Element::with_text("RequestID", request_id));
            answer.body = xml::document(&root);
        }
    }
    answer.finish(protocol, request_id)
}

/// S3's error has no element around it.
fn s3(error: &AwsError, request_id: &str) -> Response<Bytes> {
    let mut answer = Answer { status: error.status, ..Answer::default() };
    answer.header("content-type", "application/xml");
    let mut root = Element::new("Error");
    root.children.push(Element::with_text("Code", error.code.as_ref()));
    root.children.push(Element::with_text("Message", error.message.as_str()));
    root.children.push(Element::with_text("RequestId", request_id));
    answer.body = xml::document(&root);
    answer.finish(Protocol::RestXml, request_id)
}

fn error_element(model: &Model, error: &AwsError, with_type: bool) -> Element {
    let mut element = Element::new("Error");
    if with_type {
        let fault = match error.fault {
            Fault::Sender => "Sender",
            Fault::Receiver => "Receiver",
        };
        element.children.push(Element::with_text("Type", fault));
    }
    element.children.push(Element::with_text("Code", error.code.as_ref()));
    element.children.push(Element::with_text("Message", error.message.as_str()));
    if let Some((shape, definition)) = shape(model, error) {
        let at = crate::model::Ref { shape: shape.shape, ..crate::model::Ref::default() };
        let value = Value::Object(error.members.clone());
        element.children.extend(xml::to_element(definition, &at, "x", &value).children);
    }
    element
}

fn shape<'a>(model: &'a Model, error: &AwsError) -> Option<(&'a ErrorShape, &'a Definition)> {
    let definition = &model.definition;
    model.error_shape(&error.code).map(|shape| (shape, definition.as_ref()))
}

/// The message, under the name that the model gives it, and the other members of the error.
fn members(model: &Model, error: &AwsError) -> Map<String, Value> {
    let mut written = Map::new();
    let mut message = "message";
    if let Some((shape, definition)) = shape(model, error) {
        let at = crate::model::Ref { shape: shape.shape, ..crate::model::Ref::default() };
        let value = Value::Object(error.members.clone());
        if let Value::Object(fields) = json::to_json(definition, &at, &value) {
            written = fields;
        }
        let structure = definition.shape(shape.shape).structure();
        let named = structure.and_then(|structure| {
            structure.members.keys().find(|name| name.eq_ignore_ascii_case("message"))
        });
        message = named.map_or(message, String::as_str);
    }
    if !error.message.is_empty() {
        written.insert(message.to_owned(), Value::from(error.message.as_str()));
    }
    written
}

/// Members of the error that are headers.
fn headers(model: &Model, error: &AwsError, answer: &mut Answer) {
    let Some((shape, definition)) = shape(model, error) else { return };
    let Some(structure) = definition.shape(shape.shape).structure() else { return };
    for (name, value) in &error.members {
        let Some(member) = structure.members.get(name) else { continue };
        if let (Some(Location::Header), Some(text)) = (member.at.location, value.as_str()) {
            answer.header(Member::wire_name(member, name), text);
        }
    }
}
