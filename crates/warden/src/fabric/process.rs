//! From a command line to a fabric that listens, and to its end.

use super::serve::Fabric;
use crate::failure::chain;
use crate::program::{runtime, say};
use crate::words;
use belljar_domain::fabric::{FOLDER, LOCK, SOCKET};
use belljar_domain::spool::EXIT_TAKEN;
use belljar_linux::privilege::{self, Privilege};
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs::{DirBuilder, File, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long it waits for its lock before it says that another one has it: whoever looks whether a
/// fabric lives holds it for a moment.
const LOCK_PATIENCE: Duration = Duration::from_millis(500);
/// How often it is looked whether the folder is still there, and the socket in it.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Runs the fabric of a state folder, apart from whoever started it. Must be called before the
/// process has a second thread, because it changes namespaces.
pub(crate) fn main(state: PathBuf) -> ExitCode {
    // Fails only for the leader of a group, which nobody's terminal reaches either.
    let _ = rustix::process::setsid();
    match run(&state) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(EXIT_TAKEN),
        Err(text) => {
            say(&format!("belljar-warden: {text}\n"));
            ExitCode::from(crate::program::INTERNAL_ERROR)
        }
    }
}

/// Whether it was this one that ran.
fn run(state: &Path) -> Result<bool, String> {
    let state = std::path::absolute(state).map_err(|e| format!("{}: {e}", state.display()))?;
    let folder = state.join(FOLDER);
    let failed = |e: io::Error| format!("{}: {e}", folder.display());
    match DirBuilder::new().mode(0o700).create(&folder) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(failed(e)),
        _ => {}
    }
    let _ = rustix::process::chdir("/");
    let Some(lock) = lock(&folder.join(LOCK)).map_err(failed)? else { return Ok(false) };
    privilege::assert_single_threaded().map_err(|e| chain(&e))?;
    let who = privilege::enter().map_err(|e| chain(&e))?;
    many_descriptors();
    let runtime = runtime()?;
    let (socket, lock_path) = (folder.join(SOCKET), folder.join(LOCK));
    runtime.block_on(async {
        let listener = words::bind(&socket).map_err(failed)?;
        let mine = std::fs::metadata(&socket).map(identity).map_err(failed)?;
        let listener = tokio::net::UnixListener::from_std(listener).map_err(failed)?;
        let fabric = Arc::new(Fabric::new(&state, matches!(who, Privilege::Root)));
        tokio::select! {
            () = Arc::clone(&fabric).serve(listener) => {}
            () = gone(&lock_path, &lock) => {}
            () = unreachable(&socket, mine) => {}
        }
        Ok::<_, String>(())
    })?;
    // Another one's, if this one's folder is gone.
    if is_same(&lock_path, &lock) {
        let _ = std::fs::remove_file(&socket);
    }
    Ok(true)
}

fn lock(path: &Path) -> io::Result<Option<File>> {
    let file = File::options().create(true).truncate(false).write(true).open(path)?;
    let began = Instant::now();
    loop {
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Some(file)),
            Err(Errno::WOULDBLOCK) if began.elapsed() > LOCK_PATIENCE => return Ok(None),
            Err(Errno::WOULDBLOCK) => std::thread::sleep(Duration::from_millis(5)),
            Err(e) => return Err(e.into()),
        }
    }
}

/// Returns once the lock is not where it was made: the service's folder was removed.
async fn gone(path: &Path, lock: &File) {
    while is_same(path, lock) {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Returns once the socket is not where it was made: nobody can ask any more, and as long as this
/// one lives no other one can begin.
async fn unreachable(socket: &Path, mine: (u64, u64)) {
    while std::fs::metadata(socket).map(identity).is_ok_and(|there| there == mine) {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn is_same(path: &Path, lock: &File) -> bool {
    let there = std::fs::metadata(path).map(identity);
    there.is_ok_and(|there| lock.metadata().is_ok_and(|own| there == identity(own)))
}

/// Which file it is.
fn identity(file: Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

/// Each interface takes a descriptor or two: as many as this user may have.
fn many_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    // If it may not be raised, there are as many as there were.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}
