//! What gateways do with packets: internet and NAT gateways, gateway endpoints, peering.

use super::answer::{Component, Leg, Reason};
use super::mended::Mended;
use super::repair::other_side;
use super::routes::Wrong;
use super::walk::{Check, End, Failure, From, Lost, Place, Translation, Walk};
use super::{Code, addresses, internet};
use crate::id::{EndpointId, InterfaceId, InternetGatewayId, NatGatewayId, PeeringId, VpcId};
use crate::network::{RecordId, Target};
use crate::traffic::{Header, Payload};
use std::net::IpAddr;

/// Echo requests, the only ICMP that gateways keep a connection for.
const fn is_echo(payload: &Payload) -> bool {
    matches!(payload, Payload::Icmp { v6: false, kind: 8, .. })
}

/// Whether a NAT gateway takes it: TCP, UDP and ICMP (VPC User Guide, "NAT gateway basics").
pub(super) const fn nat_serves(payload: &Payload) -> bool {
    matches!(payload, Payload::Ports { .. }) || is_echo(payload)
}

/// Whether a gateway endpoint takes it: TCP and ICMP echo (`VPCE_GATEWAY_PROTOCOL_RESTRICTION`).
pub(super) const fn endpoint_serves(payload: &Payload) -> bool {
    let tcp = crate::traffic::Transport::Tcp.number();
    payload.protocol() == tcp || is_echo(payload)
}

fn record(id: RecordId) -> Component {
    Component::Record(id)
}

/// Why a gateway does not take a packet that a route sends to it, so that another route is needed.
pub(super) fn refuses(
    net: &Mended<'_>,
    vpc: &VpcId,
    header: &Header,
    target: &Target,
) -> Option<Wrong> {
    let Header { source, destination, payload } = *header;
    let has = |vpc: &VpcId, a| net.network.vpc(vpc).is_some_and(|v| v.has(a));
    let (id, code, text) = match target {
        Target::Internet(id) => {
            let (code, kind) = if addresses::is_private(destination) {
                (Code::IgwDestinationNotInRfc1918Egress, "private")
            } else if addresses::is_shared(destination) {
                (Code::IgwDestinationNotInRfc6598Egress, "shared")
            } else {
                return None;
            };
            let text = format!("{destination} is a {kind} address, which {id} does not send to");
            (RecordId::InternetGateway(id.clone()), code, text)
        }
        Target::Peering(id) => {
            let other = other_side(net.peering(id)?, vpc);
            let stray = [(vpc, source), (other, destination)];
            let (of, address) = stray.into_iter().find(|(of, a)| !has(of, *a))?;
            let text = format!(
                "{address} is not an address of {of}: {id} joins two VPCs and leads to no third \
                 place"
            );
            (RecordId::Peering(id.clone()), Code::PcxRequiresAddressInVpcCidr, text)
        }
        Target::Endpoint(id) => {
            let service = &net.endpoint(id)?.service;
            let list = net.network.list_named(service);
            let (code, text) = if !endpoint_serves(&payload) {
                let text = "is a gateway endpoint, which takes TCP and ICMP echo only".to_owned();
                (Code::VpceGatewayProtocolRestriction, text)
            } else if !has(vpc, source) {
                let text = format!("drops what is from {source}, no address of {vpc}");
                (Code::GatewayRejectsSpoofedTraffic, text)
            } else if list.is_none_or(|(_, l)| l.longest(destination).is_none()) {
                let text = format!("leads to {service}, which {destination} is no address of");
                (Code::CannotRoute, text)
            } else {
                return None;
            };
            (RecordId::Endpoint(id.clone()), code, format!("{id} {text}"))
        }
        Target::Nat(id) => {
            if nat_serves(&payload) && destination.is_ipv4() {
                return None;
            }
            let text =
                format!("{id} is a NAT gateway, which takes TCP, UDP and ICMP echo over IPv4 only");
            (RecordId::NatGateway(id.clone()), Code::ProtocolRestriction, text)
        }
        Target::Interface(_) => return None,
    };
    Some(Wrong { code, component: Component::Record(id), text })
}

