//! Ways out by files, and what can be seen from here.

use crate::report::{errno, fact, file};
use serde_json::{Value, json};
use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// Opened for writing, and never written to.
const WRITE: &[&str] = &[
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/hostname",
    "/proc/sys/kernel/modprobe",
    "/proc/sys/net/ipv4/ip_forward",
    "/proc/sys/vm/drop_caches",
    "/proc/sysrq-trigger",
    "/proc/irq/default_smp_affinity",
    "/proc/1/oom_score_adj",
    "/sys/kernel/uevent_helper",
    "/sys/kernel/mm/transparent_hugepage/enabled",
    "/sys/power/state",
    "/sys/fs/cgroup/release_agent",
    "/sys/fs/cgroup/memory/release_agent",
    "/sys/fs/cgroup/cgroup.procs",
    "/dev/mem",
    "/dev/kmsg",
];

/// Opened for reading, with one byte read: some files refuse only that.
const READ: &[&str] = &[
    "/proc/kcore",
    "/proc/keys",
    "/proc/key-users",
    "/proc/kmsg",
    "/proc/timer_list",
    "/proc/sched_debug",
    "/proc/latency_stats",
    "/proc/scsi/scsi",
    "/proc/acpi/wakeup",
    "/proc/kpagecount",
    "/proc/vmallocinfo",
    "/sys/firmware/dmi/tables/DMI",
    "/sys/kernel/security/lsm",
    "/dev/mem",
    "/dev/kmsg",
    "/dev/kvm",
    "/dev/vsock",
    "/dev/vhost-vsock",
    "/dev/net/tun",
    "/dev/fuse",
    "/dev/sda",
    "/dev/vda",
    "/run/docker.sock",
    "/var/run/docker.sock",
    "/run/containerd/containerd.sock",
    "/root/.aws/credentials",
    "/root/.ssh/id_rsa",
    "/root/.docker/config.json",
    "/var/run/secrets/kubernetes.io/serviceaccount/token",
];

/// Where a container must be able to write.
const WRITABLE: &[&str] = &[
    "/",
    "/tmp",
    "/dev/shm",
    "/opt/ml/model",
    "/opt/ml/output",
    "/opt/ml/output/data",
    "/opt/ml/checkpoints",
];

fn ways() {
    for path in WRITE {
        file(&format!("write {path}"), || errno(OpenOptions::new().write(true).open(path)));
    }
    for path in READ {
        file(&format!("read {path}"), || {
            errno(File::open(path).and_then(|mut f| f.read(&mut [0])))
        });
    }
    for dir in WRITABLE {
        let path = Path::new(dir).join("belljar-probe-file");
        file(&format!("writable {dir}"), || {
            errno(fs::write(&path, b"x").and_then(|()| fs::remove_file(&path)))
        });
    }
    file("writable /dev/stdout", || errno(OpenOptions::new().write(true).open("/dev/stdout")));
}

/// A copy of this program with the set-user-id bit: what it runs as.
fn setuid() {
    let path = Path::new("/tmp/belljar-probe-setuid");
    let made = fs::copy("/proc/self/exe", path)
        .and_then(|_| fs::set_permissions(path, fs::Permissions::from_mode(0o4755)))
        .and_then(|()| Command::new(path).arg("ids").output());
    let value = match made {
        Ok(output) => json!(String::from_utf8_lossy(&output.stdout).trim()),
        Err(e) => json!(e.to_string()),
    };
    let _leftover = fs::remove_file(path);
    fact("setuid-copy", &value);
}

/// The `Uid:` line of /proc/self/status, and the capabilities in force.
pub(crate) fn ids() {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    for line in status.lines().filter(|l| l.starts_with("Uid:") || l.starts_with("CapEff:")) {
        println!("{line}");
    }
}

fn status() -> Value {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let wanted = [
        "Uid",
        "Gid",
        "Groups",
        "CapInh",
        "CapPrm",
        "CapEff",
        "CapBnd",
        "CapAmb",
        "NoNewPrivs",
        "Seccomp",
        "Seccomp_filters",
    ];
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .filter(|(name, _)| wanted.contains(name))
        .map(|(name, value)| (name.to_owned(), json!(value.trim())))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// Names and link targets of a folder of links, in order.
fn links(dir: &str) -> Value {
    let Ok(entries) = fs::read_dir(dir) else { return Value::Null };
    entries
        .flatten()
        .map(|e| {
            let target = fs::read_link(e.path()).map(|t| t.display().to_string());
            (e.file_name().to_string_lossy().into_owned(), json!(target.unwrap_or_default()))
        })
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// Descriptors beyond the three streams, without the one that lists them.
fn leaked() -> Value {
    let own = format!("/proc/{}/fd", std::process::id());
    let mut all = links("/proc/self/fd");
    if let Value::Object(map) = &mut all {
        map.retain(|fd, target| {
            !matches!(fd.as_str(), "0" | "1" | "2") && target != &json!(own) && target != ""
        });
    }
    all
}

fn processes() -> Value {
    let Ok(entries) = fs::read_dir("/proc") else { return Value::Null };
    let mut pids: Vec<u32> =
        entries.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    json!(pids)
}

fn facts() {
    fact("status", &status());
    fact("namespaces", &links("/proc/self/ns"));
    fact("leaked-descriptors", &leaked());
    fact("processes", &processes());
    let mut names: Vec<_> =
        std::env::vars_os().map(|(k, _)| k.to_string_lossy().into_owned()).collect();
    names.sort();
    fact("environment", &json!(names));
    for (name, path) in [
        ("uid-map", "/proc/self/uid_map"),
        ("gid-map", "/proc/self/gid_map"),
        ("setgroups-file", "/proc/self/setgroups"),
        ("cgroup", "/proc/self/cgroup"),
        ("mounts", "/proc/self/mountinfo"),
        ("limits", "/proc/self/limits"),
        ("hostname", "/proc/sys/kernel/hostname"),
        ("hosts", "/etc/hosts"),
        ("resolv", "/etc/resolv.conf"),
    ] {
        fact(name, &json!(fs::read_to_string(path).ok()));
    }
}

/// All of them.
pub(crate) fn all() {
    ways();
    setuid();
    facts();
}
