//! What a job costs that does nothing: `belljar train`, and the warden alone, against `runc run`
//! of the same program in the same root file system.

use super::sample::Samples;
use super::table::{Against, Row};
use super::{Bench, Measured, tools};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const RUNS: usize = 40;
/// Runs that warm caches and are not counted.
const WARM_UP: usize = 3;

pub(super) fn measure(bench: &Bench) -> Measured {
    tools::need("runc")?;
    let state = bench.state_with_noop("job")?;
    let bundle = bundle(bench)?;
    let assignment = assignment_of(&state, &mut bench.train(&state, &["exit", "0"]))?;
    let (mut whole, mut alone, mut runc) =
        (Samples::default(), Samples::default(), Samples::default());
    for run in 0..WARM_UP + RUNS {
        let mut peer = Command::new("runc");
        peer.arg("--root").arg(bench.scratch.join("runc"));
        peer.arg("run").arg("--bundle").arg(&bundle).arg(format!("belljar-bench-{run}"));
        let folder = job_folder(&state, &assignment, &format!("alone-{run}"))?;
        let times = (
            tools::time(&mut peer)?,
            tools::time(&mut bench.train(&state, &["exit", "0"]))?,
            time_warden(bench, &folder)?,
        );
        if run >= WARM_UP {
            runc.push(times.0);
            whole.push(times.1);
            alone.push(times.2);
        }
    }
    let against = |at_most| Against::Overhead { peer: "runc run", samples: runc.clone(), at_most };
    let row = |what, ours, at_most| Row { what, unit: "ms", ours, against: against(at_most) };
    Ok(vec![
        row("no-op job: belljar train", whole, Some(2.0)),
        row("no-op job: the warden alone", alone, None),
    ])
}

/// Runs a job and reads the assignment that it was given.
pub(super) fn assignment_of(state: &Path, train: &mut Command) -> Result<Value, String> {
    tools::finish(train.args(["--job-name", "assignment"]))?;
    let path = state.join("jobs/assignment/assignment.json");
    let text = fs::read(&path).map_err(|e| format!("read {}: {e}", path.display()))?;
    serde_json::from_slice(&text).map_err(|e| format!("read {}: {e}", path.display()))
}

/// The folder of a new job with this assignment.
pub(super) fn job_folder(state: &Path, assignment: &Value, name: &str) -> Result<PathBuf, String> {
    let folder = state.join("jobs").join(name);
    tools::make_folder(&folder)?;
    let mut assignment = assignment.clone();
    assignment["job"] = json!(name);
    write(&folder.join("assignment.json"), &assignment)?;
    Ok(folder)
}

fn write(path: &Path, value: &Value) -> Result<(), String> {
    fs::write(path, value.to_string()).map_err(|e| format!("write {}: {e}", path.display()))
}

/// The warden takes the end of its input for a wish to stop, so it is kept open.
fn time_warden(bench: &Bench, job: &Path) -> Result<f64, String> {
    let start = std::time::Instant::now();
    let mut warden = Command::new(&bench.warden)
        .args(["run", "--job"])
        .arg(job)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|e| format!("start the warden: {e}"))?;
    let input = warden.stdin.take();
    let status = warden.wait().map_err(|e| format!("wait for the warden: {e}"))?;
    drop(input);
    if !status.success() {
        return Err(format!("the warden ended with {status}"));
    }
    Ok(start.elapsed().as_secs_f64() * 1000.0)
}

/// What `runc spec` gives, with the job's command and limits.
fn bundle(bench: &Bench) -> Result<PathBuf, String> {
    let bundle = bench.scratch.join("bundle");
    bench.probe_root(&bundle.join("rootfs"))?;
    let mut spec = Command::new("runc");
    spec.arg("spec").arg("--bundle").arg(&bundle);
    if !bench.root {
        spec.arg("--rootless");
    }
    tools::finish(&mut spec)?;
    let path = bundle.join("config.json");
    let text = fs::read(&path).map_err(|e| format!("read {}: {e}", path.display()))?;
    let mut config: Value = serde_json::from_slice(&text).map_err(|e| format!("runc spec: {e}"))?;
    config["process"]["terminal"] = json!(false);
    config["process"]["args"] = json!(["/probe", "exit", "0"]);
    config["root"]["readonly"] = json!(false);
    if bench.root {
        config["linux"]["resources"]["memory"] = json!({ "limit": 1 << 30 });
        config["linux"]["resources"]["cpu"] = json!({ "quota": 100_000, "period": 100_000 });
        config["linux"]["resources"]["pids"] = json!({ "limit": 4096 });
    }
    write(&path, &config)?;
    Ok(bundle)
}
