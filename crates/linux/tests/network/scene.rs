//! A region in namespaces, beside the same region interpreted.

use crate::packet::{Phase, build, parse};
use crate::walk::{Manner, Outcome, Place, Sent, World};
use crate::wire::{Barrier, Wire};
use belljar_linux::netns::NetNs;
use belljar_linux::router::{RouterNet, Uplink};
use belljar_vpc::compile::{
    DENIED_GROUP, DENIED_SNAP_LENGTH, End, Layer, Link, Name, Router, compile,
};
use belljar_vpc::id::VpcId;
use belljar_vpc::traffic::{Header, Payload};
use belljar_vpc::{Flow, Network, Source};
use nlink::netlink::{Connection, Netfilter, Nflog, OwnedEventStream};
use std::collections::{BTreeMap, HashMap};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;
use tokio_stream::StreamExt;

/// One packet to be sent.
#[derive(Debug, Clone)]
pub(crate) struct Shot {
    pub(crate) from: Place,
    pub(crate) header: Header,
    pub(crate) phase: Phase,
    pub(crate) fragments: bool,
    /// The number of an ICMP echo.
    pub(crate) echo: u16,
}

impl Shot {
    /// The flow that begins with it.
    pub(crate) fn flow(&self) -> Flow {
        let Header { source, destination, payload } = self.header;
        match &self.from {
            Place::Interface(id) => {
                let source = Source::Interface { id: id.clone(), address: Some(source) };
                Flow { source, destination, payload }
            }
            _ => Flow::from_internet(source, destination, payload),
        }
    }

    /// Of TCP's answers, the first is no beginning to a connection tracker.
    pub(crate) fn manner(&self) -> Manner {
        let tcp = self.header.payload.protocol() == belljar_vpc::rules::TCP;
        Manner { opens: !tcp || self.phase != Phase::Answer, echo: self.echo }
    }

    /// What answers it at the place where it arrived.
    pub(crate) fn answer(&self, place: &Place, header: &Header) -> Option<Self> {
        let phase = if self.phase == Phase::Open { Phase::Answer } else { Phase::MoreAnswer };
        let header = header.reply()?;
        Some(Self {
            from: place.clone(),
            header,
            phase,
            fragments: self.fragments,
            echo: self.echo,
        })
    }
}

/// What was seen of a packet in the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Seen {
    pub(crate) arrived: Vec<(Place, Header)>,
    pub(crate) denied: Vec<(VpcId, Layer)>,
}

/// What passes packets on, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inside {
    Quiet,
    Forwards,
    Nat,
}

fn inside(link: &Link, network: &Network) -> Inside {
    let End::Interface { id, .. } = &link.end else { return Inside::Quiet };
    if network.nat_at(id).is_some() {
        return Inside::Nat;
    }
    if network.interfaces[id].source_dest_check { Inside::Quiet } else { Inside::Forwards }
}

struct Far {
    ns: NetNs,
    inside: Inside,
    /// `None` of a box that passes packets on and is not listened to.
    wire: Option<Wire>,
    /// The number of its interface; of the internet, by link.
    interfaces: BTreeMap<Name, u32>,
}

struct Vpc {
    net: RouterNet,
    denied: OwnedEventStream<Nflog>,
}

pub(crate) struct Scene {
    pub(crate) world: World,
    vpcs: BTreeMap<VpcId, Vpc>,
    far: HashMap<Place, Far>,
    edge: Uplink,
    barrier: Barrier,
    links: BTreeMap<(VpcId, Name), Link>,
    next_tag: u64,
    /// Packets that were sent.
    pub(crate) sent: usize,
    /// Whether everything is read back after each change.
    pub(crate) verify: bool,
}

/// What a test changes in the compiled rules before they are loaded.
pub(crate) type Mutation<'m> = &'m dyn Fn(&mut Router);

impl Scene {
    pub(crate) async fn new(network: Arc<Network>) -> Self {
        let barrier = Barrier::new().await;
        let edge = Uplink::edge().unwrap();
        let wire = Some(Wire::open(edge.ns()));
        let ns = NetNs::create().unwrap();
        let mut far = HashMap::new();
        far.insert(
            Place::Internet,
            Far { ns, inside: Inside::Quiet, wire, interfaces: BTreeMap::new() },
        );
        let mut vpcs = BTreeMap::new();
        for id in network.vpcs.keys() {
            let net = RouterNet::create().await.unwrap();
            let nflog = Connection::<Nflog>::new_in(net.as_fd()).unwrap();
            let _ = nflog.socket().set_rcvbuf(8 << 20);
            nflog.bind_group(DENIED_GROUP, DENIED_SNAP_LENGTH).await.unwrap();
            vpcs.insert(id.clone(), Vpc { net, denied: nflog.into_events().await });
        }
        let world = World::new(Arc::new(Network::default()));
        let links = BTreeMap::new();
        let mut scene =
            Self { world, vpcs, far, edge, barrier, links, next_tag: 1, sent: 0, verify: false };
        scene.begin(network, &|_| {}).await;
        scene
    }

