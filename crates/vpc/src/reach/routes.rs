//! Where a subnet's route table sends a packet, and how to mend it if that leads nowhere.

use super::Code;
use super::answer::{Component, Leg, Reason};
use super::fix::{Edit, Fix};
use super::mended::Mended;
use super::repair::{self, Wanted};
use super::walk::{Entrance, Failure, Lost, Walk};
use crate::id::{EndpointId, InterfaceId, InternetGatewayId, PeeringId, SubnetId, VpcId};
use crate::network::{Chosen, RecordId, RouteDestination, Target};
use ipnet::IpNet;
use std::net::IpAddr;

/// Where to.
pub(super) enum To {
    Interface(InterfaceId),
    Internet(InternetGatewayId),
    Endpoint(EndpointId),
    Peering(PeeringId),
}

pub(super) struct Next {
    pub(super) place: To,
    /// The route, to be shown behind the subnet's ACL. `None` inside a subnet.
    pub(super) hop: Option<(Component, Reason)>,
}

impl Next {
    pub(super) const fn interface(&self) -> Option<&InterfaceId> {
        match &self.place {
            To::Interface(id) => Some(id),
            _ => None,
        }
    }
}

/// What a table says, with nothing borrowed.
enum Way {
    Local(IpNet),
    Route(RouteDestination, Target),
    None,
}

fn way(net: &Mended<'_>, subnet: &SubnetId, to: IpAddr) -> Way {
    match net.choose(subnet, to) {
        Some(Chosen::Local(block)) => Way::Local(block),
        Some(Chosen::Route(r)) => Way::Route(r.destination.clone(), r.target.clone()),
        None => Way::None,
    }
}

/// Where a packet goes that leaves an interface of a subnet. Inside the subnet it goes straight
/// there, and no table is asked.
pub(super) fn next(
    walk: &mut Walk<'_, '_>,
    from: &InterfaceId,
    subnet: &SubnetId,
    vpc: &VpcId,
) -> Result<Next, Lost> {
    let to = walk.header.destination;
    let inside = walk.net.subnet(subnet).is_some_and(|s| s.has(to));
    if inside {
        let place = To::Interface(there(walk, vpc, to)?);
        return Ok(Next { place, hop: None });
    }
    let Some(table) = walk.net.table(subnet).map(|(id, _)| id.clone()) else { return Err(Lost) };
    let component = Component::Record(RecordId::RouteTable(table.clone()));
    let (header, entrance) = (walk.header, &walk.entrance.clone());
    let wanted = Wanted { from, subnet, vpc, table: &table, to, header, entrance };
    let mut found = way(walk.net, subnet, to);
    if let Some((code, text)) = complaint(walk, &wanted, &found) {
        let fix = fix(walk.net, &wanted, &found, walk.leg);
        let text = match repair::remark(walk.net, &wanted) {
            Some(remark) if walk.leg == Leg::Request => format!("{text}; {remark}"),
            _ => text,
        };
        walk.stopped(code, component.clone(), text, fix)?;
        found = way(walk.net, subnet, to);
    }
    let (place, reason) = match found {
        Way::Local(block) => (To::Interface(there(walk, vpc, to)?), Reason::Local(block)),
        Way::Route(destination, target) => {
            let Some(place) = place(walk.net, target) else { return Err(Lost) };
            (place, Reason::Route(destination))
        }
        Way::None => return Err(Lost),
    };
    Ok(Next { place, hop: Some((component, reason)) })
}

fn place(net: &Mended<'_>, target: Target) -> Option<To> {
    Some(match target {
        Target::Internet(id) => To::Internet(id),
        Target::Nat(id) => To::Interface(net.nat(&id)?.interface.clone()),
        Target::Endpoint(id) => To::Endpoint(id),
        Target::Peering(id) => To::Peering(id),
        Target::Interface(id) => To::Interface(id),
    })
}

/// The interface of a VPC that has an address. With none the packet is dropped, silently.
fn there(walk: &mut Walk<'_, '_>, vpc: &VpcId, to: IpAddr) -> Result<InterfaceId, Lost> {
    if let Some(id) = walk.net.network.interface_at(vpc, to) {
        return Ok(id.clone());
    }
    let text = format!("no network interface of {vpc} has the address {to}");
    let component = Component::Record(RecordId::Vpc(vpc.clone()));
    Err(walk.lost(Failure::hopeless(Code::NoPossibleDestination, component, text)))
}

/// What is wrong with the way that a table gives.
fn complaint(walk: &Walk<'_, '_>, wanted: &Wanted<'_>, found: &Way) -> Option<(Code, String)> {
    let Wanted { table, to, vpc, subnet, .. } = wanted;
    match found {
        Way::None => {
            let text = format!("route table {table} of {subnet} has no route to {to}");
            Some((repair::code_of_missing(walk.net, wanted), text))
        }
        Way::Route(destination, target) if walk.net.blackhole(vpc, target) => {
            let by = repair::target_id(target);
            let text = format!(
                "the route of {table} to {} is a blackhole: {by} is gone or does not work",
                repair::destination_text(destination)
            );
            Some((Code::BadStateRoute, text))
        }
        Way::Route(destination, target) if walk.leg == Leg::Reply && astray(wanted, target) => {
            let text = format!(
                "the request came by {}, but the route of {table} to {} sends its reply to {}",
                repair::entrance_text(wanted.entrance),
                repair::destination_text(destination),
                repair::target_id(target)
            );
            Some((Code::MoreSpecificRoute, text))
        }
        _ => None,
    }
}

/// Whether a reply would go another way than back: a gateway knows only what began there.
fn astray(wanted: &Wanted<'_>, target: &Target) -> bool {
    match (wanted.entrance, target) {
        (_, Target::Interface(_)) | (Entrance::Internet, Target::Internet(_)) => false,
        (Entrance::Peering(id), Target::Peering(by)) => id != by,
        _ => true,
    }
}

fn fix(net: &mut Mended<'_>, wanted: &Wanted<'_>, found: &Way, leg: Leg) -> Option<Fix> {
    let found = match found {
        Way::Route(destination, target) => Some((destination, target)),
        _ => None,
    };
    let edits: Vec<Edit> = repair::edits(net, wanted, found, leg)?;
    Some(net.mend(edits))
}
