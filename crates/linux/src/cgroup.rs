//! The one cgroup of a container: its limits, and what the kernel counted. Versions 1 (also
//! hybrid) and 2 of the hierarchy; found where this process is.

use crate::error::{During, Error, Result};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

const MOUNT: &str = "/sys/fs/cgroup";
/// The folder that holds all of Belljar's groups.
const PARENT: &str = "belljar";
/// Microseconds of a CPU accounting period (the kernel's default).
const PERIOD_US: u64 = 100_000;

/// Limits to set; `None` leaves the resource unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Thousandths of a CPU.
    pub cpu_millis: Option<u64>,
    /// Bytes.
    pub memory_bytes: Option<u64>,
    /// Processes and threads.
    pub processes: Option<u32>,
}

/// A resource that can be limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Controller {
    /// CPU time.
    Cpu,
    /// Memory.
    Memory,
    /// Processes.
    Processes,
}

impl Controller {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Cpu, Self::Memory, Self::Processes];

    /// The kernel's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Processes => "pids",
        }
    }
}

/// How this host's hierarchy is mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

fn version() -> Version {
    if Path::new(MOUNT).join("cgroup.controllers").exists() { Version::Two } else { Version::One }
}

/// The controllers that a group made by this process can use.
#[must_use]
pub fn available() -> Vec<Controller> {
    Controller::ALL.into_iter().filter(|c| can_use(*c)).collect()
}

fn can_use(controller: Controller) -> bool {
    match version() {
        Version::One => {
            let root = Path::new(MOUNT).join(controller.name());
            is_writable(&root)
        }
        Version::Two => {
            let Ok(root) = v2_root() else { return false };
            let listed = fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default();
            listed.split_whitespace().any(|c| c == controller.name()) && is_writable(&root)
        }
    }
}

fn is_writable(folder: &Path) -> bool {
    rustix::fs::access(folder, rustix::fs::Access::WRITE_OK).is_ok()
}

/// Version 2: root makes its groups at the top; an ordinary user below what was delegated to it,
/// which is the folder above the one that this process is in.
fn v2_root() -> Result<PathBuf> {
    if is_writable(Path::new(MOUNT)) {
        return Ok(PathBuf::from(MOUNT));
    }
    let own = fs::read_to_string("/proc/self/cgroup").during("read /proc/self/cgroup")?;
    let path = own.lines().find_map(|l| l.strip_prefix("0::/")).unwrap_or_default();
    let own = Path::new(MOUNT).join(path);
    Ok(own.parent().map_or(own.clone(), Path::to_path_buf))
}

/// A container's group, in every hierarchy that is needed.
#[derive(Debug)]
pub struct Cgroup {
    folders: Vec<PathBuf>,
    version: Version,
}

impl Cgroup {
    /// Makes the group `name` with these limits.
    ///
    /// # Errors
    /// If a limit is asked for that this host or user cannot set: it is never left out.
    pub fn create(name: &str, limits: &Limits) -> Result<Self> {
        let wanted: Vec<Controller> = Controller::ALL
            .into_iter()
            .filter(|c| match c {
                Controller::Cpu => limits.cpu_millis.is_some(),
                // Also without a limit: the group counts kills for want of memory.
                Controller::Memory => limits.memory_bytes.is_some() || can_use(*c),
                Controller::Processes => limits.processes.is_some(),
            })
            .collect();
        let mut group = Self { folders: Vec::new(), version: version() };
        let made = group.make(name, &wanted).and_then(|()| group.limit(limits));
        match made {
            Ok(()) => Ok(group),
            Err(e) => {
                // What was made goes with the value; the error is the one to tell.
                drop(group);
                Err(e)
            }
        }
    }

    fn make(&mut self, name: &str, wanted: &[Controller]) -> Result<()> {
        match self.version {
            Version::One => {
                for controller in wanted {
                    let folder = Path::new(MOUNT).join(controller.name()).join(PARENT).join(name);
                    self.make_folder(folder)?;
                }
            }
            Version::Two if wanted.is_empty() => {}
            Version::Two => {
                let root = v2_root()?;
                let parent = root.join(PARENT);
                fs::create_dir_all(&parent).during("make a cgroup")?;
                for controller in wanted {
                    let word = format!("+{}", controller.name());
                    for folder in [&root, &parent] {
                        write(folder, "cgroup.subtree_control", &word)?;
                    }
                }
                self.make_folder(parent.join(name))?;
            }
        }
        Ok(())
    }

    fn make_folder(&mut self, folder: PathBuf) -> Result<()> {
        fs::create_dir_all(&folder).during(format!("make the cgroup {}", folder.display()))?;
        self.folders.push(folder);
        Ok(())
    }

