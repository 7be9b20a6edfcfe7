//! The way of one packet, from place to place.
//!
//! A check that fails is noted with its fix, the fix is carried out in a copy, and the packet goes
//! on: so every blocker of a way is found in one walk. Only what no fix mends ends it.

use super::answer::{Blocker, Component, Hop, Leg, Reason};
use super::fix::{Edit, Fix};
use super::groups::{self, Question};
use super::mended::Mended;
use super::{Code, acls, addresses, gateways, routes};
use crate::id::{EndpointId, InterfaceId, PeeringId, SubnetId, VpcId};
use crate::network::{Direction, RecordId};
use crate::traffic::Header;
use std::net::IpAddr;

/// What a check says.
pub(super) enum Check {
    Passes(Component, Reason),
    Fails(Box<Failure>),
}

type Mending<'m> = dyn FnOnce(&mut Mended<'_>) -> Option<Vec<Edit>> + 'm;

/// A check that failed.
pub(super) struct Failure {
    code: Code,
    component: Component,
    text: String,
    mending: Option<Box<Mending<'static>>>,
}

impl Failure {
    pub(super) fn mended(
        code: Code,
        component: Component,
        text: String,
        mending: impl FnOnce(&mut Mended<'_>) -> Option<Vec<Edit>> + 'static,
    ) -> Self {
        Self { code, component, text, mending: Some(Box::new(mending)) }
    }

    /// One that no change of the network mends.
    pub(super) fn hopeless(code: Code, component: Component, text: String) -> Self {
        Self { code, component, text, mending: None }
    }
}

/// Where a packet is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// It leaves an interface.
    Leaves(InterfaceId),
    /// It is on its way to an interface.
    Arrives(InterfaceId, From),
    /// It comes from the internet.
    Internet,
    /// It comes out of a gateway endpoint.
    Endpoint(EndpointId),
    /// It is where it is going.
    End(End),
}

/// By what way a packet comes to an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum From {
    /// From an interface of a subnet.
    Interface(InterfaceId, SubnetId),
    /// By a peering connection.
    Peering(PeeringId),
    /// From a gateway.
    Gateway,
}

/// Where a packet ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    Interface(InterfaceId),
    Router(VpcId, InterfaceId),
    Endpoint(EndpointId),
    Internet,
}

/// A connection that a NAT gateway keeps.
#[derive(Debug, Clone)]
pub(super) struct Translation {
    pub(super) interface: InterfaceId,
    /// As it came.
    pub(super) inside: Header,
    /// As it went on.
    pub(super) outside: Header,
}

/// How the request came to its end, and its answer must leave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entrance {
    /// By the VPC's own routes.
    Local,
    /// By the VPC's internet gateway.
    Internet,
    /// By a peering connection.
    Peering(PeeringId),
}

/// Interfaces that a packet passes, at most: then it goes round in a circle.
const MAX_PLACES: usize = 64;

/// A packet on its way.
pub(super) struct Walk<'n, 'a> {
    pub(super) net: &'n mut Mended<'a>,
    pub(super) leg: Leg,
    pub(super) header: Header,
    pub(super) hops: Vec<Hop>,
    pub(super) blockers: &'n mut Vec<Blocker>,
    pub(super) translations: &'n mut Vec<Translation>,
    /// The first packets of conversations that VPCs' routers have seen, this one.
    pub(super) begun: Vec<(VpcId, Header)>,
    pub(super) entrance: Entrance,
    /// Whom an answer from the internet's side belongs to, if who asked was there.
    pub(super) asker: Option<IpAddr>,
}

/// The packet is lost, and no fix would help.
pub(super) struct Lost;

impl Walk<'_, '_> {
    /// Goes on to the end.
    pub(super) fn run(&mut self, from: Place) -> Result<End, Lost> {
        let mut place = from;
        for _ in 0..MAX_PLACES {
            place = match place {
                Place::Leaves(interface) => self.leaves(&interface)?,
                Place::Arrives(interface, from) => self.arrives(&interface, &from)?,
                Place::Internet => gateways::from_internet(self)?,
                Place::Endpoint(endpoint) => gateways::from_endpoint(self, &endpoint)?,
                Place::End(end) => return Ok(end),
            };
        }
        let component = self.hops.last().map_or(Component::Internet, |h| h.component.clone());
        let text =
            format!("the {} to {} goes round in a circle", self.leg, self.header.destination);
        Err(self.lost(Failure::hopeless(Code::CannotRoute, component, text)))
    }

