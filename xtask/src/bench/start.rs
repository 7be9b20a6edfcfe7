//! How soon the service answers after it is started, and the memory that it keeps.

use super::client::{Call, Connection, Signer};
use super::sample::Samples;
use super::server::{self, Server};
use super::table::{Against, Row};
use super::{Bench, Measured};
use serde_json::json;
use std::fs;
use std::time::Instant;

const RUNS: usize = 20;
const LIMIT_MS: f64 = 50.0;
const MEMORY_RUNS: usize = 5;
const LIMIT_MIB: f64 = 30.0;
/// Requests of each kind before the memory is read.
const REQUESTS: usize = 10;

pub(super) fn measure(bench: &Bench) -> Measured {
    let [mut first, mut again, mut memory] = [const { Samples::none() }; 3];
    let kept = bench.scratch.join("start");
    for run in 0..=RUNS {
        let fresh = bench.scratch.join(format!("start-{run}"));
        let of_fresh = time_start(bench, &fresh)?;
        let of_kept = time_start(bench, &kept)?;
        // The first run warms the page cache, and makes the state that is kept.
        if run > 0 {
            first.push(of_fresh);
            again.push(of_kept);
        }
    }
    for _ in 0..MEMORY_RUNS {
        memory.push(idle_memory(bench, &kept)?);
    }
    let row = |what, unit, ours, limit| Row { what, unit, ours, against: Against::Limit(limit) };
    Ok(vec![
        row("service start, empty state", "ms", first, LIMIT_MS),
        row("service start, again", "ms", again, LIMIT_MS),
        row("idle memory of the service", "MiB", memory, LIMIT_MIB),
    ])
}

/// Milliseconds from starting the process to its first answer, which is one to a request without
/// a signature: it costs the client nothing and the service must be all there to refuse it.
fn time_start(bench: &Bench, state: &std::path::Path) -> Result<f64, String> {
    let start = Instant::now();
    let mut server = Server::starting(server::spawn_belljar(bench, state)?);
    let address = server.wait_for_address(state)?;
    let mut connection = Connection::new(&address);
    connection.send(format!("GET / HTTP/1.1\r\nhost: {address}\r\n\r\n").as_bytes())?;
    connection.receive()?;
    Ok(start.elapsed().as_secs_f64() * 1000.0)
}

/// All memory of the process (`VmRSS`, its program's pages too) after a few requests.
fn idle_memory(bench: &Bench, state: &std::path::Path) -> Result<f64, String> {
    let server = Server::belljar(bench, state)?;
    let endpoint = &server.endpoint;
    let mut connection = Connection::new(&endpoint.address);
    let mut signer = Signer::new(endpoint);
    let list = Call::json("sagemaker", "SageMaker.ListTrainingJobs", &json!({}));
    let buckets = Call::s3("GET", "/", Vec::new());
    for _ in 0..REQUESTS {
        for call in [&list, &buckets] {
            connection.send(&signer.request(call))?;
            let status = connection.receive()?.status;
            if status != 200 {
                return Err(format!("{} {}: status {status}", call.method, call.path));
            }
        }
    }
    let path = format!("/proc/{}/status", server.pid());
    let text = fs::read_to_string(&path).map_err(|e| format!("read {path}: {e}"))?;
    let kib = text.lines().find_map(|l| l.strip_prefix("VmRSS:")?.split_whitespace().next());
    let kib: f64 = kib.and_then(|k| k.parse().ok()).ok_or(format!("{path} tells no VmRSS"))?;
    Ok(kib / 1024.0)
}
