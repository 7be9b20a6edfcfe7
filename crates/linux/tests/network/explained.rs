//! What `reach` explains and what the compiled rules say, over many flows.

use crate::agree::{is_home, number, passes, shot, unseen};
use crate::random::{flow, network};
use crate::walk::{Outcome, World};
use belljar_vpc::sample::Dice;
use belljar_vpc::{Flow, reach};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// Flows that are compared, unless `BELLJAR_AGREE_CASES` says otherwise; fewer without
/// optimisation.
const CASES: u64 = if cfg!(debug_assertions) { 30_000 } else { 1_000_000 };
/// Flows of one network.
const FLOWS: u64 = 2000;

#[expect(clippy::print_stderr, reason = "a run says what it was, so that it can be had again")]
pub(crate) fn cases() -> crate::Outcome {
    let cases = number("BELLJAR_AGREE_CASES", CASES);
    let seed = number("BELLJAR_AGREE_SEED", 6);
    let (next, passed) = (AtomicU64::new(0), AtomicU64::new(0));
    let started = std::time::Instant::now();
    let work = || -> Result<(), String> {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at * FLOWS >= cases {
                return Ok(());
            }
            passed.fetch_add(one_network(seed + at)?, Ordering::Relaxed);
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|t| t.join().unwrap())
    })?;
    let passed = passed.into_inner();
    eprintln!("{cases} flows from seed {seed}, of which {passed} pass, {:?}", started.elapsed());
    assert!(passed > cases / 10 && passed < cases / 10 * 9, "one answer would nearly do");
    Ok(())
}

/// Returns how many flows pass.
fn one_network(seed: u64) -> Result<u64, String> {
    let network = network(seed / 4, seed);
    let mut world = World::new(network.clone());
    let dice = &mut Dice::new(seed ^ 0xca5e);
    let (mut passed, mut compared, mut port) = (0, 0, 0_u16);
    while compared < FLOWS {
        port = port.wrapping_add(9973);
        let Some(flow) = flow(&network, dice, port.max(1)) else { continue };
        let Some((passes, way)) = interpreted(&mut world, &flow, dice) else { continue };
        compared += 1;
        let explained = reach(&network, &flow);
        if explained.passes() != passes {
            let blockers: Vec<String> = explained.blockers.iter().map(|b| b.text.clone()).collect();
            return Err(format!(
                "seed {seed}: {flow:?}\n explained: {blockers:#?}\n interpreted: {way:?}"
            ));
        }
        passed += u64::from(passes);
    }
    Ok(passed)
}

/// Whether a flow and its answer pass, and what became of each. `None` of what an interface forges
/// to itself: nobody could tell.
fn interpreted(world: &mut World, flow: &Flow, dice: &mut Dice) -> Option<(bool, Vec<Outcome>)> {
    if let Some(passes) = unseen(&world.network, flow) {
        return Some((passes, vec![]));
    }
    world.forget();
    let shot = shot(&world.network, flow, dice)?;
    let there = world.send(&shot.from, &shot.header, shot.manner()).outcome;
    let mut way = vec![there.clone()];
    let mut back = None;
    if let Outcome::Arrived { place, header } = &there
        && let Some(answer) = shot.answer(place, header)
    {
        back = Some(world.send(place, &answer.header, answer.manner()).outcome);
    }
    let home = back.as_ref().is_some_and(|back| is_home(&shot, back));
    way.extend(back);
    Some((passes(world, flow, &there, || home), way))
}
