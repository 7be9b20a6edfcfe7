//! Requests to endpoints, from whoever sends them to a container and back.
//!
//! [`Table`] says where they go; the reconciler fills it. [`forward`] and [`open`] pick a variant
//! and an instance, get through a container's door ([`domain::serving`](belljar_domain::serving)),
//! and speak HTTP/1.1 with it, without a hop in between. Nothing here knows AWS's wire:
//! `api::runtime` does.
//!
//! **Invariant**: what a container may have seen is never sent again; what none has seen is sent
//! again as long as there is hope.

mod attempt;
mod choose;
pub(crate) mod door;
mod failure;
mod forward;
mod limits;
mod multi;
mod pool;
mod read;
mod socket;
mod stream;
mod table;

pub use failure::{Failure, Fault};
pub use forward::{Answer, CUSTOM_ATTRIBUTES, Request, forward, open, passed};
pub use limits::{Limits, MAX_BODIES, MAX_BODY};
pub use multi::model_name;
pub use stream::{Stream, StreamError};
pub use table::{Container, Instance, Routes, Table, VariantRoutes};

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
