//! The least that gives a packet a way: routes, and the gateways that they lead to.

use super::answer::Leg;
use super::fix::Edit;
use super::mended::Mended;
use super::routes::{self, Way};
use super::walk::Entrance;
use super::{Code, addresses, gateways, internet};
use crate::id::{EndpointId, InterfaceId, PeeringId, RouteTableId, SubnetId, VpcId};
use crate::network::{
    Chosen, Endpoint, EndpointKind, Origin, Peering, PeeringStatus, Record, Route,
    RouteDestination, RouteTable, Target,
};
use crate::traffic::Header;
use ipnet::IpNet;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// A packet that wants a way.
pub(super) struct Wanted<'a> {
    pub(super) from: &'a InterfaceId,
    pub(super) subnet: &'a SubnetId,
    pub(super) vpc: &'a VpcId,
    pub(super) table: &'a RouteTableId,
    pub(super) to: IpAddr,
    pub(super) header: Header,
    /// Where its request came in, of a reply.
    pub(super) entrance: &'a Entrance,
}

impl Wanted<'_> {
    fn route(&self, destination: IpNet, target: Target) -> Edit {
        let destination = RouteDestination::Cidr(destination);
        let route = Route { destination, target, origin: Origin::CreateRoute };
        Edit::SetRoute(self.table.clone(), route)
    }

    /// All addresses of the family.
    fn everywhere(&self) -> IpNet {
        if self.to.is_ipv4() {
            IpNet::V4(ipnet::Ipv4Net::default())
        } else {
            IpNet::V6(ipnet::Ipv6Net::default())
        }
    }
}

/// The edits that give it a way; `found` is the route that it has and that does not do.
pub(super) fn edits(
    net: &mut Mended<'_>,
    wanted: &Wanted<'_>,
    found: Option<(&RouteDestination, &Target)>,
    leg: Leg,
) -> Option<Vec<Edit>> {
    if leg == Leg::Reply {
        // A host's route beats whatever leads astray, and takes nothing else along.
        let host = IpNet::from(wanted.to);
        let block = |net: &Mended<'_>, other: &VpcId| {
            Some(peer_block(net, other, wanted.to)?.1).filter(|_| found.is_none())
        };
        return match wanted.entrance {
            Entrance::Local => without(net, wanted, leg).filter(|(_, left)| *left).map(|(e, _)| e),
            Entrance::Internet => {
                let gateway = net.internet_gateway(wanted.vpc)?.clone();
                let to = if found.is_none() { wanted.everywhere() } else { host };
                Some(vec![wanted.route(to, Target::Internet(gateway))])
            }
            Entrance::Peering(id) => {
                let other = other_side(net.peering(id)?, wanted.vpc).clone();
                let to = block(net, &other).unwrap_or(host);
                Some(vec![wanted.route(to, Target::Peering(id.clone()))])
            }
        };
    }
    let does = |net: &Mended<'_>, edits: &Vec<Edit>| {
        is_free(net, edits) && routes::goes(&net.trial(edits), leg, wanted)
    };
    let Some((_, target)) = found else {
        return candidate(net, wanted, false).filter(|edits| does(net, edits));
    };
    // A blackhole's own target, or another one in its place; or else a route beside the wrong one.
    let mut little = Vec::new();
    if net.blackhole(wanted.vpc, target) {
        little.extend(revive(net, wanted, target));
        little.extend(candidate(net, wanted, false));
    } else {
        little.extend(candidate(net, wanted, true));
    }
    if let Some(edits) = little.into_iter().find(|edits| does(net, edits)) {
        return Some(edits);
    }
    let (mut edits, left) = without(net, wanted, leg)?;
    if !left {
        if let Some(edits) = candidate(net, wanted, true).filter(|edits| does(net, edits)) {
            return Some(edits);
        }
        let more = candidate(net, wanted, false)?;
        edits.retain(|old| !more.iter().any(|new| takes_place(new, old)));
        edits.extend(more);
    }
    Some(edits).filter(|edits| does(net, edits))
}

/// Whether no gateway endpoint gets a route where there is one to its list: that must go first.
fn is_free(net: &Mended<'_>, edits: &[Edit]) -> bool {
    let is_taken = |edit: &Edit| {
        let Edit::JoinEndpoint(_, table, list) = edit else { return false };
        let to = RouteDestination::PrefixList(list.clone());
        let routes = net.table_by_id(table).map(|t| &t.routes);
        let there = routes.is_some_and(|r| r.iter().any(|r| r.destination == to));
        there && !edits.contains(&Edit::RemoveRoute(table.clone(), to))
    };
    !edits.iter().any(is_taken)
}

/// Whether a new route replaces one that was to be taken away.
fn takes_place(new: &Edit, old: &Edit) -> bool {
    match (new, old) {
        (Edit::SetRoute(table, route), Edit::RemoveRoute(of, to)) => {
            table == of && route.destination == *to
        }
        _ => false,
    }
}

