//! The folder of a service, its lock, and the format of its database.
//!
//! # How a later version changes the format
//!
//! A released entry of [`STATE`] never changes. A new version appends one: SQL that turns the
//! format before it into its own. The number of entries is the format's number, which SQLite keeps
//! as `user_version`. With the entry comes one more golden copy, `golden/state-N.sql`: write it
//! with `BELLJAR_GOLDEN=write cargo test -p belljar-store golden`, add its number to the test's
//! list, and never touch it again. The test opens every copy with today's code, reads what is in
//! it, and checks that a migrated database has the same tables as a new one. Formats inside a
//! column (the blocks of `logs`) have a version of their own and a golden copy of their own.

use crate::{Db, StoreError, endpoints, identity, jobs, logs, network, nodes};
use rusqlite::Connection;
use rustix::fs::{FlockOperation, flock};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The formats of `state.db`: entry `i` turns format `i` into `i + 1`.
pub const STATE: &[&str] = &[
    jobs::SCHEMA,
    logs::SCHEMA,
    identity::SCHEMA,
    nodes::SCHEMA,
    endpoints::SCHEMA,
    network::SCHEMA,
];

/// The service's folder, below the state folder.
const FOLDER: &str = "service";
/// Held by a service while it lives.
const LOCK: &str = "lock";
/// The database.
const DATABASE: &str = "state.db";
/// How often a service tries again while somebody only looks whether one lives.
const LOCK_TRIES: u32 = 200;
/// How long it waits between.
const LOCK_PAUSE: Duration = Duration::from_millis(2);

/// Why a service's folder cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another service lives on it.
    #[error(
        "another service ({}) is running on {}",
        .pid.map_or_else(|| "of unknown process id".into(), |pid| format!("process {pid}")),
        .folder.display()
    )]
    InUse {
        /// The folder.
        folder: PathBuf,
        /// Its process, if it has said so yet.
        pid: Option<u32>,
    },
    /// A service of an older Belljar is running, so the format must stay as it is.
    #[error(
        "{} has format {found}, this Belljar writes {known}, and an older service is running",
        .path.display()
    )]
    Older {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: usize,
        /// The newest that is known.
        known: usize,
    },
    /// A file cannot be made, opened or read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl OpenError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::InUse { .. } => {
                Some("stop it, or give this one a folder of its own with --state DIR")
            }
            Self::Older { .. } => Some("stop the service, and start it again with this version"),
            Self::Store(StoreError::Newer { .. }) => Some("use the newer version"),
            Self::Store(_) => None,
        }
    }
}

/// The state of a service that lives. While this value lives, no other service can start on the
/// folder; the kernel lets go of the lock however the process ends.
#[derive(Debug)]
pub struct State {
    folder: PathBuf,
    db: Db,
    _lock: File,
}

impl State {
    /// Makes `<state>/service` (0700) if it is not there, takes its lock, and opens the database
    /// (0600), brought to the newest format.
    ///
    /// # Errors
    /// [`OpenError::InUse`] if a service lives on this folder; otherwise if a file cannot be
    /// made or opened, or is newer than this program.
    pub fn open(state: &Path) -> Result<Self, OpenError> {
        let folder = make_folder(state)?;
        let lock = take_lock(&folder)?;
        let db = open_database(&folder)?;
        Ok(Self { folder, db, _lock: lock })
    }

    /// Whether a service ever made its database here. Where that cannot be told, it is there: who
    /// opens it is told what is wrong.
    #[must_use]
    pub fn exists(state: &Path) -> bool {
        state.join(FOLDER).join(DATABASE).try_exists().unwrap_or(true)
    }

    /// Opens the database without the lock, to read and write keys while a service may be running.
    /// Makes it if no service ever ran.
    ///
    /// # Errors
    /// As [`State::open`], but not [`OpenError::InUse`]; [`OpenError::Older`] if the running
    /// service is of an older version, whose database must not be brought to a newer format.
    pub fn peek(state: &Path) -> Result<Db, OpenError> {
        let folder = make_folder(state)?;
        let path = folder.join(DATABASE);
        if let Some(found) = format_of(&path)?
            && (1..STATE.len()).contains(&found)
            && service_is_alive(state)?.is_some()
        {
            return Err(OpenError::Older { path, found, known: STATE.len() });
        }
        Ok(open_database(&folder)?)
    }

    /// The service's folder, absolute if the state folder was.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The database of jobs, logs and identity.
    #[must_use]
    pub fn db(&self) -> &Db {
        &self.db
    }
}

/// A service that lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alive {
    /// Its process; `None` if it has only just begun.
    pub pid: Option<u32>,
}

/// Whether a service lives on the state folder, by its lock.
///
/// # Errors
/// If the lock file is there and cannot be looked at.
pub fn service_is_alive(state: &Path) -> Result<Option<Alive>, StoreError> {
    let folder = state.join(FOLDER);
    let path = folder.join(LOCK);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(StoreError::File { operation: "open", path, source }),
    };
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(None),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(Some(Alive { pid: read_pid(&file) })),
        Err(e) => Err(StoreError::File { operation: "lock", path, source: e.into() }),
    }
}

/// The format of the database as it is; `None` if there is none.
fn format_of(path: &Path) -> Result<Option<usize>, StoreError> {
    if !path.exists() {
        return Ok(None);
    }
    let c = Connection::open(path)?;
    Ok(Some(c.pragma_query_value(None, "user_version", |row| row.get(0))?))
}

fn make_folder(state: &Path) -> Result<PathBuf, StoreError> {
    let folder = state.join(FOLDER);
    DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(|source| {
        StoreError::File { operation: "make the folder", path: folder.clone(), source }
    })?;
    Ok(folder)
}

/// Takes the lock. Somebody who only looks ([`service_is_alive`]) holds a shared lock for an
/// instant: if we can share it too, no service has it, and we try again.
fn take_lock(folder: &Path) -> Result<File, OpenError> {
    let path = folder.join(LOCK);
    let wrong =
        |operation, source: io::Error| StoreError::File { operation, path: path.clone(), source };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(|e| wrong("open", e))?;
    let in_use = |file: &File| OpenError::InUse { folder: folder.into(), pid: read_pid(file) };
    for _ in 0..LOCK_TRIES {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                let pid = format!("{}\n", std::process::id());
                file.set_len(0)
                    .and_then(|()| file.write_all(pid.as_bytes()))
                    .map_err(|e| wrong("write", e))?;
                return Ok(file);
            }
            Err(rustix::io::Errno::WOULDBLOCK) => {}
            Err(e) => return Err(wrong("lock", e.into()).into()),
        }
        if flock(&file, FlockOperation::NonBlockingLockShared).is_err() {
            return Err(in_use(&file));
        }
        flock(&file, FlockOperation::Unlock).map_err(|e| wrong("unlock", e.into()))?;
        std::thread::sleep(LOCK_PAUSE);
    }
    Err(in_use(&file))
}

fn read_pid(file: &File) -> Option<u32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// Makes the file first, so that it is never readable by others; SQLite gives the files that it
/// keeps beside it the same mode. (One that is there is not opened here: closing it would drop
/// the locks that SQLite has on it in this process.)
fn open_database(folder: &Path) -> Result<Db, StoreError> {
    let path = folder.join(DATABASE);
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
        Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
            Err(StoreError::File { operation: "make", path, source })
        }
        _ => Db::open(&path, STATE),
    }
}

#[cfg(test)]
mod golden;
#[cfg(test)]
mod golden_endpoint;
#[cfg(test)]
mod golden_network;
#[cfg(test)]
mod tests;
