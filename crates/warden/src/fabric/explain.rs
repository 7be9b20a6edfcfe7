//! What `vpc` says about a connection before it is tried.

use super::connect::literal;
use super::view::View;
use belljar_domain::fabric::Blocker;
use belljar_vpc::id::InterfaceId;
use std::net::IpAddr;

/// The addresses of a host, as the interface's instance would find them.
pub(super) fn resolve(
    _view: &View,
    _interface: &InterfaceId,
    host: &str,
) -> Result<Vec<IpAddr>, Vec<Blocker>> {
    literal(host).map(|a| vec![a]).ok_or_else(Vec::new)
}

/// All that keeps a connection from there.
pub(super) fn blockers(
    _view: &View,
    _interface: &InterfaceId,
    _to: IpAddr,
    _port: u16,
) -> Vec<Blocker> {
    Vec::new()
}
