//! Runs a compiled router: what becomes of one packet, with the connections that it has seen.
//!
//! It runs the same rules that `linux` loads, and models what the kernel does around them:
//! connection tracking, translation and the routing tables. A test holds it against real packets.

mod connections;
mod eval;

pub use connections::Connections;

use crate::compile::{Hook, Layer, Name, Router};
use crate::traffic::Header;
use connections::Standing;
use eval::{Packet, Step};
use std::net::{IpAddr, Ipv6Addr};

/// What becomes of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It goes out by a link, with this head.
    Pass {
        /// The link.
        link: Name,
        /// Its head, which may have been translated.
        header: Header,
    },
    /// It is for the router itself.
    Local,
    /// It is dropped.
    Dropped(Layer),
}

/// The hooks that a packet meets once it is routed.
const FORWARD: [Hook; 6] =
    [Hook::Destination, Hook::AclOut, Hook::AclIn, Hook::Public, Hook::Egress, Hook::Ingress];

/// What a router does with a packet that comes by the link `from`, and begins a connection if it
/// belongs to none.
pub fn interpret(
    router: &Router,
    connections: &mut Connections,
    header: &Header,
    from: &Name,
) -> Verdict {
    run_hooks(router, connections, header, from, true)
}

/// As [`interpret`], of a packet that begins no connection whatever its head says: TCP's answer to
/// the first packet, which only a connection's flags tell from that.
pub fn interpret_answer(
    router: &Router,
    connections: &mut Connections,
    header: &Header,
    from: &Name,
) -> Verdict {
    run_hooks(router, connections, header, from, false)
}

fn run_hooks(
    router: &Router,
    connections: &mut Connections,
    header: &Header,
    from: &Name,
    may_begin: bool,
) -> Verdict {
    let mut packet = Packet { header: *header, from: from.clone(), to: None, mark: 0, state: None };
    let run = |packet: &mut Packet, hook: Hook| eval::run(router, hook, packet);
    // IPv6 has no loopback on a wire, and no hook is asked (ip6_input.c, `ip6_rcv_core`).
    if [header.source, header.destination].contains(&IpAddr::V6(Ipv6Addr::LOCALHOST)) {
        return Verdict::Dropped(Layer::Route);
    }
    if let Step::Drop(layer) = run(&mut packet, Hook::Source) {
        return Verdict::Dropped(layer);
    }
    run(&mut packet, Hook::Arrive);
    let header = packet.header;
    let standing = match connections.standing(&header) {
        Standing::New if !may_begin => Standing::None,
        standing => standing,
    };
    packet.state = standing.state();
    // Whatever becomes of it further on.
    connections.saw(&header);
    if let Step::Drop(layer) = run(&mut packet, Hook::Mark) {
        return Verdict::Dropped(layer);
    }
    if router.local.contains(&header.destination) {
        return match run(&mut packet, Hook::Local) {
            Step::Pass => Verdict::Local,
            Step::Drop(layer) => Verdict::Dropped(layer),
        };
    }
    let Some(link) = router.route(packet.mark, header.destination) else {
        return Verdict::Dropped(Layer::Route);
    };
    packet.to = Some(link.clone());
    for hook in FORWARD {
        if let Step::Drop(layer) = run(&mut packet, hook) {
            return Verdict::Dropped(layer);
        }
    }
    if standing == Standing::New {
        connections.begin(header);
    }
    run(&mut packet, Hook::Leave);
    Verdict::Pass { link: link.clone(), header: packet.header }
}
