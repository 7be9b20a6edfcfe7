//! Staging many small objects by a job (its Downloading stage), against `s5cmd cp` of the same
//! prefix of the same server to a folder on the same disk.

use super::fixture::{self, BUCKET};
use super::sample::Samples;
use super::server::Server;
use super::table::{Against, Row};
use super::tools::{self, Noise};
use super::{Bench, Measured};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

const RUNS: usize = 5;
const OBJECTS: usize = 10_000;
const OBJECT_BYTES: usize = 64 << 10;

pub(super) fn measure(bench: &Bench) -> Measured {
    let server = Server::belljar(bench, &bench.state_with_noop("download")?)?;
    let endpoint = &server.endpoint;
    fixture::bucket(endpoint)?;
    let role = fixture::role(endpoint)?;
    let (source, copy) = (bench.scratch.join("many"), bench.scratch.join("many-copy"));
    make_objects(&source)?;
    let (from, prefix) = (format!("{}/", source.display()), format!("s3://{BUCKET}/many/"));
    tools::finish(fixture::s5cmd(endpoint)?.args(["cp", &from, &prefix]))?;
    tools::remove(&source)?;
    let (mut ours, mut s5cmd) = (Samples::default(), Samples::default());
    for run in 0..=RUNS {
        tools::sync()?;
        let mut peer = fixture::s5cmd(endpoint)?;
        let into = format!("{}/", copy.display());
        let theirs = tools::time(peer.args(["cp", &format!("{prefix}*"), &into]))?;
        let count = fs::read_dir(&copy).map(Iterator::count).unwrap_or(0);
        if count != OBJECTS {
            return Err(format!("s5cmd made {count} files"));
        }
        tools::remove(&copy)?;
        tools::sync()?;
        let name = format!("download-{run}");
        let mut job = fixture::training_job(&name, &role, &["exit", "0"]);
        job["InputDataConfig"] = channel(&prefix);
        fixture::sagemaker(endpoint, "CreateTrainingJob", &job)?;
        let mine = downloading(&fixture::completed(endpoint, &name)?)?;
        // The first run warms the page cache.
        if run > 0 {
            s5cmd.push(theirs);
            ours.push(mine);
        }
    }
    let against = Against::Speed { peer: "s5cmd cp", samples: s5cmd, at_least: 1.5 };
    Ok(vec![Row { what: "stage 10,000 files of 64 KiB", unit: "ms", ours, against }])
}

fn channel(prefix: &str) -> Value {
    json!([{
        "ChannelName": "data",
        "DataSource": { "S3DataSource": {
            "S3DataType": "S3Prefix",
            "S3Uri": prefix,
            "S3DataDistributionType": "FullyReplicated",
        } },
    }])
}

fn make_objects(at: &Path) -> Result<(), String> {
    tools::make_folder(at)?;
    let mut noise = Noise::new(1);
    for object in 0..OBJECTS {
        let path = at.join(format!("object-{object:05}"));
        fs::write(&path, noise.bytes(OBJECT_BYTES))
            .map_err(|e| format!("write {}: {e}", path.display()))?;
    }
    Ok(())
}

/// Milliseconds of the stage Downloading by the job's own description.
fn downloading(job: &Value) -> Result<f64, String> {
    let transitions = job["SecondaryStatusTransitions"].as_array();
    let stage = transitions.into_iter().flatten().find(|t| t["Status"] == "Downloading");
    let at = |end: &str| stage.and_then(|s| s[end].as_f64());
    match (at("StartTime"), at("EndTime")) {
        (Some(start), Some(end)) if end > start => Ok((end - start) * 1000.0),
        _ => Err(format!("the job does not tell how long it downloaded: {job}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_stage_from_the_description() {
        let job = json!({ "SecondaryStatusTransitions": [
            { "Status": "Starting", "StartTime": 1.0, "EndTime": 2.5 },
            { "Status": "Downloading", "StartTime": 2.5, "EndTime": 3.75 },
        ] });
        assert!((downloading(&job).unwrap() - 1250.0).abs() < 0.01);
        assert!(downloading(&json!({})).is_err());
    }
}