    pub(super) fn hop(&mut self, component: Component, reason: Reason) {
        self.hops.push(Hop { component, reason, header: self.header });
    }

    pub(super) fn record(&mut self, id: RecordId, reason: Reason) {
        self.hop(Component::Record(id), reason);
    }

    /// Notes what a check says, and mends what failed.
    pub(super) fn check(&mut self, check: Check) -> Result<(), Lost> {
        match check {
            Check::Passes(component, reason) => {
                self.hop(component, reason);
                Ok(())
            }
            Check::Fails(failure) => {
                let Failure { code, component, text, mending } = *failure;
                let edits = mending.and_then(|mending| mending(self.net));
                let fix = edits.map(|edits| self.net.mend(edits));
                self.stopped(code, component, text, fix)
            }
        }
    }

    /// Notes a blocker; without a fix the way ends here.
    pub(super) fn stopped(
        &mut self,
        code: Code,
        component: Component,
        text: String,
        fix: Option<Fix>,
    ) -> Result<(), Lost> {
        let mended = fix.is_some();
        self.blockers.push(Blocker {
            code,
            component: component.clone(),
            direction: self.leg,
            text,
            fix,
        });
        if !mended {
            return Err(Lost);
        }
        self.hop(component, Reason::Mended);
        Ok(())
    }

    /// Ends the way.
    pub(super) fn lost(&mut self, failure: Failure) -> Lost {
        let Failure { code, component, text, .. } = failure;
        let _ = self.stopped(code, component, text, None);
        Lost
    }

    fn leaves(&mut self, id: &InterfaceId) -> Result<Place, Lost> {
        let place = RecordId::Interface(id.clone());
        let Some((subnet, vpc)) = self.home(id) else {
            let text = format!("{id} does not exist");
            let component = Component::Record(place);
            return Err(self.lost(Failure::hopeless(Code::NoSourceOrDestination, component, text)));
        };
        // Its own address is on its own `lo`, which no router sees.
        if self.owns(id, self.header.destination) {
            self.record(place, Reason::Receives);
            return Ok(Place::End(End::Interface(id.clone())));
        }
        self.source_check(id)?;
        if self.is_router(&vpc, self.header.destination) {
            self.hop(Component::Router(vpc.clone()), Reason::Receives);
            return Ok(Place::End(End::Router(vpc, id.clone())));
        }
        if let Some(failure) = addresses::never_routed(&vpc, &self.header) {
            return Err(self.lost(failure));
        }
        let next = routes::next(self, id, &subnet, &vpc)?;
        self.egress(id, &vpc, &next.place)?;
        let inside = next.interface().and_then(|i| self.home(i)).is_some_and(|(s, _)| s == subnet);
        if !inside {
            let check = acls::check(self.net, &subnet, Direction::Egress, &self.header, self.leg);
            self.check(check)?;
        }
        if let Some((component, reason)) = next.hop {
            self.hop(component, reason);
        }
        match next.place {
            routes::To::Interface(to) => {
                Ok(Place::Arrives(to, From::Interface(id.clone(), subnet)))
            }
            routes::To::Internet(gateway) => gateways::to_internet(self, &vpc, &gateway),
            routes::To::Endpoint(endpoint) => Ok(gateways::to_endpoint(self, &endpoint)),
            routes::To::Peering(peering) => gateways::to_peering(self, &vpc, &peering),
        }
    }

    /// Whether a packet is part of an established conversation to a VPC's router: a reply is, and so
    /// is what comes back to its own sender by way of its public address, if it has no ports or
    /// the same two, because it is the head of an answer.
    fn is_established(&mut self, vpc: &VpcId) -> bool {
        let begun = (vpc.clone(), self.header);
        let asked = self.header.reply().map(|asked| (vpc.clone(), asked));
        if self.leg == Leg::Reply || asked.is_some_and(|asked| self.begun.contains(&asked)) {
            return true;
        }
        self.begun.push(begun);
        false
    }

