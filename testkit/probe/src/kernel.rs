//! Ways out by other system calls. Each has arguments that do nothing where it is allowed: then
//! the kernel refuses the arguments ("reached") and not the caller ("denied").

use crate::report::{errno, file, probe};
use crate::sys::{Arg, Outcome, call, owned};
use std::ffi::CStr;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::{Command, Stdio};

/// The bit of CAP_SYS_ADMIN.
const CAP_SYS_ADMIN: u32 = 1 << 21;

fn n(number: impl Into<i64>) -> Arg<'static> {
    Arg::N(number.into())
}

/// A call whose arguments are all numbers or strings.
fn plain(name: &str, number: libc::c_long, args: &mut [Arg<'_>]) {
    probe(name, || call(number, args));
}

/// `unshare` and `setns` of a user namespace want a process of one thread: a fresh one.
fn in_child(args: &[&str]) -> Outcome {
    let output = Command::new("/proc/self/exe").args(args).stdin(Stdio::null()).output();
    let output = output.map_err(|e| e.raw_os_error().unwrap_or(libc::EIO))?;
    match String::from_utf8_lossy(&output.stdout).trim().parse() {
        Ok(0) => Ok(0),
        Ok(errno) => Err(errno),
        Err(_) => Err(libc::EIO),
    }
}

/// What [`in_child`] runs: prints 0 or the `errno`.
pub(crate) fn child(args: &[String]) {
    let outcome = match args {
        [kind, flags] if kind == "unshare" => {
            call(libc::SYS_unshare, &mut [n(flags.parse::<i64>().unwrap_or(-1))])
        }
        [kind, path] if kind == "setns" => errno(File::open(path)).and_then(|_| {
            let file = File::open(path).map_err(|e| e.raw_os_error().unwrap_or(libc::EIO))?;
            call(libc::SYS_setns, &mut [n(file.as_raw_fd()), n(0)])
        }),
        _ => Err(libc::EINVAL),
    };
    println!("{}", outcome.err().unwrap_or(0));
}

fn namespaces() {
    for (name, flag) in [
        ("unshare-user", libc::CLONE_NEWUSER),
        ("unshare-net", libc::CLONE_NEWNET),
        ("unshare-mount", libc::CLONE_NEWNS),
        ("unshare-pid", libc::CLONE_NEWPID),
        ("unshare-cgroup", libc::CLONE_NEWCGROUP),
    ] {
        probe(name, || in_child(&["child", "unshare", &flag.to_string()]));
    }
    for kind in ["net", "mnt", "user", "pid", "uts", "ipc"] {
        let path = format!("/proc/1/ns/{kind}");
        probe(&format!("setns-{kind}"), || in_child(&["child", "setns", &path]));
    }
    plain("clone3", libc::SYS_clone3, &mut [n(0), n(0)]);
    // CLONE_SIGHAND without CLONE_VM is always refused, so that no process comes of it.
    let flags = libc::CLONE_NEWUSER | libc::CLONE_SIGHAND;
    plain("clone-newuser", libc::SYS_clone, &mut [n(flags), n(0), n(0), n(0), n(0)]);
}

fn mounts() {
    let none = c"none";
    // There is no such file system: looked up only after the right to mount was checked.
    let mut args = [Arg::Z(none), Arg::Z(c"/"), Arg::Z(c"belljar-none"), n(0), n(0)];
    plain("mount", libc::SYS_mount, &mut args);
    let bits = libc::MNT_EXPIRE | libc::MNT_DETACH;
    plain("umount", libc::SYS_umount2, &mut [Arg::Z(c"/"), n(bits)]);
    plain("pivot-root", libc::SYS_pivot_root, &mut [Arg::Z(c"/"), Arg::Z(c"/")]);
    plain("chroot", libc::SYS_chroot, &mut [Arg::Z(c"/")]);
    plain("fsopen", libc::SYS_fsopen, &mut [Arg::Z(c"belljar-none"), n(0)]);
    plain("open-tree", libc::SYS_open_tree, &mut [n(-1), Arg::Z(c"/"), n(1)]);
    for (name, kind) in [("mount-cgroup", c"cgroup"), ("mount-cgroup2", c"cgroup2")] {
        probe(name, || mount_and_unmount(kind));
    }
}

/// Mounts for real, because some file systems are refused only then; undone at once.
fn mount_and_unmount(kind: &CStr) -> Outcome {
    let place = c"/tmp/belljar-probe-mount";
    let path = Path::new("/tmp/belljar-probe-mount");
    fs::create_dir_all(path).map_err(|e| e.raw_os_error().unwrap_or(libc::EIO))?;
    let options = c"none,name=belljar-probe";
    let data = if kind == c"cgroup" { Arg::Z(options) } else { n(0) };
    let done =
        call(libc::SYS_mount, &mut [Arg::Z(c"none"), Arg::Z(place), Arg::Z(kind), n(0), data]);
    if done.is_ok() {
        call(libc::SYS_umount2, &mut [Arg::Z(place), n(libc::MNT_DETACH)])?;
    }
    let _leftover = fs::remove_dir(path);
    done
}

fn processes() {
    const PTRACE_SEIZE: i64 = 0x4206;
    let seize = |pid: i64| call(libc::SYS_ptrace, &mut [n(PTRACE_SEIZE), n(pid), n(0), n(0)]);
    if std::process::id() != 1 {
        probe("ptrace-init", || seize(1));
    }
    if let Ok(mut child) =
        Command::new("/proc/self/exe").args(["sleep", "5"]).stdout(Stdio::null()).spawn()
    {
        probe("ptrace-child", || seize(i64::from(child.id())));
        let _ended = child.kill().and_then(|()| child.wait());
    }
    // There is nothing at that address of any process, so nothing is ever read into the buffer.
    let mut buffer = [0_u8; 8];
    let local = [(buffer.as_mut_ptr() as u64).to_ne_bytes(), 8_u64.to_ne_bytes()].concat();
    let remote = [0x1000_u64.to_ne_bytes(), 8_u64.to_ne_bytes()].concat();
    let parent = i64::from(std::os::unix::process::parent_id().max(1));
    let mut args = [n(parent), Arg::R(&local), n(1), Arg::R(&remote), n(1), n(0)];
    plain("process-vm-readv", libc::SYS_process_vm_readv, &mut args);
    file("open-init-mem", || errno(File::open("/proc/1/mem")));
    file("open-init-environ", || errno(fs::read("/proc/1/environ")));
}

fn privileges() {
    let zero = || n(0);
    plain("setresuid-root", libc::SYS_setresuid, &mut [zero(), zero(), zero()]);
    plain("setgroups", libc::SYS_setgroups, &mut [n(-1), zero()]);
    probe("capset", capset);
    plain("no-new-privs-off", libc::SYS_prctl, &mut [n(38), zero(), zero(), zero(), zero()]);
    plain("keyctl", libc::SYS_keyctl, &mut [zero(), n(-3), zero()]);
    let (user, name) = (Arg::Z(c"user"), Arg::Z(c"belljar-probe"));
    plain("add-key", libc::SYS_add_key, &mut [user, name, Arg::R(b"x"), n(1), n(-2)]);
    let (user, name) = (Arg::Z(c"user"), Arg::Z(c"belljar-none"));
    plain("request-key", libc::SYS_request_key, &mut [user, name, zero(), zero()]);
}

/// Asks for CAP_SYS_ADMIN on top of what there is.
fn capset() -> Outcome {
    let header = [0x2008_0522_u32.to_ne_bytes(), 0_u32.to_ne_bytes()].concat();
    let mut data = [0_u8; 24];
    call(libc::SYS_capget, &mut [Arg::R(&header), Arg::W(&mut data)])?;
    for at in [0, 4] {
        let old = u32::from_ne_bytes([data[at], data[at + 1], data[at + 2], data[at + 3]]);
        data[at..at + 4].copy_from_slice(&(old | CAP_SYS_ADMIN).to_ne_bytes());
    }
    call(libc::SYS_capset, &mut [Arg::R(&header), Arg::R(&data)])
}

/// Keeps nothing of a call that makes a descriptor.
fn descriptor(name: &str, number: libc::c_long, args: &mut [Arg<'_>]) {
    probe(name, || call(number, args).map(|fd| drop(owned(fd))).map(|()| 0));
}

fn machine() {
    descriptor("io-uring", libc::SYS_io_uring_setup, &mut [n(1), Arg::W(&mut [0; 120])]);
    plain("bpf", libc::SYS_bpf, &mut [n(9999), Arg::R(&[0; 128]), n(128)]);
    let mut attributes = [0_u8; 128];
    attributes[0] = 1; // PERF_TYPE_SOFTWARE
    attributes[4] = 112; // its size
    let mut args = [Arg::R(&attributes), n(0), n(-1), n(-1), n(0)];
    descriptor("perf-event-open", libc::SYS_perf_event_open, &mut args);
    descriptor("userfaultfd", libc::SYS_userfaultfd, &mut [n(0)]);
    let mut handle = [0_u8; 16];
    (handle[0], handle[4]) = (8, 1); // eight bytes, of type 1
    let mut args = [n(libc::AT_FDCWD), Arg::R(&handle), n(0)];
    descriptor("open-by-handle-at", libc::SYS_open_by_handle_at, &mut args);
    plain("init-module", libc::SYS_init_module, &mut [n(0), n(0), Arg::Z(c"")]);
    plain("kexec-load", libc::SYS_kexec_load, &mut [n(0), n(0), n(0), n(0xffff)]);
    plain("reboot", libc::SYS_reboot, &mut [n(0), n(0), n(0), n(0)]);
    plain("settimeofday", libc::SYS_settimeofday, &mut [n(0), n(0)]);
    plain("sethostname", libc::SYS_sethostname, &mut [Arg::Z(c"x"), n(-1)]);
    plain("acct", libc::SYS_acct, &mut [Arg::Z(c"/belljar-none")]);
    plain("swapon", libc::SYS_swapon, &mut [Arg::Z(c"/belljar-none"), n(0)]);
    plain("quotactl", libc::SYS_quotactl, &mut [n(-1), n(0), n(0), n(0)]);
    plain("syslog", libc::SYS_syslog, &mut [n(10), n(0), n(0)]);
    for (name, kind, device) in
        [("mknod-char", libc::S_IFCHR, 0x103), ("mknod-block", libc::S_IFBLK, 0x700)]
    {
        probe(name, || mknod(kind, device));
    }
}

fn mknod(kind: u32, device: i64) -> Outcome {
    let path = c"/tmp/belljar-probe-node";
    let done =
        call(libc::SYS_mknodat, &mut [n(libc::AT_FDCWD), Arg::Z(path), n(kind | 0o600), n(device)]);
    if done.is_ok() {
        let _gone = fs::remove_file("/tmp/belljar-probe-node");
    }
    done
}

/// All of them.
pub(crate) fn all() {
    namespaces();
    mounts();
    processes();
    privileges();
    machine();
}