/// Out by an internet gateway.
pub(super) fn to_internet(
    walk: &mut Walk<'_, '_>,
    vpc: &VpcId,
    gateway: &InternetGatewayId,
) -> Result<Place, Lost> {
    let component = record(RecordId::InternetGateway(gateway.clone()));
    let Header { source, destination, .. } = walk.header;
    let sender = walk.net.network.interface_at(vpc, source).cloned();
    let Some(sender) = sender else {
        let text = format!("{source} is no interface's address in {vpc}: {gateway} drops it");
        let code = Code::GatewayRejectsSpoofedTraffic;
        return Err(walk.lost(Failure::hopeless(code, component, text)));
    };
    walk.hop(component.clone(), Reason::Translates);
    if let IpAddr::V4(private) = source {
        if walk.net.public_of(&sender, private).is_none() {
            let text = format!(
                "{private} of {sender} has no public address, and {gateway} lets out only those \
                 that have one; a NAT gateway would do too"
            );
            let private_nat = walk.net.network.nat_at(&sender).is_some();
            let code = Code::IgwPublicIpAssociationForEgress;
            let of = sender.clone();
            walk.check(Check::Fails(Box::new(Failure::mended(
                code,
                component,
                text,
                move |net| {
                    if private_nat {
                        None
                    } else {
                        internet::elastic(net, &of, private, destination)
                    }
                },
            ))))?;
        }
        let Some(public) = walk.net.public_of(&sender, private) else { return Err(Lost) };
        walk.header.source = IpAddr::V4(public);
    }
    Ok(Place::Internet)
}

/// On the internet: to whom of this network has the address, or out of sight.
pub(super) fn from_internet(walk: &mut Walk<'_, '_>) -> Result<Place, Lost> {
    let Header { source, destination, .. } = walk.header;
    let asker = walk.asker == Some(destination);
    let found = if asker { None } else { walk.net.on_internet(destination) };
    let begins = walk.hops.len() <= 1 && walk.leg == Leg::Request;
    let Some((interface, private)) = found else {
        if begins {
            let text = format!("no network interface has the public address {destination}");
            let code = Code::IgwPrivateIpAssociationForIngress;
            return Err(walk.lost(Failure::hopeless(code, Component::Internet, text)));
        }
        // A VPC's IPv6 block is nobody else's.
        let mut vpcs = walk.net.network.vpcs.iter();
        let of = vpcs.find(|(_, v)| !asker && destination.is_ipv6() && v.has(destination));
        if let Some((vpc, _)) = of {
            let text = format!("no network interface of {vpc} has the address {destination}");
            let component = record(RecordId::Vpc(vpc.clone()));
            let code = Code::NoPossibleDestination;
            return Err(walk.lost(Failure::hopeless(code, component, text)));
        }
        walk.hop(Component::Internet, Reason::Receives);
        return Ok(Place::End(End::Internet));
    };
    let no = [
        (addresses::is_private(source), Code::IgwSourceNotInRfc1918Ingress, "private"),
        (addresses::is_shared(source), Code::IgwSourceNotInRfc6598Ingress, "shared"),
    ];
    if let Some((_, code, kind)) = no.into_iter().find(|(is, ..)| *is) {
        let text = format!("{source} is a {kind} address, which the internet does not carry");
        return Err(walk.lost(Failure::hopeless(code, Component::Internet, text)));
    }
    let Some((_, vpc)) = walk.home(&interface) else { return Err(Lost) };
    if walk.net.internet_gateway(&vpc).is_none() {
        let text = format!("{vpc}, where {destination} leads to, has no internet gateway");
        let code = Code::IgwPrivateIpAssociationForIngress;
        let (component, of) = (record(RecordId::Vpc(vpc.clone())), vpc.clone());
        let failure = Failure::mended(code, component, text, move |net| {
            Some(internet::attached(net, &of)?.0)
        });
        walk.check(Check::Fails(Box::new(failure)))?;
    }
    let Some(gateway) = walk.net.internet_gateway(&vpc).cloned() else { return Err(Lost) };
    walk.header.destination = private;
    walk.record(RecordId::InternetGateway(gateway), Reason::Translates);
    Ok(Place::Arrives(interface, From::Gateway))
}

