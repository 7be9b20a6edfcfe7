//! Endpoints: invocations per second and their time, against reverse proxies before the same
//! program; how soon an endpoint is in service; and the memory that an idle instance costs.

use super::client::load::{Load, rate};
use super::client::{Call, Connection, Endpoint, Signer};
use super::fixture::{self, BUCKET, sagemaker};
use super::proxies;
use super::sample::Samples;
use super::server::Server;
use super::table::{Against, Row};
use super::tools::{self, Noise};
use super::{Bench, Measured};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

const RUNS: usize = 5;
const DURING: Duration = Duration::from_secs(2);
const LATENCIES: usize = 2000;
const STARTS: usize = 10;
const LIMIT_START_MS: f64 = 300.0;
const LIMIT_ADDED_US: f64 = 150.0;
const LIMIT_MIB: f64 = 10.0;
/// No endpoint of a measurement takes this long.
const PATIENCE: Duration = Duration::from_secs(60);
const ENDPOINT: &str = "bench";

pub(super) fn measure(bench: &Bench) -> Measured {
    let state = bench.state_with_noop("serving")?;
    let ours = Server::belljar(bench, &state)?;
    fixture::bucket(&ours.endpoint)?;
    let role = fixture::role(&ours.endpoint)?;
    let echo = json!({ "Image": "noop", "Environment": { "PROBE_ECHO": "1" } });
    define(&ours.endpoint, "echo", &role, &echo)?;
    bring_up(&ours.endpoint, ENDPOINT, "echo")?;
    let rows = rows(bench, &ours, &state, &role);
    // It would outlive the service, and this measurement.
    delete(&ours.endpoint, ENDPOINT)?;
    rows
}

fn rows(bench: &Bench, ours: &Server, state: &Path, role: &str) -> Measured {
    let direct = proxies::direct(bench)?;
    let upstream = direct.endpoint.address.clone();
    let nginx = proxies::nginx(bench, &upstream)?;
    let haproxy = proxies::haproxy(bench, &upstream)?;
    let mut rows = Vec::new();
    for (what, bytes) in [("InvokeEndpoint 1 KiB", 1 << 10), ("InvokeEndpoint 1 MiB", 1 << 20)] {
        let load = load(bytes);
        let peers = [("nginx", &nginx, Some(1.0)), ("haproxy", &haproxy, None)];
        rows.extend(rates(what, ours, &peers, &load)?);
    }
    rows.extend(times(ours, &direct, &nginx)?);
    rows.push(memory(ours, state)?);
    rows.push(starts(bench, ours, state, role)?);
    Ok(rows)
}

fn invocation(body: Vec<u8>) -> Call {
    Call {
        service: "sagemaker",
        method: "POST",
        path: format!("/endpoints/{ENDPOINT}/invocations"),
        content_type: Some("application/octet-stream"),
        target: None,
        body,
    }
}

fn load(bytes: usize) -> Load {
    Load { calls: vec![invocation(Noise::new(1).bytes(bytes))], answer_bytes: Some(bytes) }
}

