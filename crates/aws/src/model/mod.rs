//! A service's model, in botocore's form: operations, and the shapes of what they take and give.

mod pattern;
mod raw;
mod shape;
#[cfg(test)]
mod tests;

pub(crate) use pattern::Pattern;
pub use shape::TimestampFormat;
pub(crate) use shape::{Bounds, Kind, Location, Member, Namespace, Ref, Shape, ShapeId, Structure};

use crate::error::AwsError;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How a service's requests and answers look on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// `JSON` 1.0 and 1.1: the operation is in the header `X-Amz-Target`.
    #[default]
    Json,
    /// A form in, `XML` out; the operation is the parameter `Action`.
    Query,
    /// The query protocol as `EC2` speaks it.
    Ec2,
    /// Methods and paths, bodies of `JSON`.
    RestJson,
    /// Methods and paths, bodies of `XML`.
    RestXml,
}

/// What a model says of its service as a whole.
#[derive(Debug, Default)]
pub(crate) struct About {
    pub(crate) protocol: Protocol,
    /// `1.0` or `1.1`.
    pub(crate) json_version: String,
    /// What stands before the dot in `X-Amz-Target`.
    pub(crate) target_prefix: String,
    /// The namespace of answers in `XML`.
    pub(crate) namespace: Option<String>,
    pub(crate) api_version: String,
    /// Whether several shapes of the service are told apart only by their codes.
    pub(crate) service_id: String,
}

/// What operations share: the service's traits and all shapes.
#[derive(Debug, Default)]
pub(crate) struct Definition {
    pub(crate) about: About,
    pub(crate) shapes: Vec<Shape>,
    /// The errors of the model, by the name of their shape.
    pub(crate) errors: BTreeMap<String, ErrorShape>,
}

/// An error that a model declares.
#[derive(Debug, Clone)]
pub(crate) struct ErrorShape {
    pub(crate) shape: ShapeId,
    pub(crate) code: String,
    pub(crate) status: u16,
    pub(crate) sender: bool,
}

/// A service as its model describes it.
#[derive(Debug, Default)]
pub struct Model {
    pub(crate) definition: Arc<Definition>,
    pub(crate) operations: BTreeMap<String, Operation>,
    pub(crate) unserved: BTreeMap<String, Http>,
}

/// The method and the path of an operation.
#[derive(Debug, Clone, Default)]
pub(crate) struct Http {
    pub(crate) method: String,
    /// The template: `/endpoints/{EndpointName}/invocations`.
    pub(crate) uri: String,
    /// The status of a good answer.
    pub(crate) status: u16,
}

/// One operation of a service. It carries the shapes of its service along.
#[derive(Debug)]
pub struct Operation {
    pub(crate) name: String,
    pub(crate) http: Http,
    pub(crate) input: Option<Ref>,
    pub(crate) output: Option<Ref>,
    /// Names of the shapes of errors.
    pub(crate) errors: Vec<String>,
    pub(crate) definition: Arc<Definition>,
}

/// Why a text is not a service model.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// It is not `JSON`, or not in botocore's form.
    #[error("the model is not in botocore's form")]
    Form(#[source] serde_json::Error),
    /// It refers to a shape that it does not have.
    #[error("the model has no shape {0}")]
    NoShape(String),
    /// It names something that is not known here: a protocol, a type.
    #[error("the model has an unknown {what}: {name}")]
    Unknown {
        /// What it is that is unknown.
        what: &'static str,
        /// Its name in the model.
        name: String,
    },
}

impl Model {
    /// Reads a model of botocore's form (`service-2.json`). The member `unserved` is ours: the
    /// operations that are only known by name.
    ///
    /// # Errors
    /// If it is not of that form, or refers to what it does not have.
    pub fn read(json: &str) -> Result<Self, ModelError> {
        raw::read(json)
    }

    /// An operation that is served.
    #[must_use]
    pub fn operation(&self, name: &str) -> Option<&Operation> {
        self.operations.get(name)
    }

    /// All operations that are served.
    pub fn operations(&self) -> impl Iterator<Item = &Operation> {
        self.operations.values()
    }

    /// Whether the service's full model has this operation and it is not served.
    #[must_use]
    pub fn is_unserved(&self, name: &str) -> bool {
        self.unserved.contains_key(name)
    }

    /// The service's protocol.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.definition.about.protocol
    }

    pub(crate) fn about(&self) -> &About {
        &self.definition.about
    }

    /// A declared error, by its shape's name or by its code.
    pub(crate) fn error_shape(&self, name: &str) -> Option<&ErrorShape> {
        let errors = &self.definition.errors;
        errors.get(name).or_else(|| errors.values().find(|error| error.code == name))
    }

    #[cfg(test)]
    pub(crate) fn knows_names(&self) -> bool {
        !self.operations.is_empty() || !self.unserved.is_empty()
    }
}

impl Operation {
    /// The operation's name: `CreateTrainingJob`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The protocol of its service.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.definition.about.protocol
    }

    /// The error for a request of this operation that breaks a rule, with the code that the service
    /// uses: `InvalidParameterException` where the model declares it, `ValidationError` in the
    /// query protocol, `InvalidParameterValue` in `EC2`'s, `ValidationException` elsewhere.
    pub fn invalid(&self, message: impl Into<String>) -> AwsError {
        const DECLARED: &str = "InvalidParameterException";
        let code = match self.protocol() {
            Protocol::Query => "ValidationError",
            Protocol::Ec2 => "InvalidParameterValue",
            _ if self.errors.iter().any(|name| name == DECLARED) => DECLARED,
            _ => "ValidationException",
        };
        AwsError::new(400, code, message)
    }

    pub(crate) fn shape(&self, id: ShapeId) -> &Shape {
        self.definition.shape(id)
    }
}

impl Definition {
    /// A shape by its number; numbers come only from reading this definition.
    pub(crate) fn shape(&self, id: ShapeId) -> &Shape {
        self.shapes.get(id).unwrap_or(&shape::NONE)
    }
}
