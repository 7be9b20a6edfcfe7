//! The service's side of a job: [`request`] turns what a user asks for into a
//! [`belljar_domain::Assignment`] (the only place of semantic checks), [`state`] keeps one folder
//! for each job, and [`local`] places an Assignment on this machine by starting a warden. [`service`]
//! answers requests and writes down what is wanted; `reconcile` makes it happen.
//!
//! **Invariant**: control needs no privilege and never touches a container. It knows a warden
//! only by the Assignment that it writes, the [`belljar_domain::Event`]s that it reads and the
//! [`belljar_domain::Report`] that ends them; and every job that was started has a Report.

pub mod api;
mod execution;
mod fabric;
pub mod local;
pub mod machine;
mod network;
mod nodes;
mod reconcile;
pub mod request;
pub mod service;
pub mod serving;
pub mod state;

/// An error and its causes, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
