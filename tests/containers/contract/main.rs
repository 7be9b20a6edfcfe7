//! The training contract of one instance, as a container sees it and as Belljar reports it.

#![expect(clippy::unwrap_used, reason = "a test ends at what goes wrong")]

mod data;
mod encrypted;
mod endings;
mod hostile;
mod instances;
mod instances_end;
mod invocation;
mod limits;
mod opt_ml;
mod own_warden;
mod stopping;
mod support;