/// The same signed requests to each in turn; only Belljar looks at the signature.
fn rates(
    what: &'static str,
    ours: &Server,
    peers: &[(&'static str, &Server, Option<f64>)],
    load: &Load,
) -> Measured {
    let mut mine = Samples::default();
    let mut theirs = vec![Samples::default(); peers.len()];
    for run in 0..=RUNS {
        let of_us = rate(&ours.endpoint, load, DURING)?;
        for ((_, peer, _), samples) in peers.iter().zip(&mut theirs) {
            let of_peer = rate(&peer.endpoint, load, DURING)?;
            // The first run warms caches.
            if run > 0 {
                samples.push(of_peer);
            }
        }
        if run > 0 {
            mine.push(of_us);
        }
    }
    let row =
        |((peer, _, at_least), samples): (&(&'static str, &Server, Option<f64>), Samples)| Row {
            what,
            unit: "/s",
            ours: mine.clone(),
            against: Against::Rate { peer, samples, at_least: *at_least },
        };
    Ok(peers.iter().zip(theirs).map(row).collect())
}

/// One request after the other on one connection: what is added to a direct one.
fn times(ours: &Server, direct: &Server, nginx: &Server) -> Measured {
    let [mut of_us, mut of_direct, mut of_nginx] = [const { Samples::none() }; 3];
    let call = invocation(Noise::new(1).bytes(1 << 10));
    for _ in 0..RUNS {
        for (server, samples) in
            [(direct, &mut of_direct), (ours, &mut of_us), (nginx, &mut of_nginx)]
        {
            one_by_one(&server.endpoint, &call, samples)?;
        }
    }
    let added = |samples: &Samples| samples.median() - of_direct.median();
    let mut mine = Samples::default();
    mine.push(added(&of_us));
    println!(
        "invocation 1 KiB, one by one: direct {:.0} us (99 %: {:.0}), Belljar {:.0} ({:.0}), nginx {:.0} ({:.0})",
        of_direct.median(),
        of_direct.p99(),
        of_us.median(),
        of_us.p99(),
        of_nginx.median(),
        of_nginx.p99(),
    );
    let ninety_ninth = |samples: &Samples| {
        let mut one = Samples::default();
        one.push(samples.p99());
        one
    };
    Ok(vec![
        Row {
            what: "added to a direct call, median",
            unit: "us",
            ours: mine,
            against: Against::Limit(LIMIT_ADDED_US),
        },
        Row {
            what: "invocation, 99 % within",
            unit: "us",
            ours: ninety_ninth(&of_us),
            against: Against::Overhead {
                peer: "nginx",
                samples: ninety_ninth(&of_nginx),
                at_most: None,
            },
        },
    ])
}

/// Microseconds from the first byte of a request to the last of its answer.
fn one_by_one(endpoint: &Endpoint, call: &Call, samples: &mut Samples) -> Result<(), String> {
    let mut connection = Connection::new(&endpoint.address);
    let mut signer = Signer::new(endpoint);
    for n in 0..LATENCIES / RUNS + 10 {
        let request = signer.request(call);
        let begun = Instant::now();
        connection.send(&request)?;
        let status = connection.receive()?.status;
        if status != 200 {
            return Err(format!("{endpoint:?} answers with status {status}"));
        }
        if n >= 10 {
            samples.push(begun.elapsed().as_secs_f64() * 1e6);
        }
    }
    Ok(())
}

fn define(endpoint: &Endpoint, name: &str, role: &str, container: &Value) -> Result<(), String> {
    let model = json!({
        "ModelName": name, "ExecutionRoleArn": role, "PrimaryContainer": container,
        "EnableNetworkIsolation": true,
    });
    sagemaker(endpoint, "CreateModel", &model)?;
    let variant = json!({
        "VariantName": "AllTraffic", "ModelName": name, "InitialInstanceCount": 1,
        "InstanceType": "ml.m5.large", "InitialVariantWeight": 1,
    });
    let config = json!({ "EndpointConfigName": name, "ProductionVariants": [variant] });
    sagemaker(endpoint, "CreateEndpointConfig", &config).map(drop)
}

/// Milliseconds from asking for an endpoint until it is in service.
fn bring_up(endpoint: &Endpoint, name: &str, config: &str) -> Result<f64, String> {
    let begun = Instant::now();
    let create = json!({ "EndpointName": name, "EndpointConfigName": config });
    sagemaker(endpoint, "CreateEndpoint", &create)?;
    loop {
        let told = sagemaker(endpoint, "DescribeEndpoint", &json!({ "EndpointName": name }))?;
        match told["EndpointStatus"].as_str() {
            Some("InService") => return Ok(begun.elapsed().as_secs_f64() * 1000.0),
            Some("Creating") if begun.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(2));
            }
            _ => return Err(format!("the endpoint {name} is {told}")),
        }
    }
}

fn delete(endpoint: &Endpoint, name: &str) -> Result<(), String> {
    let begun = Instant::now();
    sagemaker(endpoint, "DeleteEndpoint", &json!({ "EndpointName": name }))?;
    while sagemaker(endpoint, "DescribeEndpoint", &json!({ "EndpointName": name })).is_ok() {
        if begun.elapsed() > PATIENCE {
            return Err(format!("the endpoint {name} does not go"));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// The digits example, with its model from S3: the quickstart makes both.
fn starts(bench: &Bench, ours: &Server, state: &Path, role: &str) -> Result<Row, String> {
    tools::finish(bench.belljar(state).arg("quickstart"))?;
    let trained = state.join("quickstart");
    let job = fs::read_dir(&trained).ok().and_then(|mut jobs| jobs.next()).and_then(Result::ok);
    let job = job.ok_or("the quickstart left no model")?;
    let model = fs::read(job.path().join("output/model.tar.gz"))
        .map_err(|e| format!("read the quickstart's model: {e}"))?;
    let path = format!("/{BUCKET}/model.tar.gz");
    ours.endpoint.call(&Call::s3("PUT", &path, model))?;
    let container = json!({
        "Image": "belljar/digits", "ModelDataUrl": format!("s3://{BUCKET}/model.tar.gz"),
    });
    define(&ours.endpoint, "digits", role, &container)?;
    let mut times = Samples::default();
    for run in 0..=STARTS {
        let name = format!("start-{run}");
        let time = bring_up(&ours.endpoint, &name, "digits")?;
        delete(&ours.endpoint, &name)?;
        if run > 0 {
            times.push(time);
        }
    }
    let against = Against::Limit(LIMIT_START_MS);
    Ok(Row { what: "CreateEndpoint to InService", unit: "ms", ours: times, against })
}

/// The share (`Pss`) of the idle instance's own processes: its warden, and the two that hold the
/// container.
fn memory(ours: &Server, state: &Path) -> Result<Row, String> {
    // What a request leaves is given back.
    std::thread::sleep(Duration::from_secs(2));
    let all = processes();
    let place = state.join("endpoints").display().to_string();
    let mut own: Vec<u32> = all.iter().filter(|p| p.2.contains(&place)).map(|p| p.0).collect();
    // The container's helper is the warden's child, and its keeper the helper's.
    for _ in 0..2 {
        let below = all.iter().filter(|p| own.contains(&p.1) && p.2.starts_with("/proc/self/exe"));
        let below: Vec<u32> = below.map(|p| p.0).filter(|pid| !own.contains(pid)).collect();
        own.extend(below);
    }
    let kib: f64 = own.iter().filter_map(|pid| share(*pid)).sum();
    if kib == 0.0 {
        return Err(format!("no warden of {:?} is to be seen", ours.endpoint));
    }
    let mut samples = Samples::default();
    samples.push(kib / 1024.0);
    let against = Against::Limit(LIMIT_MIB);
    Ok(Row { what: "memory of an idle instance", unit: "MiB", ours: samples, against })
}

/// Number, parent and command line of each process.
fn processes() -> Vec<(u32, u32, String)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let one = |entry: fs::DirEntry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let read = |name: &str| fs::read_to_string(entry.path().join(name)).ok();
        let status = read("status")?;
        let parent = status.lines().find_map(|l| l.strip_prefix("PPid:"))?.trim().parse().ok()?;
        Some((pid, parent, read("cmdline")?))
    };
    entries.filter_map(one).collect()
}

/// In KiB.
fn share(pid: u32) -> Option<f64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let pss = rollup.lines().find_map(|l| l.strip_prefix("Pss:"))?;
    pss.split_whitespace().next()?.parse().ok()
}
