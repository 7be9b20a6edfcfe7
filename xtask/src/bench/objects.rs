//! One large object in and out of Belljar's S3, against what the loopback device carries in the
//! same minute.

use super::client::{Call, Connection, Endpoint, Signer};
use super::fixture::{self, BUCKET};
use super::sample::Samples;
use super::server::Server;
use super::table::{Against, Row};
use super::tools::{self, Noise};
use super::{Bench, Measured, loopback};
use std::fs;
use std::path::Path;
use std::time::Instant;

const RUNS: usize = 5;
const MIB: usize = 1024;
const MEGABYTES: f64 = 1024.0 * 1024.0 * 1024.0 / 1e6;

pub(super) fn measure(bench: &Bench) -> Measured {
    let server = Server::belljar(bench, &bench.scratch.join("objects"))?;
    let endpoint = &server.endpoint;
    fixture::bucket(endpoint)?;
    let (file, copy) = (bench.scratch.join("object"), bench.scratch.join("object-copy"));
    write_noise(&file)?;
    let remote = format!("s3://{BUCKET}/object");
    let [mut put, mut get, mut plain, mut tcp] = [const { Samples::none() }; 4];
    for run in 0..=RUNS {
        tools::sync()?;
        let carried = loopback::speed(MIB)?;
        let written = cp(endpoint, &file.display().to_string(), &remote)?;
        tools::sync()?;
        let read = cp(endpoint, &remote, &copy.display().to_string())?;
        fs::remove_file(&copy).map_err(|e| format!("remove a copy: {e}"))?;
        let bare = plain_get(endpoint)?;
        // The first run warms the page cache.
        if run > 0 {
            tcp.push(carried);
            put.push(written);
            get.push(read);
            plain.push(bare);
        }
    }
    let row = |what, ours| {
        let against = Against::Rate { peer: "loopback TCP", samples: tcp.clone(), at_least: None };
        Row { what, unit: "MB/s", ours, against }
    };
    Ok(vec![
        row("s5cmd cp 1 GiB into S3", put),
        row("s5cmd cp 1 GiB out of S3", get),
        row("plain GET of 1 GiB", plain),
    ])
}

fn write_noise(at: &Path) -> Result<(), String> {
    let block = Noise::new(1).bytes(1 << 20);
    let content: Vec<u8> = (0..MIB).flat_map(|_| &block).copied().collect();
    fs::write(at, content).map_err(|e| format!("write {}: {e}", at.display()))
}

/// MB/s of a whole run of s5cmd.
fn cp(endpoint: &Endpoint, from: &str, to: &str) -> Result<f64, String> {
    let millis = tools::time(fixture::s5cmd(endpoint)?.args(["cp", from, to]))?;
    Ok(MEGABYTES / millis * 1000.0)
}

/// MB/s of a GET whose body is forgotten as it comes.
fn plain_get(endpoint: &Endpoint) -> Result<f64, String> {
    let call = Call::s3("GET", &format!("/{BUCKET}/object"), Vec::new());
    let mut connection = Connection::new(&endpoint.address);
    let start = Instant::now();
    connection.send(&Signer::new(endpoint).request(&call))?;
    match connection.discard()? {
        bytes if bytes == MIB << 20 => Ok(MEGABYTES / start.elapsed().as_secs_f64()),
        bytes => Err(format!("the object has {bytes} bytes")),
    }
}
