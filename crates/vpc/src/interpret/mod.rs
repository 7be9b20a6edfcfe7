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

/// What a router does with a packet that comes by the link `from`.
pub fn interpret(
    router: &Router,
    connections: &mut Connections,
    header: &Header,
    from: &Name,
) -> Verdict {
    let mut packet = Packet { header: *header, from: from.clone(), to: None, mark: 0, state: None };
    let run = |packet: &mut Packet, hook: Hook| eval::run(router, hook, packet);
    if let Step::Drop(layer) = run(&mut packet, Hook::Source) {
        return Verdict::Dropped(layer);
    }
    let standing = connections.standing(header);
    packet.state = standing.state();
    run(&mut packet, Hook::Mark);
    match &standing {
        Standing::Known { middle, .. } => packet.header = *middle,
        Standing::New => {
            run(&mut packet, Hook::Arrive);
        }
        Standing::Untracked | Standing::None => {}
    }
    if router.local.contains(&packet.header.destination) {
        return Verdict::Local;
    }
    let Some(link) = router.route(packet.mark, packet.header.destination) else {
        return Verdict::Dropped(Layer::Route);
    };
    packet.to = Some(link.clone());
    for hook in FORWARD {
        if let Step::Drop(layer) = run(&mut packet, hook) {
            return Verdict::Dropped(layer);
        }
    }
    match standing {
        Standing::Known { last, .. } => {
            packet.header = last;
            connections.saw(header);
        }
        Standing::New => {
            let middle = packet.header;
            run(&mut packet, Hook::Leave);
            connections.begin(*header, middle, packet.header);
        }
        Standing::Untracked | Standing::None => {}
    }
    Verdict::Pass { link: link.clone(), header: packet.header }
}
