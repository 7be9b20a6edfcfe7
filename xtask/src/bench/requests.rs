//! Small requests per second, against moto's server: the same requests by the same client over as
//! many connections.

use super::client::load::{Load, rate};
use super::client::{Call, Endpoint};
use super::fixture::{self, BUCKET};
use super::sample::Samples;
use super::server::Server;
use super::table::{Against, Row};
use super::tools::Noise;
use super::{Bench, Measured};
use serde_json::json;
use std::time::Duration;

const RUNS: usize = 5;
const DURING: Duration = Duration::from_secs(2);
const AT_LEAST: f64 = 20.0;
const JOB: &str = "described";
const OBJECTS: usize = 1000;
const OBJECT_BYTES: usize = 4096;

pub(super) fn measure(bench: &Bench) -> Measured {
    let moto = Server::moto()?;
    let ours = Server::belljar(bench, &bench.state_with_noop("requests")?)?;
    prepare(&moto.endpoint)?;
    prepare(&ours.endpoint)?;
    fixture::completed(&ours.endpoint, JOB)?;
    let loads = [
        ("DescribeTrainingJob", describe()),
        ("PutObject 4 KiB", objects("PUT")),
        ("GetObject 4 KiB", objects("GET")),
    ];
    let mut rows = Vec::new();
    for (what, load) in loads {
        let (mut mine, mut theirs) = (Samples::default(), Samples::default());
        for run in 0..=RUNS {
            let of_moto = rate(&moto.endpoint, &load, DURING).map_err(|e| format!("moto: {e}"))?;
            let of_us = rate(&ours.endpoint, &load, DURING)?;
            // The first run warms caches.
            if run > 0 {
                theirs.push(of_moto);
                mine.push(of_us);
            }
        }
        let against = Against::Rate { peer: "moto", samples: theirs, at_least: Some(AT_LEAST) };
        rows.push(Row { what, unit: "/s", ours: mine, against });
    }
    Ok(rows)
}

fn prepare(endpoint: &Endpoint) -> Result<(), String> {
    fixture::bucket(endpoint)?;
    let role = fixture::role(endpoint)?;
    let job = fixture::training_job(JOB, &role, &["exit", "0"]);
    fixture::sagemaker(endpoint, "CreateTrainingJob", &job)?;
    // All that will be read is there, however few are written while writing is measured.
    objects("PUT").calls.iter().try_for_each(|call| endpoint.call(call).map(drop))
}

fn describe() -> Load {
    let input = json!({ "TrainingJobName": JOB });
    let call = Call::json("sagemaker", "SageMaker.DescribeTrainingJob", &input);
    Load { calls: vec![call], answer_bytes: None }
}

/// The objects that are written in turn, and then read.
fn objects(method: &'static str) -> Load {
    let writes = method == "PUT";
    let body = if writes { Noise::new(1).bytes(OBJECT_BYTES) } else { Vec::new() };
    let path = |n| format!("/{BUCKET}/objects/{n:04}");
    let calls = (0..OBJECTS).map(|n| Call::s3(method, &path(n), body.clone())).collect();
    Load { calls, answer_bytes: Some(if writes { 0 } else { OBJECT_BYTES }) }
}
