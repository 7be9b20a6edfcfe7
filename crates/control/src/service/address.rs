//! Where a running service listens, for commands beside it.

use super::ServiceError;
use crate::state::write_json;
use belljar_store::service_is_alive;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};

/// Bytes of the file that are read.
const MAX_BYTES: u64 = 4096;

/// `service/address.json`. Whether a service lives is said by its lock, never by this file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// `http://127.0.0.1:4747`.
    pub endpoint: String,
    /// The process.
    pub pid: u32,
    /// Its region.
    pub region: String,
    /// Its account.
    pub account: String,
    /// The S3 elsewhere that it uses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3_endpoint: Option<String>,
}

fn file(state: &Path) -> PathBuf {
    state.join("service/address.json")
}

pub(super) fn write(state: &Path, address: &Address) -> Result<(), ServiceError> {
    Ok(write_json(&file(state), address)?)
}

/// Removes it: the service no longer listens.
pub(super) fn remove(state: &Path) {
    // A file that stays says nothing: the lock decides.
    let _ = std::fs::remove_file(file(state));
}

/// Where the service on this state folder listens.
///
/// # Errors
/// [`ServiceError::NotRunning`] if none does; if the file cannot be read.
pub fn address(state: &Path) -> Result<Address, ServiceError> {
    let Some(alive) = service_is_alive(state)? else {
        return Err(ServiceError::NotRunning(state.to_owned()));
    };
    let path = file(state);
    match read(&path) {
        Ok(address) if alive.pid == Some(address.pid) => Ok(address),
        // One that was killed wrote it, and its successor has only just begun.
        Ok(_) => Err(ServiceError::NotRunning(state.to_owned())),
        // It has the lock, and does not listen yet, or no longer.
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            Err(ServiceError::NotRunning(state.to_owned()))
        }
        Err(source) => Err(ServiceError::Address { path, source }),
    }
}

fn read(path: &Path) -> io::Result<Address> {
    let file = std::fs::File::open(path)?;
    let reader = io::Read::take(file, MAX_BYTES);
    Ok(serde_json::from_reader(reader)?)
}
