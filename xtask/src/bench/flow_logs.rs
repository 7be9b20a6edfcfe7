//! What a flow log costs a VPC's router: the same router with one and without.

use super::sample::Samples;
use super::table::{Against, Row};
use super::{Bench, Measured, tools};
use serde_json::Value;
use std::process::Command;

pub(super) fn measure(_: &Bench) -> Measured {
    let mut example = Command::new("cargo");
    example.args(["run", "--quiet", "--release", "-p", "belljar-linux"]);
    let said = tools::finish(example.args(["--example", "flow_log_cost"]))?;
    let all: Value = serde_json::from_str(said.trim()).map_err(|e| format!("{said}: {e}"))?;
    let rows = [
        ("flow log: new TCP connections", "/s", "connections", None),
        ("flow log: bulk TCP", "MiB/s", "bulk", Some(0.95)),
    ];
    let row = |(what, unit, key, at_least)| {
        let of = |way: &str| samples(&all[key][way]);
        let against = Against::Rate { peer: "without", samples: of("without"), at_least };
        Row { what, unit, ours: of("with"), against }
    };
    Ok(rows.into_iter().map(row).collect())
}

fn samples(values: &Value) -> Samples {
    let mut samples = Samples::default();
    values.as_array().into_iter().flatten().filter_map(Value::as_f64).for_each(|v| samples.push(v));
    samples
}
