//! Reads back what the kernel says of a process.

use crate::error::{During, Result};
use std::collections::BTreeMap;
use std::fs;

/// The kinds of namespace, by their names in /proc.
pub const KINDS: [&str; 7] = ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"];

/// Kind to inode number.
pub type Namespaces = BTreeMap<String, u64>;

/// A process as /proc describes it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProcessReading {
    /// Its namespaces; of a process that has ended, those that are left.
    pub namespaces: Namespaces,
    /// Capability set to hexadecimal bits.
    pub capabilities: BTreeMap<String, String>,
    /// `NoNewPrivs`.
    pub no_new_privileges: bool,
    /// `Seccomp`.
    pub seccomp_mode: u32,
    /// `Seccomp_filters`.
    pub seccomp_filters: u32,
    /// Lines of `uid_map`, single-spaced.
    pub uid_map: Vec<String>,
    /// `/path type flags`, of a process that lives.
    pub mounts: Vec<String>,
}

/// The namespaces of `who` (a process number or `self`).
#[must_use]
pub fn namespaces(who: &str) -> Namespaces {
    let inode = |kind: &&str| {
        let link = fs::read_link(format!("/proc/{who}/ns/{kind}")).ok()?;
        let text = link.to_string_lossy();
        let number = text.split_once('[')?.1.trim_end_matches(']').parse().ok()?;
        Some(((*kind).to_owned(), number))
    };
    KINDS.iter().filter_map(inode).collect()
}

/// Reads a process, living or ended but not yet reaped.
///
/// # Errors
/// If there is no such process.
pub fn read(pid: i32) -> Result<ProcessReading> {
    let file = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}"));
    let status = file("status").during(format!("read the status of process {pid}"))?;
    let field = |name: &str| {
        status.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':')).map_or("", str::trim)
    };
    let sets = [
        ("inheritable", "CapInh"),
        ("permitted", "CapPrm"),
        ("effective", "CapEff"),
        ("bounding", "CapBnd"),
        ("ambient", "CapAmb"),
    ];
    let spaced = |l: &str| l.split_whitespace().collect::<Vec<_>>().join(" ");
    Ok(ProcessReading {
        namespaces: namespaces(&pid.to_string()),
        capabilities: sets
            .into_iter()
            .filter(|(_, f)| !field(f).is_empty())
            .map(|(set, f)| (set.to_owned(), field(f).to_owned()))
            .collect(),
        no_new_privileges: field("NoNewPrivs") == "1",
        seccomp_mode: field("Seccomp").parse().unwrap_or(0),
        seccomp_filters: field("Seccomp_filters").parse().unwrap_or(0),
        uid_map: file("uid_map").unwrap_or_default().lines().map(spaced).collect(),
        mounts: file("mountinfo").unwrap_or_default().lines().filter_map(mount_line).collect(),
    })
}

/// Fields 5 (mount point), 6 (options) and, behind the separator, the type; see
/// proc_pid_mountinfo(5).
fn mount_line(line: &str) -> Option<String> {
    let (front, back) = line.split_once(" - ")?;
    let mut fields = front.split(' ').skip(4);
    let (point, options) = (fields.next()?, fields.next()?);
    Some(format!("{point} {} {options}", back.split(' ').next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_this_process() {
        let me = read(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert_eq!(me.namespaces.len(), KINDS.len());
        assert_eq!(me.capabilities.len(), 5);
        assert!(me.mounts.iter().any(|m| m.starts_with("/proc proc ")));
        assert_eq!(me.namespaces, namespaces("self"));
    }

    #[test]
    fn of_nobody() {
        assert!(read(i32::MAX).is_err());
    }
}
