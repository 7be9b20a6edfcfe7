//! Asks `reach` of every interface, and tries whether the fixes help.

use super::answer::{Answer, Path};
use super::lookup::lookup;
use super::source::{End, Source};
use super::target::{Target, protocol_name};
use belljar_vpc::Network;
use belljar_vpc::flow::{Flow, Source as Begins};
use belljar_vpc::network::RecordId;
use belljar_vpc::reach::{Blocker, Code, Component, Leg, Reach, reach};
use std::net::IpAddr;

/// Fixes of a name, one after the other, at most.
const MAX_LOOKUPS: usize = 8;

/// Answers the whole question.
pub(crate) fn all(source: &Source, target: &Target) -> Answer {
    // Nobody sends from a sealed container; only what is staged for it has a way.
    let asked = if source.sealed && !target.is_staged() { &[][..] } else { &source.ends };
    let paths: Vec<Path> = asked.iter().map(|end| path(&source.network, end, target)).collect();
    Answer {
        from: source.said.clone(),
        to: target.said.clone(),
        protocol: protocol_name(target.protocol),
        port: target.port,
        passes: !paths.is_empty() && paths.iter().all(|p| p.passes),
        sealed: source.sealed.then(|| isolation(source)),
        paths,
    }
}

fn isolation(source: &Source) -> Blocker {
    let component = source.ends.iter().find_map(|end| match &end.begins {
        Begins::Interface { id, .. } => Some(Component::Record(RecordId::Interface(id.clone()))),
        Begins::Internet { .. } => None,
    });
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

fn path(network: &Network, end: &End, target: &Target) -> Path {
    let (reach, destination) = explain(network, end, target);
    let passes_mended = (!reach.passes()).then(|| {
        let mended = mended(network, &reach);
        mended.is_some_and(|mended| explain(&mended, end, target).0.passes())
    });
    let begins = reach.forward.first().map(|hop| hop.header.source);
    Path {
        interface: match &end.begins {
            Begins::Interface { id, .. } => Some(id.clone()),
            Begins::Internet { .. } => None,
        },
        planned: end.planned,
        source: begins.or_else(|| origin(network, end)),
        destination,
        passes: reach.passes(),
        passes_mended,
        reach,
    }
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

/// Looks the name up, and asks of the way there. What is wrong with the name is mended first, so that
/// the way is known.
fn explain(network: &Network, end: &End, target: &Target) -> (Reach, Option<IpAddr>) {
    let mut blockers = Vec::new();
    let mut here = network.clone();
    for _ in 0..MAX_LOOKUPS {
        match lookup(&here, &end.begins, &target.place) {
            Ok(destination) => {
                let payload = target.payload(destination);
                let flow = Flow { source: end.begins.clone(), destination, payload };
                let mut answer = reach(&here, &flow);
                blockers.append(&mut answer.blockers);
                answer.blockers = blockers;
                return (answer, Some(destination));
            }
            Err(blocker) => {
                let fixed = blocker.fix.as_ref().and_then(|fix| {
                    let mut description = here.description().clone();
                    fix.apply(&mut description);
                    Network::new(description).ok()
                });
                blockers.push(*blocker);
                match fixed {
                    Some(fixed) => here = fixed,
                    None => break,
                }
            }
        }
    }
    (Reach { blockers, ..Reach::default() }, None)
}

/// The network with every fix carried out; none if something has no fix.
fn mended(network: &Network, reach: &Reach) -> Option<Network> {
    let mut description = network.description().clone();
    for blocker in &reach.blockers {
        blocker.fix.as_ref()?.apply(&mut description);
    }
    Network::new(description).ok()
}
