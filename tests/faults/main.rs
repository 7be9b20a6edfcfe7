//! Whatever is killed, whenever, and whatever runs out: the report is honest, nothing is left,
//! and the next job runs.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod disk;
mod instances;
mod killed;
mod leftovers;
mod memory;
mod processes;
mod run;
mod service;
mod serving;
mod stages;
mod store;
mod sweep;
