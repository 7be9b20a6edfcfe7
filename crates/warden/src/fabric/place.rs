//! One VPC: its router, and what is at the ends of the router's links.

use super::far::{Role, Space, Tasks, answer_names};
use super::resolver::VpcNames;
use belljar_linux::Result;
use belljar_linux::router::RouterNet;
use belljar_vpc::compile::{Link, Name, RESOLVER, Router};
use belljar_vpc::id::VpcId;
use belljar_vpc::network::Vpc;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// A link that is there.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) link: Link,
    pub(super) role: Role,
    /// Where its far end is; another router has none.
    pub(super) space: Option<Arc<Space>>,
}

/// A VPC in the kernel.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) net: RouterNet,
    pub(super) ends: BTreeMap<Name, Held>,
    /// Where names are answered, and by whom.
    names: BTreeMap<Ipv4Addr, Tasks>,
}

impl Place {
    pub(super) async fn create() -> Result<Self> {
        let net = RouterNet::create().await?;
        Ok(Self { net, ends: BTreeMap::new(), names: BTreeMap::new() })
    }

    /// Loads a router; answers what was loaded before, if that is another one.
    pub(super) async fn load(&mut self, router: &Arc<Router>) -> Result<Option<Arc<Router>>> {
        if self.net.loaded() == Some(router) {
            return Ok(None);
        }
        let before = self.net.loaded().cloned().unwrap_or_default();
        self.net.apply(router.clone()).await?;
        Ok(Some(before))
    }

    /// Answers names at the router's addresses for that, and nowhere else.
    pub(super) fn name(
        &mut self,
        vpc: &Vpc,
        router: &Router,
        answers: &Arc<VpcNames>,
    ) -> Result<()> {
        // Without `enableDnsSupport` the addresses are the router's all the same: nobody answers.
        let all = [vpc.resolver(), Some(RESOLVER)].into_iter().flatten();
        let all = all.filter(|_| vpc.dns_support);
        let wanted: Vec<_> = all.filter(|a| router.local.contains(&IpAddr::V4(*a))).collect();
        self.names.retain(|address, _| wanted.contains(address));
        for address in wanted {
            if !self.names.contains_key(&address) {
                self.names.insert(address, answer_names(self.net.ns(), address, answers)?);
            }
        }
        Ok(())
    }

    pub(super) async fn remove(&mut self, name: &Name) -> Result<Option<Held>> {
        self.net.remove_link(name).await?;
        Ok(self.ends.remove(name))
    }
}

/// The VPCs in the kernel, by id.
pub(super) type Places = BTreeMap<VpcId, Place>;

/// Adds a link to its router, and notes it. A peering's is added to both routers, if both are
/// there.
pub(super) async fn add(places: &mut Places, vpc: &VpcId, held: Held) -> Result<()> {
    let name = held.link.name.clone();
    let Some(space) = held.space.clone() else { return join(places, vpc, held).await };
    let Some(place) = places.get_mut(vpc) else { return Ok(()) };
    place.net.add_link(&held.link, space.ns()).await?;
    place.ends.insert(name, held);
    Ok(())
}

async fn join(places: &mut Places, vpc: &VpcId, held: Held) -> Result<()> {
    let belljar_vpc::compile::End::Peering { peer, .. } = &held.link.end else { return Ok(()) };
    let Some(mut other) = places.remove(peer) else { return Ok(()) };
    let joined = match places.get_mut(vpc) {
        Some(place) => place.net.join(&held.link, &mut other.net).await,
        None => Ok(()),
    };
    let (peer, name) = (peer.clone(), held.link.name.clone());
    if joined.is_ok() {
        // Either side's removal takes the whole link; the other's then only forgets it.
        other.ends.insert(name.clone(), held.clone());
        if let Some(place) = places.get_mut(vpc) {
            place.ends.insert(name, held);
        }
    }
    places.insert(peer, other);
    joined
}
