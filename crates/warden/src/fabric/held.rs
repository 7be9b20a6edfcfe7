//! All that is in the kernel, and how it becomes another network.

use super::far::{Role, Space};
use super::place::{self, Held, Place, Places};
use super::resolver::VpcNames;
use super::view::View;
use super::world::World;
use crate::carry::Carrier;
use crate::dns::Forwarder;
use crate::failure::chain;
use belljar_linux::Result;
use belljar_linux::netns::NetNs;
use belljar_vpc::Network;
use belljar_vpc::compile::{Cut, End, Link, Name, Router, Routers, compile_all, link_name};
use belljar_vpc::id::{InterfaceId, VpcId};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::{oneshot, watch};

/// A container that has an interface: its namespace, and who is told when it has it no longer.
#[derive(Debug)]
struct Container {
    space: Arc<Space>,
    _lost: oneshot::Sender<()>,
}

/// All of it.
#[derive(Debug)]
pub(super) struct All {
    carrier: Arc<Carrier>,
    places: Places,
    /// How what comes to the world is carried on.
    outward: World,
    /// The world that internet gateways lead to: one for all, so that VPCs meet there.
    world: Option<Arc<Space>>,
    /// Why nothing leads on from there.
    lacks: Option<String>,
    containers: BTreeMap<InterfaceId, Container>,
    /// The network that was last applied, and what it was compiled to.
    compiled: Option<(Arc<Network>, Routers)>,
}

/// What takes back a step that was done.
#[derive(Debug)]
enum Undo {
    Made(VpcId),
    Added(Name),
    Removed(VpcId, Held),
    Loaded(VpcId, Arc<Router>),
}

impl All {
    pub(super) fn new(carrier: Arc<Carrier>, outward: World) -> Self {
        let (places, containers) = (Places::new(), BTreeMap::new());
        let (world, lacks, compiled) = (None, None, None);
        Self { carrier, places, outward, world, lacks, containers, compiled }
    }

    /// Makes the kernel's network this one. If that fails, it is what it was.
    pub(super) async fn apply(
        &mut self,
        network: &Arc<Network>,
        view: &watch::Sender<Arc<View>>,
    ) -> std::result::Result<(), String> {
        let earlier = self.compiled.as_ref().map(|(network, routers)| (&**network, routers));
        let routers = compile_all(network, earlier);
        let mut undo = Vec::new();
        if let Err(e) = self.change(network, &routers, view, &mut undo).await {
            let mut text = chain(&e);
            while let Some(step) = undo.pop() {
                if let Err(e) = self.take_back(step).await {
                    text = format!("{text}; and this could not be taken back: {}", chain(&e));
                }
            }
            return Err(text);
        }
        let before = view.borrow().network.clone();
        self.cut(&before, network).await.map_err(|e| chain(&e))?;
        self.clear(&routers).await.map_err(|e| chain(&e))?;
        self.compiled = Some((Arc::clone(network), routers));
        Ok(())
    }

    /// Ends the connections that a rule which is gone alone let through, as far as AWS does not
    /// track them.
    async fn cut(&self, old: &Network, new: &Network) -> Result<()> {
        for (vpc, place) in &self.places {
            let ended = place.net.cut(&Cut { vpc, old, new }).await?;
            if ended > 0 {
                tracing::debug!(%vpc, ended, "connections that are not tracked were cut off");
            }
        }
        Ok(())
    }

    async fn change(
        &mut self,
        network: &Network,
        routers: &Routers,
        view: &watch::Sender<Arc<View>>,
        undo: &mut Vec<Undo>,
    ) -> Result<()> {
        for id in routers.keys() {
            if !self.places.contains_key(id) {
                self.places.insert(id.clone(), Place::create().await?);
                undo.push(Undo::Made(id.clone()));
            }
        }
        for (id, router) in routers {
            for link in router.links.values() {
                self.link(network, id, link, undo).await?;
            }
        }
        for (id, router) in routers {
            let Some(place) = self.places.get_mut(id) else { continue };
            if let Some(before) = place.load(router).await? {
                undo.push(Undo::Loaded(id.clone(), before));
            }
            if let Some(vpc) = network.vpc(id) {
                // One each: who asks much keeps no other VPC from asking.
                let upstream = Arc::new(Forwarder::of_host());
                let names = VpcNames { vpc: id.clone(), view: view.subscribe(), upstream };
                place.name(vpc, router, &Arc::new(names))?;
            }
        }
        Ok(())
    }

    /// Makes a link what it is to be.
    async fn link(
        &mut self,
        network: &Network,
        vpc: &VpcId,
        link: &Link,
        undo: &mut Vec<Undo>,
    ) -> Result<()> {
        let role = Role::of(network, link);
        if role == Role::Peer && self.is_joined(vpc, link) {
            return Ok(());
        }
        let Some(place) = self.places.get_mut(vpc) else { return Ok(()) };
        let before = place.ends.get(&link.name);
        if before.is_some_and(|held| held.link == *link && held.role == role) {
            return Ok(());
        }
        let before = before.cloned();
        if before.is_some()
            && let Some(held) = place.remove(&link.name).await?
        {
            undo.push(Undo::Removed(vpc.clone(), held));
        }
        let space = self.space(link, &role, before).await?;
        let held = Held { link: link.clone(), role, space };
        place::add(&mut self.places, vpc, held).await?;
        undo.push(Undo::Added(link.name.clone()));
        Ok(())
    }

