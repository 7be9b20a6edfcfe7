//! The AWS wire: pruned service models, their protocols, `SigV4` and error shapes.
//!
//! A request goes `route` → `sigv4::verify` → `decode` → `validate`, and what the operation gives goes
//! through `encode`. Between the two everything is one form, whatever the protocol: a
//! `serde_json::Value` with the member names of the model.
//!
//! **Invariant**: no noun of the product is known here; a service is what its model says.

pub mod event_stream;
pub mod limits;
pub mod sigv4;

mod decode;
mod encode;
mod error;
mod form;
mod model;
mod route;
mod scalar;
mod service;
mod validate;
mod xml;

pub use decode::{Call, decode, decode_by, decode_head};
pub use encode::{encode, encode_error, encode_error_by};
pub use error::{AwsError, Fault};
pub use model::{Model, ModelError, Operation, Protocol, TimestampFormat};
pub use route::{ErrorForm, Route, route};
pub use service::Service;
pub use validate::{check_output, validate};
