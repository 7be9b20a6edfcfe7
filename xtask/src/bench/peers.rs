//! Links between instances against a plain pair of virtual interfaces, and against WireGuard by
//! another program in the same place; and how long several instances take to start.

use super::sample::Samples;
use super::table::{Against, Row};
use super::tools::{finish, output};
use super::wireguard::Boringtun;
use super::{Bench, Measured};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

const RUNS: usize = 9;
/// Of each flow.
const SECONDS: &str = "2";
/// Of an all-reduce.
const MEGABYTES: &str = "100";
/// Starts of each number of instances, and those that warm caches.
const STARTS: usize = 10;
const WARM_UP: usize = 2;
/// Milliseconds that one more instance may cost.
const EACH_MS: f64 = 30.0;

/// Rate, round trip and all-reduce of one link.
#[derive(Default)]
struct Link {
    mbps: Samples,
    rtt: Samples,
    reduce: Samples,
}

impl Link {
    /// Takes in what a flow and an all-reduce printed.
    fn take(&mut self, text: &str) -> Result<(), String> {
        let Self { mbps, rtt, reduce } = self;
        for (word, samples) in [("mbps ", mbps), ("rtt ", rtt), ("reduced ", reduce)] {
            let found = text.lines().find_map(|l| l.rsplit_once(word)?.1.trim().parse().ok());
            samples.push(found.ok_or_else(|| format!("there is no '{word}' in: {text}"))?);
        }
        Ok(())
    }
}

pub(super) fn measure(bench: &Bench) -> Measured {
    if !bench.root {
        return Err("making network namespaces takes root".to_owned());
    }
    let state = bench.state_with_noop("peers")?;
    let mut links: [Link; 4] = Default::default();
    let mut no_peer = String::new();
    for run in 0..RUNS {
        let [plain, veth, encrypted, boringtun] = &mut links;
        plain.take(&Pair::plain()?.measure(bench)?)?;
        veth.take(&of_job(bench, &state, &format!("veth-{run}"), false)?)?;
        encrypted.take(&of_job(bench, &state, &format!("wireguard-{run}"), true)?)?;
        if no_peer.is_empty() {
            match Boringtun::start(&bench.scratch) {
                Ok(peer) => boringtun.take(&peer.pair().measure(bench)?)?,
                Err(why) => no_peer = why,
            }
        }
    }
    let mut rows = rows_of_links(links);
    if !no_peer.is_empty() {
        println!("boringtun                      not measured: {no_peer}");
    }
    println!("kernel WireGuard               not measured: Belljar has no driver for it");
    rows.extend(starts(bench, &state)?);
    Ok(rows)
}

fn rows_of_links([plain, veth, encrypted, boringtun]: [Link; 4]) -> Vec<Row> {
    let row = |what, unit, ours: &Samples, against| Row { what, unit, ours: ours.clone(), against };
    let rate = |peer, samples: &Samples, at_least| Against::Rate {
        peer,
        samples: samples.clone(),
        at_least,
    };
    let over = |samples: &Samples| Against::Overhead {
        peer: "veth",
        samples: samples.clone(),
        at_most: None,
    };
    let mut rows = vec![
        row("peers: veth, one TCP flow", "MB/s", &veth.mbps, rate("veth", &plain.mbps, Some(0.95))),
        row("peers: veth, UDP round trip", "us", &veth.rtt, over(&plain.rtt)),
        row("peers: veth, all-reduce", "ms", &veth.reduce, over(&plain.reduce)),
        row(
            "peers: gotatun, one TCP flow",
            "MB/s",
            &encrypted.mbps,
            rate("veth", &plain.mbps, Some(0.05)),
        ),
        row("peers: gotatun, UDP round trip", "us", &encrypted.rtt, over(&plain.rtt)),
        row("peers: gotatun, all-reduce", "ms", &encrypted.reduce, over(&plain.reduce)),
    ];
    if boringtun.mbps.count() > 0 {
        let against = rate("boringtun", &boringtun.mbps, Some(1.3));
        rows.push(row("peers: gotatun, one TCP flow", "MB/s", &encrypted.mbps, against));
        let against =
            Against::Overhead { peer: "boringtun", samples: boringtun.rtt.clone(), at_most: None };
        rows.push(row("peers: gotatun, UDP round trip", "us", &encrypted.rtt, against));
    }
    rows
}

/// Two ends with addresses, each in a network namespace.
pub(super) struct Pair {
    names: [String; 2],
    addresses: [&'static str; 2],
}

impl Pair {
    /// Makes the namespaces, empty.
    pub(super) fn new() -> Result<Self, String> {
        let names = ["a", "b"].map(|end| format!("belljar-bench-{end}"));
        let pair = Self { names, addresses: ["10.78.0.1", "10.78.0.2"] };
        for name in &pair.names {
            // Left by a run that was killed.
            let _none = output("ip", &["netns", "del", name]);
            output("ip", &["netns", "add", name])?;
            output("ip", &["-n", name, "link", "set", "lo", "up"])?;
        }
        Ok(pair)
    }

