//! The service's side of a job: [`request`] turns what a user asks for into a
//! [`belljar_domain::Assignment`] (the only place of semantic checks), [`state`] keeps one folder
//! for each job, and [`local`] places an Assignment on this machine by starting a warden.
//!
//! **Invariant**: control needs no privilege and never touches a container. It knows a warden
//! only by the Assignment that it writes, the [`belljar_domain::Event`]s that it reads and the
//! [`belljar_domain::Report`] that ends them; and every job that was started has a Report.

pub mod api;
pub mod local;
pub mod machine;
pub mod request;
pub mod service;
pub mod state;
