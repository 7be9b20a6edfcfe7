//! Reads botocore's form of a model.

use super::{
    About, Bounds, Definition, ErrorShape, Http, Kind, Location, Member, Model, ModelError,
    Namespace, Operation, Pattern, Protocol, Ref, Shape, ShapeId, Structure, TimestampFormat,
};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Deserialize)]
struct RawModel {
    metadata: RawMetadata,
    #[serde(default)]
    operations: BTreeMap<String, RawOperation>,
    shapes: BTreeMap<String, RawShape>,
    #[serde(default)]
    unserved: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawMetadata {
    protocol: String,
    json_version: Option<String>,
    target_prefix: Option<String>,
    xml_namespace: Option<RawNamespace>,
    #[serde(default)]
    api_version: String,
    service_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawOperation {
    name: String,
    http: RawHttp,
    input: Option<RawRef>,
    output: Option<RawRef>,
    #[serde(default)]
    errors: Vec<RawRef>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawHttp {
    #[serde(default)]
    method: String,
    #[serde(default)]
    request_uri: String,
    response_code: Option<u16>,
}

/// A use of a shape. A shape may carry the same traits; a use overrides them.
#[derive(Deserialize, Clone, Default)]
#[serde(rename_all = "camelCase")]
struct RawTraits {
    location: Option<String>,
    location_name: Option<String>,
    query_name: Option<String>,
    flattened: Option<bool>,
    xml_attribute: Option<bool>,
    jsonvalue: Option<bool>,
    xml_namespace: Option<RawNamespace>,
    timestamp_format: Option<String>,
    result_wrapper: Option<String>,
}

#[derive(Deserialize)]
struct RawRef {
    shape: String,
    #[serde(flatten)]
    traits: RawTraits,
}

#[derive(Deserialize, Clone)]
#[serde(untagged)]
enum RawNamespace {
    Uri(String),
    Full { uri: String, prefix: Option<String> },
}

#[derive(Deserialize)]
struct RawShape {
    r#type: String,
    #[serde(default)]
    members: BTreeMap<String, RawRef>,
    #[serde(default)]
    required: Vec<String>,
    payload: Option<String>,
    #[serde(default)]
    union: bool,
    #[serde(default)]
    document: bool,
    member: Option<RawRef>,
    key: Option<RawRef>,
    value: Option<RawRef>,
    #[serde(default)]
    r#enum: Vec<String>,
    pattern: Option<String>,
    min: Option<f64>,
    max: Option<f64>,
    #[serde(default)]
    sensitive: bool,
    #[serde(default)]
    exception: bool,
    #[serde(default)]
    fault: bool,
    error: Option<RawError>,
    #[serde(flatten)]
    traits: RawTraits,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawError {
    code: Option<String>,
    http_status_code: Option<u16>,
    sender_fault: Option<bool>,
}

/// Shapes by name, while references are resolved.
struct Reading<'a> {
    shapes: &'a BTreeMap<String, RawShape>,
    ids: BTreeMap<&'a str, ShapeId>,
}

pub(super) fn read(json: &str) -> Result<Model, ModelError> {
    let raw: RawModel = serde_json::from_str(json).map_err(ModelError::Form)?;
    let ids = raw.shapes.keys().enumerate().map(|(id, name)| (name.as_str(), id)).collect();
    let reading = Reading { shapes: &raw.shapes, ids };
    let mut shapes = Vec::with_capacity(raw.shapes.len());
    let mut errors = BTreeMap::new();
    for (id, (name, shape)) in raw.shapes.iter().enumerate() {
        shapes.push(reading.shape(name, shape)?);
        if shape.exception || shape.error.is_some() {
            errors.insert(name.clone(), error(id, name, shape));
        }
    }
    let definition = Arc::new(Definition { about: about(&raw.metadata)?, shapes, errors });
    let mut operations = BTreeMap::new();
    for (name, operation) in &raw.operations {
        operations.insert(name.clone(), reading.operation(operation, &definition)?);
    }
    let unserved = raw.unserved.iter().map(|(name, http)| (name.clone(), unserved(http)));
    Ok(Model { definition, operations, unserved: unserved.collect() })
}

/// `POST /path`, as the pruned file has it.
fn unserved(http: &str) -> Http {
    let (method, uri) = http.split_once(' ').unwrap_or((http, "/"));
    Http { method: method.to_owned(), uri: uri.to_owned(), status: 200 }
}

fn about(raw: &RawMetadata) -> Result<About, ModelError> {
    let protocol = match raw.protocol.as_str() {
        "json" => Protocol::Json,
        "query" => Protocol::Query,
        "ec2" => Protocol::Ec2,
        "rest-json" => Protocol::RestJson,
        "rest-xml" => Protocol::RestXml,
        other => return Err(unknown("protocol", other)),
    };
    Ok(About {
        protocol,
        json_version: raw.json_version.clone().unwrap_or_else(|| "1.0".to_owned()),
        target_prefix: raw.target_prefix.clone().unwrap_or_default(),
        namespace: raw.xml_namespace.clone().map(|namespace| namespace.resolve().uri),
        api_version: raw.api_version.clone(),
        service_id: raw.service_id.clone().unwrap_or_default(),
    })
}

fn error(shape: ShapeId, name: &str, raw: &RawShape) -> ErrorShape {
    let traits = raw.error.as_ref();
    let code = traits.and_then(|error| error.code.clone()).unwrap_or_else(|| name.to_owned());
    let default = if raw.fault { 500 } else { 400 };
    let status = traits.and_then(|error| error.http_status_code).unwrap_or(default);
    let sender = traits.and_then(|error| error.sender_fault).unwrap_or(status < 500);
    ErrorShape { shape, code, status, sender }
}

fn unknown(what: &'static str, name: &str) -> ModelError {
    ModelError::Unknown { what, name: name.to_owned() }
}

impl Reading<'_> {
    fn operation(
        &self,
        raw: &RawOperation,
        definition: &Arc<Definition>,
    ) -> Result<Operation, ModelError> {
        Ok(Operation {
            name: raw.name.clone(),
            http: Http {
                method: raw.http.method.clone(),
                uri: raw.http.request_uri.clone(),
                status: raw.http.response_code.unwrap_or(200),
            },
            input: raw.input.as_ref().map(|input| self.resolve(input)).transpose()?,
            output: raw.output.as_ref().map(|output| self.resolve(output)).transpose()?,
            errors: raw.errors.iter().map(|error| error.shape.clone()).collect(),
            definition: Arc::clone(definition),
        })
    }

    fn shape(&self, name: &str, raw: &RawShape) -> Result<Shape, ModelError> {
        let part = |part: &Option<RawRef>| match part {
            Some(part) => self.resolve(part),
            None => Err(unknown("shape without its parts", name)),
        };
        let kind = match raw.r#type.as_str() {
            "structure" if raw.document => Kind::Document,
            "structure" => Kind::Structure(self.structure(raw)?),
            "list" => Kind::List { member: part(&raw.member)? },
            "map" => Kind::Map { key: part(&raw.key)?, value: part(&raw.value)? },
            "string" | "character" => Kind::String {
                allowed: raw.r#enum.clone(),
                pattern: raw.pattern.as_deref().map(Pattern::new),
            },
            "integer" | "short" | "byte" => Kind::Integer,
            "long" | "bigInteger" => Kind::Long,
            "float" | "double" | "bigDecimal" => Kind::Float,
            "boolean" => Kind::Boolean,
            "blob" => Kind::Blob,
            "timestamp" => Kind::Timestamp,
            "document" => Kind::Document,
            other => return Err(unknown("type", other)),
        };
        let bounds = Bounds { min: raw.min, max: raw.max };
        let root = raw.traits.location_name.clone();
        Ok(Shape { name: name.to_owned(), root, kind, bounds, sensitive: raw.sensitive })
    }

    fn structure(&self, raw: &RawShape) -> Result<Structure, ModelError> {
        let mut members = BTreeMap::new();
        for (name, at) in &raw.members {
            let required = raw.required.contains(name);
            members.insert(name.clone(), Member { required, at: self.resolve(at)? });
        }
        Ok(Structure { members, union: raw.union, payload: raw.payload.clone() })
    }

    /// A use of a shape: the shape's own traits, but for those that the use overrides.
    fn resolve(&self, raw: &RawRef) -> Result<Ref, ModelError> {
        let no_shape = || ModelError::NoShape(raw.shape.clone());
        let shape = *self.ids.get(raw.shape.as_str()).ok_or_else(no_shape)?;
        let target = self.shapes.get(&raw.shape).ok_or_else(no_shape)?;
        let own = &target.traits;
        // A structure's own name is that of a document's root only.
        let own_name = if target.r#type == "structure" { &None } else { &own.location_name };
        let here = &raw.traits;
        let text =
            |here: &Option<String>, own: &Option<String>| here.as_ref().or(own.as_ref()).cloned();
        let flag = |here: Option<bool>, own: Option<bool>| here.or(own).unwrap_or(false);
        let location = text(&here.location, &own.location);
        let timestamp = text(&here.timestamp_format, &own.timestamp_format);
        let namespace = here.xml_namespace.as_ref().or(own.xml_namespace.as_ref()).cloned();
        Ok(Ref {
            shape,
            wire_name: text(&here.location_name, own_name),
            query_name: text(&here.query_name, &own.query_name),
            location: location.as_deref().map(parse_location).transpose()?,
            flattened: flag(here.flattened, own.flattened),
            xml_attribute: flag(here.xml_attribute, own.xml_attribute),
            json_value: flag(here.jsonvalue, own.jsonvalue),
            namespace: namespace.map(RawNamespace::resolve),
            timestamp: timestamp.as_deref().map(parse_timestamp_format).transpose()?,
            result_wrapper: text(&here.result_wrapper, &own.result_wrapper),
        })
    }
}

fn parse_location(name: &str) -> Result<Location, ModelError> {
    Ok(match name {
        "uri" => Location::Uri,
        "querystring" => Location::Query,
        "header" => Location::Header,
        "headers" => Location::Headers,
        "statusCode" => Location::StatusCode,
        other => return Err(unknown("location", other)),
    })
}

fn parse_timestamp_format(name: &str) -> Result<TimestampFormat, ModelError> {
    Ok(match name {
        "iso8601" => TimestampFormat::Iso8601,
        "rfc822" => TimestampFormat::Rfc822,
        "unixTimestamp" => TimestampFormat::Unix,
        other => return Err(unknown("format of times", other)),
    })
}

impl RawNamespace {
    fn resolve(self) -> Namespace {
        match self {
            Self::Uri(uri) => Namespace { uri, prefix: None },
            Self::Full { uri, prefix } => Namespace { uri, prefix },
        }
    }
}
