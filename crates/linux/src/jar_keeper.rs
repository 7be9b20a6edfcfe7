//! Inside the jar: from the keeper's first instruction to the command's.

use super::{CANNOT_EXECUTE, FAILED, Face, GO, NOT_FOUND, Spec, Word, signals, tell, tell_failure};
use crate::error::{During, Error, Result};
use crate::mounts::{Detached, Restrict};
use crate::netns::NetNs;
use crate::privilege::Privilege;
use crate::process::{ProcessHandle, die_with};
use crate::seccomp::Confined;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::mount::{MountPropagationFlags, UnmountFlags, mount_change, unmount};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, wait};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};
use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// How long a signal to the whole process group may take from one process of it to the next.
const GROUP: Duration = Duration::from_millis(1);
/// Where files are made that are then shown elsewhere. A new `/proc` will be mounted there.
const WORKSHOP: &str = "/proc";

/// What the warden was when it made the keeper.
pub(super) struct Born {
    pub(super) warden: ProcessHandle,
    /// The signals that waited before.
    pub(super) mask: signals::Mask,
}

/// The keeper's life; returns its exit code.
pub(super) fn life(link: &UnixStream, spec: &Spec, net: &NetNs, born: &Born) -> i32 {
    match keep(link, spec, net, born) {
        Ok(()) => 0,
        Err(e) => {
            tell_failure(link, &e);
            FAILED
        }
    }
}

fn keep(link: &UnixStream, spec: &Spec, net: &NetNs, born: &Born) -> Result<()> {
    die_with(&born.warden)?;
    move_into_link_name_space(net.as_fd(), Some(LinkNameSpaceType::Network))
        .during("enter the network namespace")?;
    let confined = Confined::compile()?;
    let mut word = [0];
    (&mut &*link).read_exact(&mut word).during("wait for the warden")?;
    put_on(&spec.faces)?;
    Detached::new("proc", &[], Restrict::DATA)?.attach_at("/proc".as_ref())?;
    let children = signals::children()?;
    let (ours, theirs) = UnixStream::pair().during("make the command's socket")?;
    // SAFETY: this process has one thread, so the child is a complete copy.
    #[expect(unsafe_code, reason = "there is no safe fork(2)")]
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        drop((ours, children));
        std::process::exit(become_command(link, &theirs, spec, &confined, &born.mask));
    }
    let Some(child) = Pid::from_raw(pid).filter(|_| pid > 0) else {
        return Err(io::Error::last_os_error()).during("fork the command");
    };
    drop(theirs);
    introduce(&ours, child, spec)?;
    drop(ours);
    attend(link, &children, child)
}

/// Shows files in the place of the host's. Only this mount namespace sees them.
fn put_on(faces: &[(std::path::PathBuf, Face)]) -> Result<()> {
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .during("make the mounts private")?;
    let workshop = [("size", "1m"), ("mode", "0755")];
    Detached::new("tmpfs", &workshop, Restrict::DATA)?.attach_at(WORKSHOP.as_ref())?;
    for (number, (path, face)) in faces.iter().enumerate() {
        // A path that does not exist hides nothing; links are followed to what they name.
        let Ok(path) = path.canonicalize() else { continue };
        let view = match face {
            Face::Content(text) => {
                let made = Path::new(WORKSHOP).join(number.to_string());
                fs::write(&made, text).during("write a file for the command")?;
                Detached::clone_of(&made)?.restrict(Restrict::INERT)?
            }
            Face::File(file) => Detached::clone_of(file)?.read_only()?,
            Face::Nothing => Detached::clone_of("/dev/null".as_ref())?.read_only()?,
        };
        view.attach_at(&path)?;
    }
    // The files stay as long as they are shown.
    unmount(WORKSHOP, UnmountFlags::DETACH).during("close the workshop")
}

/// Gives the command's user namespace its ids: the same that the user has outside.
fn introduce(mut command: &UnixStream, child: Pid, spec: &Spec) -> Result<()> {
    let mut word = [0];
    command.read_exact(&mut word).during("hear the command's process")?;
    let child = child.as_raw_nonzero();
    let (users, groups) = match spec.privilege {
        Privilege::User { uid } => {
            write_proc(&format!("/proc/{child}/setgroups"), "deny")?;
            (format!("{uid} 0 1\n"), format!("{} 0 1\n", spec.gid))
        }
        Privilege::Root => (same_ids("uid_map")?, same_ids("gid_map")?),
    };
    write_proc(&format!("/proc/{child}/uid_map"), &users)?;
    write_proc(&format!("/proc/{child}/gid_map"), &groups)?;
    command.write_all(&[GO]).during("start the command")
}

