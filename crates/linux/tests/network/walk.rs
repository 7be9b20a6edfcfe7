//! A whole region, interpreted: a packet's way from router to router, and through the boxes between.

use belljar_vpc::Network;
use belljar_vpc::compile::{End, Layer, Name, Router, compile, link_name};
use belljar_vpc::id::{EndpointId, InterfaceId, VpcId};
use belljar_vpc::interpret::{Connections, Verdict, interpret, interpret_answer};
use belljar_vpc::network::Interface;
use belljar_vpc::traffic::{Header, Payload};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

/// Where a packet can be sent and heard.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Place {
    Interface(InterfaceId),
    Endpoint(EndpointId),
    Internet,
}

/// What becomes of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Arrived {
        place: Place,
        header: Header,
    },
    Dropped {
        vpc: VpcId,
        layer: Layer,
    },
    /// It is for a router itself.
    Local,
    /// A box on its way does not know it.
    Lost,
    /// It goes round until it has lived too long.
    Circles,
}

/// What a head does not say of a packet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner {
    /// Whether a connection tracker takes it for a beginning, if its head could be one.
    pub(crate) opens: bool,
    /// The number of an ICMP echo.
    pub(crate) echo: u16,
}

/// What becomes of a packet, and whether no other conversation before it looked alike to any router
/// on its way: only then does it say what would become of it alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) outcome: Outcome,
    pub(crate) alone: bool,
}

/// Routers that a packet may pass. One that passes more goes round.
const ROUTERS: usize = 16;

pub(crate) struct World {
    pub(crate) network: Arc<Network>,
    pub(crate) routers: BTreeMap<VpcId, Router>,
    connections: BTreeMap<VpcId, Connections>,
    /// What NAT gateways know: by the head of an answer and its number, the head of the question.
    translated: HashMap<(InterfaceId, Header, u16), Header>,
    /// Conversations that routers have seen, as their first packets' heads.
    met: HashSet<(VpcId, Header)>,
}

impl World {
    pub(crate) fn new(network: Arc<Network>) -> Self {
        let mut world = Self {
            network: Arc::default(),
            routers: BTreeMap::new(),
            connections: BTreeMap::new(),
            translated: HashMap::new(),
            met: HashSet::new(),
        };
        world.change(network);
        world
    }

    /// Other rules; the connections stay, but for those that the change cuts off.
    pub(crate) fn change(&mut self, network: Arc<Network>) {
        for id in network.vpcs.keys() {
            self.routers.insert(id.clone(), compile(&network, id));
            let cut = belljar_vpc::compile::Cut { vpc: id, old: &self.network, new: &network };
            let connections = self.connections.entry(id.clone()).or_default();
            if cut.may() {
                connections.forget(|h| cut.cuts(h));
            }
        }
        self.network = network;
    }

    /// Nobody remembers a connection.
    pub(crate) fn forget(&mut self) {
        self.connections.values_mut().for_each(|c| *c = Connections::new());
        self.translated.clear();
        self.met.clear();
    }

    /// Sends a packet.
    pub(crate) fn send(&mut self, from: &Place, header: &Header, manner: Manner) -> Sent {
        let mut alone = true;
        let outcome = self.follow(from, *header, manner, &mut alone);
        Sent { outcome, alone }
    }

    fn follow(
        &mut self,
        from: &Place,
        mut header: Header,
        manner: Manner,
        alone: &mut bool,
    ) -> Outcome {
        let start = match from {
            Place::Interface(id) => {
                self.network.vpc_of(id).cloned().map(|vpc| (vpc, link_name(id.as_str())))
            }
            Place::Endpoint(id) => {
                let endpoint = self.network.endpoints.get(id);
                endpoint.map(|e| (e.vpc.clone(), link_name(id.as_str())))
            }
            Place::Internet => self.entrance(header.destination),
        };
        let Some((mut vpc, mut link)) = start else { return Outcome::Lost };
        for _ in 0..ROUTERS {
            let (Some(router), Some(connections)) =
                (self.routers.get(&vpc), self.connections.get_mut(&vpc))
            else {
                return Outcome::Lost;
            };
            let inside = match router.links.get(&link).map(|l| &l.end) {
                Some(End::Internet { .. }) => {
                    Header { destination: self.network.inner(header.destination), ..header }
                }
                _ => header,
            };
            *alone &= self.met.insert((vpc.clone(), question(inside)));
            let run = if manner.opens { interpret } else { interpret_answer };
            let out = match run(router, connections, &header, &link) {
                Verdict::Pass { link, header: now } => {
                    header = now;
                    link
                }
                Verdict::Local => return Outcome::Local,
                Verdict::Dropped(layer) => return Outcome::Dropped { vpc, layer },
            };
            match &router.links[&out].end {
                End::Interface { id, .. } => {
                    let id = id.clone();
                    match self.at_interface(&id, header, manner) {
                        Ok(on) => (header, link) = (on, out),
                        Err(outcome) => return outcome,
                    }
                }
                End::Endpoint { id, .. } => {
                    return Outcome::Arrived { place: Place::Endpoint(id.clone()), header };
                }
                End::Peering { peer, .. } => (vpc, link) = (peer.clone(), out),
                End::Internet { .. } => match self.entrance(header.destination) {
                    Some(entrance) => (vpc, link) = entrance,
                    None => return Outcome::Arrived { place: Place::Internet, header },
                },
            }
        }
        Outcome::Circles
    }