    /// Another region, and nobody remembers a connection.
    pub(crate) async fn begin(&mut self, network: Arc<Network>, mutate: Mutation<'_>) {
        for id in network.vpcs.keys() {
            let mut router = compile(&network, id);
            self.change_links(id, &router, &network).await;
            mutate(&mut router);
            self.vpcs.get_mut(id).unwrap().net.apply(router).await.unwrap();
        }
        self.world = World::new(network);
        self.forget().await;
    }

    /// Other rules, in the kernel and in the model.
    pub(crate) async fn change(&mut self, network: Arc<Network>, mutate: Mutation<'_>) {
        for id in network.vpcs.keys() {
            let mut router = compile(&network, id);
            self.change_links(id, &router, &network).await;
            mutate(&mut router);
            let vpc = self.vpcs.get_mut(id).unwrap();
            let cut =
                belljar_vpc::compile::Cut { vpc: id, old: &self.world.network, new: &network };
            vpc.net.apply(router).await.unwrap();
            vpc.net.cut(&cut).await.unwrap();
            if self.verify {
                vpc.net.verify().await.unwrap();
            }
        }
        self.world.change(network);
    }

    async fn forget(&mut self) {
        let boxes = self.far.values().filter(|f| f.wire.is_none()).map(|f| f.ns.as_fd());
        for ns in self.vpcs.values().map(|v| v.net.as_fd()).chain(boxes) {
            let ct = Connection::<Netfilter>::new_in(ns).unwrap();
            ct.flush_conntrack_all().await.unwrap();
        }
    }

    async fn change_links(&mut self, id: &VpcId, router: &Router, network: &Network) {
        let old: Vec<_> = self.links.keys().filter(|(v, _)| v == id).cloned().collect();
        for key in old {
            let same = router.links.get(&key.1).is_some_and(|l| is_same(l, &self.links[&key]));
            // A box is made anew when it becomes another one.
            let link = &self.links[&key];
            let far = place(link).and_then(|p| self.far.get(&p));
            if !same || far.is_some_and(|f| f.inside != inside(link, network)) {
                self.vpcs.get_mut(id).unwrap().net.remove_link(&key.1).await.unwrap();
                let gone = self.links.remove(&key).unwrap();
                if let Some(place) = place(&gone)
                    && place != Place::Internet
                {
                    self.far.remove(&place);
                }
            }
        }
        for link in router.links.values() {
            let key = (id.clone(), link.name.clone());
            if let Some(old) = self.links.insert(key, link.clone()) {
                if matches!(link.end, End::Internet { .. }) {
                    self.edge.public(&old, link).await.unwrap();
                }
                continue;
            }
            self.add_link(id, link, network).await;
        }
    }

    async fn add_link(&mut self, vpc: &VpcId, link: &Link, network: &Network) {
        if let End::Peering { peer, .. } = &link.end {
            // The one with the smaller id joins; the other finds it there.
            if vpc < peer {
                let mut other = self.vpcs.remove(peer).unwrap();
                let one = self.vpcs.get_mut(vpc).unwrap();
                one.net.join(link, &mut other.net).await.unwrap();
                self.vpcs.insert(peer.clone(), other);
            }
            return;
        }
        let place = place(link).unwrap();
        let net = &mut self.vpcs.get_mut(vpc).unwrap().net;
        if place == Place::Internet {
            net.add_link(link, self.edge.ns()).await.unwrap();
            let at = number(self.edge.ns(), &link.name).await;
            self.far.get_mut(&place).unwrap().interfaces.insert(link.name.clone(), at);
            return;
        }
        let inside = inside(link, network);
        let ns = match inside {
            Inside::Nat => Uplink::nat().await.unwrap().into_ns(),
            Inside::Forwards => Uplink::forwarder().unwrap().into_ns(),
            Inside::Quiet => NetNs::create().unwrap(),
        };
        net.add_link(link, &ns).await.unwrap();
        if inside != Inside::Nat {
            quiet(&ns, inside == Inside::Forwards).await;
        }
        let wire = (inside != Inside::Nat).then(|| Wire::open(&ns));
        let interfaces = BTreeMap::from([(link.name.clone(), number(&ns, "eth0").await)]);
        self.far.insert(place, Far { ns, inside, wire, interfaces });
    }

    /// Sends packets, and says of each what the model and the kernel say.
    pub(crate) async fn send(&mut self, shots: &[Shot]) -> Vec<(Sent, Seen)> {
        let first = self.next_tag;
        let mut meant = Vec::new();
        let mut records = BTreeMap::new();
        for shot in shots {
            let tag = self.next_tag;
            self.next_tag += 1;
            let mut shot = shot.clone();
            if shot.phase == Phase::Open && is_echo_reply(&shot.header) {
                shot.echo = self.world.echo_answered(&shot.header).unwrap_or(shot.echo);
            }
            let sent = self.world.send(&shot.from, &shot.header, shot.manner());
            if let Outcome::Dropped { vpc, layer } = &sent.outcome
                && *layer != Layer::Route
            {
                *records.entry(vpc.clone()).or_default() += 1;
            }
            meant.push(sent);
            self.sent += usize::from(self.shoot(&shot, tag));
        }
        self.barrier.wait();
        let mut seen = vec![Seen::default(); shots.len()];
        let place = |tag: u64| usize::try_from(tag.wrapping_sub(first)).ok();
        self.hear(|tag, place_of, header| {
            if let Some(seen) = place(tag).and_then(|p| seen.get_mut(p)) {
                seen.arrived.push((place_of, header));
            }
        });
        self.denials(&records, |tag, vpc, layer| {
            if let Some(seen) = place(tag).and_then(|p| seen.get_mut(p)) {
                seen.denied.push((vpc, layer));
            }
        })
        .await;
        meant.into_iter().zip(seen).collect()
    }

