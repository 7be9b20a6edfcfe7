//! What is at the far ends of links: a service's addresses, the world, a middlebox.

use super::links::{configure as interface, defaults, index, neighbor};
use super::routes::{MAIN, Way, WayKind, add, next, remove};
use super::settings;
use crate::error::{During, Result};
use crate::netns::NetNs;
use belljar_vpc::compile::{End, Link, NEXT_V4, NEXT_V6, ROUTER_MAC};
use belljar_vpc::rules::{TCP, UDP};
use ipnet::IpNet;
use nlink::netlink::nftables::{
    BaseChain, Chain, CtState, Family, FilterHook, NatHook, Policy, Priority, Rule,
};
use nlink::netlink::{Connection, Nftables, Route};
use std::os::fd::AsFd;

type Socket = Connection<Route>;

/// The kernel's table of its own addresses.
const LOCAL: u32 = 255;
/// The type of ICMP's echo request.
const ECHO: u8 = 8;
/// The number of `lo` in every namespace.
const LO: u32 = 1;

/// Makes the far end of a link ready.
pub(super) async fn configure(inside: &Socket, link: &Link, name: &str) -> Result<()> {
    inside.set_link_up_by_index(LO).await.during("bring lo up")?;
    let at = index(inside, name).await?;
    match &link.end {
        End::Interface { .. } => return interface(inside, link, at).await,
        End::Endpoint { prefixes, .. } => {
            own(inside, prefixes).await?;
            inside.set_link_up_by_index(at).await.during("bring a link up")?;
            defaults(inside, at, NEXT_V4, true).await?;
        }
        End::Internet { .. } => {
            inside.set_link_up_by_index(at).await.during("bring a link up")?;
            neighbor(inside, at, NEXT_V4.into(), ROUTER_MAC).await?;
            neighbor(inside, at, NEXT_V6.into(), ROUTER_MAC).await?;
            for net in reached(link) {
                add(inside, &to_router(net, at)).await?;
            }
        }
        End::Peering { .. } => {}
    }
    Ok(())
}

/// What of a VPC is reached from the world.
fn reached(link: &Link) -> Vec<IpNet> {
    let End::Internet { public, blocks_v6, .. } = &link.end else { return Vec::new() };
    let v4 = public.iter().map(|a| IpNet::from(std::net::IpAddr::V4(*a)));
    v4.chain(blocks_v6.iter().map(|b| IpNet::V6(*b))).collect()
}

fn to_router(net: IpNet, index: u32) -> Way {
    Way { table: MAIN, net, kind: WayKind::Dev(index, next(&net)) }
}

/// Takes addresses for the namespace's own (AnyIP), so that a listener at any address hears whom
/// it was for, and no translation is needed.
async fn own(inside: &Socket, prefixes: &[IpNet]) -> Result<()> {
    for net in prefixes {
        let way = Way { table: LOCAL, net: *net, kind: WayKind::Local(LO) };
        add(inside, &way).await?;
    }
    Ok(())
}

/// Takes addresses for a namespace's own, as a gateway endpoint's has its service's.
///
/// # Errors
/// If the kernel refuses a step.
pub async fn serve_prefixes(ns: &NetNs, prefixes: &[IpNet]) -> Result<()> {
    let inside = Connection::<Route>::new_in(ns.as_fd()).during("open a route socket")?;
    inside.set_link_up_by_index(LO).await.during("bring lo up")?;
    own(&inside, prefixes).await
}

/// A namespace that passes packets on: the world that internet gateways lead to, or the inside of a
/// NAT gateway.
#[derive(Debug)]
pub struct Uplink {
    ns: NetNs,
}

impl Uplink {
    /// The world: packets to a VPC's public addresses go to its router, others nowhere.
    ///
    /// # Errors
    /// If the kernel refuses a step.
    pub fn edge() -> Result<Self> {
        let ns = NetNs::create()?;
        settings(&ns)?;
        Ok(Self { ns })
    }

    /// A NAT gateway's inside: what comes goes back by the same interface, as from its own address.
    /// It takes TCP, UDP and echo over IPv4 (VPC User Guide, "NAT gateway basics"), and from outside
    /// only what answers.
    ///
    /// # Errors
    /// If the kernel refuses a step.
    pub async fn nat() -> Result<Self> {
        const TABLE: &str = "belljar-nat";
        let ns = NetNs::create()?;
        settings(&ns)?;
        let nft = Connection::<Nftables>::new_in(ns.as_fd()).during("open an nftables socket")?;
        let chain = |name: &str, base: BaseChain| {
            let chain = Chain::new(TABLE, name).during("name a chain")?;
            Ok::<_, crate::Error>(chain.family(Family::Inet).base(base))
        };
        let filter = |hook| BaseChain::filter(hook, Priority::Filter).policy(Policy::Drop);
        let leave = BaseChain::nat(NatHook::Postrouting, Priority::SrcNat);
        let rule = |chain: &str| Rule::new(TABLE, chain).family(Family::Inet);
        let known = CtState::ESTABLISHED | CtState::RELATED;
        let first = || rule("pass").match_ct_state(CtState::NEW);
        let v4 = |protocol: u8| {
            let any = std::net::Ipv4Addr::UNSPECIFIED;
            first().match_daddr_v4_not(any, 32).match_l4proto(protocol).accept()
        };
        let batch = nft
            .transaction()
            .add_table(TABLE, Family::Inet)
            .add_chain(chain("leave", leave)?)
            .add_rule(rule("leave").masquerade())
            .add_chain(chain("input", filter(FilterHook::Input))?)
            .add_chain(chain("pass", filter(FilterHook::Forward))?)
            .add_rule(rule("pass").match_ct_state(known).accept())
            .add_rule(v4(TCP))
            .add_rule(v4(UDP))
            .add_rule(first().match_icmp_type(ECHO).accept());
        batch.commit(&nft).await.during("load the rules of a NAT gateway")?;
        Ok(Self { ns })
    }

    /// A middlebox that passes packets on as they are.
    ///
    /// # Errors
    /// If the kernel refuses a step.
    pub fn forwarder() -> Result<Self> {
        Self::edge()
    }

    /// Its namespace, for [`super::RouterNet::add_link`].
    #[must_use]
    pub fn ns(&self) -> &NetNs {
        &self.ns
    }

    /// Its namespace alone, which then lives as long as that value.
    #[must_use]
    pub fn into_ns(self) -> NetNs {
        self.ns
    }

    /// After a change of a VPC's public addresses: what is reached by its link.
    ///
    /// # Errors
    /// If the link is not there, or the kernel refuses a step.
    pub async fn public(&self, old: &Link, new: &Link) -> Result<()> {
        let inside = Connection::<Route>::new_in(self.ns.as_fd()).during("open a route socket")?;
        let at = index(&inside, &new.name).await?;
        let (before, after) = (reached(old), reached(new));
        for net in before.iter().filter(|n| !after.contains(n)) {
            remove(&inside, &to_router(*net, at)).await?;
        }
        for net in after.iter().filter(|n| !before.contains(n)) {
            add(&inside, &to_router(*net, at)).await?;
        }
        Ok(())
    }
}
