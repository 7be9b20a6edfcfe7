//! A VPC's router: a network namespace, its links, and what [`belljar_vpc::compile()`] says that is
//! to be in it.
//!
//! Everything that decides about a packet is in one nftables table, so that one transaction changes
//! all of it. A routing table is never changed but for links that come and go: another table takes
//! its place, with another mark, and the marks are in that transaction too.

mod change;
mod cut;
mod far;
mod links;
mod read;
mod routes;
mod sets;
mod spell;

pub use far::{Uplink, serve_prefixes};
pub use read::holds;
pub(crate) use routes::served;
pub use spell::Denial;

use crate::error::{During, Error, Result};
use crate::netns::NetNs;
use belljar_vpc::compile::{Name, Router, Routes};
use nlink::netlink::nftables::{
    BaseChain, Chain, Family, FilterHook, Policy, Priority, Transaction,
};
use nlink::netlink::{Connection, Nftables, Route};
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::Arc;

const TABLE: &str = "belljar";
const FAMILY: Family = Family::Inet;
/// The kernel takes a transaction as one message; this is room for some 100,000 elements.
const SEND_BYTES: libc::c_int = 32 << 20;

/// There as long as no router is: it drops what would be forwarded.
const CLOSED: &str = "belljar-closed";
const TOO_LARGE: &str = "the change is larger than what an ordinary user may tell the kernel at \
    once: make it in several steps, or have root raise net.core.wmem_max (sysctl)";

/// A router. It is gone with this value, and its links with it.
pub struct RouterNet {
    ns: NetNs,
    route: Connection<Route>,
    nft: Connection<Nftables>,
    /// What was loaded last.
    loaded: Option<Arc<Router>>,
    /// Whether it is loaded indeed; if not, the next one is loaded whole.
    sure: bool,
    /// The links that there are, by name, and the kernel's number of each.
    links: BTreeMap<Name, u32>,
    /// The ruleset's generation after the last load.
    generation: u32,
    denial: Denial,
}

impl std::fmt::Debug for RouterNet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RouterNet").field("ns", &self.ns).finish_non_exhaustive()
    }
}

impl AsFd for RouterNet {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ns.as_fd()
    }
}

/// Of all interfaces and of those to come: routes, says nothing by itself, and takes a packet by
/// whichever link its answer would go.
const SETTINGS: [(&str, &str); 14] = [
    ("ipv4/ip_forward", "1"),
    // A VPC's router is silent.
    ("ipv4/icmp_echo_ignore_all", "1"),
    ("ipv6/icmp/echo_ignore_all", "1"),
    ("ipv4/conf/all/rp_filter", "0"),
    ("ipv4/conf/default/rp_filter", "0"),
    ("ipv4/conf/all/send_redirects", "0"),
    ("ipv4/conf/default/send_redirects", "0"),
    ("ipv4/conf/all/log_martians", "0"),
    ("ipv6/conf/all/forwarding", "1"),
    ("ipv6/conf/default/forwarding", "1"),
    ("ipv6/conf/all/accept_ra", "0"),
    ("ipv6/conf/default/accept_ra", "0"),
    // No link-local addresses, and so no announcements of them.
    ("ipv6/conf/all/addr_gen_mode", "1"),
    ("ipv6/conf/default/addr_gen_mode", "1"),
];

/// Settings of a namespace that passes packets on.
fn settings(ns: &NetNs) -> Result<()> {
    ns.run(|| {
        for (name, value) in SETTINGS {
            match fs::write(format!("/proc/sys/net/{name}"), value) {
                // A host can be booted without IPv6.
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                result => result.during(format!("set {name}"))?,
            }
        }
        Ok(())
    })
}

impl RouterNet {
    /// Makes one that passes nothing.
    ///
    /// # Errors
    /// If the kernel refuses a step.
    pub async fn create() -> Result<Self> {
        Self::create_with(Denial::Silent).await
    }

    /// As [`Self::create`], for tests: says what becomes of packets that are denied.
    ///
    /// # Errors
    /// If the kernel refuses a step.
    pub async fn create_with(denial: Denial) -> Result<Self> {
        let ns = NetNs::create()?;
        settings(&ns)?;
        let route = Connection::<Route>::new_in(ns.as_fd()).during("open a route socket")?;
        let nft = Connection::<Nftables>::new_in(ns.as_fd()).during("open an nftables socket")?;
        enlarge(&nft, SEND_BYTES, &[libc::SO_SNDBUF, libc::SO_SNDBUFFORCE]);
        let (links, loaded, sure) = (BTreeMap::new(), None, false);
        let mut net = Self { ns, route, nft, loaded, sure, links, generation: 0, denial };
        net.close().await?;
        net.route.set_link_up("lo").await.during("bring lo up")?;
        net.nowhere().await?;
        Ok(net)
    }

    /// For tests: from now on it is as for an ordinary user of a host with this `net.core.wmem_max`.
    pub fn limit(&self, bytes: i32) {
        enlarge(&self.nft, bytes, &[libc::SO_SNDBUF]);
    }

    /// Its namespace: for listeners at the router's own addresses, and to hear what is denied.
    #[must_use]
    pub fn ns(&self) -> &NetNs {
        &self.ns
    }

