//! The fabric: the process that holds the router namespaces of a service's VPCs.
//!
//! One process holds them all, because what is between two VPCs (a peering, the world that
//! internet gateways lead to) needs both ends at hand, and because as an ordinary user it needs
//! one user namespace over them. It is started by the service, outlives it, and is found again by
//! its socket (`belljar_domain::fabric`).
//!
//! **Invariants**: what is said to be applied was loaded and read back; what could not be applied
//! has changed nothing; and nothing of it is left when the process is gone, however it went.

pub(crate) mod client;
mod connect;
mod explain;
mod far;
mod flows;
mod held;
mod place;
mod process;
mod resolver;
mod serve;
mod view;
mod world;

pub(crate) use process::main;