    fn limit(&self, limits: &Limits) -> Result<()> {
        let quota = limits.cpu_millis.map(|m| (m * PERIOD_US / 1000).max(1000));
        match self.version {
            Version::One => {
                if let Some(quota) = quota {
                    let folder = self.folder_of(Controller::Cpu)?;
                    write(folder, "cpu.cfs_period_us", &PERIOD_US.to_string())?;
                    write(folder, "cpu.cfs_quota_us", &quota.to_string())?;
                }
                if let Some(bytes) = limits.memory_bytes {
                    let folder = self.folder_of(Controller::Memory)?;
                    write(folder, "memory.limit_in_bytes", &bytes.to_string())?;
                    // Swap counts too, where the kernel counts it: else the limit is only of RAM.
                    write_if_there(folder, "memory.memsw.limit_in_bytes", &bytes.to_string())?;
                }
                if let Some(n) = limits.processes {
                    write(self.folder_of(Controller::Processes)?, "pids.max", &n.to_string())?;
                }
            }
            Version::Two => {
                let Some(folder) = self.folders.first() else { return Ok(()) };
                if let Some(quota) = quota {
                    write(folder, "cpu.max", &format!("{quota} {PERIOD_US}"))?;
                }
                if let Some(bytes) = limits.memory_bytes {
                    write(folder, "memory.max", &bytes.to_string())?;
                    write_if_there(folder, "memory.swap.max", "0")?;
                }
                if let Some(n) = limits.processes {
                    write(folder, "pids.max", &n.to_string())?;
                }
            }
        }
        Ok(())
    }

    fn folder_of(&self, controller: Controller) -> Result<&Path> {
        let hierarchy = Path::new(MOUNT).join(controller.name());
        let found = self.folders.iter().find(|f| f.starts_with(&hierarchy));
        found.map(PathBuf::as_path).ok_or_else(|| {
            Error::other(format!("limit {}", controller.name()), "there is no such cgroup")
        })
    }

    /// Moves a process in; its children follow.
    ///
    /// # Errors
    /// If it has ended.
    pub fn add(&self, pid: i32) -> Result<()> {
        for folder in &self.folders {
            write(folder, "cgroup.procs", &pid.to_string())?;
        }
        Ok(())
    }

    /// How often the kernel killed a process of the group for want of memory.
    #[must_use]
    pub fn out_of_memory_kills(&self) -> u64 {
        let file = match self.version {
            Version::One => "memory.oom_control",
            Version::Two => "memory.events",
        };
        let mut texts = self.folders.iter().filter_map(|f| fs::read_to_string(f.join(file)).ok());
        let text = texts.next().unwrap_or_default();
        let value = text.lines().find_map(|l| l.strip_prefix("oom_kill "));
        value.and_then(|v| v.trim().parse().ok()).unwrap_or(0)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        for folder in &self.folders {
            // A group that still has a dying process in it is left to the sweeper.
            let _ = fs::remove_dir(folder);
        }
    }
}

/// Removes a group that a killed warden left. Its processes have died with the warden; one that
/// has not is killed.
///
/// # Errors
/// If it cannot be removed.
pub fn sweep(name: &str) -> Result<()> {
    let mut folders: Vec<PathBuf> = Vec::new();
    match version() {
        Version::One => {
            let hierarchy = |c: Controller| Path::new(MOUNT).join(c.name());
            folders.extend(Controller::ALL.map(|c| hierarchy(c).join(PARENT).join(name)));
        }
        Version::Two => folders.push(v2_root()?.join(PARENT).join(name)),
    }
    for folder in folders.into_iter().filter(|f| f.exists()) {
        remove_patiently(&folder)?;
    }
    Ok(())
}

fn remove_patiently(folder: &Path) -> Result<()> {
    // A killed process leaves its group when it is reaped, which takes the kernel a moment.
    for _ in 0..100 {
        match fs::remove_dir(folder) {
            Ok(()) => return Ok(()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(_) => kill_members(folder),
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    fs::remove_dir(folder).during(format!("remove the cgroup {}", folder.display()))
}

fn kill_members(folder: &Path) {
    let members = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    for pid in members.lines().filter_map(|l| l.parse().ok()) {
        if let Ok(process) = crate::process::ProcessHandle::open(pid) {
            process.kill();
        }
    }
}

fn write(folder: &Path, file: &str, text: &str) -> Result<()> {
    let path = folder.join(file);
    fs::write(&path, text).during(format!("write {text} to {}", path.display()))
}

fn write_if_there(folder: &Path, file: &str, text: &str) -> Result<()> {
    if folder.join(file).exists() { write(folder, file, text) } else { Ok(()) }
}
