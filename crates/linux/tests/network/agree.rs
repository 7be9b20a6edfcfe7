//! The agreement: explained, interpreted, real.

use crate::explained::is_explained;
use crate::packet::Phase;
use crate::random::{flow, network};
use crate::scene::{Mutation, Scene, Seen, Shot};
use crate::walk::{Outcome, Place};
use belljar_vpc::compile::Layer;
use belljar_vpc::id::InterfaceId;
use belljar_vpc::network::Interface;
use belljar_vpc::sample::Dice;
use belljar_vpc::traffic::Header;
use belljar_vpc::{Flow, Network, Payload, Source, reach};
use std::net::IpAddr;
use std::sync::Arc;

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
        let mut sent = 0;
        let (mut networks, mut arrived) = (0, 0);
        let started = std::time::Instant::now();
        while sent < packets {
            let run = Run { seed: seed + networks, mutation: &|_| {} };
            let (count, came) = run.go(&mut scene).await?;
            sent += count;
            arrived += came;
            networks += 1;
        }
        eprintln!(
            "{sent} packets in {networks} networks from seed {seed}, of which {arrived} arrived, {:?}",
            started.elapsed()
        );
        Ok(())
    })
}

/// One network and what is sent in it.
pub(crate) struct Run<'m> {
    pub(crate) seed: u64,
    /// What is done to the rules before they are loaded.
    pub(crate) mutation: Mutation<'m>,
}

impl Run<'_> {
    /// A network, flows through it, their answers; then another network, with the connections that
    /// there are. Returns how many packets were sent, and how many arrived.
    pub(crate) async fn go(&self, scene: &mut Scene) -> Result<(usize, usize), String> {
        let mut dice = Dice::new(self.seed ^ 0xa9ee);
        scene.begin(network(self.seed / 4, self.seed), self.mutation).await;
        let mut count = (0, 0);
        let shots = self.shots(scene, &mut dice);
        let mut talks = self.round(scene, shots, &mut count).await?;
        self.answers(scene, &mut talks, &mut count).await?;
        self.explained(scene, &talks)?;
        talks.retain(|t| t.answer.is_some() && !t.unclear);
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
        count: &mut (usize, usize),
    ) -> Result<(), String> {
        let answers = talks.iter().filter_map(|t| t.answer.clone()).collect();
        let ends = self.round(scene, answers, count).await?;
        for (talk, end) in talks.iter_mut().filter(|t| t.answer.is_some()).zip(ends) {
            let asked = &talk.question;
            // What is not modelled has left the model behind.
            talk.unclear = end.unclear;
            if let Outcome::Arrived { place, header } = &end.outcome {
                talk.answered = *place == asked.from && Some(*header) == asked.header.reply();
            }
        }
        Ok(())
    }

    /// Holds what became of first packets and their answers against what is explained.
    fn explained(&self, scene: &Scene, talks: &[Talk]) -> Result<(), String> {
        let network = &scene.world.network;
        for talk in talks.iter().filter(|t| !t.unclear) {
            let flow = talk.question.flow();
            let Some(passes) = talk.passes(network, &flow) else { continue };
            let explained = reach(network, &flow);
            if explained.passes() != passes {
                let why: Vec<String> = explained.blockers.iter().map(ToString::to_string).collect();
                return Err(format!(
                    "{flow:?}\n explained: {why:#?}\n interpreted and in the kernel: {:?}, \
                     answered: {}\n{}",
                    talk.outcome,
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
        count: &mut (usize, usize),
    ) -> Result<Vec<Talk>, String> {
        let mut talks = Vec::new();
        let results = scene.send(&shots).await;
        for (shot, (meant, seen)) in shots.into_iter().zip(results) {
            let unclear = meant == Outcome::Unclear;
            count.0 += usize::from(!unclear);
            if !is_one(&meant, &seen) {
                let explained = reach(&scene.world.network, &shot.flow());
                let why: Vec<String> = explained.blockers.iter().map(ToString::to_string).collect();
                return Err(format!(
                    "{shot:?}\n explained, as a first packet: {why:#?}\n interpreted: \
                     {meant:?}\n in the kernel: {seen:?}\n{}",
                    self.case(scene)
                ));
            }
            let outcome = meant.clone();
            let mut talk = Talk { question: shot, outcome, answer: None, answered: false, unclear };
            if let Outcome::Arrived { place, header } = meant {
                count.1 += 1;
                let phase = match talk.question.phase {
                    Phase::Open => Phase::Answer,
                    _ => Phase::MoreAnswer,
                };
                let echo = talk.question.echo;
                let answer = |header| Shot { from: place, header, phase, fragments: false, echo };
                talk.answer = header.reply().map(answer);
            }
            talks.push(talk);
        }
        Ok(talks)
    }
}

/// A packet and what answers it.
struct Talk {
    question: Shot,
    outcome: Outcome,
    /// `None` if it did not arrive, or nothing answers it.
    answer: Option<Shot>,
    answered: bool,
    unclear: bool,
}

impl Talk {
    /// Whether the flow and its answer pass; `None` of one that is not to be compared.
    fn passes(&self, network: &Network, flow: &Flow) -> Option<bool> {
        // What has no ports may belong to another flow's connection by now.
        let own = matches!(flow.payload, Payload::Ports { .. });
        (own && is_explained(network, flow)).then_some(())?;
        Some(match &self.outcome {
            Outcome::Local => flow.payload.opens(flow.destination.is_ipv6()),
            Outcome::Arrived { place, header } => {
                let nobody = network.on_internet(header.destination).is_some();
                let lost = *place == Place::Internet && nobody;
                !lost && (header.reply().is_none() || self.answered)
            }
            _ => false,
        })
    }

    /// What comes next: who has no answer asks again.
    fn next(self) -> Shot {
        let phase = if self.answered { Phase::More } else { Phase::Open };
        Shot { phase, ..self.question }
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
    // An echo's number is in no head: whether this answers one of a NAT gateway's cannot be said.
    let answers = matches!(flow.payload, Payload::Icmp { kind: 0 | 129, .. });
    let is_nat = |(id, record): (&InterfaceId, &Arc<Interface>)| {
        let public = network.on_internet(flow.destination).is_some_and(|(other, _)| other == id);
        network.nat_at(id).is_some() && (record.owns(flow.destination) || public)
    };
    if answers && network.interfaces.iter().any(is_nat) {
        return None;
    }
    let header = Header { source, destination: flow.destination, payload: flow.payload };
    let fragments = !v6 && dice.one_in(12);
    // Each asker has a number of its own, so that no NAT gateway needs to give it another one.
    let asker = if answers { header.destination } else { header.source };
    let echo = match asker {
        IpAddr::V4(a) => a.to_bits() as u16,
        IpAddr::V6(a) => a.to_bits() as u16,
    };
    Some(Shot { from, header, phase: Phase::Open, fragments, echo })
}

/// Whether the model and the kernel say the same.
pub(crate) fn is_one(meant: &Outcome, seen: &Seen) -> bool {
    match meant {
        Outcome::Arrived { place, header } => {
            seen.arrived == [(place.clone(), *header)] && seen.denied.is_empty()
        }
        Outcome::Dropped { layer: Layer::Route, .. } | Outcome::Local | Outcome::Lost => {
            seen.arrived.is_empty() && seen.denied.is_empty()
        }
        Outcome::Dropped { vpc, layer } => {
            seen.arrived.is_empty() && seen.denied == [(vpc.clone(), *layer)]
        }
        Outcome::Unclear => true,
    }
}
