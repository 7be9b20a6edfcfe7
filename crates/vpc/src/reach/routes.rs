//! Where a subnet's route table sends a packet, and how to mend it if that leads nowhere.

use super::answer::{Component, Leg, Reason};
use super::fix::{Edit, Fix};
use super::mended::Mended;
use super::repair::{self, Wanted};
use super::walk::{Entrance, Failure, Lost, Walk};
use super::{Code, gateways};
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
pub(super) enum Way {
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
    if let Some(wrong) = complaint(walk.net, walk.leg, &wanted, &found) {
        let fix = fix(walk, &wanted, &found);
        let text = match repair::remark(walk.net, &wanted) {
            Some(remark) if walk.leg == Leg::Request => format!("{}; {remark}", wrong.text),
            _ => wrong.text,
        };
        found = way(walk.net, subnet, to);
        walk.stopped(wrong.code, wrong.component, text, fix)?;
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

/// Whether a packet has a way that is none of the wrong ones.
pub(super) fn goes(net: &Mended<'_>, leg: Leg, wanted: &Wanted<'_>) -> bool {
    complaint(net, leg, wanted, &way(net, wanted.subnet, wanted.to)).is_none()
}

/// What is wrong with the way that a table gives.
pub(super) struct Wrong {
    pub(super) code: Code,
    pub(super) component: Component,
    pub(super) text: String,
}

pub(super) fn complaint(
    net: &Mended<'_>,
    leg: Leg,
    wanted: &Wanted<'_>,
    found: &Way,
) -> Option<Wrong> {
    let Wanted { table, to, vpc, subnet, .. } = wanted;
    let component = || Component::Record(RecordId::RouteTable((*table).clone()));
    let wrong = |code, text| Some(Wrong { code, component: component(), text });
    let (destination, target) = match found {
        Way::Local(_) => return None,
        Way::None => {
            let text = format!("route table {table} of {subnet} has no route to {to}");
            return wrong(repair::code_of_missing(net, wanted), text);
        }
        Way::Route(destination, target) => (destination, target),
    };
    let (destination, by) = (repair::destination_text(destination), repair::target_id(target));
    if net.blackhole(vpc, target) {
        let text = format!(
            "the route of {table} to {destination} is a blackhole: {by} is gone or does not work"
        );
        return wrong(Code::BadStateRoute, text);
    }
    if leg == Leg::Reply && astray(wanted, target) {
        let text = format!(
            "the request came by {}, but the route of {table} to {destination} sends its reply \
             to {by}",
            repair::entrance_text(wanted.entrance),
        );
        return wrong(Code::MoreSpecificRoute, text);
    }
    if turns_back(net, wanted, target) {
        let text = format!(
            "the route of {table} to {destination} sends what leaves {} back to it",
            wanted.from
        );
        return wrong(Code::CannotRoute, text);
    }
    gateways::refuses(net, vpc, &wanted.header, target)
}

/// Whether a route leads back to where the packet comes from.
fn turns_back(net: &Mended<'_>, wanted: &Wanted<'_>, target: &Target) -> bool {
    match target {
        Target::Interface(id) => id == wanted.from,
        Target::Nat(id) => net.nat(id).is_some_and(|g| g.interface == *wanted.from),
        _ => false,
    }
}

/// Whether a reply would go another way than back: a gateway knows only what began there. IPv6 is
/// the same on every way, and one that leads to who asked will do.
fn astray(wanted: &Wanted<'_>, target: &Target) -> bool {
    let v6 = wanted.header.source.is_ipv6();
    match (wanted.entrance, target) {
        (_, Target::Internet(_) | Target::Peering(_)) if v6 => false,
        (_, Target::Interface(_)) | (Entrance::Internet, Target::Internet(_)) => false,
        (Entrance::Peering(id), Target::Peering(by)) => id != by,
        _ => true,
    }
}

fn fix(walk: &mut Walk<'_, '_>, wanted: &Wanted<'_>, found: &Way) -> Option<Fix> {
    let found = match found {
        Way::Route(destination, target) => Some((destination, target)),
        _ => None,
    };
    let edits: Vec<Edit> = repair::edits(walk.net, wanted, found, walk.leg)?;
    Some(walk.net.mend(edits))
}
