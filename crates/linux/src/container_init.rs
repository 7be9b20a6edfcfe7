//! Inside the helper: from an [`Order`] to the program's first instruction.

use super::{MAX_MESSAGE, Order, Spec, Word};
use crate::error::{During, Error, Result};
use crate::memory::forget_code;
use crate::mounts::{Detached, Restrict, open_in_root};
use crate::process::{ProcessHandle, die_with, die_with_parent};
use crate::seccomp::Filters;
use rustix::fs::{Gid, Mode, OFlags, Uid};
use rustix::mount::{MountPropagationFlags, UnmountFlags, mount_change, unmount};
use rustix::process::{
    Pid, Resource, Rlimit, WaitId, WaitIdOptions, WaitIdStatus, chdir, getrlimit, pivot_root,
    setrlimit, setsid, umask, waitid,
};
use rustix::thread::{CapabilitySet, CapabilitySets, LinkNameSpaceType, UnshareFlags};
use std::ffi::CString;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

/// Files and folders of /proc that are hidden (the list that container engines share).
const HIDDEN: [&str; 9] = [
    "acpi",
    "asound",
    "kcore",
    "keys",
    "latency_stats",
    "timer_list",
    "sched_debug",
    "scsi",
    "interrupts",
];
/// Folders of /proc that cannot be written.
const READ_ONLY: [&str; 5] = ["bus", "fs", "irq", "sys", "sysrq-trigger"];

/// Exit code of a helper that failed; the reason went to the warden.
const FAILED: i32 = 70;

/// The helper's life.
#[must_use]
pub fn helper_main() -> i32 {
    // The socket is handed over as standard input.
    let Ok(warden) = std::io::stdin().as_fd().try_clone_to_owned() else { return FAILED };
    let warden = UnixStream::from(warden);
    match hold(&warden) {
        Ok(()) => 0,
        Err(e) => {
            tell_failure(&warden, e);
            FAILED
        }
    }
}

fn hold(warden: &UnixStream) -> Result<()> {
    let mut line = String::new();
    BufReader::new(warden)
        .take(MAX_MESSAGE as u64)
        .read_line(&mut line)
        .during("read the container's order")?;
    let order: Order = serde_json::from_str(&line)
        .map_err(|e| Error::other("read the container's order", e.to_string()))?;
    let parent = order.warden.cast_signed();
    die_with_parent(parent)?;
    enter_namespaces(&order)?;
    // Entering the user namespace changed this process's credentials, and the kernel forgot.
    die_with_parent(parent)?;
    let filters = Filters::compile()?;
    let helper = ProcessHandle::own()?;
    match fork("fork the container's keeper")? {
        None => exit_as(warden, keep(warden, &order.spec, &filters, &helper)),
        Some(keeper) => {
            // Output that only the container holds ends when the container does.
            silence()?;
            forget_code();
            wait(keeper, WaitIdOptions::EXITED).map(drop)
        }
    }
}

/// The first process of a pid namespace around the container's own. The container may ask the
/// kernel to outlive its parent; but it cannot outlive this namespace, and does not see this
/// process, which dies with the helper.
fn keep(warden: &UnixStream, spec: &Spec, filters: &Filters, helper: &ProcessHandle) -> Result<()> {
    die_with(helper)?;
    // SAFETY: this process has one thread.
    #[expect(unsafe_code, reason = "unshare is unsafe for processes with threads")]
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWPID) }
        .during("make the container's pid namespace")?;
    let keeper = ProcessHandle::own()?;
    match fork("fork the container's first process")? {
        None => exit_as(warden, seal_and_exec(warden, spec, filters, &keeper)),
        Some(first) => attend(warden, first),
    }
}

/// Forks; the child gets `None`.
fn fork(operation: &str) -> Result<Option<Pid>> {
    // SAFETY: this process has one thread, so the child is a complete copy.
    #[expect(unsafe_code, reason = "the first process of a pid namespace is forked")]
    let pid = unsafe { libc::fork() };
    if pid < 0 {
        return Err(std::io::Error::last_os_error()).during(operation);
    }
    Ok(Pid::from_raw(pid))
}

