//! One container instance, from [`belljar_domain::Assignment`] to [`belljar_domain::Report`].
//!
//! **Invariant**: a warden can be killed at any instruction, and what it leaves behind is swept
//! by the next one: processes die with it, namespaces and mounts are held by it alone, and files
//! are under a temporary name until they are whole.

pub mod evidence;
pub mod failure;
pub mod image;
pub mod progress;
pub mod staging;
