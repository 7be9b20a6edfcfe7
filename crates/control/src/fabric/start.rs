//! A fabric's process.

use super::LOOK;
use super::client::ask_within;
use crate::local::{Warden, ended};
use belljar_domain::fabric::{Ask, DIAGNOSTICS, FOLDER};
use belljar_domain::spool::EXIT_TAKEN;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// How long one may take until it listens.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Bytes of what it said that are told.
const MAX_SAID: usize = 1024;

/// Starts a fabric, and waits until it answers. It outlives the service. If another one has the
/// folder, that one answers.
///
/// # Errors
/// Why there is none, a sentence.
pub(super) async fn start(warden: &Warden, state: &Path) -> Result<(), String> {
    let folder = state.join(FOLDER);
    let said = folder.join(DIAGNOSTICS);
    let failed = |e: io::Error| format!("cannot start the fabric in {}: {e}", folder.display());
    match DirBuilder::new().mode(0o700).create(&folder) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(failed(e)),
        _ => {}
    }
    let stderr = File::options().create(true).write(true).truncate(true).mode(0o600).open(&said);
    let mut command = warden.fabric(state);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr.map_err(failed)?);
    let mut child = command.spawn().map_err(failed)?;
    let began = Instant::now();
    loop {
        if ask_within(state, &Ask::Status, LOOK).await.is_ok() {
            // Whoever has started it also takes note of its end.
            tokio::spawn(async move { child.wait().await });
            return Ok(());
        }
        match child.try_wait().map_err(failed)? {
            Some(status) if status.code() != Some(i32::from(EXIT_TAKEN)) => {
                let text = std::fs::read_to_string(&said).unwrap_or_default();
                let last: String = text.trim().chars().take(MAX_SAID).collect();
                return Err(format!("the fabric {}: {last}", ended(status)));
            }
            _ if began.elapsed() > PATIENCE => return Err("the fabric does not answer".to_owned()),
            _ => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
}