/// The end of a forked process, which must not go back to where its parent goes on.
fn exit_as<T>(warden: &UnixStream, result: Result<T>) -> ! {
    let code = if result.is_ok() { 0 } else { FAILED };
    if let Err(e) = result {
        tell_failure(warden, e);
    }
    std::process::exit(code)
}

/// Waits for the first process, tells how it ended, and reaps it on the warden's word.
fn attend(mut warden: &UnixStream, child: Pid) -> Result<()> {
    silence()?;
    forget_code();
    let status = wait(child, WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)?;
    let signal = status.terminating_signal();
    let code = status.exit_status().or(signal.map(|s| 128 + s)).unwrap_or(FAILED);
    tell(warden, &Word::Exited { code, signal })?;
    // The warden's word, or its end: both mean that the record has been read.
    let _ = warden.read(&mut [0; 1]);
    wait(child, WaitIdOptions::EXITED).map(drop)
}

fn wait(child: Pid, options: WaitIdOptions) -> Result<WaitIdStatus> {
    loop {
        match waitid(WaitId::Pid(child), options) {
            Ok(Some(status)) => return Ok(status),
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e).during("wait for the container"),
        }
    }
}

/// Lets go of the container's output pipes.
fn silence() -> Result<()> {
    let null = File::options().write(true).open("/dev/null").during("open /dev/null")?;
    rustix::stdio::dup2_stdout(&null).during("let go of the output")?;
    rustix::stdio::dup2_stderr(&null).during("let go of the output")
}

fn enter_namespaces(order: &Order) -> Result<()> {
    let open =
        |fd: i32| File::open(format!("/proc/{}/fd/{fd}", order.warden)).during("open a namespace");
    let (net, user) = (open(order.net_ns)?, open(order.user_ns)?);
    // Entered now, because the container's user could not pass the warden's own folders on the
    // way; the kernel carries the working folder over into the new mount namespace.
    chdir(&order.spec.root).during("enter the root file system")?;
    let join = |file: &File, kind| {
        rustix::thread::move_into_link_name_space(file.as_fd(), Some(kind))
            .during("join a namespace")
    };
    join(&net, LinkNameSpaceType::Network)?;
    join(&user, LinkNameSpaceType::User)?;
    become_id(0, 0)?;
    let flags = UnshareFlags::NEWNS
        | UnshareFlags::NEWPID
        | UnshareFlags::NEWIPC
        | UnshareFlags::NEWUTS
        | UnshareFlags::NEWCGROUP;
    // SAFETY: this process has one thread.
    #[expect(unsafe_code, reason = "unshare is unsafe for processes with threads")]
    unsafe { rustix::thread::unshare_unsafe(flags) }.during("make the container's namespaces")
}

/// Takes on a user and group id of the current user namespace, and no other group where the
/// kernel lets groups be dropped (in an ordinary user's namespace it does not).
fn become_id(uid: u32, gid: u32) -> Result<()> {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    match rustix::thread::set_thread_groups(&[]) {
        Ok(()) | Err(rustix::io::Errno::PERM) => {}
        Err(e) => return Err(e).during("drop the groups"),
    }
    rustix::thread::set_thread_res_gid(gid, gid, gid).during("become the container's group")?;
    rustix::thread::set_thread_res_uid(uid, uid, uid).during("become the container's user")
}

/// The container's first process. Returns only if the program could not be executed.
fn seal_and_exec(
    mut warden: &UnixStream,
    spec: &Spec,
    filters: &Filters,
    keeper: &ProcessHandle,
) -> Result<std::convert::Infallible> {
    die_with(keeper)?;
    tell(warden, &Word::Forked { pid: pid_on_host()? })?;
    rustix::system::sethostname(spec.host_name.as_bytes()).during("set the host name")?;
    enter_root(spec)?;
    let program = Program::new(spec)?;
    limit(spec)?;
    reset_signals();
    umask(Mode::from_raw_mode(0o022));
    setsid().during("start a session")?;
    keep_only_output()?;
    drop_privileges(spec)?;
    die_with(keeper)?;
    filters.install()?;
    tell(warden, &Word::Ready)?;
    let mut word = [0; 1];
    warden.read_exact(&mut word).during("wait for the warden")?;
    program.exec()
}

