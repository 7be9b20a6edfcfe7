//! A whole region, interpreted: a packet's way from router to router, and through the boxes between.

use belljar_vpc::compile::{End, Layer, Name, Router, compile, link_name};
use belljar_vpc::id::{EndpointId, InterfaceId, VpcId};
use belljar_vpc::interpret::{Connections, Verdict, interpret, interpret_answer};
use belljar_vpc::traffic::{Header, Payload};
use belljar_vpc::Network;
use std::collections::{BTreeMap, HashMap};
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
    Arrived { place: Place, header: Header },
    Dropped { vpc: VpcId, layer: Layer },
    /// It is for a router itself.
    Local,
    /// A box on its way does not know it.
    Lost,
    /// What a NAT gateway does with two conversations that look alike is not modelled.
    Unclear,
}

pub(crate) struct World {
    pub(crate) network: Arc<Network>,
    pub(crate) routers: BTreeMap<VpcId, Router>,
    connections: BTreeMap<VpcId, Connections>,
    /// What NAT gateways know: by the head of an answer, that of the question.
    translated: HashMap<(InterfaceId, Header), Header>,
}

impl World {
    pub(crate) fn new(network: Arc<Network>) -> Self {
        let mut world = Self {
            network: Arc::default(),
            routers: BTreeMap::new(),
            connections: BTreeMap::new(),
            translated: HashMap::new(),
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
    }

    /// Sends a packet.
    pub(crate) fn send(&mut self, from: &Place, header: &Header, opens: bool) -> Outcome {
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
        let mut header = *header;
        for _ in 0..16 {
            let (Some(router), Some(connections)) =
                (self.routers.get(&vpc), self.connections.get_mut(&vpc))
            else {
                return Outcome::Lost;
            };
            let run = if opens { interpret } else { interpret_answer };
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
                    match self.at_interface(&id, header, opens) {
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
        Outcome::Unclear
    }

    /// The packet that goes on from an interface, or what becomes of it there.
    fn at_interface(
        &mut self,
        id: &InterfaceId,
        header: Header,
        opens: bool,
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
        if let Some(original) = self.translated.get(&(id.clone(), header)) {
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
            let known = self.translated.entry((id.clone(), answer)).or_insert(header);
            if *known != header {
                return Err(Outcome::Unclear);
            }
        }
        Ok(masked)
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
