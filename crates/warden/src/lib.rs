//! One container instance, from [`belljar_domain::Assignment`] to [`belljar_domain::Report`].
//!
//! [`main`] is the whole program `belljar-warden`; [`run`] shows a job's stages in order.
//!
//! **Invariant**: a warden can be killed at any instruction, and what it leaves behind is swept
//! by the next one: processes die with it, namespaces and mounts are held by it alone, and files
//! are under a temporary name until they are whole.

mod attempts;
mod carry;
pub mod credentials;
mod dns;
mod doctor;
mod door;
pub mod evidence;
mod exec;
mod fabric;
pub mod failure;
mod gang;
pub mod image;
mod job;
mod journal;
mod logs;
mod node;
mod orders;
mod outlet;
mod program;
pub mod progress;
mod run;
mod seal;
mod spool;
mod stages;
pub mod staging;
mod sweep;
mod trust;
pub mod wireguard;
mod words;
mod xml;

pub use program::main;