/// Takes away every route that does not do, until one does (`true`) or none is left.
fn without(net: &Mended<'_>, wanted: &Wanted<'_>, leg: Leg) -> Option<(Vec<Edit>, bool)> {
    let mut table: RouteTable = net.table_by_id(wanted.table)?.clone();
    let vpc = net.network.vpc(wanted.vpc)?;
    let mut edits = Vec::new();
    loop {
        let list =
            |id: &crate::id::PrefixListId| net.network.prefix_lists.get(id).map(AsRef::as_ref);
        let bad = match table.choose(vpc, list, wanted.to) {
            None => return Some((edits, false)),
            Some(Chosen::Local(_)) => return Some((edits, true)),
            Some(Chosen::Route(r)) => {
                let way = Way::Route(r.destination.clone(), r.target.clone());
                if routes::complaint(net, leg, wanted, &way).is_none() {
                    return Some((edits, true));
                }
                r.destination.clone()
            }
        };
        table.routes.retain(|r| r.destination != bad);
        edits.push(Edit::RemoveRoute(wanted.table.clone(), bad));
    }
}

/// What makes a blackhole's own target work again, if little does.
fn revive(net: &Mended<'_>, wanted: &Wanted<'_>, target: &Target) -> Option<Vec<Edit>> {
    match target {
        Target::Internet(id) => {
            let free = net.internet(id).is_some_and(|g| g.vpc.is_none());
            let can = free && net.internet_gateway(wanted.vpc).is_none();
            can.then(|| vec![Edit::AttachGateway(id.clone(), wanted.vpc.clone())])
        }
        Target::Peering(id) => {
            let peering = net.peering(id)?;
            let ours = peering.requester == *wanted.vpc || peering.accepter == *wanted.vpc;
            let can = ours && peering.status == PeeringStatus::PendingAcceptance;
            can.then(|| vec![Edit::AcceptPeering(id.clone())])
        }
        _ => None,
    }
}

/// A way where there is none, or with `beside` one for this host alone beside a route that leads
/// astray.
fn candidate(net: &mut Mended<'_>, wanted: &Wanted<'_>, beside: bool) -> Option<Vec<Edit>> {
    let host = IpNet::from(wanted.to);
    if let Some((other, block)) = elsewhere(net, wanted) {
        return by_peering(net, wanted, &other, if beside { host } else { block });
    }
    if let Some(edits) = by_endpoint(net, wanted) {
        return Some(edits);
    }
    if addresses::is_private(wanted.to) || addresses::is_shared(wanted.to) {
        return None;
    }
    let everywhere = if beside { host } else { wanted.everywhere() };
    let public = match wanted.header.source {
        IpAddr::V4(v4) => net.public_of(wanted.from, v4).is_some(),
        IpAddr::V6(_) => true,
    };
    let nat = (!public).then(|| nat_of(net, wanted)).flatten();
    if let Some(nat) = nat {
        return Some(vec![wanted.route(everywhere, Target::Nat(nat))]);
    }
    let (mut edits, gateway) = internet::attached(net, wanted.vpc)?;
    edits.push(wanted.route(everywhere, Target::Internet(gateway)));
    Some(edits)
}

/// A public NAT gateway of the VPC whose own subnet has another table.
fn nat_of(net: &Mended<'_>, wanted: &Wanted<'_>) -> Option<crate::id::NatGatewayId> {
    let usable = |g: &crate::network::NatGateway| {
        let near = net.subnet(&g.subnet).is_some_and(|s| s.vpc == *wanted.vpc);
        let apart = net.table(&g.subnet).is_some_and(|(id, _)| id != wanted.table);
        g.available && g.allocation.is_some() && near && apart
    };
    let served = gateways::nat_serves(&wanted.header.payload);
    let mut all = net.network.nat_gateways.iter().filter(|_| served);
    all.find(|(_, g)| usable(g)).map(|(id, _)| id.clone())
}

/// The other VPC that has an interface at the destination, and its subnet there; of a public IPv6
/// address only if both are peered.
fn elsewhere(net: &Mended<'_>, wanted: &Wanted<'_>) -> Option<(VpcId, IpNet)> {
    let others = net.network.vpcs.keys().filter(|v| *v != wanted.vpc);
    let public = |other: &VpcId| wanted.to.is_ipv6() && !net.peered(wanted.vpc, other);
    others.filter(|v| !public(v)).find_map(|other| peer_block(net, other, wanted.to))
}

fn peer_block(net: &Mended<'_>, vpc: &VpcId, to: IpAddr) -> Option<(VpcId, IpNet)> {
    let interface = net.network.interface_at(vpc, to)?;
    let subnet = net.subnet(&net.interface(interface)?.subnet)?;
    let block = match to {
        IpAddr::V4(_) => IpNet::V4(subnet.block),
        IpAddr::V6(_) => IpNet::V6(subnet.block_v6?),
    };
    Some((vpc.clone(), block))
}

