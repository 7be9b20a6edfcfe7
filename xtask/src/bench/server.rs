//! Servers under test: started for a measurement, and stopped when they are dropped.

use super::Bench;
use super::client::Endpoint;
use super::tools;
use serde_json::Value;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longer than any server takes to start or to stop.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server that runs.
pub(crate) struct Server {
    child: Child,
    pub(crate) endpoint: Endpoint,
}

impl Server {
    /// Starts Belljar's service on a state folder and waits until it told its address.
    pub(crate) fn belljar(bench: &Bench, state: &Path) -> Result<Self, String> {
        let mut server = Self::starting(spawn_belljar(bench, state)?);
        server.wait_for_address(state)?;
        let keys = |text: String| {
            let of = |name: &str| exported(&text, name).ok_or(format!("belljar env has no {name}"));
            Ok::<_, String>(Endpoint {
                address: of("AWS_ENDPOINT_URL")?
                    .trim_start_matches("http://")
                    .trim_end_matches('/')
                    .to_owned(),
                region: of("AWS_DEFAULT_REGION").or_else(|_| of("AWS_REGION"))?,
                access_key: of("AWS_ACCESS_KEY_ID")?,
                secret: of("AWS_SECRET_ACCESS_KEY")?,
            })
        };
        server.endpoint = tools::finish(bench.belljar(state).arg("env")).and_then(keys)?;
        Ok(server)
    }

    /// Starts moto's server, which answers any key. It comes with `make venv`.
    pub(crate) fn moto() -> Result<Self, String> {
        let program = Path::new(".venv/bin/moto_server");
        if !program.is_file() {
            return Err(format!("there is no {}: run 'make venv'", program.display()));
        }
        let port = free_port()?;
        let child = Command::new(program)
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| format!("start moto's server: {e}"))?;
        let endpoint = Endpoint {
            address: format!("127.0.0.1:{port}"),
            region: "us-east-1".to_owned(),
            access_key: "bench".to_owned(),
            secret: "bench".to_owned(),
        };
        let mut server = Self { child, endpoint };
        let start = Instant::now();
        while TcpStream::connect(&server.endpoint.address).is_err() {
            wait_a_little(&mut server.child, start, Duration::from_millis(50))?;
        }
        Ok(server)
    }

    /// A server that does not listen yet.
    pub(crate) fn starting(child: Child) -> Self {
        Self { child, endpoint: Endpoint::nowhere() }
    }

    /// Waits for the address of this very process, `127.0.0.1:4747`.
    pub(crate) fn wait_for_address(&mut self, state: &Path) -> Result<String, String> {
        let (file, start) = (state.join("service/address.json"), Instant::now());
        loop {
            let told = fs::read(&file).ok().and_then(|t| serde_json::from_slice::<Value>(&t).ok());
            let told = told.filter(|t| t["pid"].as_u64() == Some(u64::from(self.pid())));
            if let Some(url) = told.as_ref().and_then(|t| t["endpoint"].as_str()) {
                return Ok(url.trim_start_matches("http://").trim_end_matches('/').to_owned());
            }
            wait_a_little(&mut self.child, start, Duration::from_micros(200))?;
        }
    }

    /// The process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    /// Asks the server to end, and kills it if it does not.
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let start = Instant::now();
        while wait_a_little(&mut self.child, start, Duration::from_millis(5)).is_ok() {}
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts the service on a free port.
pub(crate) fn spawn_belljar(bench: &Bench, state: &Path) -> Result<Child, String> {
    let mut up = bench.belljar(state);
    up.args(["up", "--listen", "127.0.0.1:0"]);
    up.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    up.spawn().map_err(|e| format!("start the service: {e}"))
}

/// Sleeps; an error if the process ended or the patience did.
fn wait_a_little(child: &mut Child, start: Instant, pause: Duration) -> Result<(), String> {
    if let Ok(Some(status)) = child.try_wait() {
        return Err(format!("the server ended with {status}"));
    }
    if start.elapsed() > PATIENCE {
        return Err(format!("the server took longer than {} s", PATIENCE.as_secs()));
    }
    std::thread::sleep(pause);
    Ok(())
}

/// The value of a shell's `export NAME=value`.
fn exported(text: &str, name: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let (key, value) = line.strip_prefix("export ")?.split_once('=')?;
        (key == name).then(|| value.trim_matches(['\'', '"']).to_owned())
    })
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> Result<u16, String> {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|l| l.local_addr())
        .map(|a| a.port())
        .map_err(|e| format!("find a free port: {e}"))
}