    /// Whether the other side of a peering has made the link that both have.
    fn is_joined(&self, vpc: &VpcId, link: &Link) -> bool {
        self.places.get(vpc).is_some_and(|p| p.ends.contains_key(&link.name))
    }

    /// Where a link's far end is to be: where it was, if it is for the same.
    async fn space(
        &mut self,
        link: &Link,
        role: &Role,
        before: Option<Held>,
    ) -> Result<Option<Arc<Space>>> {
        if *role == Role::Peer {
            return Ok(None);
        }
        if let End::Interface { id, .. } = &link.end
            && let Some(container) = self.containers.get(id)
        {
            return Ok(Some(container.space.clone()));
        }
        if let Some(space) = before.filter(|held| held.role == *role).and_then(|held| held.space) {
            return Ok(Some(space));
        }
        if *role != Role::World {
            return Ok(Some(Arc::new(Space::new(role, &self.carrier).await?)));
        }
        if self.world.is_none() {
            let World { carrier, lead } = &self.outward;
            let (world, lacks) = Space::world(carrier, lead).await?;
            self.lacks = lacks.map(|e| chain(&e));
            self.world = Some(Arc::new(world));
        }
        Ok(self.world.clone())
    }

    async fn take_back(&mut self, step: Undo) -> Result<()> {
        match step {
            Undo::Made(id) => drop(self.places.remove(&id)),
            Undo::Added(name) => {
                for place in self.places.values_mut().filter(|p| p.ends.contains_key(&name)) {
                    place.remove(&name).await?;
                }
            }
            Undo::Removed(id, held) => place::add(&mut self.places, &id, held).await?,
            Undo::Loaded(id, router) => {
                if let Some(place) = self.places.get_mut(&id) {
                    place.load(&router).await?;
                }
            }
        }
        Ok(())
    }

    /// Removes what is in no router any more.
    async fn clear(&mut self, routers: &Routers) -> Result<()> {
        self.places.retain(|id, _| routers.contains_key(id));
        for (id, place) in &mut self.places {
            let Some(router) = routers.get(id) else { continue };
            let is_gone = |name: &&Name| !router.links.contains_key(*name);
            let gone: Vec<Name> = place.ends.keys().filter(is_gone).cloned().collect();
            for name in gone {
                place.remove(&name).await?;
            }
        }
        let is_there = |id: &InterfaceId| routers.values().any(|r| r.interface(id).is_some());
        self.containers.retain(|id, _| is_there(id));
        Ok(())
    }

    /// The routers, by VPC.
    pub(super) fn places_mut(&mut self) -> &mut Places {
        &mut self.places
    }

    /// Why no VPC has a way to the internet.
    pub(super) fn lacks(&self) -> Option<String> {
        self.lacks.clone()
    }

    /// Where each interface's inner end is.
    pub(super) fn spaces(&self) -> BTreeMap<InterfaceId, Arc<Space>> {
        let ends = self.places.values().flat_map(|p| p.ends.values());
        let space = |held: &Held| match &held.link.end {
            End::Interface { id, .. } => Some((id.clone(), held.space.clone()?)),
            _ => None,
        };
        ends.filter_map(space).collect()
    }

    /// The interfaces that containers have.
    pub(super) fn attached(&self) -> Vec<InterfaceId> {
        self.containers.keys().cloned().collect()
    }

    /// Gives an instance's interface to a container. What comes back is told when it is lost.
    pub(super) async fn attach(
        &mut self,
        network: &Network,
        interface: &InterfaceId,
        ns: NetNs,
    ) -> std::result::Result<oneshot::Receiver<()>, String> {
        if self.containers.contains_key(interface) {
            return Err(format!("{interface} is in a container already"));
        }
        let (lost, told) = oneshot::channel();
        let space = Arc::new(Space::of_container(ns));
        self.move_to(network, interface, space.clone()).await?;
        self.containers.insert(interface.clone(), Container { space, _lost: lost });
        Ok(told)
    }

    /// Takes it out of its container again, if it is still there.
    pub(super) async fn detach(
        &mut self,
        network: &Network,
        interface: &InterfaceId,
    ) -> std::result::Result<(), String> {
        if self.containers.remove(interface).is_none() {
            return Ok(());
        }
        let space = Space::new(&Role::Instance, &self.carrier).await.map_err(|e| chain(&e))?;
        self.move_to(network, interface, Arc::new(space)).await
    }

    async fn move_to(
        &mut self,
        network: &Network,
        interface: &InterfaceId,
        space: Arc<Space>,
    ) -> std::result::Result<(), String> {
        let name = link_name(interface.as_str());
        let vpc = network.vpc_of(interface).ok_or_else(|| format!("there is no {interface}"))?;
        let place = self.places.get_mut(vpc).ok_or_else(|| format!("there is no {vpc}"))?;
        let held = place.ends.get(&name).cloned();
        let held = held.ok_or_else(|| format!("{interface} is not in the kernel"))?;
        if !matches!(held.role, Role::Instance | Role::Forwarder) {
            return Err(format!("{interface} is not an instance's"));
        }
        place.remove(&name).await.map_err(|e| chain(&e))?;
        let moved = Held { space: Some(space), ..held.clone() };
        if let Err(e) = place::add(&mut self.places, vpc, moved).await {
            // Where it was it can be again; if not, the next network that is applied makes it.
            let _ = place::add(&mut self.places, vpc, held).await;
            return Err(chain(&e));
        }
        Ok(())
    }
}