    /// `false` of a packet from outside that no gateway would be given.
    fn shoot(&self, shot: &Shot, tag: u64) -> bool {
        let Some(far) = self.far.get(&shot.from) else { return false };
        let Some(wire) = &far.wire else { return false };
        let interface = match shot.from {
            Place::Internet => {
                let entrance = self.world.entrance(shot.header.destination);
                entrance.and_then(|(_, link)| far.interfaces.get(&link))
            }
            _ => far.interfaces.values().next(),
        };
        let Some(interface) = interface else { return false };
        for packet in build(&shot.header, shot.phase, (tag, shot.echo), shot.fragments) {
            wire.send(*interface, &packet);
        }
        true
    }

    fn hear(&self, mut heard: impl FnMut(u64, Place, Header)) {
        let mut buffer = [0; 2048];
        for (place, far) in &self.far {
            let Some(wire) = &far.wire else { continue };
            while let Some(length) = wire.receive(&mut buffer) {
                let Some((header, tag)) = parse(&buffer[..length]) else { continue };
                // What is only passed on has not arrived.
                let passes = match place {
                    Place::Internet => self.world.entrance(header.destination).is_some(),
                    Place::Interface(id) => {
                        let record = &self.world.network.interfaces[id];
                        !record.source_dest_check && !record.owns(header.destination)
                    }
                    Place::Endpoint(_) => false,
                };
                if !passes {
                    heard(tag, place.clone(), header);
                }
            }
        }
    }

    /// Reads as many records as are to be there, and those that there are besides.
    async fn denials(
        &mut self,
        records: &BTreeMap<VpcId, usize>,
        mut heard: impl FnMut(u64, VpcId, Layer),
    ) {
        for (id, vpc) in &mut self.vpcs {
            let mut count = records.get(id).copied().unwrap_or(0);
            loop {
                // All are there already; for those that the model knows of it can be waited.
                let patience = Duration::from_millis(if count > 0 { 50 } else { 0 });
                let next = tokio::time::timeout(patience, vpc.denied.next()).await;
                let Ok(Some(Ok(record))) = next else { break };
                let layer = record.prefix.as_deref().and_then(Layer::named);
                if let (Some((_, tag)), Some(layer)) = (parse(&record.payload), layer) {
                    count = count.saturating_sub(1);
                    heard(tag, id.clone(), layer);
                }
            }
        }
    }
}

fn is_echo_reply(header: &Header) -> bool {
    matches!(header.payload, Payload::Icmp { kind: 0 | 129, .. })
}

fn place(link: &Link) -> Option<Place> {
    match &link.end {
        End::Interface { id, .. } => Some(Place::Interface(id.clone())),
        End::Endpoint { id, .. } => Some(Place::Endpoint(id.clone())),
        End::Internet { .. } => Some(Place::Internet),
        End::Peering { .. } => None,
    }
}

/// Whether a link may stay as it is.
fn is_same(new: &Link, old: &Link) -> bool {
    match (&new.end, &old.end) {
        (End::Endpoint { prefixes: a, .. }, End::Endpoint { prefixes: b, .. }) => a == b,
        (End::Peering { peer: a, .. }, End::Peering { peer: b, .. }) => a == b,
        (new, old) => std::mem::discriminant(new) == std::mem::discriminant(old),
    }
}

pub(crate) async fn number(ns: &NetNs, name: &str) -> u32 {
    use nlink::netlink::Route;
    let route = Connection::<Route>::new_in(ns.as_fd()).unwrap();
    route.get_link_by_name(name).await.unwrap().unwrap().ifindex()
}

/// Keeps a namespace's own kernel from answering; what comes is heard before this.
async fn quiet(ns: &NetNs, forwards: bool) {
    use nlink::netlink::Nftables;
    use nlink::netlink::nftables::{BaseChain, Chain, Family, FilterHook, Policy, Priority};
    let nft = Connection::<Nftables>::new_in(ns.as_fd()).unwrap();
    let hook = if forwards { FilterHook::Input } else { FilterHook::Prerouting };
    let base = BaseChain::filter(hook, Priority::Raw).policy(Policy::Drop);
    let chain = Chain::new("quiet", "quiet").unwrap().family(Family::Inet).base(base);
    let batch = nft.transaction().add_table("quiet", Family::Inet).add_chain(chain);
    batch.commit(&nft).await.unwrap();
}
