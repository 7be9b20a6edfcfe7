//! What `reach` explains and what the compiled rules say, over many flows.

use crate::agree::{number, shot};
use crate::packet::Phase;
use crate::random::{flow, network};
use crate::walk::{Outcome, Place, World};
use belljar_vpc::sample::Dice;
use belljar_vpc::{Flow, reach};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// Flows that are compared, unless `BELLJAR_AGREE_CASES` says otherwise; without optimisation a
/// tenth of them.
const CASES: u64 = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };
/// Flows of one network.
const FLOWS: u64 = 2000;

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
    let mut passed = 0;
    for port in 1..=FLOWS as u16 {
        let Some(flow) = flow(&network, dice, port.wrapping_mul(9973).max(1)) else { continue };
        let Some((passes, way)) = interpreted(&mut world, &flow, dice) else { continue };
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

/// Whether a flow and its answer pass, and what became of each. `None` if no router sees it, or its
/// way is not modelled.
fn interpreted(world: &mut World, flow: &Flow, dice: &mut Dice) -> Option<(bool, Vec<Outcome>)> {
    // An IPv6 address of a VPC's block that nobody has is that VPC's, and `reach` does not say so.
    let (to, vpcs) = (flow.destination, &world.network.vpcs);
    let nobody = world.network.from_outside(to).is_none();
    if to.is_ipv6() && nobody && vpcs.values().any(|v| v.has(to)) {
        return None;
    }
    world.forget();
    let shot = shot(&world.network, flow, dice)?;
    let there = world.send(&shot.from, &shot.header, true);
    let mut way = vec![there.clone()];
    let (place, header) = match there {
        Outcome::Arrived { place, header } => (place, header),
        // Neighbour discovery is heard by a router, and is no conversation.
        Outcome::Local => return Some((flow.payload.opens(flow.destination.is_ipv6()), way)),
        Outcome::Unclear => return None,
        _ => return Some((false, way)),
    };
    // A public address whose VPC has no gateway is nobody's out there.
    let nobody = world.network.from_outside(header.destination).is_some();
    if place == Place::Internet && nobody {
        return Some((false, way));
    }
    let Some(answer) = header.reply() else { return Some((true, way)) };
    let opens = crate::scene::opens(&answer, Phase::Answer);
    let back = world.send(&place, &answer, opens);
    way.push(back.clone());
    let home = match back {
        Outcome::Arrived { place, header } => {
            place == shot.from && Some(header) == shot.header.reply()
        }
        Outcome::Unclear => return None,
        _ => false,
    };
    Some((home, way))
}
