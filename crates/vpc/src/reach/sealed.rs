//! A container that is sealed (`EnableNetworkIsolation`): it reaches the peers of its job, and
//! nothing else, whatever its VPC allows.

use super::Code;
use super::answer::{Blocker, Component, Leg, Reach};
use std::net::IpAddr;

/// Explains what a sealed container reaches. No change of the network opens it.
#[must_use]
pub fn reach_sealed(destination: IpAddr, peers: &[IpAddr]) -> Reach {
    if peers.contains(&destination) || destination.is_loopback() {
        return Reach::default();
    }
    let (code, why) = if peers.is_empty() {
        (Code::NetworkIsolation, "makes no network calls")
    } else {
        (Code::NotAPeer, "reaches the other instances of its job only")
    };
    let text = format!(
        "{destination} is out of reach: the container runs with EnableNetworkIsolation and {why}"
    );
    let (component, direction) = (Component::Internet, Leg::Request);
    let blockers = vec![Blocker { code, component, direction, text, fix: None }];
    Reach { blockers, ..Reach::default() }
}
