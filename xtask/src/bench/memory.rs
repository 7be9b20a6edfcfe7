//! The most memory that a warden ever had while it ran a job with a staged channel.

use super::job::{assignment_of, job_folder};
use super::sample::Samples;
use super::table::{Against, Row};
use super::tools::{self, Noise};
use super::{Bench, Measured};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

const RUNS: usize = 5;
const LIMIT_MIB: f64 = 15.0;
const CHANNEL_FILES: usize = 64;

pub(super) fn measure(bench: &Bench) -> Measured {
    let state = bench.state_with_noop("memory")?;
    let channel = bench.scratch.join("small-channel");
    tools::make_folder(&channel)?;
    let content = Noise::new(1).bytes(1 << 20);
    for file in 0..CHANNEL_FILES {
        fs::write(channel.join(file.to_string()), &content)
            .map_err(|e| format!("write a channel: {e}"))?;
    }
    let mut train = bench.train(&state, &["sleep", "1"]);
    train.args(["--input", &format!("data={}", channel.display())]);
    let assignment = assignment_of(&state, &mut train)?;
    let mut peak = Samples::default();
    for run in 0..RUNS {
        let folder = job_folder(&state, &assignment, &format!("memory-{run}"))?;
        peak.push(peak_of(bench, &folder)?);
    }
    let against = Against::Limit(LIMIT_MIB);
    Ok(vec![Row { what: "peak memory of the warden", unit: "MiB", ours: peak, against }])
}

/// `VmHWM`, read at every event: the last is the report, a moment before the end.
fn peak_of(bench: &Bench, job: &Path) -> Result<f64, String> {
    let mut warden = Command::new(&bench.warden)
        .args(["run", "--job"])
        .arg(job)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| format!("start the warden: {e}"))?;
    let input = warden.stdin.take();
    let events = warden.stdout.take().map(BufReader::new);
    let mut kib = None;
    for _ in events.into_iter().flat_map(BufRead::lines) {
        kib = high_water(warden.id()).or(kib);
    }
    let status = warden.wait().map_err(|e| format!("wait for the warden: {e}"))?;
    drop(input);
    match kib {
        Some(kib) if status.success() => Ok(kib / 1024.0),
        _ => Err(format!("the warden ended with {status}, and told {kib:?} KiB")),
    }
}

fn high_water(pid: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}
