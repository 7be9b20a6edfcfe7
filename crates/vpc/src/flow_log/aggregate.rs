//! From what interfaces saw to the records of flow logs.

use super::crossing::{Observation, Tuple};
use super::layer::Layer;
use super::packet::Flags;
use super::record::{Batch, Flow, Interface, Place, Record, Status};
use super::silent::is_silent;
use crate::Network;
use crate::id::{FlowLogId, InterfaceId};
use crate::network::{self, Direction, FlowLog, Monitored, Subnet, TrafficType, Vpc};
use ipnet::IpNet;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

/// Flows that are kept at once, of all flow logs together: some 20 MB of them.
const MAX_FLOWS: usize = 100_000;
/// Records of a batch, at most: less than 1 MiB of JSON.
const MAX_RECORDS: usize = 1_500;

/// Makes records of observations. The clock is the caller's; seconds are Unix time.
#[derive(Debug)]
pub struct Aggregator {
    logs: BTreeMap<FlowLogId, Log>,
    interfaces: HashMap<InterfaceId, Known>,
    services: Vec<(IpNet, String)>,
    flows: usize,
    max_flows: usize,
}

/// An interface, also one that is gone for as long as there may be something to say of it.
#[derive(Debug)]
struct Known {
    record: Arc<network::Interface>,
    subnet: Arc<Subnet>,
    vpc: Arc<Vpc>,
    place: Place,
    gone: bool,
}

/// A flow log and its interval.
#[derive(Debug)]
struct Log {
    record: Arc<FlowLog>,
    start: u64,
    end: u64,
    seen: BTreeMap<InterfaceId, Seen>,
}

/// What an interface saw in an interval.
#[derive(Debug, Default)]
struct Seen {
    flows: HashMap<Key, Count>,
    skipped: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Key {
    direction: Direction,
    tuple: Tuple,
    refused: Option<Layer>,
}

#[derive(Debug, Clone, Copy)]
struct Count {
    packets: u64,
    bytes: u64,
    flags: Flags,
    path: Option<u8>,
    first: u64,
    last: u64,
}

impl Default for Aggregator {
    fn default() -> Self {
        Self::with_bound(MAX_FLOWS)
    }
}

impl Aggregator {
    /// One that keeps so many flows at most; what is beyond is `SKIPDATA`.
    #[must_use]
    pub fn with_bound(max_flows: usize) -> Self {
        Self {
            logs: BTreeMap::new(),
            interfaces: HashMap::new(),
            services: Vec::new(),
            flows: 0,
            max_flows,
        }
    }

    /// Whether there is nobody to record for.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.logs.is_empty()
    }

    /// The network is this one from now on. A new flow log begins now; one that is gone says
    /// nothing more; interfaces that are gone are remembered to the end of the interval.
    pub fn set_network(&mut self, network: &Network, now: u64) {
        self.logs.retain(|id, _| network.flow_logs.contains_key(id));
        for (id, record) in &network.flow_logs {
            let end = boundary(now, record.interval);
            let new = || Log { record: record.clone(), start: now, end, seen: BTreeMap::new() };
            self.logs.entry(id.clone()).or_insert_with(new).record = record.clone();
        }
        self.count();
        if self.logs.is_empty() {
            // Nobody asks; the first flow log comes with a network.
            self.interfaces.clear();
            return;
        }
        for known in self.interfaces.values_mut() {
            known.gone = true;
        }
        if self.is_idle() {
            self.interfaces.clear();
        }
        for (id, record) in &network.interfaces {
            if let Some(known) = Known::of(network, record) {
                self.interfaces.insert(id.clone(), known);
            }
        }
        self.services = services(network);
    }

