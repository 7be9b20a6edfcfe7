//! What VPCs cost, as JSON; needs no privilege.
//!
//! `cargo run --release -p belljar-linux --example vpc_cost -- flow-log|rules|model`

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement that fails is none")]

mod model;
mod rig;

use belljar_linux::privilege;
use rig::{FULL, ROUNDS, Rig};
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use tokio::runtime::{Builder, Runtime};

/// Rules of the group that is compared with one that has none but the needed.
const RULES: u32 = 10_000;

fn main() {
    privilege::enter().unwrap();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let all = match std::env::args().nth(1).as_deref() {
        Some("flow-log") => flow_log(&runtime),
        Some("rules") => rules(&runtime),
        Some("model") => model::measure(&runtime),
        other => panic!("{other:?}: say flow-log, rules or model"),
    };
    println!("{all}");
}

/// New connections and bulk, in turn with a flow log and without.
fn flow_log(runtime: &Runtime) -> Value {
    let mut rig = runtime.block_on(Rig::new(0));
    let mut all = json!({});
    for (name, work) in [("connections", rig::connections as fn() -> f64), ("bulk", rig::bulk)] {
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            without.push(rig.measure(false, work));
            with.push(rig.measure(true, work));
        }
        all[name] = json!({"with": with, "without": without});
    }
    all["full"] = FULL.load(Ordering::Relaxed).into();
    all
}

/// The same, in turn through a router with many rules and one with two.
fn rules(runtime: &Runtime) -> Value {
    let (mut many, mut few) =
        runtime.block_on(async { (Rig::new(RULES).await, Rig::new(0).await) });
    let mut all = json!({});
    for (name, work) in [("connections", rig::connections as fn() -> f64), ("bulk", rig::bulk)] {
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            without.push(few.measure(false, work));
            with.push(many.measure(false, work));
        }
        all[name] = json!({"with": with, "without": without});
    }
    all
}