    /// The packet that goes on from an interface, or what becomes of it there.
    fn at_interface(
        &mut self,
        id: &InterfaceId,
        header: Header,
        Manner { opens, echo }: Manner,
    ) -> Result<Header, Outcome> {
        let record = &self.network.interfaces[id];
        let own = record.primary().map(IpAddr::V4);
        let is_own = own == Some(header.destination);
        if self.network.nat_at(id).is_none() {
            if record.source_dest_check || record.owns(header.destination) {
                let place = Place::Interface(id.clone());
                return Err(Outcome::Arrived { place, header });
            }
            return Ok(header);
        }
        // Ports tell conversations apart by themselves.
        let number = match header.payload {
            Payload::Icmp { .. } => echo,
            _ => 0,
        };
        if let Some(original) = self.translated.get(&(id.clone(), header, number)) {
            return original.reply().ok_or(Outcome::Lost);
        }
        let begins = match header.payload {
            Payload::Icmp { v6, kind, .. } => !v6 && kind == 8,
            Payload::Ports { .. } => opens && header.source.is_ipv4(),
            Payload::Other { .. } => false,
        };
        let (false, true, Some(own)) = (is_own, begins, own) else { return Err(Outcome::Lost) };
        let masked = Header { source: own, ..header };
        if let Some(answer) = masked.reply() {
            let known = self.translated.entry((id.clone(), answer, number)).or_insert(header);
            assert_eq!(*known, header, "flows are to be told apart behind a NAT gateway");
        }
        Ok(masked)
    }

    /// The number of the echo that a reply could answer, if it is one that a NAT gateway knows of.
    pub(crate) fn echo_answered(&self, reply: &Header) -> Option<u16> {
        let IpAddr::V4(_) = reply.source else { return None };
        let inner = Header { destination: self.network.inner(reply.destination), ..*reply };
        let outer = |(id, record): (&InterfaceId, &Arc<Interface>)| match reply.source {
            IpAddr::V4(v4) if record.owns(reply.source) => self.network.public_of(id, v4),
            _ => None,
        };
        let mut sources: Vec<IpAddr> =
            self.network.interfaces.iter().filter_map(outer).map(IpAddr::V4).collect();
        sources.push(reply.source);
        let mut known = self.translated.keys();
        let is = |head: &Header| {
            sources.iter().any(|source| *head == Header { source: *source, ..inner })
        };
        known.find(|(_, head, _)| is(head)).map(|(_, _, echo)| *echo)
    }

    /// Whether what leaves for the internet is for nobody: an address is its VPC's, and that has no
    /// gateway.
    pub(crate) fn is_nobodys(&self, place: &Place, to: IpAddr) -> bool {
        let mut vpcs = self.network.vpcs.values();
        *place == Place::Internet
            && (self.network.on_internet(to).is_some() || (to.is_ipv6() && vpcs.any(|v| v.has(to))))
    }

    /// By which VPC's internet gateway an address is reached.
    pub(crate) fn entrance(&self, to: IpAddr) -> Option<(VpcId, Name)> {
        self.routers.iter().find_map(|(vpc, router)| {
            router.links.values().find_map(|link| match (&link.end, to) {
                (End::Internet { public, .. }, IpAddr::V4(a)) if public.contains(&a) => {
                    Some((vpc.clone(), link.name.clone()))
                }
                (End::Internet { blocks_v6, .. }, IpAddr::V6(a))
                    if blocks_v6.iter().any(|b| b.contains(&a)) =>
                {
                    Some((vpc.clone(), link.name.clone()))
                }
                _ => None,
            })
        })
    }
}

/// The first packet's head of the conversation that a packet is of.
fn question(header: Header) -> Header {
    let asks = |payload| Header { source: header.destination, destination: header.source, payload };
    match header.payload {
        Payload::Icmp { v6: false, kind: 0, code } => {
            asks(Payload::Icmp { v6: false, kind: 8, code })
        }
        Payload::Icmp { v6: true, kind: 129, code } => {
            asks(Payload::Icmp { v6: true, kind: 128, code })
        }
        Payload::Icmp { .. } => header,
        payload => payload.reply().map_or(header, |reply| header.min(asks(reply))),
    }
}

/// What the internet's side of a network says of addresses.
pub(crate) trait Inner {
    /// The private address that a public one stands for; another one as it is.
    fn inner(&self, address: IpAddr) -> IpAddr;
}

impl Inner for Network {
    fn inner(&self, address: IpAddr) -> IpAddr {
        self.on_internet(address).map_or(address, |(_, private)| private)
    }
}
