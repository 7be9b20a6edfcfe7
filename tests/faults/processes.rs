//! Processes as /proc shows them.

use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

/// A process that cannot be mistaken for a later one of the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    /// Clock ticks since the machine started.
    pub(crate) started: u64,
}

struct Stat {
    state: char,
    parent: i32,
    started: u64,
}

fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    let mut rest = text[text.rfind(')')? + 1..].split_whitespace();
    let state = rest.next()?.chars().next()?;
    let parent = rest.next()?.parse().ok()?;
    let started = rest.nth(17)?.parse().ok()?;
    Some(Stat { state, parent, started })
}

/// Every process of the machine that has not ended; one that only waits to be reaped by its
/// parent has.
pub(crate) fn all() -> Vec<Process> {
    let numbers = fs::read_dir("/proc").unwrap().flatten();
    let pids = numbers.filter_map(|e| e.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| {
        let stat = stat(pid)?;
        (!matches!(stat.state, 'Z' | 'X')).then_some(Process { pid, started: stat.started })
    })
    .collect()
}

impl Process {
    /// A file of its folder in /proc.
    pub(crate) fn file(self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.pid))
    }

    /// Its command line, words separated by spaces.
    pub(crate) fn command(self) -> String {
        let bytes = fs::read(self.file("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).replace('\0', " ")
    }

    /// Whether it is still there.
    pub(crate) fn lives(self) -> bool {
        stat(self.pid).is_some_and(|s| s.started == self.started && !matches!(s.state, 'Z' | 'X'))
    }

    /// Whether it is stopped, as by SIGSTOP.
    pub(crate) fn is_stopped(self) -> bool {
        stat(self.pid).is_some_and(|s| s.state == 'T')
    }

    /// Its children.
    pub(crate) fn children(self) -> Vec<Self> {
        let is_child = |p: &Self| stat(p.pid).is_some_and(|s| s.parent == self.pid);
        all().into_iter().filter(is_child).collect()
    }

    /// Itself and all below.
    pub(crate) fn tree(self) -> BTreeSet<Self> {
        let mut found = BTreeSet::from([self]);
        let mut todo = vec![self];
        while let Some(process) = todo.pop() {
            todo.extend(process.children().into_iter().filter(|p| found.insert(*p)));
        }
        found
    }

    /// The namespaces that it or a thread of it is in, or that it holds by descriptor.
    pub(crate) fn namespaces(self) -> BTreeSet<String> {
        let mut folders = vec![self.file("fd")];
        let threads = fs::read_dir(self.file("task")).into_iter().flatten().flatten();
        folders.extend(threads.map(|t| t.path().join("ns")));
        let links = folders.iter().flat_map(|f| fs::read_dir(f).into_iter().flatten().flatten());
        let targets =
            links.filter_map(|l| fs::read_link(l.path()).ok()?.into_os_string().into_string().ok());
        targets.filter(|t| t.contains(":[40")).collect()
    }

    /// Ends it, now.
    pub(crate) fn kill(self) {
        self.signal(Signal::KILL);
    }

    /// Sends it a signal.
    pub(crate) fn signal(self, signal: Signal) {
        assert!(self.lives(), "{self:?} is gone already");
        kill_process(Pid::from_raw(self.pid).unwrap(), signal).unwrap();
    }
}
