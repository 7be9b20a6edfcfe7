//! Asks `reach` of every interface, and tries whether the fixes help.

use super::answer::{Answer, Path};
use super::lookup::{lookup, region};
use super::source::{End, Source};
use super::target::{HTTPS, Target, protocol_name};
use crate::args_network::ProtocolArg;
use belljar_vpc::Network;
use belljar_vpc::flow::{Flow, Source as Begins};
use belljar_vpc::id::{EndpointId, InterfaceId};
use belljar_vpc::network::RecordId;
use belljar_vpc::reach::{Blocker, Call, Code, Component, Leg, Reach, reach, reach_service};
use std::net::IpAddr;

/// Answers the whole question.
pub(crate) fn all(source: &Source, target: &Target) -> Answer {
    // Nobody sends from a sealed container; only what is staged for it has a way. One that is in no
    // VPC has no ends.
    let sealed = source.ends.iter().all(|end| end.sealed);
    let asked = if sealed && !target.is_staged() { &[][..] } else { &source.ends };
    let paths: Vec<Path> = asked.iter().map(|end| path(source, end, target)).collect();
    Answer {
        from: source.said.clone(),
        to: target.said.clone(),
        protocol: protocol_name(target.protocol),
        port: target.port,
        passes: target.is_staged() && source.ends.is_empty()
            || !paths.is_empty() && paths.iter().all(|p| p.passes),
        sealed: sealed.then(|| isolation(source, source.ends.first())),
        paths,
    }
}

fn isolation(source: &Source, end: Option<&End>) -> Blocker {
    let component = end.and_then(interface).map(|id| Component::Record(RecordId::Interface(id)));
    Blocker {
        code: Code::NetworkIsolation,
        component: component.unwrap_or(Component::Internet),
        direction: Leg::Request,
        text: format!(
            "the container of {} is sealed (EnableNetworkIsolation): it has no interface but lo",
            source.said
        ),
        fix: None,
    }
}

fn interface(end: &End) -> Option<InterfaceId> {
    match &end.begins {
        Begins::Interface { id, .. } => Some(id.clone()),
        Begins::Internet { .. } => None,
    }
}

fn path(source: &Source, end: &End, target: &Target) -> Path {
    let network = &source.network;
    // Of several variants one may be sealed, and another not.
    let (reach, destination) = match end.sealed && !target.is_staged() {
        true => (Reach { blockers: vec![isolation(source, Some(end))], ..Reach::default() }, None),
        false => explain(network, end, target),
    };
    let passes_mended = (!reach.passes()).then(|| {
        let mended = mended(network, &reach);
        mended.is_some_and(|mended| explain(&mended, end, target).0.passes())
    });
    let begins = reach.forward.first().map(|hop| hop.header.source);
    let endpoint_policy = reach.forward.iter().find_map(|hop| policy(network, &hop.component));
    Path {
        interface: interface(end),
        planned: end.planned,
        source: begins.or_else(|| origin(network, end)),
        destination,
        passes: reach.passes(),
        passes_mended,
        endpoint_policy,
        reach,
    }
}

/// The VPC endpoint that is at a place of the way, if it has a policy of its own.
fn policy(network: &Network, at: &Component) -> Option<EndpointId> {
    let id = match at {
        Component::Record(RecordId::Endpoint(id)) => id,
        Component::Record(RecordId::Interface(id)) => network.endpoint_at(id)?,
        _ => return None,
    };
    network.endpoints.get(id)?.policy.as_ref().map(|_| id.clone())
}

/// Where a conversation that came nowhere would have begun.
fn origin(network: &Network, end: &End) -> Option<IpAddr> {
    match &end.begins {
        Begins::Internet { address } => Some(*address),
        Begins::Interface { address: Some(address), .. } => Some(*address),
        Begins::Interface { id, address: None } => {
            network.interfaces.get(id)?.primary().map(IpAddr::V4)
        }
    }
}

/// Looks the name up, and asks of the way there.
fn explain(network: &Network, end: &End, target: &Target) -> (Reach, Option<IpAddr>) {
    if let (Begins::Interface { id: from, address: None }, Some((region, service))) =
        (&end.begins, target.service(region(network)))
        && target.protocol == ProtocolArg::Tcp
    {
        let port = target.port.unwrap_or(HTTPS);
        let call = Call { from, region: &region, service: &service, port, request: None };
        let answer = reach_service(network, &call);
        let destination = answer.forward.first().map(|hop| hop.header.destination);
        return (answer, destination);
    }
    match lookup(network, &end.begins, &target.place) {
        Ok(to) => {
            let (source, payload) = (end.begins.clone(), target.payload(to));
            (reach(network, &Flow { source, destination: to, payload }), Some(to))
        }
        Err(blocker) => (Reach { blockers: vec![*blocker], ..Reach::default() }, None),
    }
}

/// The network with every fix carried out; none if something has no fix.
fn mended(network: &Network, reach: &Reach) -> Option<Network> {
    let mut description = network.description().clone();
    for blocker in &reach.blockers {
        blocker.fix.as_ref()?.apply(&mut description);
    }
    Network::new(description).ok()
}