    /// An interface saw packets, all of them since `since` and until `until`.
    pub fn observe(&mut self, observation: &Observation, since: u64, until: u64) {
        let Some(known) = self.interfaces.get(&observation.interface) else { return };
        let tuple = observation.tuple;
        if is_silent(&known.vpc, &known.subnet, &tuple) {
            return;
        }
        let refused = observation.refused;
        let key = Key { direction: observation.direction, tuple, refused };
        let id = &observation.interface;
        for log in self.logs.values_mut().filter(|l| l.monitors(id, &known.place)) {
            let seen = log.seen.entry(id.clone()).or_default();
            let wanted = match log.record.traffic {
                TrafficType::All => true,
                TrafficType::Accept => refused.is_none(),
                TrafficType::Reject => refused.is_some(),
            };
            if !wanted {
                continue;
            }
            let is_new = !seen.flows.contains_key(&key);
            if is_new && self.flows >= self.max_flows {
                seen.skipped = true;
                continue;
            }
            self.flows += usize::from(is_new);
            let first = since.clamp(log.start, log.end);
            let new = Count {
                packets: 0,
                bytes: 0,
                flags: Flags::default(),
                path: observation.path,
                first,
                last: first,
            };
            seen.flows.entry(key).or_insert(new).add(observation, until.clamp(log.start, log.end));
        }
    }

    /// Something was not seen of what this interface saw.
    pub fn lost(&mut self, interface: &InterfaceId) {
        let Some(known) = self.interfaces.get(interface) else { return };
        for log in self.logs.values_mut().filter(|l| l.monitors(interface, &known.place)) {
            log.seen.entry(interface.clone()).or_default().skipped = true;
        }
    }

    /// There was no room for these records: those of the present interval will say so.
    pub fn dropped(&mut self, batch: &Batch) {
        let Some(log) = self.logs.get_mut(&batch.flow_log) else { return };
        for interface in batch.interfaces.keys() {
            log.seen.entry(interface.clone()).or_default().skipped = true;
        }
    }

    /// The records of the intervals that have ended by now; with `flush`, of all that have begun,
    /// which then go on from now.
    pub fn close(&mut self, now: u64, flush: bool) -> Vec<Batch> {
        let mut batches = Vec::new();
        for (id, log) in &mut self.logs {
            let is_back = log.is_ahead_of(now);
            if now < log.end && !flush && !is_back {
                continue;
            }
            let end = now.min(log.end).max(log.start);
            let seen = std::mem::take(&mut log.seen);
            let records = log.records(seen, &self.interfaces, &self.services, end);
            batches.extend(parts(id, log.start, end, records));
            if now >= log.end || is_back {
                // After a gap (the machine slept, its clock was set) the interval is the present one.
                let interval = u64::from(log.record.interval).max(1);
                log.start = now / interval * interval;
                log.end = log.start + interval;
            } else {
                log.start = end;
            }
        }
        self.count();
        let logs = &self.logs;
        let pending = |id: &_| logs.values().any(|l| l.seen.contains_key(id));
        if !batches.is_empty() {
            self.interfaces.retain(|id, known| !known.gone || pending(id));
        }
        batches
    }

    /// When the next interval ends.
    #[must_use]
    pub fn next_end(&self) -> Option<u64> {
        self.logs.values().map(|l| l.end).min()
    }

    fn count(&mut self) {
        let seen = self.logs.values().flat_map(|l| l.seen.values());
        self.flows = seen.map(|s| s.flows.len()).sum();
    }
}

/// The end of the interval that `now` is in; intervals begin at whole multiples of their length.
fn boundary(now: u64, interval: u16) -> u64 {
    let interval = u64::from(interval).max(1);
    (now / interval + 1) * interval
}

/// The addresses of AWS's services, by the lists that AWS keeps.
fn services(network: &Network) -> Vec<(IpNet, String)> {
    let mut all = Vec::new();
    for list in network.prefix_lists.values().filter(|l| l.owner == "AWS") {
        if let Some((_, service)) = network::service(&list.name) {
            all.extend(list.entries.keys().map(|net| (*net, service.to_ascii_uppercase())));
        }
    }
    all
}

impl Log {
    /// Whether the interval is that of another time: the clock was set back. A step of less than an
    /// interval is waited for.
    fn is_ahead_of(&self, now: u64) -> bool {
        now.saturating_add(self.record.interval.into()) < self.start
    }

    fn monitors(&self, interface: &InterfaceId, place: &Place) -> bool {
        match &self.record.of {
            Monitored::Vpc(vpc) => *vpc == place.vpc,
            Monitored::Subnet(subnet) => *subnet == place.subnet,
            Monitored::Interface(id) => id == interface,
        }
    }

