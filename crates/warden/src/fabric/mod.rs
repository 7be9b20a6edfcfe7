//! The fabric: the process that holds the router namespaces of a service's VPCs.

pub(crate) mod client;
