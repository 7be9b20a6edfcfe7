//! What of a compiled network another one can keep.

use super::groups;
use super::router::{Name, Router};
use super::rules::{Chain, Family, Set};
use super::shared::Shared;
use crate::Network;
use crate::id::{GroupId, InterfaceId, VpcId};
use crate::network::{Description, Interface, Peer, Peering, Records, Target, differing};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// The difference of two networks. Records that both share are not looked into; others count as
/// different.
pub(super) struct Changed<'a> {
    old: &'a Network,
    new: &'a Network,
    /// Whether there is one in other records than interfaces and groups, or in one of those that
    /// routes lead to. Then routers are compiled from nothing.
    elsewhere: bool,
    pub(super) interfaces: HashSet<&'a InterfaceId>,
    groups: HashSet<&'a GroupId>,
    /// The groups that came or went.
    moved: HashSet<&'a GroupId>,
    /// Sets of members that are other ones now.
    members: HashMap<Name, (&'a GroupId, Family)>,
}

fn same<K: Eq, V>(old: &Records<K, V>, new: &Records<K, V>) -> bool {
    let both = || old.iter().zip(new);
    old.len() == new.len() && both().all(|((k, v), (l, w))| Arc::ptr_eq(v, w) && k == l)
}

/// Whether all records are the same of which routers are made, but for interfaces and groups.
fn same_rest(old: &Description, new: &Description) -> bool {
    // Each kind is named, so that none is forgotten.
    let Description {
        vpcs,
        subnets,
        groups: _,
        acls,
        route_tables,
        internet_gateways,
        nat_gateways,
        addresses,
        interfaces: _,
        endpoints,
        prefix_lists,
        peerings,
        dhcp_options: _,
        zones: _,
        flow_logs: _,
    } = old;
    same(vpcs, &new.vpcs)
        && same(subnets, &new.subnets)
        && same(acls, &new.acls)
        && same(route_tables, &new.route_tables)
        && same(internet_gateways, &new.internet_gateways)
        && same(nat_gateways, &new.nat_gateways)
        && same(addresses, &new.addresses)
        && same(endpoints, &new.endpoints)
        && same(prefix_lists, &new.prefix_lists)
        && same(peerings, &new.peerings)
}

impl<'a> Changed<'a> {
    pub(super) fn between(old: &'a Network, new: &'a Network) -> Self {
        let interfaces: HashSet<_> =
            differing(&old.interfaces, &new.interfaces).into_iter().collect();
        let groups: HashSet<_> = differing(&old.groups, &new.groups).into_iter().collect();
        let vpc = |network: &'a Network, id| network.groups.get(id).map(|g| &g.vpc);
        let moved = groups.iter().filter(|id| vpc(old, *id) != vpc(new, *id)).copied();
        let moved: HashSet<&GroupId> = moved.collect();
        let is_way = |id: &InterfaceId| {
            let target = Target::Interface(id.clone());
            let mut routes = new.route_tables.values().flat_map(|t| &t.routes);
            new.nat_gateways.values().any(|g| g.interface == *id)
                || routes.any(|r| r.target == target)
        };
        let elsewhere = !same_rest(old, new) || interfaces.iter().any(|id| is_way(id));
        let mut all =
            Self { old, new, elsewhere, interfaces, groups, moved, members: HashMap::new() };
        let of_interfaces = all.records().flat_map(|(_, i)| &i.groups);
        let touched: HashSet<&GroupId> = of_interfaces.chain(all.moved.iter().copied()).collect();
        for id in touched {
            for family in Family::BOTH {
                all.members.insert(groups::members_name(id, family), (id, family));
            }
        }
        all
    }

    /// The interfaces that changed, as they were and as they are.
    fn records(&self) -> impl Iterator<Item = (&'a Network, &'a Interface)> {
        let ids = self.interfaces.iter();
        let of = |network: &'a Network, id: &InterfaceId| {
            Some((network, network.interfaces.get(id)?.as_ref()))
        };
        let (old, new) = (self.old, self.new);
        ids.flat_map(move |id| [of(old, id), of(new, id)]).flatten().collect::<Vec<_>>().into_iter()
    }

    /// Whether a VPC's router can be made of the one that it had.
    pub(super) fn is_small(&self, vpc: &VpcId) -> bool {
        !self.elsewhere && self.old.vpcs.contains_key(vpc)
    }

    /// Whether a VPC's router may be another one now.
    pub(super) fn concerns(&self, vpc: &VpcId) -> bool {
        let is_near = |other: &VpcId| {
            let joins = |p: &Peering| {
                (p.requester == *vpc && p.accepter == *other)
                    || (p.accepter == *vpc && p.requester == *other)
            };
            other == vpc || self.new.peerings.values().any(|p| joins(p))
        };
        let of_group =
            |network: &Network, id| network.groups.get(id).is_some_and(|g| is_near(&g.vpc));
        let has_gateway = self.new.internet_gateway(vpc).is_some();
        self.groups.iter().any(|id| of_group(self.old, *id) || of_group(self.new, *id))
            || self.records().any(|(network, record)| {
                let near = network.subnets.get(&record.subnet).is_some_and(|s| is_near(&s.vpc));
                // A public address is one interface's, whatever its VPC.
                near || has_gateway && record.addresses.iter().any(|a| a.public.is_some())
            })
    }
}

/// A VPC's router before a small change.
#[derive(Clone, Copy)]
pub(super) struct Before<'a> {
    pub(super) router: &'a Router,
    pub(super) changed: &'a Changed<'a>,
}

impl<'a> Before<'a> {
    /// The chain of a group's rules, if it is the same. The sets in it are so too, but for those of
    /// members.
    pub(super) fn rules_of(&self, id: &GroupId, chain: &Name) -> Option<&'a Shared<Chain>> {
        let group =
            self.changed.new.groups.get(id).filter(|_| !self.changed.groups.contains(id))?;
        let is_moved =
            |peer: &Peer| matches!(peer, Peer::Group(id) if self.changed.moved.contains(id));
        if !self.changed.moved.is_empty() && group.rules.values().any(|r| is_moved(&r.peer)) {
            return None;
        }
        self.router.chains.get(chain)
    }

    /// A set of a group, of its members or of a prefix list, if it is the same.
    pub(super) fn set(&self, name: &Name) -> Option<&'a Shared<Set>> {
        if self.changed.members.contains_key(name) {
            return None;
        }
        self.router.sets.get(name)
    }

    /// Of which group's members a set is, if those are others now.
    pub(super) fn members(&self, name: &Name) -> Option<(&'a GroupId, Family)> {
        self.changed.members.get(name).copied()
    }
}