    fn records(
        &self,
        mut seen: BTreeMap<InterfaceId, Seen>,
        interfaces: &HashMap<InterfaceId, Known>,
        services: &[(IpNet, String)],
        end: u64,
    ) -> BTreeMap<InterfaceId, Interface> {
        let mut all = BTreeMap::new();
        let whole = |status| Record { start: self.start, end, status };
        for (id, known) in interfaces.iter().filter(|(id, k)| self.monitors(id, &k.place)) {
            let mut records = Vec::new();
            match seen.remove(id) {
                Some(seen) => {
                    let mut flows: Vec<_> = seen.flows.into_iter().collect();
                    flows.sort_unstable_by_key(|(key, _)| *key);
                    let flows = flows.iter().map(|(key, count)| known.record(key, count, services));
                    records.extend(flows);
                    records.extend(seen.skipped.then(|| whole(Status::SkipData)));
                }
                None if known.is_used() => records.push(whole(Status::NoData)),
                None => {}
            }
            if !records.is_empty() {
                all.insert(id.clone(), Interface { place: known.place.clone(), records });
            }
        }
        all
    }
}

/// Cuts what one batch cannot hold.
fn parts(
    id: &FlowLogId,
    start: u64,
    end: u64,
    all: BTreeMap<InterfaceId, Interface>,
) -> Vec<Batch> {
    let new = |part| Batch { flow_log: id.clone(), start, end, part, interfaces: BTreeMap::new() };
    let (mut batches, mut batch, mut held) = (Vec::new(), new(0), 0);
    for (interface, Interface { place, mut records }) in all {
        while !records.is_empty() {
            let rest = records.split_off(records.len().min(MAX_RECORDS - held));
            held += records.len();
            let part = Interface { place: place.clone(), records };
            batch.interfaces.insert(interface.clone(), part);
            records = rest;
            if held == MAX_RECORDS {
                let next = new(batch.part + 1);
                batches.push(std::mem::replace(&mut batch, next));
                held = 0;
            }
        }
    }
    if held > 0 {
        batches.push(batch);
    }
    batches
}

impl Known {
    fn of(network: &Network, record: &Arc<network::Interface>) -> Option<Self> {
        let subnet = network.subnets.get(&record.subnet)?;
        let vpc = network.vpcs.get(&subnet.vpc)?;
        let place = Place {
            vpc: subnet.vpc.clone(),
            subnet: record.subnet.clone(),
            zone: subnet.zone.clone(),
        };
        let (record, subnet, vpc) = (record.clone(), subnet.clone(), vpc.clone());
        Some(Self { record, subnet, vpc, place, gone: false })
    }

    /// Whether somebody could send by it.
    fn is_used(&self) -> bool {
        !self.gone && (self.record.attachment.is_some() || self.record.kind != "interface")
    }

    /// An address of a packet, as the interface shows its own: IPv4 always as its primary one.
    fn own(&self, address: IpAddr) -> IpAddr {
        let own = match address {
            IpAddr::V4(_) => self.record.primary().map(IpAddr::V4),
            IpAddr::V6(v6) if self.record.addresses_v6.contains(&v6) => None,
            IpAddr::V6(_) => self.record.addresses_v6.first().map(|a| IpAddr::V6(*a)),
        };
        own.unwrap_or(address)
    }

    fn record(&self, key: &Key, count: &Count, services: &[(IpNet, String)]) -> Record {
        let Tuple { source, destination, protocol, source_port, destination_port } = key.tuple;
        let service = |address: IpAddr| {
            services.iter().find(|(net, _)| net.contains(&address)).map(|(_, name)| name.clone())
        };
        let flow = Flow {
            direction: key.direction,
            source: if key.direction == Direction::Egress { self.own(source) } else { source },
            destination: match key.direction {
                Direction::Ingress => self.own(destination),
                Direction::Egress => destination,
            },
            packet_source: source,
            packet_destination: destination,
            source_port,
            destination_port,
            protocol,
            packets: count.packets,
            bytes: count.bytes,
            flags: count.flags,
            refused: key.refused,
            path: count.path,
            source_service: service(source),
            destination_service: service(destination),
        };
        Record { start: count.first, end: count.last, status: Status::Ok(flow) }
    }
}

impl Count {
    fn add(&mut self, observation: &Observation, until: u64) {
        self.packets = self.packets.saturating_add(observation.packets);
        self.bytes = self.bytes.saturating_add(observation.bytes);
        self.flags |= observation.flags;
        self.path = observation.path.or(self.path);
        self.last = self.last.max(until);
    }
}
