//! What `belljar explain` answers: with `--json` this is what is printed.

use belljar_vpc::id::{EndpointId, InterfaceId};
use belljar_vpc::reach::{Blocker, Reach};
use serde::Serialize;
use std::net::IpAddr;

/// Of a question, which may be about several interfaces.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Answer {
    /// Who, as it was found: `training job j1`.
    pub(crate) from: String,
    /// Where to, as it was asked.
    pub(crate) to: String,
    /// `tcp`, `udp` or `icmp`.
    pub(crate) protocol: &'static str,
    /// The port; none of an echo.
    pub(crate) port: Option<u16>,
    /// Whether all of it passes.
    pub(crate) passes: bool,
    /// Why the container itself reaches nothing, if it is sealed: what is explained then is the way of
    /// what is staged for it, if there is one.
    pub(crate) sealed: Option<Blocker>,
    /// One for each interface; none if it is sealed and nothing is staged from there.
    pub(crate) paths: Vec<Path>,
}

/// Of one interface, or of a host on the internet.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Path {
    /// None of a host on the internet.
    pub(crate) interface: Option<InterfaceId>,
    /// Whether there is no such interface yet: it is as the next instance's would be.
    pub(crate) planned: bool,
    /// Where it begins.
    pub(crate) source: Option<IpAddr>,
    /// Where it goes; none if the name has no address there.
    pub(crate) destination: Option<IpAddr>,
    /// Whether request and reply pass.
    pub(crate) passes: bool,
    /// Whether they do once all fixes are carried out, in their order: it was tried. None if nothing
    /// is in the way.
    pub(crate) passes_mended: Option<bool>,
    /// The VPC endpoint on the way whose policy has the last word on each request.
    pub(crate) endpoint_policy: Option<EndpointId>,
    /// The way, and what is in it.
    pub(crate) reach: Reach,
}