/// This process's number as the warden counts: /proc is still the host's.
fn pid_on_host() -> Result<i32> {
    let link = std::fs::read_link("/proc/self").during("read /proc/self")?;
    let number = link.to_str().and_then(|text| text.parse().ok());
    number.ok_or_else(|| Error::other("read /proc/self", "it names no process"))
}

/// Makes the assembled root the root, and mounts what belongs to the new namespaces.
fn enter_root(spec: &Spec) -> Result<()> {
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).during("make the mounts private")?;
    let root = Detached::clone_of_working_dir()?;
    let at = rustix::fs::open(".", OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    let copy = root.as_fd().try_clone_to_owned().during("keep the root file system")?;
    root.attach(at.during("open the root file system")?.as_fd())?;
    rustix::process::fchdir(copy).during("enter the root file system")?;
    pivot_root(".", ".").during("change the root")?;
    // The old root is still there, below the working folder: the kernel allows a new /proc only
    // where a whole one can be seen. The root of this process is the new one already, so that
    // every path below is the image's.
    mount_proc()?;
    Detached::new(
        "devpts",
        &[("newinstance", ""), ("ptmxmode", "0666"), ("mode", "0620")],
        Restrict::DATA,
    )?
    .attach_at("/dev/pts".as_ref())?;
    unmount(".", UnmountFlags::DETACH).during("leave the old root")?;
    chdir("/").during("enter the new root")?;
    chdir(spec.working_dir.as_str())
        .during(format!("enter the working folder {}", spec.working_dir))
}

fn mount_proc() -> Result<()> {
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open("/", flags, Mode::empty()).during("open the root")?;
    let nofollow = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW;
    let target = open_in_root(root.as_fd(), "proc", nofollow)?;
    Detached::new("proc", &[], Restrict::DATA)?.attach(target.as_fd())?;
    for name in HIDDEN {
        hide(root.as_fd(), &format!("proc/{name}"))?;
    }
    for name in READ_ONLY {
        let path = format!("proc/{name}");
        if let Ok(fd) = open_in_root(root.as_fd(), &path, OFlags::PATH) {
            let view = Detached::clone_of_fd(fd.as_fd())?.restrict(Restrict::INERT)?;
            view.attach(fd.as_fd())?;
        }
    }
    Ok(())
}

/// Covers a file with /dev/null, a folder with an empty one.
fn hide(root: BorrowedFd<'_>, path: &str) -> Result<()> {
    let Ok(fd) = open_in_root(root, path, OFlags::PATH) else { return Ok(()) };
    let stat = rustix::fs::fstat(&fd).during(format!("look at /{path}"))?;
    let cover = if rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir() {
        Detached::new("tmpfs", &[("size", "4k"), ("mode", "0555")], Restrict::INERT)?
    } else {
        Detached::clone_of("/dev/null".as_ref())?.read_only()?
    };
    cover.attach(fd.as_fd())
}

/// Lowers limits; none is raised, which an ordinary user could not.
fn limit(spec: &Spec) -> Result<()> {
    let lower = |resource, to: u64| {
        let now = getrlimit(resource);
        let to = now.maximum.map_or(to, |max| max.min(to));
        setrlimit(resource, Rlimit { current: Some(to), maximum: Some(to) }).during("set a limit")
    };
    lower(Resource::Nproc, u64::from(spec.processes))?;
    // A core dump would carry the data to where the host's handler puts it.
    lower(Resource::Core, 0)
}

/// A program starts with every signal at its default; Rust's own runtime ignores one.
fn reset_signals() {
    for signal in 1..=64 {
        // SAFETY: setting a default disposition runs no code; for signals that cannot be set the
        // call fails and changes nothing.
        #[expect(unsafe_code, reason = "there is no safe signal(2)")]
        unsafe {
            libc::signal(signal, libc::SIG_DFL);
        }
    }
}

