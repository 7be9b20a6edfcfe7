//! How long a channel takes to be copied in and hashed, against `cp -r`, which does not hash.

use super::sample::Samples;
use super::table::{Against, Row};
use super::tools::{self, Noise};
use super::{Bench, Measured};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;

const RUNS: usize = 7;
const FILES: u64 = 1000;
const FILE_BYTES: usize = (1 << 30) / 1000;

pub(super) fn measure(bench: &Bench) -> Measured {
    let state = bench.state_with_noop("staging")?;
    let (source, copy) = (bench.scratch.join("channel"), bench.scratch.join("copy"));
    make_channel(&source)?;
    let (mut ours, mut cp) = (Samples::default(), Samples::default());
    for run in 0..=RUNS {
        tools::sync()?;
        let theirs = tools::time(Command::new("cp").arg("-r").args([&source, &copy]))?;
        tools::remove(&copy)?;
        tools::sync()?;
        let mut train = bench.train(&state, &["exit", "0"]);
        train.args(["--json", "--input", &format!("data={}", source.display())]);
        let mine = stage_in_of(&tools::finish(&mut train)?)?;
        // The first run warms the page cache.
        if run > 0 {
            cp.push(theirs);
            ours.push(mine);
        }
    }
    let against = Against::Speed { peer: "cp -r", samples: cp, at_least: 0.8 };
    Ok(vec![Row { what: "stage in 1 GiB, 1,000 files", unit: "ms", ours, against }])
}

fn make_channel(at: &Path) -> Result<(), String> {
    tools::make_folder(at)?;
    let mut noise = Noise::new(1);
    for file in 0..FILES {
        let path = at.join(format!("part-{file:04}"));
        fs::write(&path, noise.bytes(FILE_BYTES))
            .map_err(|e| format!("write {}: {e}", path.display()))?;
    }
    Ok(())
}

/// Milliseconds between the begin and the end of the stage, by the events' own clock.
fn stage_in_of(events: &str) -> Result<f64, String> {
    let at = |state: &str| {
        events.lines().find_map(|line| {
            let event: Value = serde_json::from_str(line).ok()?;
            let is_it = event["stage"] == "stage-in" && event["state"] == state;
            millis_of_day(event["at"].as_str().filter(|_| is_it)?)
        })
    };
    match (at("begun"), at("done")) {
        // A run over midnight is no reason for a negative time.
        (Some(begun), Some(done)) => Ok((done - begun).rem_euclid(86_400_000.0)),
        _ => Err("the events do not tell when staging began and ended".to_owned()),
    }
}

/// `…T14:37:26.559Z` as milliseconds since midnight.
fn millis_of_day(at: &str) -> Option<f64> {
    let (_, time) = at.strip_suffix('Z')?.split_once('T')?;
    let mut parts = time.split(':').map(|p| p.parse::<f64>().ok());
    let (h, m, s) = (parts.next()??, parts.next()??, parts.next()??);
    Some(((h * 60.0 + m) * 60.0 + s) * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_stage_from_the_events() {
        let line = |state: &str, at: &str| {
            format!(r#"{{"event":"stage","stage":"stage-in","state":"{state}","at":"{at}"}}"#)
        };
        let events =
            [line("begun", "2026-01-01T23:59:59.900Z"), line("done", "2026-01-02T00:00:00.150Z")];
        let took = stage_in_of(&events.join("\n")).unwrap();
        assert!((took - 250.0).abs() < 0.01, "{took}");
        assert!(stage_in_of(&events[0]).is_err());
    }
}
