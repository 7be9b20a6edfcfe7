//! What this machine has.

use std::path::Path;

/// The size of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine {
    /// Thousandths of a CPU that this process may use.
    pub cpu_millis: u64,
    /// Bytes of memory; `None` if the kernel does not say.
    pub memory_bytes: Option<u64>,
}

impl Machine {
    /// Asks the kernel: the CPUs that the scheduler allows, and `MemTotal` of `/proc/meminfo`.
    #[must_use]
    pub fn read() -> Self {
        let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let memory = std::fs::read_to_string(Path::new("/proc/meminfo")).ok();
        Self {
            cpu_millis: u64::try_from(cpus).unwrap_or(u64::MAX).saturating_mul(1000),
            memory_bytes: memory.as_deref().and_then(mem_total),
        }
    }
}

/// `MemTotal` in bytes.
fn mem_total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|l| l.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_kibibytes() {
        assert_eq!(mem_total("MemTotal:        8000 kB\nMemFree: 1 kB\n"), Some(8_192_000));
        assert_eq!(mem_total("MemFree: 1 kB\n"), None);
        assert!(Machine::read().cpu_millis >= 1000);
    }
}
