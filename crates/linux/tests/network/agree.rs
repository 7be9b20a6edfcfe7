//! The agreement: explained, interpreted, real.

use crate::packet::Phase;
use crate::scene::{Scene, Seen, Shot};
use crate::walk::{Outcome, Place};
use belljar_vpc::compile::Layer;
use crate::random::{flow, network};
use belljar_vpc::sample::Dice;
use belljar_vpc::{Flow, Network, Source};
use belljar_vpc::traffic::Header;

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

pub(crate) fn real_packets() -> crate::Outcome {
    let packets = number("BELLJAR_AGREE_PACKETS", PACKETS as u64) as usize;
    let seed = number("BELLJAR_AGREE_SEED", 6);
    runtime().block_on(async {
        let mut scene = Scene::new(network(seed, seed)).await;
        let mut sent = 0;
        let (mut networks, mut arrived) = (0, 0);
        let started = std::time::Instant::now();
        while sent < packets {
            let run = Run { seed: seed + networks };
            let (count, came) = run.go(&mut scene).await?;
            sent += count;
            arrived += came;
            networks += 1;
        }
        eprintln!("{sent} packets in {networks} networks, of which {arrived} arrived, {:?}", started.elapsed());
        Ok(())
    })
}

struct Run {
    seed: u64,
}

impl Run {
    /// A network, flows through it, their answers; then another network, with the connections that
    /// there are. Returns how many packets were sent, and how many arrived.
    async fn go(&self, scene: &mut Scene) -> Result<(usize, usize), String> {
        let mut dice = Dice::new(self.seed ^ 0xa9ee);
        scene.begin(network(self.seed / 4, self.seed), &|_| {}).await;
        let mut count = (0, 0);
        let shots = self.shots(scene, &mut dice);
        let mut talks = self.round(scene, shots, &mut count).await?;
        self.answers(scene, &mut talks, &mut count).await?;
        // Rules change under connections that there are, and each goes on from where it was.
        let edited = network(self.seed / 4, self.seed.wrapping_mul(31).wrapping_add(7));
        scene.change(edited, &|_| {}).await;
        let again = talks.into_iter().map(Talk::next).collect();
        let mut talks = self.round(scene, again, &mut count).await?;
        self.answers(scene, &mut talks, &mut count).await?;
        Ok(count)
    }

    /// Answers what arrived.
    async fn answers(
        &self,
        scene: &mut Scene,
        talks: &mut Vec<Talk>,
        count: &mut (usize, usize),
    ) -> Result<(), String> {
        talks.retain(|t| t.answer.is_some());
        let answers = talks.iter().filter_map(|t| t.answer.clone()).collect();
        let ends = self.round(scene, answers, count).await?;
        for (talk, end) in talks.iter_mut().zip(ends) {
            let back = |a: &Shot| a.from == talk.question.from && a.header == talk.question.header;
            talk.answered = end.answer.as_ref().is_some_and(back);
            talk.unclear = end.unclear;
        }
        // What is not modelled has left the model behind.
        talks.retain(|t| !t.unclear);
        Ok(())
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
            if std::env::var("DBG").is_ok_and(|d| format!("{shot:?}").contains(&d)) { eprintln!("DBG {shot:?} {meant:?} {seen:?}"); }
            if !is_one(&meant, &seen) {
                return Err(format!(
                    "seed {}: {shot:?}\n interpreted: {meant:?}\n in the kernel: {seen:?}",
                    self.seed
                ));
            }
            let mut talk = Talk { question: shot, answer: None, answered: false, unclear };
            if let Outcome::Arrived { place, header } = meant {
                count.1 += 1;
                let phase = match talk.question.phase {
                    Phase::Open => Phase::Answer,
                    _ => Phase::MoreAnswer,
                };
                let answer = |header| Shot { from: place, header, phase, fragments: false };
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
    /// `None` if it did not arrive, or nothing answers it.
    answer: Option<Shot>,
    answered: bool,
    unclear: bool,
}

impl Talk {
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
    let header = Header { source, destination: flow.destination, payload: flow.payload };
    let fragments = !v6 && dice.one_in(12);
    Some(Shot { from, header, phase: Phase::Open, fragments })
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
