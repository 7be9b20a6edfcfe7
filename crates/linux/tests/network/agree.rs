//! The agreement: explained, interpreted, real.

use crate::packet::Phase;
use crate::random::{flow, network};
use crate::scene::{Mutation, Scene, Seen, Shot};
use crate::walk::{Inner, Outcome, Place, Sent, World};
use belljar_vpc::compile::Layer;
use belljar_vpc::sample::Dice;
use belljar_vpc::traffic::Header;
use belljar_vpc::{Flow, Network, Payload, Source, reach};
use std::net::IpAddr;

/// Packets that are sent in a run of the tests, unless `BELLJAR_AGREE_PACKETS` says otherwise.
const PACKETS: usize = 20_000;
/// Flows of one network.
const FLOWS: usize = 300;

pub(crate) fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(otherwise)
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[expect(clippy::print_stderr, reason = "a run says what it was, so that it can be had again")]
pub(crate) fn real_packets() -> crate::Outcome {
    let packets = number("BELLJAR_AGREE_PACKETS", PACKETS as u64) as usize;
    let seed = number("BELLJAR_AGREE_SEED", 6);
    runtime().block_on(async {
        let mut scene = Scene::new(network(seed, seed)).await;
        let (mut networks, mut all) = (0, Count::default());
        let started = std::time::Instant::now();
        while scene.sent < packets {
            let run = Run { seed: seed + networks, mutation: &|_| {} };
            let count = run.go(&mut scene).await?;
            all.arrived += count.arrived;
            all.explained += count.explained;
            networks += 1;
        }
        eprintln!(
            "{} packets in {networks} networks from seed {seed}, of which {} arrived, and {} flows \
             explained, {:?}",
            scene.sent,
            all.arrived,
            all.explained,
            started.elapsed()
        );
        Ok(())
    })
}

/// What a run has seen.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Count {
    /// Packets that arrived.
    arrived: usize,
    /// Flows that were held against what is explained.
    explained: usize,
}

/// One network and what is sent in it.
pub(crate) struct Run<'m> {
    pub(crate) seed: u64,
    /// What is done to the rules before they are loaded.
    pub(crate) mutation: Mutation<'m>,
}

impl Run<'_> {
    /// A network, flows through it, their answers; then another network, with the connections that
    /// there are.
    pub(crate) async fn go(&self, scene: &mut Scene) -> Result<Count, String> {
        let mut dice = Dice::new(self.seed ^ 0xa9ee);
        scene.begin(network(self.seed / 4, self.seed), self.mutation).await;
        let mut count = Count::default();
        let shots = self.shots(scene, &mut dice);
        let mut talks = self.round(scene, shots, &mut count).await?;
        self.answers(scene, &mut talks, &mut count).await?;
        self.explained(scene, &talks, &mut count)?;
        talks.retain(|t| t.answer.is_some());
        // Rules change under connections that there are, and each goes on from where it was.
        let edited = network(self.seed / 4, self.seed.wrapping_mul(31).wrapping_add(7));
        scene.change(edited, self.mutation).await;
        let again = talks.into_iter().map(Talk::next).collect();
        let mut talks = self.round(scene, again, &mut count).await?;
        self.answers(scene, &mut talks, &mut count).await?;
        Ok(count)
    }

    /// Answers what arrived.
    async fn answers(
        &self,
        scene: &mut Scene,
        talks: &mut [Talk],
        count: &mut Count,
    ) -> Result<(), String> {
        let answers = talks.iter().filter_map(|t| t.answer.clone()).collect();
        let ends = self.round(scene, answers, count).await?;
        for (talk, end) in talks.iter_mut().filter(|t| t.answer.is_some()).zip(ends) {
            talk.answered = is_home(&talk.question, &end.sent.outcome);
        }
        Ok(())
    }

    /// Holds what became of first packets and their answers against what is explained.
    fn explained(&self, scene: &Scene, talks: &[Talk], count: &mut Count) -> Result<(), String> {
        let network = &scene.world.network;
        for talk in talks.iter().filter(|t| t.sent.alone) {
            let flow = talk.question.flow();
            let passes = passes(&scene.world, &flow, &talk.sent.outcome, || talk.answered);
            let explained = reach(network, &flow);
            count.explained += 1;
            if explained.passes() != passes {
                let why: Vec<String> = explained.blockers.iter().map(ToString::to_string).collect();
                return Err(format!(
                    "{flow:?}\n explained: {why:#?}\n interpreted and in the kernel: {:?}, \
                     answered: {}\n{}",
                    talk.sent.outcome,
                    talk.answered,
                    self.case(scene)
                ));
            }
        }
        Ok(())
    }

    /// What a failure is about: the seed makes it again, the network is there to be read.
    fn case(&self, scene: &Scene) -> String {
        let network = serde_json::to_string(scene.world.network.description());
        format!("seed {}, network {}", self.seed, network.unwrap_or_default())
    }

    fn shots(&self, scene: &Scene, dice: &mut Dice) -> Vec<Shot> {
        let network = scene.world.network.clone();
        let mut shots = Vec::new();
        let mut port = self.seed as u16;
        while shots.len() < FLOWS {
            // No port twice: 9973 and 65536 have no divisor in common.
            port = port.wrapping_add(9973);
            let Some(flow) = flow(&network, dice, port.max(1)) else { continue };
            let Some(shot) = shot(&network, &flow, dice) else { continue };
            shots.push(shot);
        }
        shots
    }

    /// Sends packets and compares.
    async fn round(
        &self,
        scene: &mut Scene,
        shots: Vec<Shot>,
        count: &mut Count,
    ) -> Result<Vec<Talk>, String> {
        let mut talks = Vec::new();
        let results = scene.send(&shots).await;
        for (shot, (sent, seen)) in shots.into_iter().zip(results) {
            if !is_one(&sent.outcome, &seen) {
                let explained = reach(&scene.world.network, &shot.flow());
                let why: Vec<String> = explained.blockers.iter().map(ToString::to_string).collect();
                return Err(format!(
                    "{shot:?}\n explained, as a first packet: {why:#?}\n interpreted: \
                     {:?}\n in the kernel: {seen:?}\n{}",
                    sent.outcome,
                    self.case(scene)
                ));
            }
            let mut answer = None;
            if let Outcome::Arrived { place, header } = &sent.outcome {
                count.arrived += 1;
                answer = shot.answer(place, header);
            }
            talks.push(Talk { question: shot, sent, answer, answered: false });
        }
        Ok(talks)
    }
}