fn by_peering(
    net: &mut Mended<'_>,
    wanted: &Wanted<'_>,
    other: &VpcId,
    block: IpNet,
) -> Option<Vec<Edit>> {
    let own = net.network.vpc(wanted.vpc)?;
    let theirs = net.network.vpc(other)?;
    let meets = |a: &IpNet, b: &IpNet| a.contains(b) || b.contains(a);
    let mut pairs = own.cidrs.iter().flat_map(|a| theirs.cidrs.iter().map(move |b| (a, b)));
    if pairs.any(|(a, b)| meets(&a.block, &b.block)) {
        return None;
    }
    let joins = |p: &Peering| {
        (p.requester == *wanted.vpc && p.accepter == *other)
            || (p.requester == *other && p.accepter == *wanted.vpc)
    };
    let of = |status: PeeringStatus| {
        let mut all = net.network.peerings.keys();
        all.find(|id| net.peering(id).is_some_and(|p| joins(p) && p.status == status)).cloned()
    };
    let (mut edits, id) = if let Some(id) = of(PeeringStatus::Active) {
        (vec![], id)
    } else if let Some(id) = of(PeeringStatus::PendingAcceptance) {
        (vec![Edit::AcceptPeering(id.clone())], id)
    } else {
        let taken = |net: &Mended<'_>, id: &PeeringId| net.peering(id).is_some();
        let id = net.unused(PeeringId::PREFIX, taken)?;
        let peering = Peering {
            requester: wanted.vpc.clone(),
            accepter: other.clone(),
            status: PeeringStatus::PendingAcceptance,
            dns_resolution: false,
        };
        let create = Edit::Create(Record::Peering(id.clone(), peering));
        (vec![create, Edit::AcceptPeering(id.clone())], id)
    };
    edits.push(wanted.route(block, Target::Peering(id)));
    Some(edits)
}

/// A gateway endpoint, where the destination is of a service that has them.
fn by_endpoint(net: &mut Mended<'_>, wanted: &Wanted<'_>) -> Option<Vec<Edit>> {
    if !gateways::endpoint_serves(&wanted.header.payload) {
        return None;
    }
    let mut managed = net.network.prefix_lists.iter().filter(|(_, l)| l.owner == "AWS");
    let (list, service) = managed
        .find(|(_, l)| l.longest(wanted.to).is_some())
        .map(|(id, l)| (id.clone(), l.name.clone()))?;
    let table = wanted.table.clone();
    let is = |e: &Endpoint| {
        e.vpc == *wanted.vpc
            && e.service == service
            && matches!(e.kind, EndpointKind::Gateway { .. })
    };
    let there = net.network.endpoints.iter().find(|(_, e)| is(e)).map(|(id, _)| id.clone());
    if let Some(id) = there {
        return Some(vec![Edit::JoinEndpoint(id, table, list)]);
    }
    let taken = |net: &Mended<'_>, id: &EndpointId| net.endpoint(id).is_some();
    let id = net.unused(EndpointId::PREFIX, taken)?;
    let kind = EndpointKind::Gateway { route_tables: BTreeSet::from([table.clone()]) };
    let endpoint = Endpoint { vpc: wanted.vpc.clone(), service, kind, policy: None };
    let create = Edit::Create(Record::Endpoint(id.clone(), endpoint));
    Some(vec![create, Edit::JoinEndpoint(id, table, list)])
}

/// The code of a missing route: both ends may be in VPCs that nothing joins.
pub(super) fn code_of_missing(net: &Mended<'_>, wanted: &Wanted<'_>) -> Code {
    match elsewhere(net, wanted) {
        Some((other, _)) if net.network.peering(wanted.vpc, &other).is_none() => {
            Code::DisconnectedVpcs
        }
        _ => Code::NoRouteToDestination,
    }
}

/// What else would do.
pub(super) fn remark(net: &Mended<'_>, wanted: &Wanted<'_>) -> Option<&'static str> {
    let mut managed = net.network.prefix_lists.values().filter(|l| l.owner == "AWS");
    managed.any(|l| l.longest(wanted.to).is_some()).then_some(
        "a gateway endpoint gives it and nothing else; a NAT gateway would do too, but opens the \
         way to the whole internet",
    )
}

/// The VPC at the other side of a peering connection.
pub(super) fn other_side<'p>(peering: &'p Peering, vpc: &VpcId) -> &'p VpcId {
    if peering.requester == *vpc { &peering.accepter } else { &peering.requester }
}

pub(super) fn target_id(target: &Target) -> &str {
    match target {
        Target::Internet(id) => id.as_str(),
        Target::Nat(id) => id.as_str(),
        Target::Endpoint(id) => id.as_str(),
        Target::Peering(id) => id.as_str(),
        Target::Interface(id) => id.as_str(),
    }
}

pub(super) fn destination_text(destination: &RouteDestination) -> String {
    match destination {
        RouteDestination::Cidr(net) => net.to_string(),
        RouteDestination::PrefixList(id) => id.to_string(),
    }
}

pub(super) fn entrance_text(entrance: &Entrance) -> &str {
    match entrance {
        Entrance::Local => "the VPC's own routes",
        Entrance::Internet => "the internet gateway",
        Entrance::Peering(id) => id.as_str(),
    }
}
