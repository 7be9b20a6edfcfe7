//! What VPCs cost: a flow log, many rules, and the model of a large network.

use super::sample::Samples;
use super::table::{Against, Row};
use super::{Bench, Measured, tools};
use serde_json::Value;
use std::process::Command;

/// The same router with a flow log and without.
pub(super) fn flow_log(_: &Bench) -> Measured {
    let all = example("flow-log")?;
    Ok(vec![
        rate(&all, "flow log: new TCP connections", "/s", "connections", None),
        rate(&all, "flow log: bulk TCP", "MiB/s", "bulk", Some(0.95)),
    ])
}

/// A router with 10,000 rules, and one with two; then how fast the model and the kernel are.
pub(super) fn measure(_: &Bench) -> Measured {
    let all = example("rules")?;
    let mut rows = vec![
        rate(&all, "VPC, 10,000 rules: new TCP", "/s", "connections", Some(0.85)),
        rate(&all, "VPC, 10,000 rules: bulk TCP", "MiB/s", "bulk", Some(0.95)),
    ];
    let all = example("model")?;
    let queries = samples(&all["queries"]);
    let mut p99 = Samples::none();
    p99.push(queries.p99());
    let limits = [
        ("reach, 5,000 ENIs: p50", queries, 1.0),
        ("reach, 5,000 ENIs: p99", p99, 1.0),
        ("reach: all pairs, one port", samples(&all["allPairs"]), 1000.0),
        ("1,000 ENIs: one more", samples(&all["add"]), 10.0),
    ];
    rows.extend(limits.into_iter().map(|(what, ours, limit)| Row {
        what,
        unit: "ms",
        ours,
        against: Against::Limit(limit),
    }));
    let load = samples(&all["load"]);
    rows.push(Row {
        what: "1,000 ENIs: compile and load",
        unit: "ms",
        against: Against::Overhead {
            peer: "one more",
            samples: samples(&all["add"]),
            at_most: None,
        },
        ours: load,
    });
    Ok(rows)
}

fn example(mode: &str) -> Result<Value, String> {
    let mut example = Command::new("cargo");
    example.args(["run", "--quiet", "--release", "-p", "belljar-linux", "--example", "vpc_cost"]);
    let said = tools::finish(example.args(["--", mode]))?;
    serde_json::from_str(said.trim()).map_err(|e| format!("{said}: {e}"))
}

fn rate(
    all: &Value,
    what: &'static str,
    unit: &'static str,
    key: &str,
    at_least: Option<f64>,
) -> Row {
    let of = |way: &str| samples(&all[key][way]);
    let against = Against::Rate { peer: "without", samples: of("without"), at_least };
    Row { what, unit, ours: of("with"), against }
}

fn samples(values: &Value) -> Samples {
    let mut samples = Samples::default();
    values.as_array().into_iter().flatten().filter_map(Value::as_f64).for_each(|v| samples.push(v));
    samples
}