/// Standard input becomes the container's own /dev/null; everything above 2, the warden's socket
/// too, ends with the `execve`.
fn keep_only_output() -> Result<()> {
    let null = File::open("/dev/null").during("open /dev/null")?;
    rustix::stdio::dup2_stdin(&null).during("close the standard input")?;
    // SAFETY: close_range with this flag only marks descriptors.
    #[expect(unsafe_code, reason = "there is no safe close_range(2)")]
    let marked = unsafe { libc::close_range(3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC.cast_signed()) };
    if marked == 0 {
        return Ok(());
    }
    Err(Error {
        operation: "mark descriptors to be closed".into(),
        source: std::io::Error::last_os_error(),
    })
}

/// No capability in any set, and none to be had again.
fn drop_privileges(spec: &Spec) -> Result<()> {
    for bit in 0..64 {
        let Some(capability) = CapabilitySet::from_bits(1 << bit) else { continue };
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            // Beyond the last capability of this kernel.
            Ok(()) | Err(rustix::io::Errno::INVAL) => {}
            Err(e) => return Err(e).during("empty the capability bounding set"),
        }
    }
    become_id(spec.uid, spec.gid)?;
    rustix::thread::clear_ambient_capability_set().during("drop the ambient capabilities")?;
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, none).during("drop the capabilities")?;
    rustix::thread::set_no_new_privs(true).during("forbid new privileges")
}

/// A program with its arguments, in the kernel's form.
struct Program {
    candidates: Vec<CString>,
    name: String,
    arguments: Vec<CString>,
    environment: Vec<CString>,
}

impl Program {
    fn new(spec: &Spec) -> Result<Self> {
        let c = |s: String| {
            CString::new(s).map_err(|_| Error::other("read the command", "it has a NUL byte"))
        };
        let name = spec.command.first().cloned().unwrap_or_default();
        let search = spec.environment.iter().find(|(k, _)| k == "PATH").map_or("", |(_, v)| v);
        let candidates = if name.contains('/') {
            vec![c(name.clone())?]
        } else {
            search.split(':').map(|dir| c(format!("{dir}/{name}"))).collect::<Result<_>>()?
        };
        let pair = |(k, v): &(String, String)| c(format!("{k}={v}"));
        Ok(Self {
            candidates,
            name,
            arguments: spec.command.iter().cloned().map(c).collect::<Result<_>>()?,
            environment: spec.environment.iter().map(pair).collect::<Result<_>>()?,
        })
    }

    fn exec(&self) -> Result<std::convert::Infallible> {
        let pointers = |all: &[CString]| {
            let end = std::iter::once(std::ptr::null());
            all.iter().map(|s| s.as_ptr()).chain(end).collect::<Vec<_>>()
        };
        let (arguments, environment) = (pointers(&self.arguments), pointers(&self.environment));
        let mut failure = std::io::Error::from_raw_os_error(libc::ENOENT);
        for candidate in &self.candidates {
            // SAFETY: all three are null-terminated and outlive the call.
            #[expect(unsafe_code, reason = "there is no safe execve(2)")]
            unsafe {
                libc::execve(candidate.as_ptr(), arguments.as_ptr(), environment.as_ptr());
            }
            let error = std::io::Error::last_os_error();
            if error.raw_os_error() != Some(libc::ENOENT) {
                failure = error;
                break;
            }
        }
        Err(Error { operation: format!("execute '{}'", self.name), source: failure })
    }
}

fn tell(mut warden: &UnixStream, word: &Word) -> Result<()> {
    let mut line =
        serde_json::to_vec(word).map_err(|e| Error::other("write to the warden", e.to_string()))?;
    line.push(b'\n');
    warden.write_all(&line).during("write to the warden")
}

fn tell_failure(warden: &UnixStream, e: Error) {
    let errno = e.errno().unwrap_or(0);
    let text = e.source.to_string();
    // If the warden is gone there is nobody to tell.
    let _ = tell(warden, &Word::Failed { operation: e.operation, errno, text });
}
