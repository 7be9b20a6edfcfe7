//! S3: the wire by `s3s` (routing, signatures, XML), the bytes by `belljar_store::objects`.
//!
//! [`service`] makes it, [`S3::call`] answers one request. In front of s3s stands [`front`], which
//! closes what s3s leaves open: which headers must be signed, session tokens, chunks of any
//! size, forms in memory, and answers without a request id.

mod access;
mod actions;
mod answer;
mod body;
mod buckets;
mod chunked;
mod conditions;
mod config;
mod copy;
mod describe;
mod error;
mod front;
mod host;
mod list;
mod multipart;
mod objects;
mod operations;
mod refuse;
mod rest;
mod sums;
mod tags;

pub use access::FindKey;
pub use config::{Config, Outside, OutsideError};
pub use front::S3;

use belljar_store::objects::Objects;
use s3s::service::S3ServiceBuilder;
use std::sync::Arc;

/// What every operation has at hand.
#[derive(Debug, Clone)]
struct Backend {
    objects: Objects,
    config: Arc<Config>,
}

/// The S3 service over `objects`, for whoever has one of the keys that `find` finds.
pub fn service(objects: Objects, find: FindKey, config: Config) -> S3 {
    let config = Arc::new(config);
    let backend = Backend { objects, config: Arc::clone(&config) };
    let mut builder = S3ServiceBuilder::new(operations::Operations(backend));
    builder.set_config(config::limits());
    builder.set_host(host::Hosts::new(&config.hosts));
    builder.set_auth(access::Auth(Arc::clone(&find)));
    builder.set_access(access::Access { find, config: Arc::clone(&config) });
    S3::new(builder.build())
}