/// A map of each id that exists here to itself.
fn same_ids(file: &str) -> Result<String> {
    let text = fs::read_to_string(format!("/proc/self/{file}"));
    let text = text.during(format!("read /proc/self/{file}"))?;
    let line = |l: &str| {
        let mut fields = l.split_whitespace();
        let (first, _, count) = (fields.next()?, fields.next()?, fields.next()?);
        Some(format!("{first} {first} {count}\n"))
    };
    Ok(text.lines().filter_map(line).collect())
}

fn write_proc(path: &str, text: &str) -> Result<()> {
    fs::write(path, text).during(format!("write {path}"))
}

/// The command's process; returns only if the command could not be executed.
fn become_command(
    link: &UnixStream,
    keeper: &UnixStream,
    spec: &Spec,
    confined: &Confined,
    mask: &signals::Mask,
) -> i32 {
    match prepare(keeper, confined).and_then(|()| mask.restore()) {
        Ok(()) => {}
        Err(e) => {
            tell_failure(link, &e);
            return FAILED;
        }
    }
    let Some((program, arguments)) = spec.command.split_first() else { return NOT_FOUND };
    // This also gives a broken pipe's signal its default; this program ignores it.
    let source = Command::new(program).args(arguments).exec();
    let code = match source.kind() {
        io::ErrorKind::NotFound => NOT_FOUND,
        _ => CANNOT_EXECUTE,
    };
    let operation = format!("execute '{}'", program.to_string_lossy());
    tell_failure(link, &Error { operation, source });
    code
}

fn prepare(mut keeper: &UnixStream, confined: &Confined) -> Result<()> {
    // SAFETY: this process has one thread.
    #[expect(unsafe_code, reason = "unshare is unsafe for processes with threads")]
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWUSER) }
        .during("make the command's user namespace")?;
    keeper.write_all(&[GO]).during("tell the keeper")?;
    let mut word = [0];
    keeper.read_exact(&mut word).during("wait for the keeper")?;
    confined.install()
}

/// Waits for the command, as the first process reaps all others, and passes signals on.
fn attend(link: &UnixStream, children: &impl AsFd, child: Pid) -> Result<()> {
    loop {
        let mut ready = [PollFd::new(children, PollFlags::IN), PollFd::new(link, PollFlags::IN)];
        match poll(&mut ready, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e).during("wait for the command"),
        }
        let (ended, spoken) = (!ready[0].revents().is_empty(), !ready[1].revents().is_empty());
        if ended {
            // What it says is not more than that there is something to reap.
            let _ = rustix::io::read(children, &mut [0_u8; 512]);
            if let Some(word) = reap(child)? {
                return tell(link, &word);
            }
        }
        let mut signal = [0];
        if spoken {
            (&mut &*link).read_exact(&mut signal).during("hear the warden")?;
            pass_on(i32::from(signal[0]), child);
        }
    }
}

/// Reaps whoever has ended; says how the command has.
fn reap(command: Pid) -> Result<Option<Word>> {
    let mut end = None;
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid == command => {
                let signal = status.terminating_signal();
                let code = status.exit_status().or(signal.map(|s| 128 + s)).unwrap_or(FAILED);
                end = Some(Word::Exited { code, signal });
            }
            Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
            Ok(None) | Err(rustix::io::Errno::CHILD) => return Ok(end),
            Err(e) => return Err(e).during("reap the command"),
        }
    }
}

/// A signal that the warden got. This process is in the same group and lets signals wait: if it
/// has one of that number too, it was for all of the group, and the command has had it.
fn pass_on(signal: i32, command: Pid) {
    std::thread::sleep(GROUP);
    if signals::take(signal) {
        return;
    }
    if let Some(signal) = Signal::from_named_raw(signal) {
        // It may just have ended.
        let _ = kill_process(command, signal);
    }
}
