//! Which route a packet takes.

use super::{Network, Origin, PrefixList, Route, RouteDestination, RouteTable, Vpc};
use ipnet::IpNet;
use std::net::IpAddr;

/// What a table says of a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chosen<'a> {
    /// The local route of this block of the VPC.
    Local(IpNet),
    /// A route.
    Route(&'a Route),
}

impl PrefixList {
    /// The longest of its entries that has an address.
    #[must_use]
    pub fn longest(&self, address: IpAddr) -> Option<IpNet> {
        let bits = if address.is_ipv4() { 32 } else { 128 };
        // Asking for each length is the shorter way only with a longer list.
        if self.entries.len() <= bits {
            let has = self.entries.keys().filter(|e| e.contains(&address));
            return has.max_by_key(|e| e.prefix_len()).copied();
        }
        let of_length =
            |length| u8::try_from(length).ok().and_then(|l| IpNet::new(address, l).ok());
        (0..=bits)
            .rev()
            .filter_map(of_length)
            .map(|n| n.trunc())
            .find(|n| self.entries.contains_key(n))
    }
}

impl RouteTable {
    /// The route for a destination: the longest prefix; of equal ones the local route before
    /// static ones, those before a prefix list's, and propagated ones last. A static route may be
    /// more specific than a local one, a propagated one never is (VPC User Guide, "Route
    /// priority"). Of two prefix lists with one entry the one with the smaller id decides; AWS
    /// says that it picks one at random.
    ///
    /// `list` finds prefix lists; one that is gone has no addresses.
    #[must_use]
    pub fn choose<'a>(
        &'a self,
        vpc: &Vpc,
        list: impl Fn(&crate::id::PrefixListId) -> Option<&'a PrefixList>,
        to: IpAddr,
    ) -> Option<Chosen<'a>> {
        let local = vpc.cidrs.iter().map(|c| c.block).find(|b| b.contains(&to));
        let mut best: Option<((u8, u8), &Route)> = None;
        for route in &self.routes {
            let (matched, class) = match &route.destination {
                RouteDestination::Cidr(net) => (net.contains(&to).then_some(*net), 2),
                RouteDestination::PrefixList(id) => (list(id).and_then(|l| l.longest(to)), 1),
            };
            let class = if route.origin == Origin::Propagated { 0 } else { class };
            let Some(net) = matched else { continue };
            let beaten = |l: &IpNet| class == 0 || l.prefix_len() >= net.prefix_len();
            if local.as_ref().is_some_and(beaten) {
                continue;
            }
            let rank = (net.prefix_len(), class);
            let wins = |(other, o): &((u8, u8), &Route)| {
                rank > *other || (rank == *other && route.destination < o.destination)
            };
            if best.as_ref().is_none_or(wins) {
                best = Some((rank, route));
            }
        }
        best.map(|(_, route)| Chosen::Route(route)).or(local.map(Chosen::Local))
    }
}

impl Network {
    /// The managed or other prefix list with a name: that of a gateway endpoint's service.
    #[must_use]
    pub fn list_named(&self, name: &str) -> Option<(&crate::id::PrefixListId, &PrefixList)> {
        let (id, list) = self.prefix_lists.iter().find(|(_, l)| l.name == name)?;
        Some((id, list))
    }
}
