//! Programs, folders and facts of the host.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// Runs a command to its end. What it says is shown only in the error.
pub(crate) fn finish(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let out = command.stdin(Stdio::null()).output().map_err(|e| format!("start {name}: {e}"))?;
    if out.status.success() {
        return Ok(String::from_utf8_lossy(&out.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&out.stderr);
    Err(format!("{name} ended with {}: {}", out.status, said.trim()))
}

/// The same, and how long it took, in milliseconds.
pub(crate) fn time(command: &mut Command) -> Result<f64, String> {
    let start = Instant::now();
    finish(command)?;
    Ok(start.elapsed().as_secs_f64() * 1000.0)
}

/// What a program prints.
pub(crate) fn output(program: &str, arguments: &[&str]) -> Result<String, String> {
    finish(Command::new(program).args(arguments))
}

/// Whether a peer is installed; if not, how to get it.
pub(crate) fn need(program: &str) -> Result<(), String> {
    output(program, &["--version"]).map(drop).map_err(|_| {
        format!("there is no {program} (Debian and Ubuntu: apt-get install {program})")
    })
}

/// Writes everything to the disk, so that no run pays for the one before.
pub(crate) fn sync() -> Result<(), String> {
    output("sync", &[]).map(drop)
}

/// Makes a folder.
pub(crate) fn make_folder(at: &Path) -> Result<(), String> {
    fs::create_dir_all(at).map_err(|e| format!("make {}: {e}", at.display()))
}

/// Removes a folder that may be there.
pub(crate) fn remove(folder: &Path) -> Result<(), String> {
    match fs::remove_dir_all(folder) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("remove {}: {e}", folder.display()))
        }
        _ => Ok(()),
    }
}

/// The machine in one line; what cannot be read is said to be unknown.
pub(crate) fn host_facts() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let cpu = read("/proc/cpuinfo");
    let cpu = cpu.lines().find_map(|l| l.strip_prefix("model name")).unwrap_or(": unknown");
    let memory = read("/proc/meminfo");
    let kib = memory.lines().find_map(|l| l.strip_prefix("MemTotal:")?.split_whitespace().next());
    let gib = kib.and_then(|k| k.parse::<u64>().ok()).unwrap_or(0) >> 20;
    let kernel = read("/proc/sys/kernel/osrelease");
    format!(
        "{cores} cores ({}), {gib} GiB, Linux {}, load average at the start: {}",
        cpu.trim_start_matches([' ', '\t', ':']),
        kernel.trim(),
        load()
    )
}

/// The load average of the last minutes.
pub(crate) fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

/// Deterministic noise (xorshift64): the same files in every run.
pub(crate) struct Noise(u64);

impl Noise {
    /// A stream of its own for each seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Bytes that do not compress.
    pub(crate) fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut all = Vec::with_capacity(length + 8);
        while all.len() < length {
            all.extend_from_slice(&self.next().to_le_bytes());
        }
        all.truncate(length);
        all
    }
}
