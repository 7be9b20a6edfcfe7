//! What a job could leave behind. All of it is told from what other jobs of this machine do at
//! the same time, by names that only this job has.

use crate::processes::{self, Process};
use belljar_testkit::Scene;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The kernel takes namespaces and processes away in its own time, but it does.
const PATIENCE: Duration = Duration::from_secs(30);

/// What of a job is there while it runs.
#[derive(Debug, Default)]
pub(crate) struct Footprint {
    processes: BTreeSet<Process>,
    namespaces: BTreeSet<String>,
    /// Of this process: the youngest that can belong to the job, in clock ticks.
    last_start: u64,
}

impl Footprint {
    /// Of a process and all below it.
    pub(crate) fn of(top: Process) -> Self {
        let processes = top.tree();
        let host = Process { pid: i32::try_from(std::process::id()).unwrap(), started: 0 };
        let mut namespaces: BTreeSet<_> = processes.iter().flat_map(|p| p.namespaces()).collect();
        for shared in host.namespaces() {
            namespaces.remove(&shared);
        }
        let last_start = processes.iter().map(|p| p.started).max().unwrap_or(0);
        Self { processes, namespaces, last_start }
    }

    /// How many namespaces are the job's own.
    pub(crate) fn namespaces(&self) -> usize {
        self.namespaces.len()
    }

    /// How many processes are the job's own.
    pub(crate) fn processes(&self) -> usize {
        self.processes.len()
    }

    fn remains(&self) -> Vec<String> {
        let mut found = Vec::new();
        for process in self.processes.iter().filter(|p| p.lives()) {
            found.push(format!("process {} {}", process.pid, process.command()));
        }
        // The kernel gives a namespace's number to the next one that is made: only a process as
        // old as the job can still mean the job's.
        for process in processes::all().iter().filter(|p| p.started <= self.last_start) {
            for held in process.namespaces().intersection(&self.namespaces) {
                found.push(format!("{held}, held by {} {}", process.pid, process.command()));
            }
        }
        found
    }
}

/// Waits until nothing is left of a job but its records and its whole artifacts.
pub(crate) fn assert_none(scene: &Scene, job: &str, before: &Footprint) {
    let began = Instant::now();
    loop {
        let found = remains(scene, job, before);
        if found.is_empty() {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "left behind by {job}:\n{}", found.join("\n"));
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn remains(scene: &Scene, job: &str, before: &Footprint) -> Vec<String> {
    let mut found = before.remains();
    found.extend(users_of(scene.path()));
    found.extend(cgroups(job));
    found.extend(files(scene, job));
    found
}

/// The same for a container that serves, whose folder is that one: other containers of the scene
/// may go on.
pub(crate) fn assert_none_of(scene: &Scene, job: &str, before: &Footprint, folder: &Path) {
    let records =
        ["assignment.json", "journal.jsonl", "lock", "report.json", "warden.log", "orders"];
    let events = ["events/00000001.jsonl"];
    let began = Instant::now();
    loop {
        let mut found = before.remains();
        found.extend(users_of(folder));
        found.extend(cgroups(job));
        found.extend(strangers(folder, &[&records[..], &events].concat()));
        let evidence = ["evidence/algo-1.intoto.json"];
        found.extend(strangers(&scene.output().join(job), &evidence));
        if found.is_empty() {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "left behind by {job}:\n{}", found.join("\n"));
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Processes that have something of the scene as a mount, a folder, an argument or an open file.
pub(crate) fn users_of(scene: &Path) -> Vec<String> {
    let scene = scene.to_str().unwrap();
    let own = i32::try_from(std::process::id()).unwrap();
    let mut found = Vec::new();
    for process in processes::all().iter().filter(|p| p.pid != own) {
        let mounts = fs::read_to_string(process.file("mountinfo")).unwrap_or_default();
        let mut said = vec![process.command()];
        said.extend(mounts.lines().map(str::to_owned));
        let links = ["cwd", "root", "exe"].map(|name| process.file(name));
        let open = fs::read_dir(process.file("fd")).into_iter().flatten().flatten();
        let links = links.into_iter().chain(open.map(|e| e.path()));
        said.extend(links.filter_map(|l| Some(fs::read_link(l).ok()?.display().to_string())));
        if let Some(text) = said.iter().find(|text| text.contains(scene)) {
            found.push(format!("process {} ({}): {text}", process.pid, process.command()));
        }
    }
    found
}

/// The job's cgroups, in any hierarchy.
pub(crate) fn cgroups(job: &str) -> Vec<String> {
    let prefix = format!("{job}-");
    let mut found = Vec::new();
    let mut todo = vec![PathBuf::from("/sys/fs/cgroup")];
    while let Some(folder) = todo.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if !entry.file_type().is_ok_and(|t| t.is_dir()) {
                continue;
            }
            if entry.file_name().to_string_lossy().starts_with(&prefix) {
                found.push(format!("cgroup {}", entry.path().display()));
            }
            todo.push(entry.path());
        }
    }
    found
}

/// Files that are neither a record of the job nor one of its artifacts under its final name.
fn files(scene: &Scene, job: &str) -> Vec<String> {
    let records = ["assignment.json", "journal.jsonl", "lock", "report.json", "warden.log"];
    let artifacts = [
        "output/model.tar.gz",
        "output/output.tar.gz",
        "evidence/algo-1.intoto.json",
        "evidence/algo-2.intoto.json",
        "evidence/job.intoto.json",
    ];
    // Instances have records of their own.
    let instances = ["instances/algo-1", "instances/algo-2"];
    let theirs = instances.iter().flat_map(|i| records.iter().map(move |r| format!("{i}/{r}")));
    let theirs: Vec<String> = theirs.chain(instances.map(str::to_owned)).collect();
    let all: Vec<&str> = records.into_iter().chain(theirs.iter().map(String::as_str)).collect();
    let mut found = strangers(&scene.state().join("jobs").join(job), &all);
    found.extend(strangers(&scene.output().join(job), &artifacts));
    let half = |path: &PathBuf| path.to_string_lossy().contains("/.tmp-");
    let images = below(&scene.state().join("images")).into_iter().filter(half);
    found.extend(images.map(|p| format!("file {}", p.display())));
    found
}

fn strangers(folder: &Path, expected: &[&str]) -> Vec<String> {
    let known = |path: &PathBuf| {
        let name = path.strip_prefix(folder).unwrap().to_str().unwrap_or("?");
        expected.iter().any(|e| *e == name || Path::new(e).parent() == Some(Path::new(name)))
    };
    let all = below(folder).into_iter().filter(|p| !known(p));
    all.map(|p| format!("file {}", p.display())).collect()
}

/// Every file and folder below a folder.
pub(crate) fn below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut todo = vec![folder.to_owned()];
    while let Some(folder) = todo.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|t| t.is_dir()) {
                todo.push(entry.path());
            }
            found.push(entry.path());
        }
    }
    found
}