    fn egress(&mut self, id: &InterfaceId, vpc: &VpcId, next: &routes::To) -> Result<(), Lost> {
        if self.is_established(vpc) {
            return Ok(());
        }
        let direct = match next {
            routes::To::Interface(to) => self.owns(to, self.header.destination),
            routes::To::Peering(_) => true,
            routes::To::Internet(_) | routes::To::Endpoint(_) => false,
        };
        let (direction, header) = (Direction::Egress, self.header);
        let check = groups::check(self.net, &Question { interface: id, direction, header, direct });
        self.check(check)
    }

    fn arrives(&mut self, id: &InterfaceId, from: &From) -> Result<Place, Lost> {
        let Some((subnet, vpc)) = self.home(id) else { return Err(Lost) };
        if !matches!(from, From::Interface(_, of) if *of == subnet) {
            let check = acls::check(self.net, &subnet, Direction::Ingress, &self.header, self.leg);
            self.check(check)?;
        }
        let own = self.owns(id, self.header.destination);
        if !own {
            self.destination_check(id)?;
        }
        if !self.is_established(&vpc) {
            let direct = match from {
                From::Interface(of, _) => self.owns(of, self.header.source),
                From::Peering(_) => true,
                From::Gateway => false,
            };
            let (direction, header) = (Direction::Ingress, self.header);
            let check =
                groups::check(self.net, &Question { interface: id, direction, header, direct });
            self.check(check)?;
        } else {
            self.record(RecordId::Interface(id.clone()), Reason::Established);
        }
        if self.leg == Leg::Reply {
            // Back in the VPC where it began, or on the inner side of a NAT gateway; what a box of
            // the same VPC passes on is still on its way.
            let passed_on = matches!(from, From::Interface(..));
            if !passed_on || self.net.network.nat_at(id).is_some() {
                self.entrance = Entrance::Local;
            }
        }
        if let Some(gateway) = self.net.network.nat_at(id).cloned() {
            return gateways::nat(self, id, &gateway);
        }
        let place = RecordId::Interface(id.clone());
        if own {
            self.record(place, Reason::Receives);
            self.entrance = match from {
                From::Interface(..) => Entrance::Local,
                From::Peering(peering) => Entrance::Peering(peering.clone()),
                From::Gateway => Entrance::Internet,
            };
            return Ok(Place::End(End::Interface(id.clone())));
        }
        self.record(place, Reason::Forwards);
        Ok(Place::Leaves(id.clone()))
    }

    fn source_check(&mut self, id: &InterfaceId) -> Result<(), Lost> {
        let checks = self.net.interface(id).is_some_and(|i| i.source_dest_check);
        if !checks || self.owns(id, self.header.source) {
            self.record(RecordId::Interface(id.clone()), Reason::Sends);
            return Ok(());
        }
        let text = format!(
            "{id} has its source/destination check on and may not send from {}, which is not its \
             own",
            self.header.source
        );
        self.check(forwarding(id, text))
    }

    fn destination_check(&mut self, id: &InterfaceId) -> Result<(), Lost> {
        if self.net.network.endpoint_at(id).is_some() {
            let text = format!("{id} is an endpoint's, which forwards nothing");
            let component = Component::Record(RecordId::Interface(id.clone()));
            return Err(self.lost(Failure::hopeless(Code::EniAddressRestriction, component, text)));
        }
        if self.net.interface(id).is_some_and(|i| !i.source_dest_check) {
            return Ok(());
        }
        let text = format!(
            "{id} has its source/destination check on and drops what is for {}",
            self.header.destination
        );
        self.check(forwarding(id, text))
    }

    /// The subnet and VPC of an interface.
    pub(super) fn home(&self, id: &InterfaceId) -> Option<(SubnetId, VpcId)> {
        let subnet = &self.net.interface(id)?.subnet;
        Some((subnet.clone(), self.net.subnet(subnet)?.vpc.clone()))
    }

    pub(super) fn owns(&self, id: &InterfaceId, address: IpAddr) -> bool {
        self.net.interface(id).is_some_and(|i| i.owns(address))
    }

    fn is_router(&self, vpc: &VpcId, address: IpAddr) -> bool {
        addresses::is_router(self.net.network, vpc, address)
    }
}

fn forwarding(id: &InterfaceId, text: String) -> Check {
    let component = Component::Record(RecordId::Interface(id.clone()));
    let id = id.clone();
    let code = Code::EniSourceDestCheckRestriction;
    let mending = |_: &mut Mended<'_>| Some(vec![Edit::Forward(id)]);
    Check::Fails(Box::new(Failure::mended(code, component, text, mending)))
}
