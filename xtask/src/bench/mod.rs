//! `cargo run --release -p xtask -- bench`: Belljar against named peers, in one run on one
//! machine. What it prints are ratios; docs/benchmarks.md says how they come about.

mod client;
mod download;
mod fixture;
mod job;
mod launch;
mod loopback;
mod memory;
mod objects;
mod peers;
mod preflight;
mod proxies;
mod requests;
mod sample;
mod server;
mod serving;
mod staging;
mod start;
mod table;
mod tools;
mod unpack;
mod vpc;
mod wireguard;

use std::path::{Path, PathBuf};
use table::Row;

/// The names of measurements.
pub(crate) const NAMES: &str = "job|unpack|staging|memory|requests|objects|download|launch|start|peers|serving|flow-logs|vpc|preflight";

/// What a measurement answers: its rows, or why it was not made.
type Measured = Result<Vec<Row>, String>;

/// The programs under test, and a folder for what they write.
pub(crate) struct Bench {
    belljar: PathBuf,
    warden: PathBuf,
    probe: PathBuf,
    scratch: PathBuf,
    root: bool,
}

/// Runs the measurements of these names, or every one; answers what could not be measured.
pub(crate) fn run(names: &[&str]) -> Result<Vec<String>, String> {
    let bench = Bench::open(Path::new("target"))?;
    println!("{}\n", tools::host_facts());
    println!("{}", table::HEAD);
    type Measurement = fn(&Bench) -> Measured;
    let all: [(&str, Measurement); 14] = [
        ("job", job::measure),
        ("unpack", unpack::measure),
        ("staging", staging::measure),
        ("memory", memory::measure),
        ("requests", requests::measure),
        ("objects", objects::measure),
        ("download", download::measure),
        ("launch", launch::measure),
        ("start", start::measure),
        ("peers", peers::measure),
        ("serving", serving::measure),
        ("flow-logs", vpc::flow_log),
        ("vpc", vpc::measure),
        ("preflight", preflight::measure),
    ];
    if let Some(unknown) = names.iter().find(|n| !all.iter().any(|(name, _)| name == *n)) {
        return Err(format!("there is no measurement '{unknown}'"));
    }
    let mut missing = Vec::new();
    let wanted = |name: &str| names.is_empty() || names.contains(&name);
    for (name, measure) in all.into_iter().filter(|(name, _)| wanted(name)) {
        match measure(&bench) {
            Ok(rows) => rows.iter().for_each(|row| println!("{row}")),
            Err(why) => {
                println!("{name:<30} not measured: {why}");
                missing.push(name.to_owned());
            }
        }
    }
    println!("\nload average at the end: {}", tools::load());
    tools::remove(&bench.scratch)?;
    Ok(missing)
}

impl Bench {
    /// Finds the programs that `make build` makes, and makes an empty scratch folder beside them,
    /// on the disk that the project is on.
    fn open(target: &Path) -> Result<Self, String> {
        let target =
            target.canonicalize().map_err(|e| format!("find {}: {e}", target.display()))?;
        let host = tools::output("rustc", &["-vV"])?;
        let host = host.lines().find_map(|l| l.strip_prefix("host: ")).unwrap_or_default();
        let scratch = target.join("bench");
        tools::remove(&scratch)?;
        tools::make_folder(&scratch)?;
        let bench = Self {
            belljar: target.join("release/belljar"),
            warden: target.join("release/belljar-warden"),
            probe: target.join("static").join(host).join("release/probe"),
            scratch,
            root: tools::output("id", &["-u"])?.trim() == "0",
        };
        for program in [&bench.belljar, &bench.warden, &bench.probe] {
            if !program.is_file() {
                return Err(format!("there is no {}: run 'make build'", program.display()));
            }
        }
        Ok(bench)
    }

    /// An image's root with the folders that every image has, and the probe as its only file.
    fn probe_root(&self, at: &Path) -> Result<(), String> {
        for folder in ["dev", "etc", "opt/ml", "proc", "sys", "tmp"] {
            tools::make_folder(&at.join(folder))?;
        }
        std::fs::copy(&self.probe, at.join("probe"))
            .map(drop)
            .map_err(|e| format!("copy the probe: {e}"))
    }

    /// A state folder with an image `noop` that runs `/probe exit 0`.
    fn state_with_noop(&self, name: &str) -> Result<PathBuf, String> {
        let (state, root) = (self.scratch.join(name), self.scratch.join(format!("{name}-root")));
        self.probe_root(&root)?;
        let mut import = self.belljar(&state);
        import.args(["image", "import"]).arg(&root).args(["--tag", "noop"]);
        tools::finish(import.args(["--entrypoint", "/probe"]))?;
        Ok(state)
    }

    /// A quiet Belljar with this state folder.
    fn belljar(&self, state: &Path) -> std::process::Command {
        let mut command = std::process::Command::new(&self.belljar);
        command.arg("--quiet").arg("--state").arg(state);
        command
    }

    /// `train` of the image `noop` with this command.
    fn train(&self, state: &Path, arguments: &[&str]) -> std::process::Command {
        let mut command = self.belljar(state);
        command.args(["train", "--image", "noop", "--output"]).arg(state.join("output"));
        if self.root {
            command.args(["--cpus", "1", "--memory", "1GiB"]);
        }
        for argument in arguments {
            command.args(["--argument", argument]);
        }
        command
    }
}
