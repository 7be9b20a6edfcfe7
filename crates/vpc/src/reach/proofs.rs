//! What fixes promise, over random networks and flows.

use super::{Leg, Reach, reach};
use crate::flow::Flow;
use crate::network::{Description, Network};
use crate::sample::{self, Dice};
use proptest::prelude::*;

fn with_fixes(network: &Network, answer: &Reach, without: Option<usize>) -> Network {
    let mut d: Description = network.description().clone();
    for (place, blocker) in answer.blockers.iter().enumerate() {
        if Some(place) != without {
            blocker.fix.as_ref().unwrap().apply(&mut d);
        }
    }
    Network::new(d).unwrap()
}

/// An answer in few words.
fn words(answer: &Reach) -> String {
    let line = |b: &super::Blocker| {
        let fix = b.fix.as_ref().map(|f| f.cli.join("; "));
        format!("{} {b}\n    {}\n", b.direction, fix.unwrap_or_default())
    };
    answer.blockers.iter().map(line).collect()
}

/// Returns the number of blockers, all of which have fixes; `None` of a flow that nothing mends.
fn prove(network: &Network, flow: &Flow) -> Option<usize> {
    let answer = reach(network, flow);
    if answer.blockers.iter().any(|b| b.fix.is_none()) {
        return None;
    }
    let show = || format!("{flow:?}\n{}", words(&answer));
    let all = with_fixes(network, &answer, None);
    let mended = reach(&all, flow);
    assert!(mended.passes(), "fixes do not do: {}\n{}", words(&mended), show());
    for place in 0..answer.blockers.len() {
        let fewer = with_fixes(network, &answer, Some(place));
        assert!(!reach(&fewer, flow).passes(), "{place} is needless: {}", show());
    }
    Some(answer.blockers.len())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn all_fixes_do_and_none_is_needless(seed: u64) {
        let network = Network::new(sample::random(seed).unwrap()).unwrap();
        let mut dice = Dice::new(seed ^ 1);
        for _ in 0..10 {
            if let Some(flow) = sample::flow(&network, &mut dice) {
                prove(&network, &flow);
            }
        }
    }
}

/// Random flows must be of all kinds, or the proof proves little.
#[test]
fn random_flows_are_of_all_kinds() {
    let mut counts = [0; 5];
    let (mut hopeless, mut replies, mut codes) = (0, 0, std::collections::BTreeMap::new());
    for seed in 0..1500 {
        let network = Network::new(sample::random(seed).unwrap()).unwrap();
        let mut dice = Dice::new(seed);
        for flow in (0..5).filter_map(|_| sample::flow(&network, &mut dice)) {
            let answer = reach(&network, &flow);
            for code in answer.codes() {
                *codes.entry(code).or_insert(0) += 1;
            }
            replies += answer.blockers.iter().filter(|b| b.direction == Leg::Reply).count();
            if answer.blockers.iter().any(|b| b.fix.is_none()) {
                hopeless += 1;
            } else {
                counts[answer.blockers.len().min(4)] += 1;
            }
        }
    }
    assert!(counts.iter().all(|c| *c > 50), "{counts:?} {hopeless}");
    assert!(hopeless < 3000 && replies > 500, "{hopeless} {replies}");
    assert!(codes.len() >= 15, "{codes:#?}");
}

#[test]
#[ignore = "exploration"]
fn explore() {
    let mut shown = std::collections::BTreeMap::new();
    let mut hopeless = std::collections::BTreeMap::<_, (usize, String)>::new();
    std::panic::set_hook(Box::new(|_| ()));
    for seed in 0..20000 {
        let network = Network::new(sample::random(seed).unwrap()).unwrap();
        let mut dice = Dice::new(seed);
        for flow in (0..5).filter_map(|_| sample::flow(&network, &mut dice)) {
            if let Err(e) = std::panic::catch_unwind(|| prove(&network, &flow)) {
                let text = e.downcast_ref::<String>().cloned().unwrap_or_default();
                let key: String = text.chars().take(60).collect();
                shown.entry(key).or_insert((seed, text));
            }
            if let Some(b) = reach(&network, &flow).blockers.iter().find(|b| b.fix.is_none()) {
                let e = hopeless.entry((b.code, b.direction)).or_insert((0, b.text.clone()));
                e.0 += 1;
            }
        }
    }
    for (key, (seed, text)) in shown.iter().take(12) {
        println!("=== {seed} {key}\n{text}");
    }
    println!("{} kinds; {hopeless:#?}", shown.len());
}