    /// Joined by a pair of virtual interfaces.
    fn plain() -> Result<Self, String> {
        let pair = Self::new()?;
        let [a, b] = &pair.names;
        let link = ["link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", b];
        output("ip", &[&["-n", a], &link[..]].concat())?;
        pair.bring_up("eth0")?;
        Ok(pair)
    }

    pub(super) fn name(&self, end: usize) -> &str {
        &self.names[end]
    }

    pub(super) fn address(&self, end: usize) -> &'static str {
        self.addresses[end]
    }

    /// Gives the interfaces of that name their addresses.
    pub(super) fn bring_up(&self, interface: &str) -> Result<(), String> {
        for (name, address) in self.names.iter().zip(self.addresses) {
            let address = format!("{address}/24");
            output("ip", &["-n", name, "addr", "add", &address, "dev", interface])?;
            output("ip", &["-n", name, "link", "set", interface, "up"])?;
        }
        Ok(())
    }

    fn probe(&self, bench: &Bench, end: usize, arguments: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", self.name(end)]).arg(&bench.probe).args(arguments);
        command
    }

    /// A flow, then an all-reduce; what both ends print.
    fn measure(&self, bench: &Bench) -> Result<String, String> {
        let [near, far] = self.addresses;
        let target = format!("{far}:7000");
        let mut text =
            self.both(bench, &["flow", "to", &target, SECONDS], &["flow", "end", "7000"])?;
        let first = ["flow", "reduce", "0", far, "7100", MEGABYTES];
        text += &self.both(bench, &first, &["flow", "reduce", "1", near, "7100", MEGABYTES])?;
        Ok(text)
    }

    fn both(&self, bench: &Bench, near: &[&str], far: &[&str]) -> Result<String, String> {
        let mut other = self.probe(bench, 1, far);
        let other = other.stdout(Stdio::piped()).spawn().map_err(|e| format!("start ip: {e}"))?;
        let text = finish(&mut self.probe(bench, 0, near));
        let said = said(other, text.is_err());
        Ok(text? + &said?)
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        for name in &self.names {
            let _gone = output("ip", &["netns", "del", name]);
        }
    }
}

/// What a child prints until it ends; one whose other end failed is ended.
fn said(mut child: Child, failed: bool) -> Result<String, String> {
    if failed {
        let _ended = child.kill();
    }
    let out = child.wait_with_output().map_err(|e| format!("wait for the probe: {e}"))?;
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

/// The same between two instances of a job.
fn of_job(bench: &Bench, state: &Path, name: &str, encrypted: bool) -> Result<String, String> {
    let mut text = String::new();
    let flow = [format!("flow to algo-2:7000 {SECONDS}"), "flow end 7000".to_owned()];
    let reduce = [
        format!("flow reduce 0 algo-2 7100 {MEGABYTES}"),
        format!("flow reduce 1 algo-1 7100 {MEGABYTES}"),
    ];
    for (part, [first, second]) in [("flow", flow), ("reduce", reduce)] {
        let mut train = bench.belljar(state);
        train.args(["train", "--image", "noop", "--instances", "2", "--output"]);
        train.arg(state.join("output")).args(["--job-name", &format!("{name}-{part}")]);
        if encrypted {
            train.arg("--encrypt-inter-container-traffic");
        }
        for argument in ["each", &first, &second] {
            train.args(["--argument", argument]);
        }
        text += &finish(&mut train)?;
    }
    Ok(text)
}

/// From starting `belljar train` to the last instance's first instruction.
fn starts(bench: &Bench, state: &Path) -> Measured {
    let counts: [(u8, &'static str); 4] =
        [(1, "start of 1 instance"), (2, "start of 2"), (4, "start of 4"), (8, "start of 8")];
    let mut samples: [Samples; 4] = Default::default();
    for run in 0..WARM_UP + STARTS {
        for ((count, _), samples) in counts.iter().zip(&mut samples) {
            let began = start(bench, state, *count, run)?;
            if run >= WARM_UP {
                samples.push(began);
            }
        }
    }
    let first = samples[0].median();
    let row = |((count, what), ours): ((u8, &'static str), Samples)| {
        let limit = first + EACH_MS * f64::from(count - 1);
        Row { what, unit: "ms", ours, against: Against::Limit(limit) }
    };
    Ok(counts.into_iter().zip(samples).map(row).collect())
}

fn start(bench: &Bench, state: &Path, count: u8, run: usize) -> Result<f64, String> {
    let mut train = bench.belljar(state);
    train.args(["train", "--image", "noop", "--instances", &count.to_string(), "--output"]);
    train.arg(state.join("output")).args(["--job-name", &format!("start-{count}-{run}")]);
    train.args(["--argument", "clock"]);
    let asked = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let text = finish(&mut train)?;
    let clocks =
        text.lines().filter_map(|l| l.rsplit_once("clock ")?.1.trim().parse::<u128>().ok());
    let last = clocks.max().ok_or_else(|| format!("no instance printed its clock: {text}"))?;
    let micros = last.saturating_sub(asked.as_nanos()) / 1000;
    u32::try_from(micros).map(|m| f64::from(m) / 1000.0).map_err(|e| e.to_string())
}
