//! From the request CreateTrainingJob to the first instruction of the job's container, by the
//! clock that both read.

use super::client::Endpoint;
use super::fixture;
use super::sample::Samples;
use super::server::Server;
use super::table::{Against, Row};
use super::{Bench, Measured};
use serde_json::{Value, json};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const RUNS: usize = 40;
/// Runs that warm caches and are not counted.
const WARM_UP: usize = 3;
const LIMIT_MS: f64 = 150.0;
const GROUP: &str = "/aws/sagemaker/TrainingJobs";

pub(super) fn measure(bench: &Bench) -> Measured {
    let server = Server::belljar(bench, &bench.state_with_noop("launch")?)?;
    let endpoint = &server.endpoint;
    fixture::bucket(endpoint)?;
    let role = fixture::role(endpoint)?;
    let mut ours = Samples::default();
    for run in 0..WARM_UP + RUNS {
        let name = format!("launch-{run}");
        let job = fixture::training_job(&name, &role, &["clock"]);
        let asked = now();
        fixture::sagemaker(endpoint, "CreateTrainingJob", &job)?;
        fixture::completed(endpoint, &name)?;
        let began = clock_of(endpoint, &name)?;
        if run >= WARM_UP {
            ours.push((began - asked).as_secs_f64() * 1000.0);
        }
    }
    let against = Against::Limit(LIMIT_MS);
    Ok(vec![Row { what: "CreateTrainingJob to entrypoint", unit: "ms", ours, against }])
}

/// Since 1970.
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// What the probe's `clock` printed, by the job's logs.
fn clock_of(endpoint: &Endpoint, job: &str) -> Result<Duration, String> {
    let start = Instant::now();
    loop {
        let read = first_clock(endpoint, job);
        if read.is_ok() || start.elapsed() > Duration::from_secs(5) {
            return read;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn first_clock(endpoint: &Endpoint, job: &str) -> Result<Duration, String> {
    let logs = |operation: &str, input: &Value| {
        endpoint.json("logs", &format!("Logs_20140328.{operation}"), input)
    };
    let input = json!({ "logGroupName": GROUP, "logStreamNamePrefix": format!("{job}/") });
    let streams = logs("DescribeLogStreams", &input)?;
    let stream = streams["logStreams"][0]["logStreamName"].as_str();
    let stream = stream.ok_or_else(|| format!("the job {job} has no logs"))?;
    let input = json!({ "logGroupName": GROUP, "logStreamName": stream, "startFromHead": true });
    let events = logs("GetLogEvents", &input)?;
    let lines = events["events"].as_array().into_iter().flatten();
    lines
        .filter_map(|e| e["message"].as_str()?.trim().strip_prefix("clock ")?.parse().ok())
        .map(Duration::from_nanos)
        .next()
        .ok_or_else(|| format!("the job {job} printed no clock: {events}"))
}