/// Into a gateway endpoint.
pub(super) fn to_endpoint(walk: &mut Walk<'_, '_>, id: &EndpointId) -> Place {
    walk.record(RecordId::Endpoint(id.clone()), Reason::Receives);
    Place::End(End::Endpoint(id.clone()))
}

/// A reply out of a gateway endpoint, to an interface of its VPC.
pub(super) fn from_endpoint(walk: &mut Walk<'_, '_>, id: &EndpointId) -> Result<Place, Lost> {
    let component = record(RecordId::Endpoint(id.clone()));
    walk.hop(component.clone(), Reason::Sends);
    let vpc = walk.net.endpoint(id).map(|e| e.vpc.clone());
    deliver(walk, vpc.as_ref(), component, From::Gateway)
}

/// Over a peering connection. It is not transitive: only from the one VPC to the other.
pub(super) fn to_peering(
    walk: &mut Walk<'_, '_>,
    vpc: &VpcId,
    id: &PeeringId,
) -> Result<Place, Lost> {
    let component = record(RecordId::Peering(id.clone()));
    let Some(other) = walk.net.peering(id).map(|p| other_side(p, vpc).clone()) else {
        return Err(Lost);
    };
    walk.hop(component.clone(), Reason::Forwards);
    deliver(walk, Some(&other), component, From::Peering(id.clone()))
}

/// To the interface of a VPC that has the destination.
fn deliver(
    walk: &mut Walk<'_, '_>,
    vpc: Option<&VpcId>,
    component: Component,
    from: From,
) -> Result<Place, Lost> {
    let to = walk.header.destination;
    if let Some(id) = vpc.and_then(|v| walk.net.network.interface_at(v, to)) {
        return Ok(Place::Arrives(id.clone(), from));
    }
    let of = vpc.map_or("its VPC", VpcId::as_str);
    let text = format!("no network interface of {of} has the address {to}");
    Err(walk.lost(Failure::hopeless(Code::NoPossibleDestination, component, text)))
}

/// Through a NAT gateway, there and back. It keeps the sender's port, as Linux does unless it is
/// taken.
pub(super) fn nat(
    walk: &mut Walk<'_, '_>,
    interface: &InterfaceId,
    id: &NatGatewayId,
) -> Result<Place, Lost> {
    let header = walk.header;
    if walk.leg == Leg::Reply {
        let of = |t: &&Translation| {
            t.interface == *interface && t.outside.reply().as_ref() == Some(&header)
        };
        if let Some(back) = walk.translations.iter().find(of).and_then(|t| t.inside.reply()) {
            walk.header = back;
            walk.record(RecordId::NatGateway(id.clone()), Reason::Translates);
            return Ok(Place::Leaves(interface.clone()));
        }
    }
    let component = record(RecordId::NatGateway(id.clone()));
    let primary = walk.net.interface(interface).and_then(|i| i.first(false));
    let (Some((_, vpc)), Some(primary)) = (walk.home(interface), primary) else {
        return Err(Lost);
    };
    let failure = if walk.leg == Leg::Reply || walk.owns(interface, header.destination) {
        let text = format!(
            "{id} passes on what begins behind it, and {} to {} is part of no such connection",
            header.payload, header.destination
        );
        Some((Code::NgwDestAddressPreservation, text))
    } else if !nat_serves(&header.payload) || header.destination.is_ipv6() {
        let text = format!("{id} is a NAT gateway, which takes TCP, UDP and ICMP over IPv4 only");
        Some((Code::ProtocolRestriction, text))
    } else if !walk.net.network.vpc(&vpc).is_some_and(|v| v.has(header.source)) {
        let text = format!("{} is not an address of {vpc}: {id} drops it", header.source);
        Some((Code::NgwRequiresSourceInVpc, text))
    } else {
        None
    };
    if let Some((code, text)) = failure {
        return Err(walk.lost(Failure::hopeless(code, component, text)));
    }
    walk.header.source = primary;
    let translation =
        Translation { interface: interface.clone(), inside: header, outside: walk.header };
    walk.translations.push(translation);
    walk.hop(component, Reason::Translates);
    Ok(Place::Leaves(interface.clone()))
}