    /// What is loaded; `None` if that is not known.
    #[must_use]
    pub fn loaded(&self) -> Option<&Arc<Router>> {
        self.loaded.as_ref().filter(|_| self.sure)
    }

    /// Makes this router of what is loaded. Packets meet the old rules and routes or the new ones,
    /// whole; also if an error is returned or the process is killed. After an error the next one is
    /// loaded whole, whatever there is.
    ///
    /// # Errors
    /// If the kernel refuses, or lists something else than was loaded.
    pub async fn apply(&mut self, router: impl Into<Arc<Router>>) -> Result<()> {
        let (old, router) = (self.loaded.take(), router.into());
        let result = self.replace(old.as_deref(), &router).await;
        self.sure = result.is_ok();
        self.loaded = if result.is_ok() { Some(router) } else { old };
        result
    }

    async fn replace(&mut self, old: Option<&Router>, new: &Router) -> Result<()> {
        let nothing = Router::default();
        let was = old.unwrap_or(&nothing);
        self.add_routes(was, new).await?;
        // The kernel takes a transaction whole or not at all, and counts them. So if nobody else made
        // one, what is not in this one is as it was when it was compared.
        let change = change::Change::new(if self.sure { was } else { &nothing }, new);
        if self.sure && !change.is_empty() {
            let batch = change.put(self.nft.transaction(), self.denial);
            self.commit(batch.during("spell the rules")?).await?;
            self.read_change(&change).await?;
        } else if !self.sure {
            self.load(&change, old.is_none()).await?;
            self.read_rules(new).await?;
        }
        self.remove_routes(was, new).await?;
        // What is in a table of a number is always the same.
        let is_read = |number: &u32| self.sure && was.tables.contains_key(number);
        let fresh = new.tables.iter().filter(|(number, _)| !is_read(number));
        let fresh: BTreeMap<u32, &Routes> = fresh.map(|(n, routes)| (*n, routes)).collect();
        if fresh.is_empty() { Ok(()) } else { self.read_routes(&fresh, !self.sure).await }
    }

    /// Loads a router whole. As long as there is none, nothing passes: then it may take several
    /// transactions, the last of which opens.
    async fn load(&mut self, change: &change::Change<'_>, is_first: bool) -> Result<()> {
        let batch = self.nft.transaction().destroy_table(TABLE, FAMILY).add_table(TABLE, FAMILY);
        if !is_first {
            return self.commit(change.put(batch, self.denial).during("spell the rules")?).await;
        }
        self.commit(batch).await?;
        let mut parts = change.parts(&self.nft, self.denial).during("spell the rules")?;
        let last = parts.pop().unwrap_or_else(|| self.nft.transaction());
        for part in parts {
            self.commit(part).await?;
        }
        self.commit(last.destroy_table(CLOSED, FAMILY)).await
    }

    /// Lets nothing pass.
    async fn close(&mut self) -> Result<()> {
        let base = BaseChain::filter(FilterHook::Forward, Priority::Raw).policy(Policy::Drop);
        let chain = Chain::new(CLOSED, "forward").during("name a chain")?;
        let batch = self.nft.transaction().add_table(CLOSED, FAMILY);
        self.commit(batch.add_chain(chain.family(FAMILY).base(base))).await
    }

    /// Carries out a transaction on a table that is not the router's own, and counts it: what is
    /// loaded stays known.
    pub(crate) async fn beside(&mut self, batch: Transaction) -> Result<()> {
        self.commit(batch).await
    }

    async fn commit(&mut self, batch: Transaction) -> Result<()> {
        let batch = if self.sure { batch.expect_generation(self.generation) } else { batch };
        const WHAT: &str = "load the rules";
        batch.commit(&self.nft).await.map_err(|e| match e.errno() {
            Some(libc::EMSGSIZE) => Error::other(WHAT, TOO_LARGE),
            _ => Error::other(WHAT, e.to_string()),
        })?;
        let now = self.nft.generation().await.during("read the rules' generation")?;
        let was = std::mem::replace(&mut self.generation, now);
        if self.sure && now != was.wrapping_add(1) {
            return Err(Error::other("load the rules", "somebody else changed them"));
        }
        Ok(())
    }

    /// Compares all that is loaded with what is meant to be.
    ///
    /// # Errors
    /// If something differs, or nothing is known to be loaded.
    pub async fn verify(&self) -> Result<()> {
        let Some(router) = self.loaded() else {
            return Err(Error::other("verify the router", "nothing is loaded"));
        };
        self.read_rules(router).await?;
        let all = router.tables.iter().map(|(n, routes)| (*n, routes)).collect();
        self.read_routes(&all, true).await
    }
}

/// Lets a transaction be as large as it has to be. An ordinary user may not go beyond the host's
/// limit, and then has what that is.
fn enlarge(nft: &Connection<Nftables>, bytes: libc::c_int, options: &[libc::c_int]) {
    let fd = nft.socket().as_raw_fd();
    let (value, size) = (&raw const bytes, size_of_val(&bytes) as libc::socklen_t);
    for option in options {
        // SAFETY: the descriptor is open, and the value an int of that size.
        #[expect(unsafe_code, reason = "nlink has no call for it")]
        let _ = unsafe { libc::setsockopt(fd, libc::SOL_SOCKET, *option, value.cast(), size) };
    }
}