/// A packet and what answers it.
struct Talk {
    question: Shot,
    sent: Sent,
    /// `None` if it did not arrive, or nothing answers it.
    answer: Option<Shot>,
    answered: bool,
}

impl Talk {
    /// What comes next: who has no answer asks again.
    fn next(self) -> Shot {
        let phase = if self.answered { Phase::More } else { Phase::Open };
        Shot { phase, ..self.question }
    }
}

/// Whether a flow passes of which this became: it arrives where somebody is, and is answered.
pub(crate) fn passes(
    world: &World,
    flow: &Flow,
    outcome: &Outcome,
    answered: impl FnOnce() -> bool,
) -> bool {
    match outcome {
        // Neighbour discovery is heard by a router, and is no conversation.
        Outcome::Local => flow.payload.opens(flow.destination.is_ipv6()),
        Outcome::Arrived { place, header } => {
            !world.is_nobodys(place, header.destination) && (header.reply().is_none() || answered())
        }
        _ => false,
    }
}

/// Whether the answer to a question has come back to who asked.
pub(crate) fn is_home(question: &Shot, answer: &Outcome) -> bool {
    match answer {
        Outcome::Arrived { place, header } => {
            *place == question.from && Some(*header) == question.header.reply()
        }
        _ => false,
    }
}

/// The first packet of a flow; `None` of one that no router sees.
pub(crate) fn shot(network: &Network, flow: &Flow, dice: &mut Dice) -> Option<Shot> {
    let v6 = flow.destination.is_ipv6();
    let (from, source) = match &flow.source {
        Source::Internet { address } => (Place::Internet, *address),
        Source::Interface { id, address } => {
            let record = network.interfaces.get(id)?;
            if record.owns(flow.destination) {
                return None;
            }
            (Place::Interface(id.clone()), address.or_else(|| record.first(v6))?)
        }
    };
    if source.is_ipv6() != v6 {
        return None;
    }
    let header = Header { source, destination: flow.destination, payload: flow.payload };
    let fragments = dice.one_in(12);
    // Each asker has a number of its own, so that no NAT gateway needs to give it another one; and
    // an answer that nobody asked for has that of who would have.
    let answers = matches!(flow.payload, Payload::Icmp { kind: 0 | 129, .. });
    let asker = if answers { network.inner(header.destination) } else { header.source };
    let echo = match asker {
        IpAddr::V4(a) => a.to_bits() as u16 ^ (a.to_bits() >> 16) as u16,
        IpAddr::V6(a) => a.to_bits() as u16,
    };
    Some(Shot { from, header, phase: Phase::Open, fragments, echo })
}

/// What is to be said of a flow that no router sees: it stays in its interface's own namespace, or
/// has no source at all. `None` if routers see a packet of it.
pub(crate) fn unseen(network: &Network, flow: &Flow) -> Option<bool> {
    let v6 = flow.destination.is_ipv6();
    let (record, source) = match &flow.source {
        Source::Internet { address } => (None, Some(*address)),
        Source::Interface { id, address } => {
            let record = network.interfaces.get(id)?;
            (Some(record), address.or_else(|| record.first(v6)))
        }
    };
    let Some(source) = source.filter(|s| s.is_ipv6() == v6) else { return Some(false) };
    let itself = record.is_some_and(|r| r.owns(flow.destination) && r.owns(source));
    itself.then(|| flow.payload.opens(v6))
}

/// Whether the model and the kernel say the same.
pub(crate) fn is_one(meant: &Outcome, seen: &Seen) -> bool {
    match meant {
        Outcome::Arrived { place, header } => {
            seen.arrived == [(place.clone(), *header)] && seen.denied.is_empty()
        }
        Outcome::Dropped { layer: Layer::Route, .. }
        | Outcome::Local
        | Outcome::Lost
        | Outcome::Circles => seen.arrived.is_empty() && seen.denied.is_empty(),
        Outcome::Dropped { vpc, layer } => {
            seen.arrived.is_empty() && seen.denied == [(vpc.clone(), *layer)]
        }
    }
}
