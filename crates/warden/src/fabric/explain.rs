//! What `vpc` says about a connection before it is tried.

use super::connect::literal;
use super::view::View;
use belljar_domain::fabric::Blocker;
use belljar_vpc::id::InterfaceId;
use belljar_vpc::reach::{self, reach};
use belljar_vpc::{Flow, Payload, Transport};
use std::net::IpAddr;

/// A port from which the kernel connects. Which one it will be is not known before: where an ACL
/// lets only some of them in again, an answer may be late to come, and is told as that.
const SOURCE: u16 = 32_768;

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
    view: &View,
    interface: &InterfaceId,
    to: IpAddr,
    port: u16,
) -> Vec<Blocker> {
    let payload = Payload::Ports { transport: Transport::Tcp, source: SOURCE, destination: port };
    let flow = Flow::from_interface(interface.clone(), to, payload);
    reach(&view.network, &flow).blockers.iter().map(blocker).collect()
}

fn blocker(of: &reach::Blocker) -> Blocker {
    let fix = of.fix.as_ref().map(|fix| fix.cli.join(" && "));
    Blocker { code: of.code.to_string(), text: of.text.clone(), fix }
}
